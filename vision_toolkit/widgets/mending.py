"""What a review mends pictures with: a painter and a box labeler that work on one copy of its manifest."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy import ndimage

from vision_toolkit.core.entry import Entry, Region
from vision_toolkit.core.errors import Conflict, Failed
from vision_toolkit.core.mask import BACKGROUND
from vision_toolkit.core.prediction import Prediction
from vision_toolkit.data.manifest import Manifest
from vision_toolkit.data.working_copy import WorkingCopy
from vision_toolkit.widgets.box_labeler import BoxLabeler
from vision_toolkit.widgets.mask_painter import MaskPainter, heat_ids
from vision_toolkit.widgets.ordering import Predicting
from vision_toolkit.widgets.page import Carry, PageWidget

__all__ = ["Mending", "boxes_of", "open_copy"]

_MOST_CLASSES = 40
_LEAST = 1e-4
"""Share of the image below which a patch is no box to propose."""


class Mending:
    """Open a painter and a box labeler on the images of a review, each when it is first asked for.

    Parameters
    ----------
    copy
        the images (:func:`open_copy`).
    types
        anomaly types to paint and to box; None: those that are there or that the model knows.
    known
        those types.
    model
        whose mask and boxes are there to begin with.
    """

    def __init__(
        self,
        copy: WorkingCopy,
        *,
        types: Mapping[str, str] | Sequence[str] | None,
        known: Sequence[str] = (),
        model: Predicting | None = None,
    ) -> None:
        self.copy = copy
        self._types, self._known, self._model = types, known, model
        self.touched: list[str] = []  # sources that were mended since somebody looked
        self.copy.watchers.append(self.touched.append)
        self._tools: dict[str, PageWidget] = {}

    def mended(self, entry: Entry) -> Entry:
        """Return an entry of the manifest that was given with what was painted and boxed."""
        now = self.copy.entry(entry.source)
        return entry if now is entry else replace(entry, label=now.label, mask=now.mask, regions=now.regions)

    def painter(self, carry: Callable[[str], Carry]) -> MaskPainter:
        """Return the painter; ``carry`` brings what it says to the pages of the review."""
        if "paint" not in self._tools:
            types = self._named(self._known)
            self._tools["paint"] = MaskPainter(self.copy, types, model=self._model)
            self._tools["paint"].carried(carry("paint"))
        painter = self._tools["paint"]
        assert isinstance(painter, MaskPainter)
        return painter

    def box_labeler(self, carry: Callable[[str], Carry]) -> BoxLabeler:
        """Return the box labeler."""
        if "boxes" not in self._tools:
            regions = (region.name for entry in self.copy.manifest for region in entry.regions)
            names = list(dict.fromkeys([*self._named(self._known), *regions]))[:_MOST_CLASSES]
            self._tools["boxes"] = BoxLabeler(self.copy, names, start=self._start(names), side=2048)
            self._tools["boxes"].carried(carry("boxes"))
        labeler = self._tools["boxes"]
        assert isinstance(labeler, BoxLabeler)
        return labeler

    def opened(self, tool: str) -> PageWidget | None:
        """Return a tool if it was opened."""
        return self._tools.get(tool)

    def _named(self, known: Sequence[str]) -> dict[str, str]:
        """Return all types, those that are known first: they have the colours that they had; and what was asked for."""
        given = dict(self._types) if isinstance(self._types, Mapping) else dict.fromkeys(self._types or (), "")
        return dict.fromkeys(known, "") | given or {"defect": ""}

    def _start(self, names: Sequence[str]) -> Callable[[Entry], Iterable[Region]] | None:
        model = self._model
        if model is None:
            return None
        return lambda entry: boxes_of(next(iter(model.predict_all([entry]))), names)


def boxes_of(prediction: Prediction, names: Sequence[str]) -> list[Region]:
    """Return a box around each patch of a predicted mask; without one, around what a heat map shows, as the first name.

    Examples
    --------
    >>> from vision_toolkit.core.mask import Mask
    >>> from vision_toolkit.core.prediction import Task
    >>> ids = np.zeros((10, 20), np.uint8)
    >>> ids[2:4, 5:10] = 1
    >>> mask = Mask(ids, ("background", "scratch"))
    >>> found = boxes_of(Prediction(Task.SEGMENTATION, mask=mask), ["scratch"])
    >>> [(box.name, box.bounds) for box in found]
    [('scratch', (0.25, 0.2, 0.5, 0.4))]
    """
    if prediction.mask is not None:
        ids, kinds = prediction.mask.ids, prediction.mask.names
    elif prediction.map is not None:
        ids, kinds = heat_ids(prediction.map, prediction.map.shape), (BACKGROUND, names[0])
    else:
        return []
    height, width = ids.shape
    found = []
    for value, name in enumerate(kinds):
        if name == BACKGROUND or name not in names:
            continue
        patches, _ = ndimage.label(ids == value, np.ones((3, 3)))
        for rows, columns in ndimage.find_objects(patches):
            high, wide = rows.stop - rows.start, columns.stop - columns.start
            if high * wide >= _LEAST * height * width:
                found.append(Region.box(
                    name, left=columns.start / width, top=rows.start / height, width=wide / width, height=high / height
                ))  # fmt: skip
    return found


def open_copy(manifest: Manifest, file: Path | None) -> WorkingCopy:
    """Return a working copy of the images of a review.

    Parameters
    ----------
    manifest
        the images, each source once.
    file
        where labels go: masks and boxes go to ``NAME-mended.manifest`` beside it, or to the next number where a file of
        that name belongs to other images. None keeps them in memory.
    """
    if file is None:
        return WorkingCopy(manifest)
    for number in range(1, 1000):
        again = "" if number == 1 else f"-{number}"
        try:
            return WorkingCopy(manifest, file.with_name(f"{file.stem}-mended{again}.manifest"))
        except Conflict:
            continue
    raise Failed(f"Beside {file} there are too many files of mended images; name another file.")
