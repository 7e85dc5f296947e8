"""Be one inference unit: a process that holds one model and answers images that come in on its standard input.

It is run as a program, ``python -I unit_worker.py RUNTIME MODEL OPTIONS``, by :mod:`vision_toolkit.workspace.units`,
and imports nothing of ours but the stand-alone ``models/runtime.py``, by its path: so it starts quickly and stays
small. OPTIONS is JSON: ``threads`` of one computation; ``takes``, ``"file"`` or ``"pixels"``; ``allowed``, arguments of
the runtime's ``read`` that say what a file must be. Whatever an image does to the library that decodes it is this
process's matter alone. It ends when its standard input does, whatever its parent died of.

A frame is 8 bytes of length and that many bytes. In: the file of an image; or 4 bytes of length, JSON (``width``,
``height``, and ``shared``, the name and offset of shared memory, or null) and, unless they are shared, the pixels:
packed RGB. Out: 4 bytes of length, JSON, and the arrays that the JSON names, one after the other. The first frame out
says that the model is loaded, or why it is not.
"""

from __future__ import annotations

import importlib.util
import json
import os
import stat
import struct
import sys
from collections.abc import Callable
from functools import partial
from typing import IO, Any

__all__ = ["main", "open_shared", "read_frame", "write_frame"]

SHARED = "/dev/shm"  # noqa: S108 - where Linux keeps what shm_open names


def read_frame(file: IO[bytes]) -> bytes | None:
    """Read one frame; None at the end, also in the middle of one."""
    head = _exactly(file, 8)
    return None if head is None else _exactly(file, struct.unpack("<Q", head)[0])


def _exactly(file: IO[bytes], count: int) -> bytes | None:
    parts = []
    while count:
        part = file.read(min(count, 1 << 20))
        if not part:
            return None
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def write_frame(file: IO[bytes], *parts: bytes | memoryview) -> None:
    """Write one frame of several parts."""
    file.write(struct.pack("<Q", sum(len(part) for part in parts)))
    for part in parts:
        file.write(part)
    file.flush()


def _tell(file: IO[bytes], facts: dict[str, Any], *arrays: Any) -> None:
    text = json.dumps(facts).encode()
    write_frame(file, struct.pack("<I", len(text)), text, *(memoryview(array.tobytes()) for array in arrays))


def open_shared(name: str, end: int, *, writing: bool = False) -> int:
    """Open POSIX shared memory of somebody else's, and return its file descriptor.

    It is read and written like a file, never mapped: a segment that its owner cuts off meanwhile then gives too few
    bytes, where a mapped one ends the process that looks at it.

    Parameters
    ----------
    name
        as shm_open takes it; the slash at its beginning may be missing.
    end
        bytes that it must have.
    writing
        whether it is written as well.

    Raises
    ------
    ValueError
        if there is no such segment, or it is shorter.
    """
    plain = name.removeprefix("/")
    if not plain or "/" in plain or "\0" in plain:
        raise ValueError(f"{name[:80]!r} names no shared memory; a name is one word, such as '/camera1'")
    try:
        flags = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        found = os.open(os.path.join(SHARED, plain), flags | (os.O_RDWR if writing else os.O_RDONLY))
    except OSError as error:
        raise ValueError(f"shared memory {name[:80]!r} cannot be opened: {error.strerror}") from None
    facts = os.fstat(found)
    if stat.S_ISREG(facts.st_mode) and facts.st_size >= end:
        return found
    os.close(found)
    if not stat.S_ISREG(facts.st_mode):
        raise ValueError(f"{name[:80]!r} is no shared memory")
    raise ValueError(f"shared memory {name[:80]!r} has {facts.st_size:,} bytes, and {end:,} were named")


def _pixels(data: bytes) -> Any:
    """Return the pixels that a frame holds or names, (H, W, 3) uint8."""
    import numpy as np

    (length,) = struct.unpack_from("<I", data)
    facts = json.loads(data[4 : 4 + length])
    shape = (facts["height"], facts["width"], 3)
    if facts["shared"] is None:
        return np.frombuffer(data, np.uint8, offset=4 + length).reshape(shape)
    name, offset = facts["shared"]
    image = np.empty(shape, np.uint8)
    segment = open_shared(name, offset + image.nbytes)
    try:
        left = image.data.cast("B")
        while left:
            count = os.preadv(segment, [left], offset)
            if not count:
                raise ValueError(f"shared memory {name[:80]!r} was cut off while it was read")
            left, offset = left[count:], offset + count
    finally:
        os.close(segment)
    return image


def _answer(file: IO[bytes], read: Callable[[bytes], Any], model: Any, data: bytes) -> None:
    try:
        image = read(data)
    except ValueError as error:
        _tell(file, {"invalid": str(error)})
        return
    try:
        answer = model.predict([image])[0]
    except Exception as error:  # noqa: BLE001 - the parent tells it, and the next image is another
        _tell(file, {"failed": f"{type(error).__name__}: {error}"[:500]})
        return
    arrays = {name: answer[name] for name in ("map", "ids") if answer[name] is not None}
    facts = {name: [str(array.dtype), list(array.shape)] for name, array in arrays.items()}
    _tell(file, {"score": float(answer["score"]), "arrays": facts}, *arrays.values())


def main(arguments: list[str]) -> int:
    """Answer until the input ends."""
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints must not come between the frames
    try:
        spec = importlib.util.spec_from_file_location("runtime", arguments[0])
        assert spec is not None and spec.loader is not None
        runtime = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(runtime)
        options = json.loads(arguments[2])
        model = runtime.Runtime.load(arguments[1], threads=options["threads"])
        _warm(model)
    except Exception as error:  # noqa: BLE001 - a model can be broken in any way
        _tell(out, {"failed": f"{type(error).__name__}: {error}"[:500]})
        return 1
    _tell(out, {"info": model.info})
    read = _pixels if options["takes"] == "pixels" else partial(runtime.read, **options["allowed"])
    while (data := read_frame(sys.stdin.buffer)) is not None:
        _answer(out, read, model, data)
    return 0


def _warm(model: Any) -> None:
    """Judge a black picture: what is broken shows now, and the first image need not wait."""
    import numpy as np

    width, height = model.sizes[-1]
    model.predict([np.zeros((height, width, 3), np.uint8)])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
