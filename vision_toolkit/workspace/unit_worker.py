"""Be one inference unit: a process that holds one model and answers images that come in on its standard input.

It is run as a program, ``python -I unit_worker.py RUNTIME MODEL ALLOWED``, by :mod:`vision_toolkit.workspace.units`,
and imports nothing of ours but the stand-alone ``models/runtime.py``, by its path: so it starts quickly and stays
small. ALLOWED is JSON, arguments of the runtime's ``read`` that say what an image must be; whatever an image does to
the library that decodes it is this process's matter alone. It ends when its standard input does, whatever its parent
died of.

A frame is 8 bytes of length and that many bytes. In: the file of an image. Out: 4 bytes of length, JSON, and the arrays
that the JSON names, one after the other. The first frame out says that the model is loaded, or why it is not.
"""

from __future__ import annotations

import importlib.util
import json
import os
import struct
import sys
from typing import IO, Any

__all__ = ["main", "read_frame", "write_frame"]


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


def _answer(file: IO[bytes], runtime: Any, model: Any, data: bytes, allowed: dict[str, Any]) -> None:
    try:
        image = runtime.read(data, **allowed)
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
        model = runtime.Runtime.load(arguments[1], threads=1)
        allowed = json.loads(arguments[2])
        _warm(model)
    except Exception as error:  # noqa: BLE001 - a model can be broken in any way
        _tell(out, {"failed": f"{type(error).__name__}: {error}"[:500]})
        return 1
    _tell(out, {"info": model.info})
    while (data := read_frame(sys.stdin.buffer)) is not None:
        _answer(out, runtime, model, data, allowed)
    return 0


def _warm(model: Any) -> None:
    """Judge a black picture: what is broken shows now, and the first image need not wait."""
    import numpy as np

    width, height = model.sizes[-1]
    model.predict([np.zeros((height, width, 3), np.uint8)])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
