"""Masks of many images, each change on the disk before it counts, and every earlier state to go back to."""

from __future__ import annotations

import re
import threading
import zlib
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vision_toolkit.core.entry import Entry, Label, MaskRef
from vision_toolkit.core.errors import Conflict, Failed, Invalid, NotFound, VisionError
from vision_toolkit.core.mask import BACKGROUND, Mask
from vision_toolkit.data.images import probe, read_mask
from vision_toolkit.data.mask_png import MaskPng
from vision_toolkit.data.storage import inline, is_inline, read_bytes, write_file
from vision_toolkit.data.working_copy import WorkingCopy
from vision_toolkit.widgets import raster
from vision_toolkit.widgets.pictures import title_of

__all__ = ["LEAVE", "MaskStore", "cut", "packed", "unpacked"]

Ids = NDArray[np.uint8]
LEAVE = 255
"""In the pixels of a stroke: this one was not painted, so it stays whatever it is by now."""
_HELD = 6
"""Masks that are kept unpacked; the others are read again from where they were written."""
_LARGEST = 4096 * 4096


@dataclass(slots=True)
class _Change:
    """Hold one change of a mask: its box, and the packed pixels before and after."""

    box: raster.Box
    before: bytes = field(repr=False)
    after: bytes = field(repr=False)


class MaskStore:
    """Keep the masks of a working copy, and all that they were since this was made.

    Parameters
    ----------
    copy
        the images; their masks are there to begin with.
    colours
        anomaly type to ``#RRGGBB``; the first one is id 1.

    Examples
    --------
    >>> from vision_toolkit.data import Manifest
    >>> from vision_toolkit.data.images import encode_png
    >>> image = Entry("1.png", at=inline(encode_png(np.zeros((4, 6, 3), np.uint8))))
    >>> store = MaskStore(WorkingCopy(Manifest([image])), {"scratch": "#23A436"})
    >>> store.put(0, (2, 1, 2, 1), np.ones((1, 2), np.uint8), "paint")
    >>> store.ids(0)[1].tolist(), store.entry(0).types
    ([0, 0, 1, 1, 0, 0], ('scratch',))
    >>> store.step(0, "undo")
    (2, 1, 2, 1)
    >>> int(store.ids(0).sum())
    0
    """

    def __init__(self, copy: WorkingCopy, colours: Mapping[str, str]) -> None:
        self.copy, self.colours = copy, dict(colours)
        self.names = (BACKGROUND, *self.colours)
        self.sources = [entry.source for entry in copy.given]
        self.items = {source: item for item, source in enumerate(self.sources)}
        self.lock = threading.RLock()  # pictures are sent from other threads: a mask is sent whole, then what changes
        self._labels = [entry.label for entry in copy.given]
        self._held: OrderedDict[int, MaskPng] = OrderedDict()
        self._files: dict[int, Path] = {}  # that were written
        self._undos: dict[int, list[_Change]] = {}
        self._redos: dict[int, list[_Change]] = {}

    def entry(self, item: int) -> Entry:
        """Return the entry of an image as it is now."""
        return self.copy.entry(self.sources[item])

    def ids(self, item: int) -> Ids:
        """Return the mask of an image, (H, W) uint8, from where it was written; it is to be changed by :meth:`put`."""
        return self._png(item).ids

    def as_ids(self, mask: Mask | Ids, shape: tuple[int, ...]) -> Ids:
        """Return a mask of the same size in the ids of these types.

        Raises
        ------
        Invalid
            if it has another size, or a type that is not known.
        """
        if not isinstance(mask, Mask):
            mask = Mask(np.asarray(mask), self.names)
        if mask.ids.shape != shape:
            height, width = shape
            raise Invalid(f"The image is {width}x{height}, the mask {mask.size[0]}x{mask.size[1]}; they must agree.")
        unknown = [name for name in mask.types if name not in self.names]
        if unknown:
            raise Invalid(f"The types are {', '.join(map(repr, self.colours))}; the mask has {unknown[0]!r}.")
        table = np.array([self.names.index(n) if n in self.names else 0 for n in mask.names], np.uint8)
        found: Ids = table[mask.ids]
        return found

    def put(self, item: int, box: raster.Box, pixels: Ids, op: str) -> None:
        """Paint the pixels of a box, (height, width), but those that are :data:`LEAVE`; it is on the disk then.

        Parameters
        ----------
        op
            ``"paint"``; or ``"undo"`` or ``"redo"``, which move the last change if this is what it was.

        Raises
        ------
        Failed
            if the disk refuses; the mask is as before.
        """
        with self.lock:
            part = cut(self.ids(item), box)
            before = part.copy()
            np.copyto(part, pixels, where=pixels != LEAVE)
            self._keep(item, box, before, op)

    def painted(self, item: int, box: raster.Box, before: Ids) -> None:
        """Keep what was painted on :meth:`ids` in a box; ``before`` are its pixels as they were."""
        self._keep(item, box, before, "paint")

    def step(self, item: int, op: str) -> raster.Box:
        """Take back the last change, or do it again; return where.

        Raises
        ------
        NotFound
            if there is none.
        """
        changes = self._undos if op == "undo" else self._redos
        if not changes.get(item):
            raise NotFound(f"There is nothing to {op}.")
        change = changes[item][-1]
        self.put(item, change.box, unpacked(change.before if op == "undo" else change.after, change.box), op)
        return change.box

    def set_normal(self, item: int) -> None:
        """Say that there is nothing to paint on an image.

        Raises
        ------
        Invalid
            if something is painted on it.
        """
        if self.ids(item).any():
            raise Invalid("Something is painted on this image, so it is no normal one: clear() it first.")
        self._labels[item] = Label.NORMAL
        entry = self.entry(item)
        if entry.label is not Label.NORMAL or entry.mask is not None:
            self.copy.put(replace(entry, label=Label.NORMAL, mask=None))

    # ---------------------------------------------------------------- what is held, and where it is written

    def _png(self, item: int) -> MaskPng:
        with self.lock:
            if item not in self._held:
                self._held[item] = MaskPng(self._read(self.entry(item)), ("#FFFFFF", *self.colours.values()))
                while len(self._held) > _HELD:
                    self._held.popitem(last=False)
            self._held.move_to_end(item)
            return self._held[item]

    def _read(self, entry: Entry) -> Ids:
        facts = probe(read_bytes(entry.location))
        size = facts.width, facts.height
        if size[0] * size[1] > _LARGEST:
            raise Invalid(f"{entry.source} has {size[0]}x{size[1]} pixels; masks are painted on up to 4096x4096.")
        ids = np.zeros((size[1], size[0]), np.uint8)
        return ids if entry.mask is None else self.as_ids(read_mask(entry.mask, size=size), ids.shape).copy()

    def _keep(self, item: int, box: raster.Box, before: Ids, op: str) -> None:
        png = self._png(item)
        part = cut(png.ids, box)
        change = _Change(box, packed(before), packed(part))
        png.changed(box[1], box[3])
        try:
            self._write(item, png)
        except VisionError:
            part[:] = before
            png.changed(box[1], box[3])
            raise
        undos, redos = self._undos.setdefault(item, []), self._redos.setdefault(item, [])
        # Of several pages each takes back its own; that is one more change, unless it was the last one.
        if op == "undo" and undos and (undos[-1].box, undos[-1].before) == (box, change.after):
            redos.append(undos.pop())
        elif op == "redo" and redos and (redos[-1].box, redos[-1].after) == (box, change.after):
            undos.append(redos.pop())
        else:
            undos.append(change)
            redos.clear()

    def _write(self, item: int, png: MaskPng) -> None:
        entry, path = self.entry(item), self.copy.path
        there = [self.names[value] for value in png.present() if value]
        mask: MaskRef | None = None
        if there:
            data = png.encoded()
            colours = {name: self.colours[name] for name in there}
            if path is None:
                mask = MaskRef(inline(data), colours)
            else:
                place = self._files.get(item) or self._place(item, path)
                write_file(place, data, overwrite=True)
                self._files[item] = place
                mask = MaskRef(f"{place.parent.name}/{place.name}", colours, at=str(place))
        label = Label.ANOMALY if there else self._labels[item]
        new = replace(entry, mask=mask, label=label)
        if new != entry:
            self.copy.put(new)
        else:
            self.copy.told(entry.source)

    def _place(self, item: int, manifest: Path) -> Path:
        """Return where the mask of an image lies; never a file that something else wrote."""
        folder = manifest.with_name(f"{manifest.stem}-masks")
        mine = self.entry(item).mask
        if mine is not None and not is_inline(mine.uri) and Path(mine.location).absolute().parent == folder:
            return Path(mine.location).absolute()
        taken = {one.mask.location for one in self.copy.manifest if one.mask is not None}
        stem = re.sub(r"[^\w.-]+", "_", Path(title_of(self.sources[item])).stem) or "mask"
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Failed(f"{folder} cannot be made: {error.strerror or error}.") from error
        for number in range(1, 10_000):
            place = folder / (f"{stem}.png" if number == 1 else f"{stem}-{number}.png")
            if not place.exists() and str(place) not in taken:
                return place
        raise Conflict(f"{folder} is full of masks of that name; name another file.")


def cut(ids: Ids, box: raster.Box) -> Ids:
    """Return the part of a mask in a box; what is painted on it is painted on the mask."""
    left, top, width, height = box
    return ids[top : top + height, left : left + width]


def packed(pixels: Ids) -> bytes:
    """Return pixels as they go to a page and come from it: deflate without a header."""
    packer = zlib.compressobj(1, zlib.DEFLATED, -15)
    return packer.compress(np.ascontiguousarray(pixels).tobytes()) + packer.flush()


def unpacked(data: bytes, box: raster.Box) -> Ids:
    """Return the pixels of a box, (height, width) uint8; of a hostile page no more is unpacked than it has.

    Raises
    ------
    Invalid
        if they are none.
    """
    _, _, width, height = box
    unpacker = zlib.decompressobj(-15)
    try:
        plain = unpacker.decompress(data, width * height + 1) if width * height <= _LARGEST else b""
    except zlib.error as error:
        raise Invalid(f"The pixels of a stroke cannot be unpacked: {error}.") from None
    if len(plain) != width * height:
        raise Invalid(f"A stroke of {width}x{height} pixels has {width * height:,} of them; {len(plain):,} came.")
    return np.frombuffer(plain, np.uint8).reshape(height, width)
