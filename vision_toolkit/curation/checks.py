"""Measure images and tell the odd ones: too dark, too bright, without contrast, blurred, of another size or kind.

Inspection images look alike on purpose, so an image is odd when it differs from the others of its set: by several
times their usual spread, and by more than a ratio that a person would see. Beyond that it must be bad by itself: in a
set of honest dark images none is called dark, but one that is all black is.

The numbers below were chosen on the bundled drawn datasets (seed 0) with planted faults, and checked on sets of other
seeds and on photographs.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vision_toolkit.core import Entry, Invalid, NotFound
from vision_toolkit.curation.measures import Measures
from vision_toolkit.data.rules import Rule, collected
from vision_toolkit.data.storage import is_inline, is_local

__all__ = ["RULES", "Embed", "Oddity", "odd_images", "outlier_scores", "outliers", "unreadable_images"]

Floats = NDArray[np.float32]
Embed = Callable[[list[NDArray[np.uint8]]], NDArray[Any]]
"""Turns n images, (H, W, 3) uint8 each, into (n, d) numbers of which near ones mean alike."""

RULES = collected(
    [
        Rule(
            "blurred", "warning", "image", "The image is much less sharp than the others of the set.",
            "Small defects vanish in it, and a model may take the blur itself for normal or for a defect.",
            "take the picture again or remove the line", "asked",
        ),
        Rule(
            "dark", "warning", "image", "The image is much darker than the others of the set.",
            "What lies in the dark cannot be learned.", "take the picture again or remove the line", "asked",
        ),
        Rule(
            "overexposed", "warning", "image", "Much more of the image is burnt out to white than in the others.",
            "What is white cannot be told from a defect that is white.",
            "take the picture again or remove the line", "asked",
        ),
        Rule(
            "low-contrast", "warning", "image", "The image has much less contrast than the others of the set.",
            "Fog, a dirty lens or a covered lamp hide what is to be found.",
            "take the picture again or remove the line", "asked",
        ),
        Rule(
            "odd-shape", "warning", "image", "The image has another size than the rest.",
            "Lookout for Vision wanted one size in a set; another size often means another camera or a crop.",
            "cut or scale the image to the size of the others, or remove the line", "asked",
        ),
        Rule(
            "odd-mode", "warning", "image", "The pixels are of another kind than the rest.",
            "Colour among grey images, 16 bits, CMYK or transparency come from another camera or program; they are "
            "turned into 8 bit RGB, which may shift their colours or make them dark.",
            "save the image as the others are saved, or remove the line", "asked",
        ),
        Rule(
            "exact-duplicate", "warning", "image", "Two entries have the same pixels.",
            "They count twice in training, and on two sides of a split they make the scores lie.",
            "keep the one of which most is known", "always",
        ),
        Rule(
            "near-duplicate", "info", "image",
            "Two images show the same thing: one is a copy of the other, saved again, moved or brightened.",
            "On two sides of a split they make the scores lie; train_test_split keeps them together.",
            "keep one of them", "asked",
        ),
        Rule(
            "labels-conflict", "error", "label", "Images of the same thing have different labels.",
            "One of the labels is wrong, and a model is told both.",
            "look at them and correct one label, or remove all", "asked",
        ),
        Rule(
            "leak", "error", "set", "An image of the training set stands in the test set too, as it is or nearly.",
            "The test then measures memory: its scores are too good.", "remove it from the training set", "always",
        ),
        Rule(
            "outlier", "warning", "image", "The image resembles no other as much as they resemble one another.",
            "Another part, another camera, a wrong label, or a rare but honest case.",
            "look at it; remove the line if it does not belong", "asked",
        ),
    ]
)  # fmt: skip
"""Every rule of curation by id: sound files that are bad data.

Those of files and counts are in :mod:`vision_toolkit.data.rules`."""

SPREADS = 5.0
"""How many times the usual spread of the set an image must lie off, at least. The spread is 1.4826 times the median
distance from the median: the standard deviation of a normal distribution, and blind to a few odd images."""

BLURRED = (-0.42, 0.33)
"""Sharpness: largest log2 ratio to the median of the set, and largest value."""

DARK = (-0.8, 80.0)
"""Brightness: largest log2 ratio to the median, and largest value, of 255."""

BLACK = 0.25
"""Share of black pixels beyond the median from which an image counts as dark, however bright the rest of it is."""

BURNT = 0.08
"""Share of burnt out pixels beyond the median from which an image that is brighter than most counts as overexposed."""

WHITE_GROUND = (0.1, 0.75)
"""Usual share of burnt out pixels from which white is taken for the background, and which share of all that is not
background must then be burnt out: an image with less on it has more white, and that is honest."""

BRIGHT = (0.6, 170.0)
"""Brightness: smallest log2 ratio to the median, and smallest value, of an image that is overexposed all the same."""

FLAT = (-0.8, 110.0)
"""Contrast: largest log2 ratio to the median, and largest value, of 255."""

MANY = 0.25
"""Share of the set beyond which an oddity is none of single images, but a second camera, light or kind of part."""

FAR = 1.35
"""Distance to the neighbours over the median distance, from which an image may be an outlier."""

NEIGHBOURS = 5
"""How many of the nearest images tell how far away an image lies."""


@dataclass(frozen=True, slots=True)
class Oddity:
    """Tell that something is odd about one image, or about several in the same way.

    Parameters
    ----------
    rule
        an id of :data:`RULES`, or of :data:`vision_toolkit.data.rules.RULES`.
    positions
        of the images, from 0.
    text
        what was found, with the figures.
    strength
        how odd it is, from 0; comparable within one rule.
    """

    rule: str
    positions: tuple[int, ...]
    text: str
    strength: float = 0.0


# The set


def odd_images(measures: Measures) -> tuple[Oddity, ...]:
    """Tell the images that differ from the rest in light, sharpness, size or kind, the oddest of each rule first.

    Parameters
    ----------
    measures
        of a set whose images should look alike; from three images on there is something to compare with.

    Returns
    -------
    tuple
        one :class:`Oddity` an image and rule. Where more than :data:`MANY` of the set are odd in the same way, it
        is one Oddity of all of them.

    Examples
    --------
    >>> from vision_toolkit.curation.measures import measure_images
    >>> from vision_toolkit.data.images import encode_png
    >>> from vision_toolkit.data.storage import inline
    >>> rng = np.random.default_rng(0)
    >>> images = [rng.integers(60, 200, (32, 32, 3), dtype=np.uint8) for _ in range(10)]
    >>> images[9] //= 50
    >>> odd = odd_images(measure_images([Entry(inline(encode_png(image))) for image in images]))
    >>> [(one.rule, one.positions) for one in odd]
    [('dark', (9,))]
    """
    if measures.readable.sum() < 3:
        return ()
    dark, bright = _dark(measures), _overexposed(measures)
    # A cause is told once: a black image has neither contrast nor detail.
    lit = {one.positions[0] for one in (*dark, *bright)}
    flat = [one for one in _low_contrast(measures) if one.positions[0] not in lit]
    lit |= {one.positions[0] for one in flat}
    blurred = [one for one in _blurred(measures) if one.positions[0] not in lit]
    told: list[Oddity] = []
    for found in (blurred, dark, bright, flat, _odd_shapes(measures), _odd_modes(measures)):
        told += _gathered(sorted(found, key=lambda one: (-one.strength, one.positions)), int(measures.readable.sum()))
    return tuple(told)


def _gathered(found: list[Oddity], count: int) -> list[Oddity]:
    if len(found) <= max(2, MANY * count):
        return found
    positions = tuple(sorted(one.positions[0] for one in found))
    text = f"{len(found)} of {count} images, too many to be mistakes: a second camera, light or kind of part? "
    return [Oddity(found[0].rule, positions, text + f"The strongest: {found[0].text}", found[0].strength)]


def _off(values: Floats) -> tuple[NDArray[np.float64], float, float]:
    """Return each value's log2 ratio to the median, the spread of these, and the median; NaN stays NaN."""
    median = float(np.nanmedian(values))
    ratio = np.log2((values.astype(np.float64) + 1e-3) / (median + 1e-3))
    return ratio, 1.4826 * float(np.nanmedian(np.abs(ratio))), median


def _below(values: Floats, limits: tuple[float, float]) -> Iterator[tuple[int, float, float]]:
    """Yield position, how far off, and the median, of values far below the others and low by themselves."""
    ratio, spread, median = _off(values)
    limit = min(limits[0], -SPREADS * spread)
    for position in np.flatnonzero((ratio < limit) & (values < limits[1])).tolist():
        yield position, float(-ratio[position]), median


def _above(values: Floats, least: float) -> Iterator[tuple[int, float, float]]:
    """Yield position, how far off, and the median, of shares far above the others."""
    median = float(np.nanmedian(values))
    more = values.astype(np.float64) - median
    limit = max(least, SPREADS * 1.4826 * float(np.nanmedian(np.abs(more))))
    for position in np.flatnonzero(more > limit).tolist():
        yield position, float(more[position]), median


def _blurred(m: Measures) -> list[Oddity]:
    return [
        Oddity("blurred", (i,), f"its sharpness is {m.sharpness[i]:.2f}, that of the others about {usual:.2f}.", off)
        for i, off, usual in _below(m.sharpness, BLURRED)
    ]


def _dark(m: Measures) -> list[Oddity]:
    found = {
        i: Oddity("dark", (i,), f"its mean grey is {m.brightness[i]:.0f}, that of the others about {usual:.0f}.", off)
        for i, off, usual in _below(m.brightness, DARK)
    }
    for i, off, usual in _above(m.black, BLACK):
        text = f"{100 * m.black[i]:.0f} % of it are black, of the others about {100 * usual:.0f} %."
        found.setdefault(i, Oddity("dark", (i,), text, off))
    return list(found.values())


def _overexposed(m: Measures) -> list[Oddity]:
    ratio, spread, median = _off(m.brightness)

    def is_honest(off: float, usual: float) -> bool:
        return usual > WHITE_GROUND[0] and off < WHITE_GROUND[1] * (1 - usual)

    found = {
        i: Oddity(
            "overexposed",
            (i,),
            f"{100 * m.white[i]:.0f} % of it are burnt out, of the others about {100 * usual:.0f} %.",
            off,
        )
        for i, off, usual in _above(m.white, BURNT)
        if ratio[i] > 0 and not is_honest(off, usual)
    }
    for i in np.flatnonzero((ratio > max(BRIGHT[0], SPREADS * spread)) & (m.brightness > BRIGHT[1])).tolist():
        text = f"its mean grey is {m.brightness[i]:.0f}, that of the others about {median:.0f}."
        found.setdefault(i, Oddity("overexposed", (i,), text, float(ratio[i])))
    return list(found.values())


def _low_contrast(m: Measures) -> list[Oddity]:
    return [
        Oddity("low-contrast", (i,), f"its contrast is {m.contrast[i]:.0f}, of the others about {usual:.0f}.", off)
        for i, off, usual in _below(m.contrast, FLAT)
    ]


def _odd_shapes(m: Measures) -> list[Oddity]:
    """Tell images of another size; where sizes differ anyway, those of a quite different area or shape."""
    readable = np.flatnonzero(m.readable).tolist()
    sizes = {i: (int(m.width[i]), int(m.height[i])) for i in readable}
    usual, times = Counter(sizes.values()).most_common(1)[0]
    area = {i: float(np.log2(w * h / (usual[0] * usual[1]))) for i, (w, h) in sizes.items()}
    if 2 * times > len(readable):
        return [
            Oddity("odd-shape", (i,), f"it is {w}x{h}, the others {usual[0]}x{usual[1]}.", abs(area[i]))
            for i, (w, h) in sizes.items()
            if (w, h) != usual
        ]
    found: dict[int, Oddity] = {}
    wide, high = m.width.astype(np.float32), m.height.astype(np.float32)
    for what, values in (("area", wide * high), ("width over height", wide / np.maximum(high, 1))):
        ratio, spread, usual_value = _off(np.where(m.readable, values, np.nan).astype(np.float32))
        for i in np.flatnonzero(np.abs(ratio) > max(1.0, SPREADS * spread)).tolist():
            text = f"it is {sizes[i][0]}x{sizes[i][1]}: its {what} is {values[i] / usual_value:.2g} times the usual."
            found.setdefault(i, Oddity("odd-shape", (i,), text, float(abs(ratio[i]))))
    return list(found.values())


def _odd_modes(m: Measures) -> list[Oddity]:
    readable = np.flatnonzero(m.readable).tolist()
    usual, times = Counter(m.kind[i] for i in readable).most_common(1)[0]
    if 2 * times <= len(readable):
        return []
    return [
        Oddity("odd-mode", (i,), f"it is {m.kind[i]} ({m.format[i]}, {m.mode[i]}), the others {usual}.", 1.0)
        for i in readable
        # An image that is all black or all white says nothing of colour.
        if m.kind[i] != usual and not ({m.kind[i], usual} == {"grey", "colour"} and m.contrast[i] < 10)
    ]


def unreadable_images(entries: Sequence[Entry], measures: Measures) -> Iterator[Oddity]:
    """Tell the images that could not be read; those that are not there once a folder, those elsewhere once a prefix."""
    places: dict[tuple[str, str], list[int]] = defaultdict(list)
    for position, error in measures.errors.items():
        location = entries[position].location
        if not is_local(location) and not is_inline(location) and isinstance(error, NotFound):
            places["not-local", location.rpartition("/")[0]].append(position)
        elif isinstance(error, NotFound):
            places["missing-image", os.path.dirname(location)].append(position)
        else:
            yield Oddity("unreadable-image", (position,), str(error))
    for (rule, place), positions in places.items():
        name = os.path.basename(entries[positions[0]].location)
        more = f" and {len(positions) - 1} more" if len(positions) > 1 else ""
        said = f"not in {place}" if rule == "missing-image" else f"at {place}, which was not looked at"
        yield Oddity(rule, tuple(positions), f"{name}{more}: {said}.")


# Outliers


def outlier_scores(features: NDArray[Any], *, groups: Iterable[Sequence[int]] = ()) -> Floats:
    """Return how far each image lies from its nearest others, over how far that usually is.

    Each row is brought to length 1. The distance is the mean one to the :data:`NEIGHBOURS` nearest rows; images of
    one group do not vouch for one another, so that a stranger and its copy are both far away.

    Parameters
    ----------
    features
        (n, d), finite.
    groups
        positions of images that show the same thing.

    Returns
    -------
    array
        (n,) float32 from 0; about 1 is usual. All 1 where fewer than four images are to be compared.

    Raises
    ------
    Invalid
        if ``features`` is not (n, d) or not finite.

    Examples
    --------
    >>> line = np.stack([np.ones(8), np.arange(8) / 100], axis=1)
    >>> line[3] = -1, 0
    >>> outlier_scores(line).argmax().item()
    3
    """
    rows = np.asarray(features, np.float64)
    if rows.ndim != 2 or not np.isfinite(rows).all():
        raise Invalid(f"features must be (n, d) finite numbers; {rows.shape} was given, or some are not finite.")
    n = len(rows)
    if n < 4:
        return np.ones(n, np.float32)
    rows = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    # All that the set has in common is taken away, as far as rounding goes: small differences stay exact.
    rows -= rows.mean(axis=0)
    squares = (rows**2).sum(axis=1)
    mates: dict[int, list[int]] = {i: list(group) for group in groups for i in group}
    distance = np.empty(n)
    for start in range(0, n, 512):
        block = rows[start : start + 512]
        near = squares[start : start + 512, None] + squares[None, :] - 2 * block @ rows.T
        for i in range(len(block)):
            near[i, [start + i, *mates.get(start + i, ())]] = np.inf
        nearest = np.sort(np.partition(near, min(NEIGHBOURS, n - 1) - 1, axis=1)[:, : min(NEIGHBOURS, n - 1)], axis=1)
        there = np.isfinite(nearest)
        lengths = np.sqrt(np.maximum(np.where(there, nearest, 0.0), 0.0))
        distance[start : start + 512] = lengths.sum(axis=1) / np.maximum(there.sum(axis=1), 1)
    usual = float(np.median(distance))
    return np.asarray(distance / usual if usual > 1e-9 else 1.0 + (distance > 1e-6) * distance * 1e6, np.float32)


def outliers(scores: Floats, positions: Sequence[int]) -> list[Oddity]:
    """Tell the images whose scores are far above the others', the farthest first."""
    if len(scores) < 4:
        return []
    spread = 1.4826 * float(np.median(np.abs(scores - 1.0)))
    limit = max(FAR, 1.0 + SPREADS * spread)
    ranked = np.argsort(-scores, kind="stable").tolist()
    return [
        Oddity("outlier", (positions[i],), f"it lies {scores[i]:.1f} times as far from its neighbours as usual.",
               float(scores[i]))
        for i in ranked
        if scores[i] > limit
    ]  # fmt: skip
