"""How an image of a review looks: small in the grid, large when it is looked at closely, and what is laid over it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vision_toolkit.core.entry import Entry
from vision_toolkit.core.mask import BACKGROUND, Mask
from vision_toolkit.core.prediction import Prediction
from vision_toolkit.data.images import read_mask
from vision_toolkit.data.preview import preview
from vision_toolkit.plots import overlay
from vision_toolkit.widgets.layers import heat_layer, mask_layer, outline_layer
from vision_toolkit.widgets.ordering import Predicting
from vision_toolkit.widgets.pictures import Shown, title_of
from vision_toolkit.widgets.verdicts import NONE, Verdicts

__all__ = ["Looks"]

_SMALL = 192
"""Pixels of the longer side of an image in the grid."""


class Looks:
    """Make pictures of images and of what a model sees in them.

    Parameters
    ----------
    verdicts
        what was said of the images.
    model
        that said it, to ask it again for what is not kept; None: only what is kept is shown.
    side
        longer side of a large picture, in pixels.
    """

    def __init__(self, verdicts: Verdicts, model: Predicting | None, *, side: int) -> None:
        self._verdicts, self._model, self._side = verdicts, model, side

    def small(self, item: int) -> Shown:
        """Return a picture for the grid, with the layers that are kept of it."""
        made = preview(self._verdicts.entries[item], side=_SMALL)
        layers = self._verdicts.layers[item]
        title = title_of(self._verdicts.entries[item].source)
        return Shown({"media": made.media_type, "kinds": list(layers), "title": title}, [made.data, *layers.values()])

    def large(self, item: int) -> Shown:
        """Return a picture to look at closely: heat map and mask in its size, true outlines, areas of each type."""
        entry = self._verdicts.entries[item]
        made = preview(entry, side=self._side)
        layers = dict(self._verdicts.layers[item])
        areas: dict[str, list[float | None]] = {}
        said = self._asked(entry) if self._verdicts.ticks[item] != NONE else None
        if said is not None and said.map is not None:
            layers["heat"] = heat_layer(said.map, side=self._side)
        if said is not None and said.mask is not None:
            areas = {name: [area, None] for name, area in said.areas().items() if name != BACKGROUND}
            if said.mask.ids.any():
                layers["mask"] = mask_layer(said.mask, side=self._side)
        if (entry.mask is not None and entry.types) or entry.regions:
            if entry.mask is None:
                truth = Mask(np.zeros(made.original[::-1], np.uint8), (BACKGROUND, *self._verdicts.types))
            else:
                truth = read_mask(entry.mask, size=made.original)
            layers["truth"] = outline_layer(truth, side=self._side, regions=entry.regions)
            for name, area in truth.areas().items():
                if name != BACKGROUND:
                    areas.setdefault(name, [None, None])[1] = area
        facts = {
            "media": made.media_type, "kinds": list(layers), "title": title_of(entry.source),
            "original": list(made.original), "areas": areas,
        }  # fmt: skip
        return Shown(facts, [made.data, *layers.values()])

    def laid(self, entry: Entry, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return an image, (H, W, 3) uint8, with what the model sees in it."""
        said = self._asked(entry)
        if said is None:
            return pixels
        return overlay(pixels, map=None if said.mask is not None else said.map, mask=said.mask)

    def _asked(self, entry: Entry) -> Prediction | None:
        return None if self._model is None else next(iter(self._model.predict_all([entry])))
