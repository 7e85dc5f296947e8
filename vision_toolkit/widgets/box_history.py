"""Boxes of many images, each change on the disk before it counts, and every earlier state to go back to."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from numbers import Real

from vision_toolkit.core.entry import Region
from vision_toolkit.core.errors import Invalid, NotFound
from vision_toolkit.data.manifest import Manifest
from vision_toolkit.data.working_copy import WorkingCopy
from vision_toolkit.widgets.wire import MOST_BOXES

__all__ = ["SLACK", "BoxHistory", "BoxState", "box_of", "checked_boxes", "is_box", "joined"]

SLACK = 1e-9
"""How far outside the image an edge may lie; it is moved onto the image's edge then."""


@dataclass(frozen=True, slots=True)
class BoxState:
    """Hold what is known of an image at one time.

    Parameters
    ----------
    regions
        all of them, those too that are no boxes.
    open
        the numbers of the suggestions that nobody took; None: all.
    """

    regions: tuple[Region, ...]
    open: tuple[int, ...] | None = None


def is_box(region: Region, classes: Sequence[str]) -> bool:
    """Return whether a region is an upright box of one of the classes, within the image.

    Examples
    --------
    >>> is_box(Region.box("pore", left=0.1, top=0.1, width=0.2, height=0.2), ["pore"])
    True
    >>> is_box(Region("pore", ((0.1, 0.1), (0.5, 0.2), (0.5, 0.5), (0.1, 0.5))), ["pore"])
    False
    """
    if region.name not in classes or len(region.polygon) != 4:
        return False
    left, top, right, bottom = region.bounds
    if left < -SLACK or top < -SLACK or right > 1 + SLACK or bottom > 1 + SLACK or right <= left or bottom <= top:
        return False
    corners = [(x == right, y == bottom) for x, y in region.polygon]
    on_edges = all(x in (left, right) and y in (top, bottom) for x, y in region.polygon)
    neighbours = zip(corners, corners[1:] + corners[:1], strict=True)
    return on_edges and len(set(corners)) == 4 and all((a[0] == b[0]) != (a[1] == b[1]) for a, b in neighbours)


def box_of(name: str, *, left: float, top: float, width: float, height: float, classes: Sequence[str]) -> Region:
    """Return a box as a region.

    Raises
    ------
    Invalid
        if there is no such class, or if the box is empty or reaches out of the image.

    Examples
    --------
    >>> box_of("pore", left=0.5, top=0.5, width=0.5, height=0.25, classes=["pore"]).bounds
    (0.5, 0.5, 1.0, 0.75)
    """
    if name not in classes:
        raise Invalid(f"The classes are {', '.join(map(repr, classes))}; {name!r} was given.")
    numbers = (left, top, width, height)
    if any(isinstance(one, bool) or not isinstance(one, Real) or not math.isfinite(one) for one in numbers):
        raise Invalid(f"left, top, width and height of a box are numbers from 0 to 1; {numbers} was given.")
    left, top, width, height = map(float, numbers)
    right, bottom = left + width, top + height
    if width <= 0 or height <= 0:
        raise Invalid(f"Width and height of a box are above 0; {width:.6g} and {height:.6g} were given.")
    if left < -SLACK or top < -SLACK or right > 1 + SLACK or bottom > 1 + SLACK:
        raise Invalid(
            "A box lies within its image, with left and top from 0, and left + width and top + height up to 1; "
            f"left={left:.6g}, top={top:.6g}, width={width:.6g}, height={height:.6g} was given."
        )
    left, top, right, bottom = max(0.0, left), max(0.0, top), min(1.0, right), min(1.0, bottom)
    if right <= left or bottom <= top:
        raise Invalid(f"Width and height of a box are above 0; {right - left:.6g} and {bottom - top:.6g} remain.")
    return Region(name, ((left, top), (right, top), (right, bottom), (left, bottom)))


def checked_boxes(boxes: Iterable[Region], classes: Sequence[str]) -> tuple[Region, ...]:
    """Return regions as they are, if each is a box of one of the classes.

    Raises
    ------
    Invalid
        if one is not, or if there are too many.
    """
    found = tuple(boxes)
    for one in found:
        if not isinstance(one, Region):
            raise Invalid(f"Boxes are regions (Region.box makes one); a {type(one).__name__} was given.")
        if not is_box(one, classes):
            left, top, right, bottom = one.bounds
            box_of(one.name, left=left, top=top, width=right - left, height=bottom - top, classes=classes)
            raise Invalid(f"A box has four corners and upright edges; {one.name!r} was given {one.polygon}.")
    if len(found) > MOST_BOXES:
        raise Invalid(f"An image has at most {MOST_BOXES:,} boxes; {len(found):,} were given.")
    return found


def joined(regions: Sequence[Region], boxes: Sequence[Region], classes: Sequence[str]) -> tuple[Region, ...]:
    """Return regions with other boxes in them: whatever is no box of the classes stays, in its place.

    Examples
    --------
    >>> word = Region.box("word", left=0.1, top=0.1, width=0.2, height=0.2)
    >>> pore = Region.box("pore", left=0.5, top=0.5, width=0.2, height=0.2)
    >>> [one.name for one in joined([pore, word], [pore, pore], ["pore"])]
    ['pore', 'word', 'pore']
    """
    coming = iter(boxes)
    found: list[Region] = []
    for one in regions:
        if is_box(one, classes):
            found.extend([after] if (after := next(coming, None)) is not None else [])
        else:
            found.append(one)
    return (*found, *coming)


class BoxHistory:
    """Keep the boxes of the images of a manifest, and all that they were since this was made.

    Parameters
    ----------
    manifest, file
        see :class:`~vision_toolkit.data.working_copy.WorkingCopy`; a working copy has a file already.
    classes
        whose boxes may be changed; other regions stay as they are.

    Examples
    --------
    >>> from vision_toolkit.core.entry import Entry
    >>> history = BoxHistory(Manifest([Entry("1.png")]), None, ("pore",))
    >>> history.put(0, [Region.box("pore", left=0.1, top=0.1, width=0.2, height=0.2)])
    >>> history.undo(0)
    >>> len(history.boxes(0)), history.count
    (0, 0)
    """

    def __init__(
        self, manifest: Manifest | WorkingCopy, file: str | os.PathLike[str] | None, classes: Sequence[str]
    ) -> None:
        if isinstance(manifest, WorkingCopy) and file is not None:
            raise Invalid(f"A working copy has a file already; file={os.fspath(file)!r} was given too.")
        self.copy = manifest if isinstance(manifest, WorkingCopy) else WorkingCopy(manifest, file)
        self.classes = tuple(classes)
        entries = list(self.copy.manifest)
        self.sources = tuple(entry.source for entry in entries)
        self.items = {source: item for item, source in enumerate(self.sources)}
        self._now = [BoxState(entry.regions) for entry in entries]
        self._past: dict[int, list[BoxState]] = {}
        self._future: dict[int, list[BoxState]] = {}
        self._counts = [len(self.boxes(item)) for item in range(len(entries))]
        self.count, self.images = sum(self._counts), sum(map(bool, self._counts))

    def state(self, item: int) -> BoxState:
        """Return what is known of an image."""
        return self._now[item]

    def boxes(self, item: int) -> tuple[Region, ...]:
        """Return the boxes of an image that may be changed."""
        return self.editable(self._now[item])

    def fixed(self, item: int) -> tuple[Region, ...]:
        """Return the regions of an image that stay as they are."""
        return tuple(one for one in self._now[item].regions if not is_box(one, self.classes))

    def editable(self, state: BoxState) -> tuple[Region, ...]:
        """Return the boxes of a state that may be changed."""
        return tuple(one for one in state.regions if is_box(one, self.classes))

    def past(self, item: int) -> Sequence[BoxState]:
        """Return what the image was before, the latest last."""
        return self._past.get(item, ())

    def future(self, item: int) -> Sequence[BoxState]:
        """Return what was taken back, the next last."""
        return self._future.get(item, ())

    def put(self, item: int, boxes: Iterable[Region], *, open: tuple[int, ...] | None = None) -> None:
        """Replace the boxes of an image; what is so already changes nothing.

        Raises
        ------
        Invalid
            if they are no boxes of the classes.
        Failed
            if the disk refuses; the change does not count then.
        """
        before = self._now[item]
        after = BoxState(joined(before.regions, checked_boxes(boxes, self.classes), self.classes), open)
        if after == before:
            return
        self._become(item, after)
        self._past.setdefault(item, []).append(before)
        self._future.pop(item, None)

    def undo(self, item: int) -> None:
        """Take back the last change of an image.

        Raises
        ------
        NotFound
            if there is none.
        """
        self._step(item, self._past, self._future, "undo")

    def redo(self, item: int) -> None:
        """Do again what was taken back last.

        Raises
        ------
        NotFound
            if there is nothing.
        """
        self._step(item, self._future, self._past, "redo")

    def _step(self, item: int, away: dict[int, list[BoxState]], back: dict[int, list[BoxState]], word: str) -> None:
        if not away.get(item):
            raise NotFound(f"There is nothing to {word} in this image.")
        before = self._now[item]
        self._become(item, away[item][-1])
        away[item].pop()
        back.setdefault(item, []).append(before)

    def _become(self, item: int, state: BoxState) -> None:
        if state.regions != self._now[item].regions:
            self.copy.put(replace(self.copy.entry(self.sources[item]), regions=state.regions))
        self._now[item] = state
        before, after = self._counts[item], len(self.editable(state))
        self._counts[item] = after
        self.count += after - before
        self.images += bool(after) - bool(before)
