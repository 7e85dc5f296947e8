"""Draw boxes on images in a notebook: each box is on the disk as soon as the mouse is let go."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import traitlets
from numpy.typing import NDArray

from vision_toolkit.core.entry import Entry, Region
from vision_toolkit.core.errors import Invalid, NotFound
from vision_toolkit.core.mask import hex_to_rgb
from vision_toolkit.data.manifest import Manifest
from vision_toolkit.data.preview import preview
from vision_toolkit.data.working_copy import WorkingCopy
from vision_toolkit.widgets import wire
from vision_toolkit.widgets.box_history import SLACK, BoxHistory, BoxState, box_of, checked_boxes
from vision_toolkit.widgets.key_map import check_classes, class_keys, command_keys
from vision_toolkit.widgets.page import PageWidget, module, style
from vision_toolkit.widgets.pictures import Pictures, Shown, contact_png, title_of

if TYPE_CHECKING:
    from pandas import DataFrame

__all__ = ["BoxLabeler"]

COMMANDS = {
    "delete": ("Delete", "x", "Backspace"),
    "copy": ("c", "v", "y"),
    "accept": ("Enter", "a"),
    "undo": ("u",),
    "redo": ("r",),
    "before": ("PageUp",),
    "after": ("PageDown",),
    "larger": ("+", "="),
    "smaller": ("-",),
    "reset": ("0",),
    "help": ("h", "?"),
}
"""Keys of each command, as browsers name them; a class that begins with its letter takes the letter."""
COLOURS = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#CC79A7", "#D55E00", "#0072B2", "#FFFFFF")
"""Colours of classes, which colour-blind eyes tell apart; those of more classes begin anew."""
_BEHIND, _AHEAD = 2, 6
"""For how many images around the one that is shown the page is told what they have."""
_STEPS, _STEP_BOXES = 12, 400
"""Most earlier states that are told with an image, and most boxes of them; more are fetched as they are needed."""
_PICTURES = 6


class BoxLabeler(PageWidget):
    """Draw boxes on images with mouse and keys, in JupyterLab, Notebook 7 or Voila; every action is a method too.

    Show it as the last line of a cell. Drag to draw a box of the current class, drag a box to move it, its handles to
    resize it. Numbers choose the class, ``x`` deletes, Tab goes to the next box, arrows nudge, ``c`` copies the boxes
    of the image before, ``u`` takes back, PageDown goes on, ``h`` shows all keys and Esc leaves the widget. Each
    change is in ``file`` at once, so the same call goes on with the boxes of before; what was given is never touched.

    Parameters
    ----------
    manifest
        the images, each source once. Boxes that it has are there to be changed; regions of other classes, and those
        that are no upright boxes, are shown and stay as they are. A
        :class:`~vision_toolkit.data.working_copy.WorkingCopy` is worked on together with others; it has a file already.
    classes
        names of what is boxed, 1 to 40.
    file
        where the manifest with its boxes goes, made with the first change
        (:class:`~vision_toolkit.data.working_copy.WorkingCopy`). None keeps boxes in memory only.
    start
        proposes boxes: given an :class:`~vision_toolkit.Entry` without any region, returns regions, a detector's for
        example. They are shown dashed and count when they are accepted. It is called once for an image, when its
        picture is made ready, in a thread of its own, one call at a time.
    side
        the longer side of the images that are shown, in pixels, 64 to 4096.

    Raises
    ------
    Invalid
        if the manifest is empty or has a source twice, or if an argument is none of those above.
    Conflict
        if the file is something else than the boxes of these images.

    Examples
    --------
    >>> from vision_toolkit.data import Manifest
    >>> labeler = BoxLabeler(Manifest([Entry("1.png"), Entry("2.png")]), ["pore", "crack"])
    >>> labeler.add("1.png", "pore", left=0.25, top=0.5, width=0.5, height=0.25)
    >>> labeler.go(1)
    >>> labeler.copy_previous("2.png")
    >>> labeler
    BoxLabeler(2 boxes in 2 of 2 images, in memory only)
    >>> labeler.undo("2.png")
    >>> [box.bounds for box in labeler.boxes("1.png")], labeler.boxes("2.png")
    ([(0.25, 0.5, 0.75, 0.75)], ())
    """

    _esm = module("viewport.js", "boxes.js", "box_doc.js", "box_labeler.js")
    _css = style("box_labeler.css")
    n_boxes = traitlets.Int(0).tag(sync=True)

    def __init__(
        self,
        manifest: Manifest | WorkingCopy,
        classes: Sequence[str],
        *,
        file: str | os.PathLike[str] | None = None,
        start: Callable[[Entry], Iterable[Region]] | None = None,
        side: int = 1024,
    ) -> None:
        given = manifest.given if isinstance(manifest, WorkingCopy) else manifest
        if not isinstance(given, Manifest):
            raise Invalid(
                f"BoxLabeler takes a Manifest (Manifest.from_folder makes one); a {type(given).__name__} was given."
            )
        if not len(given):
            raise Invalid("The manifest has no images; there is nothing to draw on.")
        if isinstance(side, bool) or not isinstance(side, int) or not 64 <= side <= 4096:
            raise Invalid(f"side is a whole number from 64 to 4096; {side!r} was given.")
        if start is not None and not callable(start):
            raise Invalid(f"start is a function of an entry that returns regions; {start!r} was given.")
        self.classes = check_classes(classes)
        self._history = BoxHistory(manifest, file, self.classes)
        self._side, self._start = side, start
        self._current = 0
        self._starting = threading.Lock()
        self._suggested: dict[int, tuple[Region, ...]] = {}
        self._odd: dict[int, str] = {}  # why there are no suggestions
        self._pictures = Pictures(self._shown, self._post_image)
        self._starts = Pictures(self._proposed, self._post_proposed)
        keys, commands = class_keys(self.classes), command_keys(self.classes, COMMANDS)
        setup = {
            "classes": [
                {"name": name, "keys": keys[name], "colour": COLOURS[number % len(COLOURS)]}
                for number, name in enumerate(self.classes)
            ],
            "commands": commands, "total": len(self._history.sources), "most": wire.MOST_BOXES,
            "starts": start is not None,
        }  # fmt: skip
        super().__init__(setup, n_boxes=self._history.count)

    # ---------------------------------------------------------------- acting

    def put(self, source: str, boxes: Iterable[Region]) -> None:
        """Replace the boxes of an image; regions that are no boxes of the classes stay.

        Parameters
        ----------
        source
            an image by the name that the manifest has for it.
        boxes
            upright boxes of the classes, within the image (:meth:`Region.box` makes them), at most 1,000.

        Raises
        ------
        Invalid
            if one is something else.
        NotFound
            if there is no such image.
        Failed
            if the disk refuses; the change does not count then.
        """
        self._put(self._item(source), boxes)
        self._tell()

    def add(self, source: str, name: str, *, left: float, top: float, width: float, height: float) -> None:
        """Add a box to an image, all four numbers as fractions of it.

        Raises
        ------
        Invalid
            if there is no such class, or if the box is empty or reaches out of the image.
        """
        box = box_of(name, left=left, top=top, width=width, height=height, classes=self.classes)
        self.put(source, (*self.boxes(source), box))

    def remove(self, source: str, index: int) -> None:
        """Remove a box of an image: by its place in :meth:`boxes`, from 0.

        Raises
        ------
        NotFound
            if there is none at this place.
        """
        boxes = self.boxes(source)
        if isinstance(index, bool) or not isinstance(index, int | np.integer) or not 0 <= index < len(boxes):
            raise NotFound(f"{source} has {len(boxes)} box{'es' * (len(boxes) != 1)}, from 0; {index!r} was given.")
        self.put(source, boxes[: int(index)] + boxes[int(index) + 1 :])

    def copy_previous(self, source: str) -> None:
        """Add the boxes of the image before, in the order of the manifest, that an image does not have yet.

        Raises
        ------
        NotFound
            if it is the first image.
        """
        item = self._item(source)
        if item == 0:
            raise NotFound(f"{source} is the first image; there is none before it.")
        boxes = list(self._history.boxes(item))
        for other in self._history.boxes(item - 1):
            if not any(_same(other, one) for one in boxes):
                boxes.append(Region(other.name, other.polygon))
        self._put(item, boxes)
        self._tell()

    def accept(self, source: str) -> None:
        """Make boxes of the suggestions of an image that nobody took yet.

        Raises
        ------
        Invalid
            if it has none.
        """
        item = self._item(source)
        if not (found := self.suggestions(source)):
            raise Invalid(f"{source} has no suggestions that are open.")
        self._history.put(item, (*self._history.boxes(item), *found), open=())
        self._tell()

    def undo(self, source: str) -> None:
        """Take back the last change of an image, made here or in the page, since the widget was made.

        Raises
        ------
        NotFound
            if there is none.
        """
        self._history.undo(self._item(source))
        self._tell()

    def redo(self, source: str) -> None:
        """Do again what was taken back last in an image.

        Raises
        ------
        NotFound
            if there is nothing.
        """
        self._history.redo(self._item(source))
        self._tell()

    def go(self, to: str | int) -> None:
        """Go to an image: by its source, or by its place in the manifest from 0.

        Raises
        ------
        NotFound
            if there is no such image.
        """
        whole = isinstance(to, int | np.integer) and not isinstance(to, bool)
        self._current = self._there(int(to)) if whole else self._item(str(to))
        self._tell()

    def _put(self, item: int, boxes: Iterable[Region]) -> None:
        self._history.put(item, boxes, open=self._history.state(item).open)

    def _item(self, source: str) -> int:
        if source not in self._history.items:
            raise NotFound(f"There is no image {source!r}; they are spelled as in {self._history.sources[0]!r}.")
        return self._history.items[source]

    def _there(self, item: int | None) -> int:
        if item is None or not 0 <= item < len(self._history.sources):
            raise NotFound(f"There is no image number {item}; they go from 0 to {len(self._history.sources) - 1}.")
        return item

    # ---------------------------------------------------------------- looking

    @property
    def current(self) -> Entry:
        """Return the entry that is shown, as it is now."""
        return self._history.copy.entry(self._history.sources[self._current])

    @property
    def manifest(self) -> Manifest:
        """Return the manifest with the boxes as they are now; everything else of each line stays."""
        return self._history.copy.manifest

    @property
    def changed(self) -> tuple[str, ...]:
        """Return the images whose regions are no longer as they were given."""
        return self._history.copy.changed

    def boxes(self, source: str) -> tuple[Region, ...]:
        """Return the boxes of an image that may be changed: upright, of one of the classes, within the image.

        Raises
        ------
        NotFound
            if there is no such image.
        """
        return self._history.boxes(self._item(source))

    def suggestions(self, source: str) -> tuple[Region, ...]:
        """Return what ``start`` proposes for an image, without what was taken already.

        Raises
        ------
        Invalid
            if ``start`` failed, or proposed something else than boxes of the classes.
        NotFound
            if there is no such image.
        """
        item = self._item(source)
        found = self._suggestions(item)
        if item in self._odd:
            raise Invalid(self._odd[item])
        still = self._history.state(item).open
        return found if still is None else tuple(found[number] for number in still)

    def to_frame(self) -> DataFrame:
        """Return a pandas table, one row a box: source, name, left, top, width, height, confidence."""
        import pandas as pd

        rows = [
            {"source": source} | _told(box) | {"confidence": box.confidence}
            for item, source in enumerate(self._history.sources)
            for box in self._history.boxes(item)
        ]
        table = pd.DataFrame(rows, columns=["source", "name", "left", "top", "width", "height", "confidence"])
        numbers = ["left", "top", "width", "height", "confidence"]
        return table.astype(dict.fromkeys(numbers, "float64"))

    def _suggestions(self, item: int) -> tuple[Region, ...]:
        """Return the suggestions of an image, asked for once."""
        if self._start is None:
            return ()
        with self._starting:  # one call at a time: few detectors like two
            if item not in self._suggested:
                self._suggested[item] = self._started(item)
            return self._suggested[item]

    def _started(self, item: int) -> tuple[Region, ...]:
        if self._start is None or self._history.state(item).regions or self._history.past(item):
            return ()
        try:
            entry = self._history.copy.entry(self._history.sources[item])
            return checked_boxes(self._start(entry), self.classes)
        except Exception as error:  # noqa: BLE001 (whatever a detector does, the image can be drawn on)
            said = str(error) if isinstance(error, Invalid) else f"{type(error).__name__}: {error}"
            self._odd[item] = f"No suggestions: {said}"
            return ()

    def __repr__(self) -> str:
        history, path = self._history, self._history.copy.path
        boxes = f"{history.count:,} box{'es' * (history.count != 1)}"
        total = f"{len(history.sources):,} image{'s' * (len(history.sources) != 1)}"
        place = "in memory only" if path is None else f"in {path.name}"
        return f"BoxLabeler({boxes} in {history.images:,} of {total}, {place})"

    def _picture(self) -> str:
        """Draw what remains in the notebook when the kernel is gone: some images with their boxes, a PNG."""
        first = max(0, min(self._current - _PICTURES // 2, len(self._history.sources) - _PICTURES))
        said = []
        for source in self._history.sources[first : first + _PICTURES]:
            count = len(self.boxes(source))
            said.append((self._history.copy.entry(source), f"{count} box{'es' * (count != 1)}" if count else "no box"))
        return contact_png(said, self._laid)

    def _laid(self, entry: Entry, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return pixels, (H, W, 3) uint8, with the outlines of the boxes, thick enough for a small picture."""
        laid = np.array(pixels)
        height, width = laid.shape[:2]
        thick = max(1, round(max(height, width) / 90))
        for box in self.boxes(entry.source):
            left, top, right, bottom = box.bounds
            rows = slice(int(top * height), max(int(top * height) + 1, round(bottom * height)))
            columns = slice(int(left * width), max(int(left * width) + 1, round(right * width)))
            part = laid[rows, columns]
            inner = part[thick:-thick, thick:-thick].copy()
            part[:] = hex_to_rgb(COLOURS[self.classes.index(box.name) % len(COLOURS)])
            part[thick:-thick, thick:-thick] = inner
        return laid

    # ---------------------------------------------------------------- the page

    def _greet(self, page: str) -> None:
        self._tell(page)

    def _take_act(self, act: wire.PageAct, *, id: str) -> None:  # noqa: ARG002 (nothing is logged)
        item = self._there(act.item)
        if act.action == "boxes":
            self._history.put(item, self._drawn(item, act.boxes), open=self._still(item, act.open))
        elif act.action == "undo":
            self._history.undo(item)
        elif act.action == "redo":
            self._history.redo(item)
        elif act.action == "go":
            self._current = item
        else:
            raise Invalid(f"A box labeler knows no act {act.action!r}.")

    def _drawn(self, item: int, boxes: Sequence[wire.PageBox]) -> list[Region]:
        """Return what a page drew as regions; a box that it left as it was keeps its confidence and its id."""
        known: dict[tuple[Any, ...], list[Region]] = {}
        for region in (*self._history.boxes(item), *self._suggested.get(item, ())):
            known.setdefault(tuple(_told(region).values()), []).append(region)
        found = []
        for box in boxes:
            same = known.get((box.name, box.left, box.top, box.width, box.height))
            found.append(
                same.pop(0) if same else box_of(
                    box.name, left=box.left, top=box.top, width=box.width, height=box.height, classes=self.classes
                )
            )  # fmt: skip
        return found

    def _still(self, item: int, still: tuple[int, ...] | None) -> tuple[int, ...] | None:
        if still is None:
            return self._history.state(item).open
        there = len(self._suggested.get(item, ()))
        if any(number >= there for number in still):
            raise Invalid(f"The image has {there} suggestions, from 0; {list(still)} were said to be open.")
        return tuple(sorted(set(still)))

    def _tell(self, page: str | None = None, refused: Sequence[str] = ()) -> None:
        history = self._history
        around = range(max(0, self._current - _BEHIND), min(len(history.sources), self._current + _AHEAD + 1))
        path = history.copy.path
        self._post(self._acked(page, refused) | {
            "type": "sheet", "current": self._current, "items": {str(item): self._facts(item) for item in around},
            "boxes": history.count, "images": history.images, "file": None if path is None else path.name,
        })  # fmt: skip
        self.n_boxes = history.count

    def _facts(self, item: int) -> dict[str, Any]:
        """Return what the page is told of an image; of earlier states those that come next."""
        history, state = self._history, self._history.state(item)
        near = item == self._current
        past, future = history.past(item), history.future(item)
        before, after = (self._steps(states) if near else [] for states in (past, future))
        fixed = [{"name": one.name, "polygon": [list(point) for point in one.polygon]} for one in history.fixed(item)]
        return {
            "title": title_of(history.sources[item]), "boxes": self._listed(state), "open": _numbers(state.open),
            "fixed": fixed,
            "past": before, "earlier": len(past) - len(before), "future": after, "later": len(future) - len(after),
        }  # fmt: skip

    def _steps(self, states: Sequence[BoxState]) -> list[dict[str, Any]]:
        """Return the last of some states, as many as go into a message."""
        told: list[dict[str, Any]] = []
        room = _STEP_BOXES
        for state in reversed(states[-_STEPS:]):
            room -= len(state.regions)
            if room < 0:
                break
            told.insert(0, {"boxes": self._listed(state), "open": _numbers(state.open)})
        return told

    def _listed(self, state: BoxState) -> list[dict[str, Any]]:
        return [_told(box) for box in self._history.editable(state)]

    def _send_image(self, item: int, *, large: bool) -> None:  # noqa: ARG002 (all are)
        if item < len(self._history.sources):
            self._pictures.want(item)
            if self._start is not None:  # apart from the picture, which does not wait for a slow detector
                self._starts.want(item)
            return
        self._post_image(item, f"There is no image number {item}; there are {len(self._history.sources)}.")

    def _shown(self, item: int) -> Shown:
        made = preview(self._history.copy.entry(self._history.sources[item]), side=self._side)
        return Shown({"media": made.media_type, "original": list(made.original)}, [made.data])

    def _proposed(self, item: int) -> Shown:
        boxes = [_told(box) for box in self._suggestions(item)]
        return Shown({"boxes": boxes, "odd": self._odd.get(item, "")}, [])

    def _post_proposed(self, item: int, made: Shown | str) -> None:
        if isinstance(made, Shown):
            self._post({"type": "suggested", "item": item} | made.facts)

    def _post_image(self, item: int, made: Shown | str) -> None:
        if isinstance(made, str):
            self._post({"type": "image", "item": item, "error": made})
        else:
            self._post({"type": "image", "item": item} | made.facts, made.buffers)


def _told(box: Region) -> dict[str, Any]:
    left, top, right, bottom = box.bounds
    return {"name": box.name, "left": left, "top": top, "width": right - left, "height": bottom - top}


def _numbers(open: tuple[int, ...] | None) -> list[int] | None:
    return None if open is None else list(open)


def _same(a: Region, b: Region) -> bool:
    near = (abs(x - y) <= SLACK for x, y in zip(a.bounds, b.bounds, strict=True))
    return a.name == b.name and all(near)
