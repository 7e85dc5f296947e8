"""Paint masks of anomaly types in a notebook: the brush in the page, the truth in the kernel, the file on the disk."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import traitlets
from numpy.typing import NDArray

from vision_toolkit.core.entry import Entry, Label
from vision_toolkit.core.errors import Invalid, NotFound, VisionError
from vision_toolkit.core.mask import BACKGROUND, Mask, hex_to_rgb, palette_colour
from vision_toolkit.data.images import encode_png, read_image
from vision_toolkit.data.manifest import Manifest
from vision_toolkit.data.preview import preview
from vision_toolkit.data.storage import local_path
from vision_toolkit.data.working_copy import WorkingCopy
from vision_toolkit.widgets import raster, wire
from vision_toolkit.widgets.key_map import check_classes
from vision_toolkit.widgets.mask_store import LEAVE, MaskStore, cut, packed, unpacked
from vision_toolkit.widgets.ordering import Predicting
from vision_toolkit.widgets.page import PageWidget, module, style
from vision_toolkit.widgets.pictures import Pictures, Shown, contact_png, title_of

__all__ = ["MaskPainter"]

Ids = NDArray[np.uint8]
Points = Sequence[tuple[float, float]]
_PICTURES = 6
_LEVEL = 0.5
"""What a heat map has to reach to be painted, where a model paints no types."""


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
        a manifest, whose masks are there to begin with; or one image: an entry, path, URI, array or PIL image. A
        :class:`~vision_toolkit.data.working_copy.WorkingCopy` is worked on together with others; it has a file already.
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

    _esm = module("raster.js", "viewport.js", "mask_doc.js", "mask_sheet.js", "mask_painter.js")
    _css = style("mask_painter.css")
    n_painted = traitlets.Int(0).tag(sync=True)

    def __init__(
        self,
        images: Manifest | WorkingCopy | Any,
        types: Mapping[str, str] | Sequence[str] | None = None,
        *,
        file: str | os.PathLike[str] | None = None,
        model: Predicting | None = None,
        side: int = 4096,
    ) -> None:
        if isinstance(images, WorkingCopy):
            if file is not None:
                raise Invalid(f"A working copy has a file already; file={os.fspath(file)!r} was given too.")
            copy = images
        else:
            copy = WorkingCopy(images if isinstance(images, Manifest) else Manifest([_entry(images)]), file)
        if not len(copy.given):
            raise Invalid("The manifest has no images; there is nothing to paint.")
        if not isinstance(side, int) or not 64 <= side <= 4096:
            raise Invalid(f"side is a whole number from 64 to 4096; {side!r} was given.")
        if model is not None and not callable(getattr(model, "predict_all", None)):
            raise Invalid(f"A model is what vt.train returns or vt.load reads; a {type(model).__name__} was given.")
        self.colours = _colours(types, copy.manifest, model)
        self._store = MaskStore(copy, self.colours)
        self._model, self._side = model, side
        self._item = 0
        self._pages: set[str] = set()
        self._pictures = Pictures(self._shown, self._post_image)
        setup = {
            "total": len(copy.given), "model": model is not None,
            "types": [{"name": name, "colour": colour} for name, colour in self.colours.items()],
        }  # fmt: skip
        super().__init__(setup, n_painted=len(copy.changed))

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
        ids = self._store.ids(self._number(source))
        new = self._store.as_ids(mask, ids.shape)

        def replaced(ids: Ids) -> raster.Box:
            ids[:] = new
            return 0, 0, ids.shape[1], ids.shape[0]

        self._change(source, replaced)

    def clear(self, *, source: str | None = None) -> None:
        """Erase the whole mask."""
        self.paint(np.zeros_like(self._store.ids(self._number(source))), source=source)

    def start(self, type: str | None = None, *, source: str | None = None) -> None:
        """Take the model's prediction as the mask: its types; of a model without types, its heat map as ``type``.

        Raises
        ------
        Invalid
            if there is no model, or ``type`` is needed.
        """
        item = self._number(source)
        self.paint(self._predicted(item, type), source=self._store.sources[item])

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
        self._store.set_normal(self._number(source))
        self._tell()

    def go(self, to: int | str) -> None:
        """Go to an image, by its place from 0 or by its source.

        Raises
        ------
        NotFound
            if there is none.
        """
        if isinstance(to, bool) or (isinstance(to, int) and not 0 <= to < len(self._store.sources)):
            raise NotFound(f"There is no image at place {to!r}; places go from 0 to {len(self._store.sources) - 1}.")
        self._item = to if isinstance(to, int) else self._number(to)
        self._tell()

    # ---------------------------------------------------------------- looking

    @property
    def current(self) -> Entry:
        """Return the entry of the image that is shown, as it is now."""
        return self._entry(self._item)

    def mask(self, source: str | None = None) -> Mask:
        """Return a mask as it is now."""
        ids = self._store.ids(self._number(source))
        return Mask(ids.copy(), self._store.names, ("#FFFFFF", *self.colours.values()))

    @property
    def manifest(self) -> Manifest:
        """Return the manifest with the masks in it: a type that is painted makes an entry an anomaly."""
        return self._store.copy.manifest

    @property
    def changed(self) -> tuple[str, ...]:
        """Return the sources whose mask or label is no longer as it was given."""
        return self._store.copy.changed

    def __repr__(self) -> str:
        total, painted = len(self._store.sources), len(self._store.copy.changed)
        place = "in memory only" if self._store.copy.path is None else f"in {self._store.copy.path.name}"
        return f"MaskPainter({painted} of {total} image{'s' * (total != 1)} painted, {place})"

    def _picture(self) -> str:
        """Draw some of the images with their masks."""
        from vision_toolkit.plots import overlay

        start = max(0, min(self._item - _PICTURES // 2, len(self._store.sources) - _PICTURES))
        entries = [self._entry(item) for item in range(start, min(start + _PICTURES, len(self._store.sources)))]

        def laid(entry: Entry, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
            return overlay(pixels, mask=self.mask(entry.source))

        return contact_png(((entry, ", ".join(entry.types) or str(entry.label)) for entry in entries), laid)

    # ---------------------------------------------------------------- the masks

    def _entry(self, item: int) -> Entry:
        return self._store.entry(item)

    def _number(self, source: str | None) -> int:
        if source is None:
            return self._item
        if source not in self._store.items:
            raise NotFound(f"There is no image {source!r}; they are spelled as in {self._store.sources[0]!r}.")
        return self._store.items[source]

    def _value(self, type: str) -> int:
        if type not in self.colours:
            raise Invalid(f"The types are {', '.join(map(repr, self.colours))}; {type!r} was given.")
        return self._store.names.index(type)

    def _predicted(self, item: int, type: str | None) -> Ids:
        if self._model is None:
            raise Invalid("There is no model to start from; give one: MaskPainter(manifest, model=model).")
        shape = self._store.ids(item).shape
        said = next(iter(self._model.predict_all([self._entry(item)])))
        if said.mask is not None:
            return self._store.as_ids(said.mask, shape)
        if type is None or said.map is None:
            raise Invalid("This model paints no types; say which one its heat map shall be: start('scratch').")
        return heat_ids(said.map, shape) * np.uint8(self._value(type))

    def _change(self, source: str | None, paint: Callable[[Ids], raster.Box | None]) -> None:
        """Paint from Python, write it down, and show it in the pages."""
        item = self._number(source)
        with self._store.lock:
            ids = self._store.ids(item)
            before = ids.copy()
            box = paint(ids)
            if box is None or np.array_equal(before, ids):
                return
            self._store.painted(item, box, cut(before, box))
            self._post_patch(item, box, cut(ids, box), "paint")
        self._tell()

    def _step(self, item: int, op: str) -> None:
        with self._store.lock:
            box = self._store.step(item, op)
            self._post_patch(item, box, cut(self._store.ids(item), box), op)
        self._tell()

    # ---------------------------------------------------------------- the page

    def _greet(self, page: str) -> None:
        self._pages.add(page)
        self._tell(page)

    def _take_act(self, act: wire.PageAct, *, id: str) -> None:
        if act.item is None or act.item >= len(self._store.sources):
            raise NotFound(f"There is no image number {act.item}; there are {len(self._store.sources)}.")
        if act.action == "go":
            self._item = act.item
        elif act.action == "stroke":
            self._take_stroke(act.item, act, id.rpartition("-")[0])
        elif act.action == "label" and act.value == Label.NORMAL:
            self._store.set_normal(act.item)
        elif act.action == "start":
            try:
                self.start(str(act.value), source=self._store.sources[act.item])
            except VisionError as error:  # told once: asking again would not help
                raise Invalid(str(error)) from error
        else:
            raise Invalid(f"A painter knows no act {act.action!r} of {act.value!r}.")

    def _take_stroke(self, item: int, act: wire.PageAct, page: str) -> None:
        assert act.box is not None
        assert act.data is not None
        shape = self._store.ids(item).shape
        left, top, width, height = act.box
        if left + width > shape[1] or top + height > shape[0]:
            raise Invalid(f"A box of {act.box} lies outside the image, {shape[1]}x{shape[0]}.")
        pixels = unpacked(act.data, act.box)
        if (most := int(pixels.max(where=pixels != LEAVE, initial=0))) >= len(self._store.names):
            raise Invalid(f"There are types 1 to {len(self._store.names) - 1}; {most} came.")
        with self._store.lock:
            self._store.put(item, act.box, pixels, str(act.value))
            if self._pages - {page}:
                self._post_patch(item, act.box, act.data, "other", page)

    def _tell(self, page: str | None = None, refused: Sequence[str] = ()) -> None:
        path, painted = self._store.copy.path, len(self._store.copy.changed)
        self._post(self._acked(page, refused) | {
            "type": "plan", "current": self._item, "total": len(self._store.sources), "painted": painted,
            "label": str(self._entry(self._item).label), "file": None if path is None else path.name, "told": [],
        })  # fmt: skip
        self.n_painted = painted

    def _send_image(self, item: int, *, large: bool) -> None:  # noqa: ARG002 (all are)
        if item < len(self._store.sources):
            self._pictures.want(item)
            return
        self._post_image(item, f"There is no image number {item}; there are {len(self._store.sources)}.")

    def _shown(self, item: int) -> Shown:
        entry = self._entry(item)
        made = preview(entry, side=self._side)
        height, width = self._store.ids(item).shape
        facts = {"media": made.media_type, "title": title_of(entry.source), "width": width, "height": height}
        return Shown(facts, [made.data])

    def _post_image(self, item: int, made: Shown | str) -> None:
        if isinstance(made, str):
            self._post({"type": "image", "item": item, "error": made})
            return
        with self._store.lock:  # the mask as it is now, whenever the picture was made
            mask = packed(self._store.ids(item))
            self._post({"type": "image", "item": item} | made.facts, [*made.buffers, mask])

    def _post_patch(self, item: int, box: raster.Box, pixels: Ids | bytes, op: str, page: str = "") -> None:
        """Tell all pages what was painted; the one that painted it passes over it."""
        data = pixels if isinstance(pixels, bytes) else packed(pixels)
        self._post({"type": "patch", "item": item, "box": list(box), "op": op, "from": page}, [data])


def heat_ids(heat: NDArray[np.float32], shape: tuple[int, ...]) -> Ids:
    """Return where a heat map, (h, w), reaches what normal images just reach, at the size of the image, 0 or 1."""
    rows = (np.arange(shape[0]) * heat.shape[0]) // shape[0]
    columns = (np.arange(shape[1]) * heat.shape[1]) // shape[1]
    found: Ids = (heat >= _LEVEL)[rows][:, columns].astype(np.uint8)
    return found


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
    if BACKGROUND in names or len(names) > 254:
        raise Invalid(f"types are up to 254 anomaly types, {BACKGROUND!r} is none; {names!r} were given.")
    given = dict(types) if isinstance(types, Mapping) else {}
    chosen = {name: _spelled(given.get(name) or there.get(name)) for name in names}
    free = (one for one in map(palette_colour, range(1, 256)) if one.upper() not in chosen.values())
    colours = {name: colour or next(free).upper() for name, colour in chosen.items()}
    twice = [name for name, colour in colours.items() if [*colours.values(), "#FFFFFF"].count(colour) > 1]
    if twice:
        raise Invalid(f"Each type has a colour of its own, and none is white; {colours!r} were given.")
    return colours


def _spelled(colour: str | None) -> str:
    return "#{:02X}{:02X}{:02X}".format(*hex_to_rgb(colour)) if colour else ""
