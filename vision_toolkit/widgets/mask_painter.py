"""Paint masks of anomaly types in a notebook: the brush in the page, the truth in the kernel, the file on the disk."""

from __future__ import annotations

import base64
import os
import re
import threading
import zlib
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import traitlets
from numpy.typing import NDArray

from vision_toolkit.core.entry import Entry, Label, MaskRef
from vision_toolkit.core.errors import Conflict, Failed, Invalid, NotFound, VisionError
from vision_toolkit.core.mask import BACKGROUND, Mask, hex_to_rgb, palette_colour
from vision_toolkit.data.images import encode_mask, encode_png, probe, read_image, read_mask
from vision_toolkit.data.manifest import Manifest
from vision_toolkit.data.preview import preview
from vision_toolkit.data.storage import is_inline, local_path, read_bytes, write_file
from vision_toolkit.data.working_copy import WorkingCopy
from vision_toolkit.widgets import raster, wire
from vision_toolkit.widgets.key_map import check_classes
from vision_toolkit.widgets.ordering import Predicting
from vision_toolkit.widgets.page import PageWidget, module, style
from vision_toolkit.widgets.pictures import Pictures, Shown, contact_png, title_of

__all__ = ["MaskPainter"]

Ids = NDArray[np.uint8]
Points = Sequence[tuple[float, float]]
_HELD = 6
"""Masks that are kept unpacked; the others are read again from where they were written."""
_LARGEST = 4096 * 4096
_PICTURES = 6
_LEVEL = 0.5
"""What a heat map has to reach to be painted, where a model paints no types."""


@dataclass(slots=True)
class _Change:
    """Hold one change of a mask: its box, and the packed pixels before and after."""

    box: raster.Box
    before: bytes = field(repr=False)
    after: bytes = field(repr=False)


class MaskPainter(PageWidget):
    """Paint masks of anomaly types with brush, polygon, fill and region growing, in JupyterLab, Notebook 7 or Voila.

    Show it as the last line of a cell. Keys 1 to 9 take a type, ``b`` the brush, ``e`` the eraser, ``p`` a polygon,
    ``l`` the lasso, ``f`` fills, ``w`` grows a region of one colour from a click; ``[`` and ``]`` change the size, Ctrl
    erases while it is held, Ctrl and the wheel zoom up to 32 times, the space bar drags. ``h`` shows all keys. Each
    stroke is written at once: the mask as a PNG of exactly the colours of the types, and the line of the manifest as
    Lookout for Vision had it. Every action is a method too; it works on the image that is shown, or on the one that
    ``source`` names.

    Parameters
    ----------
    images
        a manifest, whose masks are there to begin with; or one image: an entry, path, URI, array or PIL image.
    types
        anomaly type to ``#rrggbb``; or names, which get colours. Types of masks that are there come after them. None:
        those of the manifest, else of the model.
    file
        where the manifest with the new masks goes; the masks lie in ``NAME-masks/`` beside it. The manifest that was
        given and its masks are never touched. The same call goes on where you were. None keeps all in memory.
    model
        whose prediction :meth:`start` takes: correct, don't draw.
    side
        longer side of the image that is shown, in pixels, 64 to 4096; the mask has the size of the image itself.

    Raises
    ------
    Invalid
        if there are no images or no types, or an argument is none of those above.
    Conflict
        if ``file`` is something else, see :class:`~vision_toolkit.data.working_copy.WorkingCopy`.

    Examples
    --------
    >>> painter = MaskPainter(np.zeros((60, 80, 3), np.uint8), {"scratch": "#23A436"})
    >>> painter.stroke([(10, 10), (40, 10)], "scratch", size=3)
    >>> painter.mask()
    Mask(80x60, background 97.42 %, scratch 2.58 %)
    >>> painter.undo()
    >>> painter
    MaskPainter(0 of 1 image painted, in memory only)
    """

    _esm = module("raster.js", "mask_painter.js")
    _css = style("mask_painter.css")
    n_painted = traitlets.Int(0).tag(sync=True)

    def __init__(
        self,
        images: Manifest | Any,
        types: Mapping[str, str] | Sequence[str] | None = None,
        *,
        file: str | os.PathLike[str] | None = None,
        model: Predicting | None = None,
        side: int = 4096,
    ) -> None:
        manifest = images if isinstance(images, Manifest) else Manifest([_entry(images)])
        if not len(manifest):
            raise Invalid("The manifest has no images; there is nothing to paint.")
        if not isinstance(side, int) or not 64 <= side <= 4096:
            raise Invalid(f"side is a whole number from 64 to 4096; {side!r} was given.")
        if model is not None and not callable(getattr(model, "predict_all", None)):
            raise Invalid(f"A model is what vt.train returns or vt.load reads; a {type(model).__name__} was given.")
        self.colours = _colours(types, manifest, model)
        self._names = (BACKGROUND, *self.colours)
        self._copy = WorkingCopy(manifest, file)
        self._sources = [entry.source for entry in manifest]
        self._items = {source: item for item, source in enumerate(self._sources)}
        self._labels = [entry.label for entry in manifest]  # as they were given
        self._model, self._side = model, side
        self._unpacked: OrderedDict[int, Ids] = OrderedDict()
        self._undos: dict[int, list[_Change]] = {}
        self._redos: dict[int, list[_Change]] = {}
        self._item = 0
        self._lock = threading.RLock()  # pictures are sent from other threads: a mask is sent whole, then what changes
        self._pictures = Pictures(self._shown, self._post_image)
        setup = {
            "total": len(manifest), "model": model is not None,
            "types": [{"name": name, "colour": colour} for name, colour in self.colours.items()],
        }  # fmt: skip
        super().__init__(setup, n_painted=len(self._copy.changed))

    # ---------------------------------------------------------------- painting

    def stroke(self, points: Points, type: str, *, size: float = 12.0, source: str | None = None) -> None:
        """Draw a disc of ``size`` pixels across along the line through points ``(x, y)``, in pixels of the image."""
        value = self._value(type)
        self._change(source, lambda ids: raster.stroke(ids, _points(points, 1), _size(size), value))

    def erase(self, points: Points, *, size: float = 12.0, source: str | None = None) -> None:
        """Erase along the line through the points."""
        self._change(source, lambda ids: raster.stroke(ids, _points(points, 1), _size(size), 0))

    def polygon(self, points: Points, type: str, *, source: str | None = None) -> None:
        """Fill a polygon; where it crosses itself, what is inside an odd number of times."""
        value = self._value(type)
        self._change(source, lambda ids: raster.polygon(ids, _points(points, 3), value))

    def fill(self, point: tuple[float, float], type: str, *, source: str | None = None) -> None:
        """Fill the patch of one class around a point: a hole in a spot, or a spot of another type."""
        value = self._value(type)
        self._change(source, lambda ids: raster.fill(ids, _points([point], 1)[0], value))

    def grow(self, point: tuple[float, float], type: str, *, tolerance: int = 24, source: str | None = None) -> None:
        """Paint the patch around a point where no channel of the image differs by more than ``tolerance`` from it."""
        value, item = self._value(type), self._number(source)
        if not 0 <= tolerance <= 255:
            raise Invalid(f"tolerance goes from 0 to 255; {tolerance!r} was given.")
        image = read_image(self._entry(item))
        self._change(source, lambda ids: raster.grow(ids, image, _points([point], 1)[0], int(tolerance), value))

    def paint(self, mask: Mask | Ids, *, source: str | None = None) -> None:
        """Replace the whole mask: by one of the same size whose types are known, or by (H, W) uint8 ids."""
        ids = self._ids(self._number(source))
        new = self._as_ids(mask, ids.shape)

        def replaced(ids: Ids) -> raster.Box:
            ids[:] = new
            return 0, 0, ids.shape[1], ids.shape[0]

        self._change(source, replaced)

    def clear(self, *, source: str | None = None) -> None:
        """Erase the whole mask."""
        self.paint(np.zeros_like(self._ids(self._number(source))), source=source)

    def start(self, type: str | None = None, *, source: str | None = None) -> None:
        """Take the model's prediction as the mask: its types; of a model without types, its heat map as ``type``.

        Raises
        ------
        Invalid
            if there is no model, or ``type`` is needed.
        """
        item = self._number(source)
        self.paint(self._predicted(item, type), source=self._sources[item])

    def undo(self, *, source: str | None = None) -> None:
        """Take back the last change of an image.

        Raises
        ------
        NotFound
            if there is none left of this session.
        """
        self._step(self._number(source), "undo")

    def redo(self, *, source: str | None = None) -> None:
        """Do again what was taken back last.

        Raises
        ------
        NotFound
            if there is nothing.
        """
        self._step(self._number(source), "redo")

    def normal(self, *, source: str | None = None) -> None:
        """Say that there is nothing to paint: the image is normal.

        Raises
        ------
        Invalid
            if something is painted on it.
        """
        self._set_normal(self._number(source))
        self._tell()

    def go(self, to: int | str) -> None:
        """Go to an image, by its place from 0 or by its source.

        Raises
        ------
        NotFound
            if there is none.
        """
        if isinstance(to, bool) or (isinstance(to, int) and not 0 <= to < len(self._sources)):
            raise NotFound(f"There is no image at place {to!r}; places go from 0 to {len(self._sources) - 1}.")
        self._item = to if isinstance(to, int) else self._number(to)
        self._tell()

    # ---------------------------------------------------------------- looking

    @property
    def current(self) -> Entry:
        """Return the entry of the image that is shown, as it is now."""
        return self._entry(self._item)

    def mask(self, source: str | None = None) -> Mask:
        """Return a mask as it is now."""
        ids = self._ids(self._number(source))
        return Mask(ids.copy(), self._names, ("#FFFFFF", *self.colours.values()))

    @property
    def manifest(self) -> Manifest:
        """Return the manifest with the masks in it: a type that is painted makes an entry an anomaly."""
        return self._copy.manifest

    @property
    def changed(self) -> tuple[str, ...]:
        """Return the sources whose mask or label is no longer as it was given."""
        return self._copy.changed

    def __repr__(self) -> str:
        total, painted = len(self._sources), len(self._copy.changed)
        place = "in memory only" if self._copy.path is None else f"in {self._copy.path.name}"
        return f"MaskPainter({painted} of {total} image{'s' * (total != 1)} painted, {place})"

    def _picture(self) -> str:
        """Draw some of the images with their masks."""
        from vision_toolkit.plots import overlay

        start = max(0, min(self._item - _PICTURES // 2, len(self._sources) - _PICTURES))
        entries = [self._entry(item) for item in range(start, min(start + _PICTURES, len(self._sources)))]

        def laid(entry: Entry, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
            return overlay(pixels, mask=self.mask(entry.source))

        return contact_png(((entry, ", ".join(entry.types) or str(entry.label)) for entry in entries), laid)

    # ---------------------------------------------------------------- the masks

    def _entry(self, item: int) -> Entry:
        return self._copy.entry(self._sources[item])

    def _number(self, source: str | None) -> int:
        if source is None:
            return self._item
        if source not in self._items:
            raise NotFound(f"There is no image {source!r}; they are spelled as in {self._sources[0]!r}.")
        return self._items[source]

    def _value(self, type: str) -> int:
        if type not in self.colours:
            raise Invalid(f"The types are {', '.join(map(repr, self.colours))}; {type!r} was given.")
        return self._names.index(type)

    def _ids(self, item: int) -> Ids:
        """Return the ids of an image, from where they were written."""
        with self._lock:
            if item not in self._unpacked:
                self._unpacked[item] = self._read(self._entry(item))
                while len(self._unpacked) > _HELD:
                    self._unpacked.popitem(last=False)
            self._unpacked.move_to_end(item)
            return self._unpacked[item]

    def _read(self, entry: Entry) -> Ids:
        facts = probe(read_bytes(entry.location))
        size = facts.width, facts.height
        if size[0] * size[1] > _LARGEST:
            raise Invalid(f"{entry.source} has {size[0]}x{size[1]} pixels; masks are painted on up to 4096x4096.")
        ids = np.zeros((size[1], size[0]), np.uint8)
        return ids if entry.mask is None else self._as_ids(read_mask(entry.mask, size=size), ids.shape).copy()

    def _as_ids(self, mask: Mask | Ids, shape: tuple[int, ...]) -> Ids:
        if not isinstance(mask, Mask):
            mask = Mask(np.asarray(mask), self._names)
        if mask.ids.shape != shape:
            height, width = shape
            raise Invalid(f"The image is {width}x{height}, the mask {mask.size[0]}x{mask.size[1]}; they must agree.")
        unknown = [name for name in mask.types if name not in self._names]
        if unknown:
            raise Invalid(f"The types are {', '.join(map(repr, self.colours))}; the mask has {unknown[0]!r}.")
        table = np.array([self._names.index(n) if n in self._names else 0 for n in mask.names], np.uint8)
        found: Ids = table[mask.ids]
        return found

    def _predicted(self, item: int, type: str | None) -> Ids:
        if self._model is None:
            raise Invalid("There is no model to start from; give one: MaskPainter(manifest, model=model).")
        shape = self._ids(item).shape
        said = next(iter(self._model.predict_all([self._entry(item)])))
        if said.mask is not None:
            return self._as_ids(said.mask, shape)
        if type is None or said.map is None:
            raise Invalid("This model paints no types; say which one its heat map shall be: start('scratch').")
        return heat_ids(said.map, shape) * np.uint8(self._value(type))

    def _change(self, source: str | None, paint: Callable[[Ids], raster.Box | None]) -> None:
        """Paint from Python, write it down, and show it in the pages."""
        item = self._number(source)
        with self._lock:
            ids = self._ids(item)
            before = ids.copy()
            box = paint(ids)
            if box is None or np.array_equal(before, ids):
                return
            self._keep(item, box, _cut(before, box), "paint")
            self._post_patch(item, box, "paint")
        self._tell()

    def _keep(self, item: int, box: raster.Box, before: Ids, op: str) -> None:
        """Write down a mask that was changed in a box; if the disk refuses, it is as before."""
        ids = self._ids(item)
        change = _Change(box, _packed(before), _packed(_cut(ids, box)))
        try:
            self._write(item)
        except VisionError:
            _cut(ids, box)[:] = before
            raise
        undos, redos = self._undos.setdefault(item, []), self._redos.setdefault(item, [])
        if op == "paint":
            undos.append(change)
            redos.clear()
        elif op == "undo" and undos:
            redos.append(undos.pop())
        elif op == "redo" and redos:
            undos.append(redos.pop())

    def _step(self, item: int, op: str) -> None:
        changes = self._undos if op == "undo" else self._redos
        if not changes.get(item):
            raise NotFound(f"There is nothing to {op}.")
        change = changes[item][-1]
        with self._lock:
            ids = self._ids(item)
            before = _cut(ids, change.box).copy()
            _cut(ids, change.box)[:] = _plain(change.before if op == "undo" else change.after, change.box)
            self._keep(item, change.box, before, op)
            self._post_patch(item, change.box, op)
        self._tell()

    def _write(self, item: int) -> None:
        ids, entry = self._ids(item), self._entry(item)
        there = [name for value, name in enumerate(self._names) if value and (ids == value).any()]
        mask: MaskRef | None = None
        if there:
            data = encode_mask(Mask(ids, self._names, ("#FFFFFF", *self.colours.values())), quick=True)
            colours = {name: self.colours[name] for name in there}
            if self._copy.path is None:
                mask = MaskRef(f"data:image/png;base64,{base64.b64encode(data).decode('ascii')}", colours)
            else:
                place = self._place(item, self._copy.path)
                write_file(place, data, overwrite=True)
                mask = MaskRef(f"{place.parent.name}/{place.name}", colours, at=str(place))
        label = Label.ANOMALY if there else self._labels[item]
        new = replace(entry, mask=mask, label=label)
        if new != entry:
            self._copy.put(new)

    def _place(self, item: int, manifest: Path) -> Path:
        """Return where the mask of an image lies; never a file that something else wrote."""
        folder = manifest.with_name(f"{manifest.stem}-masks")
        mine = self._entry(item).mask
        if mine is not None and not is_inline(mine.uri) and Path(mine.location).absolute().parent == folder:
            return Path(mine.location).absolute()
        taken = {one.mask.location for one in self._copy.manifest if one.mask is not None}
        stem = re.sub(r"[^\w.-]+", "_", Path(title_of(self._sources[item])).stem) or "mask"
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Failed(f"{folder} cannot be made: {error.strerror or error}.") from error
        for number in range(1, 10_000):
            place = folder / (f"{stem}.png" if number == 1 else f"{stem}-{number}.png")
            if not place.exists() and str(place) not in taken:
                return place
        raise Conflict(f"{folder} is full of masks of that name; name another file.")

    def _set_normal(self, item: int) -> None:
        if self._ids(item).any():
            raise Invalid("Something is painted on this image, so it is no normal one: clear() it first.")
        self._labels[item] = Label.NORMAL
        entry = self._entry(item)
        if entry.label is not Label.NORMAL or entry.mask is not None:
            self._copy.put(replace(entry, label=Label.NORMAL, mask=None))

    # ---------------------------------------------------------------- the page

    def _greet(self, page: str) -> None:
        self._tell(page)

    def _take_act(self, act: wire.PageAct, *, id: str) -> None:  # noqa: ARG002 (what is sent twice paints the same)
        if act.item is None or act.item >= len(self._sources):
            raise NotFound(f"There is no image number {act.item}; there are {len(self._sources)}.")
        if act.action == "go":
            self._item = act.item
        elif act.action == "stroke":
            self._take_stroke(act.item, act)
        elif act.action == "label" and act.value == Label.NORMAL:
            self._set_normal(act.item)
        elif act.action == "start":
            try:
                self.start(str(act.value), source=self._sources[act.item])
            except VisionError as error:  # told once: asking again would not help
                raise Invalid(str(error)) from error
        else:
            raise Invalid(f"A painter knows no act {act.action!r} of {act.value!r}.")

    def _take_stroke(self, item: int, act: wire.PageAct) -> None:
        assert act.box is not None
        assert act.data is not None
        ids = self._ids(item)
        left, top, width, height = act.box
        if left + width > ids.shape[1] or top + height > ids.shape[0]:
            raise Invalid(f"A box of {act.box} lies outside the image, {ids.shape[1]}x{ids.shape[0]}.")
        pixels = _plain(act.data, act.box)
        if pixels.max() >= len(self._names):
            raise Invalid(f"There are types 1 to {len(self._names) - 1}; {pixels.max()} came.")
        with self._lock:
            part = _cut(self._ids(item), act.box)
            before = part.copy()
            part[:] = pixels
            self._keep(item, act.box, before, str(act.value))

    def _tell(self, page: str | None = None, refused: Sequence[str] = ()) -> None:
        path = self._copy.path
        self._post(self._acked(page, refused) | {
            "type": "plan", "current": self._item, "total": len(self._sources), "painted": len(self._copy.changed),
            "label": str(self._entry(self._item).label), "file": None if path is None else path.name, "told": [],
        })  # fmt: skip
        self.n_painted = len(self._copy.changed)

    def _send_image(self, item: int, *, large: bool) -> None:  # noqa: ARG002 (all are)
        if item < len(self._sources):
            self._pictures.want(item)
            return
        self._post_image(item, f"There is no image number {item}; there are {len(self._sources)}.")

    def _shown(self, item: int) -> Shown:
        entry = self._entry(item)
        made = preview(entry, side=self._side)
        height, width = self._ids(item).shape
        facts = {"media": made.media_type, "title": title_of(entry.source), "width": width, "height": height}
        return Shown(facts, [made.data])

    def _post_image(self, item: int, made: Shown | str) -> None:
        if isinstance(made, str):
            self._post({"type": "image", "item": item, "error": made})
            return
        with self._lock:  # the mask as it is now, whenever the picture was made
            self._post({"type": "image", "item": item} | made.facts, [*made.buffers, _packed(self._ids(item))])

    def _post_patch(self, item: int, box: raster.Box, op: str) -> None:
        self._post({"type": "patch", "item": item, "box": list(box), "op": op}, [_packed(_cut(self._ids(item), box))])


def heat_ids(heat: NDArray[np.float32], shape: tuple[int, ...]) -> Ids:
    """Return where a heat map, (h, w), reaches what normal images just reach, at the size of the image, 0 or 1."""
    rows = (np.arange(shape[0]) * heat.shape[0]) // shape[0]
    columns = (np.arange(shape[1]) * heat.shape[1]) // shape[1]
    found: Ids = (heat >= _LEVEL)[rows][:, columns].astype(np.uint8)
    return found


def _cut(ids: Ids, box: raster.Box) -> Ids:
    left, top, width, height = box
    return ids[top : top + height, left : left + width]


def _packed(pixels: Ids) -> bytes:
    packer = zlib.compressobj(1, zlib.DEFLATED, -15)
    return packer.compress(np.ascontiguousarray(pixels).tobytes()) + packer.flush()


def _plain(data: bytes, box: raster.Box) -> Ids:
    """Return the pixels of a box, (height, width) uint8; of a hostile page no more is unpacked than it has."""
    _, _, width, height = box
    unpacker = zlib.decompressobj(-15)
    try:
        plain = unpacker.decompress(data, width * height + 1) if width * height <= _LARGEST else b""
    except zlib.error as error:
        raise Invalid(f"The pixels of a stroke cannot be unpacked: {error}.") from None
    if len(plain) != width * height:
        raise Invalid(f"A stroke of {width}x{height} pixels has {width * height:,} of them; {len(plain):,} came.")
    return np.frombuffer(plain, np.uint8).reshape(height, width)


def _points(points: Any, least: int) -> list[tuple[float, float]]:
    found = [tuple(point) for point in points] if isinstance(points, list | tuple | np.ndarray) else []
    numbers = all(len(point) == 2 and all(np.isfinite(value) for value in point) for point in found)
    if len(found) < least or not numbers:
        raise Invalid(f"Points are at least {least} pairs (x, y) of pixels; {str(points)[:60]} were given.")
    return [(float(x), float(y)) for x, y in found]


def _size(size: float) -> float:
    if not isinstance(size, int | float) or not 1 <= size <= 4096:
        raise Invalid(f"size goes from 1 to 4096 pixels; {size!r} was given.")
    return float(size)


def _entry(image: Any) -> Entry:
    if isinstance(image, Entry):
        return image
    if isinstance(image, str | os.PathLike):
        place = str(local_path(image)) if isinstance(image, os.PathLike) else image
        return Entry(place)
    data = encode_png(read_image(image))
    return Entry("image.png", at=f"data:image/png;base64,{base64.b64encode(data).decode('ascii')}")


def _colours(types: Any, manifest: Manifest, model: Any) -> dict[str, str]:
    """Return the colours of the types: those that were asked for, then those that are there already."""
    if types is not None and not isinstance(types, Mapping | list | tuple):
        raise Invalid(f"types are names, or names and colours; {types!r} was given.")
    names = list(types if types is not None else ())
    there: dict[str, str] = {}
    for entry in manifest:
        if entry.mask is not None:
            there |= {name: colour for name, colour in entry.mask.colours.items() if name not in there}
    if types is None:
        there = there or dict.fromkeys(getattr(model, "types", ()), "")
    names += [name for name in there if name not in names]
    if not names:
        raise Invalid('Say which types there are: MaskPainter(images, {"scratch": "#23A436"}).')
    check_classes(names)
    if BACKGROUND in names or len(names) > 255:
        raise Invalid(f"types are up to 255 anomaly types, {BACKGROUND!r} is none; {names!r} were given.")
    given = dict(types) if isinstance(types, Mapping) else {}
    colours: dict[str, str] = {}
    for number, name in enumerate(names, 1):
        colour = given.get(name) or there.get(name) or palette_colour(number)
        red, green, blue = hex_to_rgb(colour)
        colours[name] = f"#{red:02X}{green:02X}{blue:02X}"
    twice = [name for name, colour in colours.items() if [*colours.values(), "#FFFFFF"].count(colour) > 1]
    if twice:
        raise Invalid(f"Each type has a colour of its own, and none is white; {colours!r} were given.")
    return colours
