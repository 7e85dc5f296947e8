"""Tell from models trained on parts of the images whether more images would help, and of which kind."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vision_toolkit.core.errors import Invalid
from vision_toolkit.metrics.counts import as_scores, as_truth
from vision_toolkit.metrics.intervals import Score, number_or_none
from vision_toolkit.metrics.power_law import FEWEST_REPEATS, FEWEST_SIZES, PowerLaw, fit_power_law, student

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

__all__ = ["Gain", "LearningCurve", "LearningPoint", "Trial"]

Floats = NDArray[np.float64]
Axis = Literal["normal", "anomaly"]
Metric = Literal["f1", "roc_auc", "log_loss"]
METRICS: tuple[Metric, ...] = ("f1", "roc_auc", "log_loss")

LITTLE = 0.02
"""A gain that is surely no more than this is told as hardly any."""
_RESAMPLES = 200  # sets of held-out images
_TITLES = {"f1": "F1", "roc_auc": "ROC AUC", "log_loss": "log-loss", "recall": "recall"}
_NAMES = {"normal": "normal images", "anomaly": "anomalies"}


class Trial(NamedTuple):
    """Hold one model trained on a part of the images, and what it said of images held out.

    ``normals`` and ``anomalies`` are how many images it learned from; ``repeat`` names the draw: parts of one draw
    have the same. ``truth`` (n,) bool or 0/1, ``scores`` (n,) probabilities and ``threshold`` 0 to 1 are of the images
    held out, of both kinds. ``images`` (n,) names them: needed where repeats hold out the same ones, so that their
    answers are not taken for independent. ``types`` (n,) is the anomaly type of each, None or "" without one, and
    ``trained_types`` how many training images had each type: needed to tell types apart.
    """

    normals: int
    anomalies: int
    repeat: int | str
    truth: ArrayLike
    scores: ArrayLike
    threshold: float
    images: Sequence[str] | None = None
    types: Sequence[str | None] | None = None
    trained_types: Mapping[str, int] = {}


@dataclass(frozen=True, eq=False, slots=True)
class LearningPoint:
    """Hold how models did that learned from one number of images: the mean over the repeats.

    Parameters
    ----------
    normals, anomalies
        how many images they learned from.
    repeats
        how many models there are.
    f1, roc_auc, log_loss
        the mean, with the interval that the scatter of the repeats gives (Student's); ``n`` is how many held-out
        images were judged in all. The interval is undefined for one repeat.
    """

    normals: int
    anomalies: int
    repeats: int
    f1: Score
    roc_auc: Score
    log_loss: Score

    def to_dict(self) -> dict[str, Any]:
        """Return the plain facts, ready for JSON: None where undefined."""
        facts = {"normals": self.normals, "anomalies": self.anomalies, "repeats": self.repeats}
        return facts | {name: getattr(self, name).to_dict() for name in METRICS}


@dataclass(frozen=True, eq=False)
class Gain:
    """Hold what more images of one kind would give; made by :meth:`LearningCurve.gain`.

    Parameters
    ----------
    kind
        ``"normal"`` or ``"anomaly"``.
    metric
        f1, roc_auc, log_loss, or recall of an anomaly type.
    value
        how much better the metric becomes, with its interval; a log-loss that falls is a gain. Undefined where it
        cannot be told.
    factor
        as many times more images.
    sizes, means, lows, highs
        (k,) the numbers of images that were tried, the mean of the metric at each and its interval.
    why
        why it cannot be told; empty where it can.
    type
        the anomaly type, or None for all anomalies.
    law
        the curves that the trials allow; None where it cannot be told.
    """

    kind: Axis
    metric: str
    value: Score
    factor: float
    sizes: Floats
    means: Floats
    lows: Floats
    highs: Floats
    why: str = ""
    type: str | None = None
    law: PowerLaw | None = field(default=None, repr=False)

    @property
    def verdict(self) -> Literal["helps", "hardly", "open", "unknown"]:
        """Return what is sure.

        ``"helps"``: the interval lies above 0. ``"hardly"``: it ends at 0.02 or below. ``"open"``: neither is sure.
        ``"unknown"``: the trials are too few to say anything.
        """
        if math.isnan(self.value):
            return "unknown"
        if self.value.high <= LITTLE:
            return "hardly"
        return "helps" if self.value.low > 0.0 else "open"

    def ahead(self, sizes: ArrayLike) -> tuple[Floats, Floats, Floats]:
        """Return the metric to expect at (n,) numbers of images and both ends of its interval, each (n,).

        Raises
        ------
        Invalid
            if nothing can be told.
        """
        if self.law is None:
            raise Invalid(f"There is no curve: {self.why}. Look at `means`, or add trials.")
        middle, low, high = self.law.errors(np.asarray(sizes, np.float64))
        if self.metric == "log_loss":
            return middle, np.maximum(low, 0.0), high
        return 1.0 - middle, np.clip(1.0 - high, 0.0, 1.0), np.clip(1.0 - low, 0.0, 1.0)

    def to_dict(self) -> dict[str, Any]:
        """Return the plain facts, ready for JSON: None where undefined."""
        return {
            "kind": self.kind, "type": self.type, "metric": self.metric, "factor": self.factor,
            "verdict": self.verdict, "why": self.why, "gain": self.value.to_dict(),
            "sizes": self.sizes.tolist(), "means": [number_or_none(mean) for mean in self.means.tolist()],
        }  # fmt: skip

    def __str__(self) -> str:
        times = "twice as many" if self.factor == 2 else f"{self.factor:g} times as many"
        name = _NAMES[self.kind] if self.type is None else f"images of {self.type}"
        start = f"{times} {name}"
        if self.verdict == "unknown":
            return f"{start}: cannot be told ({self.why})"
        title = _TITLES[self.metric]
        sign = "lower by " if self.metric == "log_loss" else "+"
        told = f"{title} {sign}{_plain(self.value)} ({_plain(self.value.low)} to {_plain(self.value.high)})"
        if self.verdict == "open":
            return f"{start}: cannot be told yet, {told}"
        return f"{start}: {told}" + (", hardly any gain" if self.verdict == "hardly" else "")


@dataclass(frozen=True, eq=False, repr=False)
class LearningCurve:
    """Hold how scores grow with the number of training images, and say whether more would help, and of which kind.

    For each kind of images the trials are taken in which only their number differs, and a power law with an offset,
    error(n) = a + b n^-c, is fitted to them (:mod:`.power_law`). What doubling would give has an interval; three
    numbers of images and three repeats are the least from which anything is said.

    Parameters
    ----------
    trials
        one :class:`Trial` a trained model.
    seed
        of the resampling.

    Notes
    -----
    Simulated with three to five numbers of images, 3 to 20 repeats and 24 held-out images each, for eight shapes of the
    true curve (``benchmarks/learning_curve.py``): the interval at 95 % holds the true gain in F1 in 94-100 % of the
    curves, in the worst plan of one shape in 88 %. Of flat and falling curves 0-4 % are told as rising. A true gain of
    0.02 is sure in 11-15 % of the curves with three repeats, in 36-58 % with five and in 71-89 % with ten; less often
    where the repeats share one small pool of held-out images.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> def trial(normals, anomalies, repeat):
    ...     truth = np.arange(60) < 20
    ...     apart = 4 - 6 * anomalies**-0.5  # what it learns depends on the anomalies alone
    ...     return normals, anomalies, repeat, truth, 1 / (1 + np.exp(-rng.normal(apart * (truth - 0.5), 1))), 0.5
    >>> plan = [(40, 5), (40, 10), (40, 20), (10, 20), (20, 20)]
    >>> curve = LearningCurve.from_scores(trial(*sizes, repeat) for repeat in range(10) for sizes in plan)
    >>> print(curve)
    Twice as many anomalies: F1 +0.02 (0.00 to 0.08); twice as many normal images: F1 +0.00 (0.00 to 0.01), hardly any
    gain.
    """

    trials: tuple[Trial, ...]
    seed: int = 0

    @classmethod
    def from_scores(cls, rows: Iterable[Trial | Sequence[Any]], *, seed: int = 0) -> LearningCurve:
        """Take the trials: for each model how many images it learned from, and its scores of held-out images.

        Parameters
        ----------
        rows
            :class:`Trial`, or plain (normals, anomalies, repeat, truth, scores, threshold). To tell one kind of images,
            vary its number and keep that of the other; three different numbers and three repeats at least, five of each
            are better.
        seed
            of the resampling; the same seed gives the same intervals.

        Raises
        ------
        Invalid
            if there is no row, one is incomplete, has held-out images of one kind only, or stands there twice.
        """
        trials = tuple(_checked(row, number) for number, row in enumerate(rows, 1))
        if not trials:
            raise Invalid("A learning curve needs trained models; no row was given.")
        seen: set[tuple[int, int, int | str]] = set()
        for trial in trials:
            key = (trial.normals, trial.anomalies, trial.repeat)
            if key in seen:
                raise Invalid(
                    f"Repeat {trial.repeat!r} has two models of {trial.normals} normal images and {trial.anomalies} "
                    "anomalies. Give each draw of images its own repeat."
                )
            seen.add(key)
        return cls(trials, seed)

    @cached_property
    def points(self) -> tuple[LearningPoint, ...]:
        """Return the mean scores at each number of images, fewest first."""
        points = []
        for normals, anomalies in sorted({(trial.normals, trial.anomalies) for trial in self.trials}):
            trials = [one for one in self.trials if (one.normals, one.anomalies) == (normals, anomalies)]
            judged = sum(len(np.asarray(one.truth)) for one in trials)
            scores = {name: _mean([_measure(one, name) for one in trials], judged, name) for name in METRICS}
            points.append(LearningPoint(normals, anomalies, len(trials), **scores))
        return tuple(points)

    @cached_property
    def types(self) -> tuple[str, ...]:
        """Return the anomaly types of which training and held-out images were told."""
        held_out = {name for trial in self.trials for name in trial.types or () if name}
        return tuple(sorted(held_out & {name for trial in self.trials for name in trial.trained_types}))

    def gain(self, kind: Axis, *, metric: Metric = "f1", type: str | None = None, factor: float = 2.0) -> Gain:
        """Return what more images of one kind would give.

        Parameters
        ----------
        kind
            ``"normal"`` or ``"anomaly"``.
        metric
            ``"f1"``, ``"roc_auc"`` or ``"log_loss"``.
        type
            an anomaly type: the gain is that in the share of its held-out images that is found, and the number of
            images is that of its training images. The other types grow with it in the trials.
        factor
            as many times more images as the most that were tried; above 1, up to 4.

        Raises
        ------
        Invalid
            if an argument is out of range, or nothing is known of the type.
        """
        if kind not in _NAMES:
            raise Invalid(f'kind is "normal" or "anomaly"; {kind!r} was given.')
        if metric not in METRICS:
            raise Invalid(f"metric is one of {', '.join(METRICS)}; {metric!r} was given.")
        if isinstance(factor, bool) or not isinstance(factor, int | float) or not 1.0 < factor <= 4.0:
            raise Invalid(f"factor lies above 1 and up to 4, beyond which no curve reaches; {factor!r} was given.")
        if type is not None and (kind != "anomaly" or type not in self.types):
            raise Invalid(
                f"type is an anomaly type of which training and held-out images were told ({', '.join(self.types)}), "
                f'and goes with kind "anomaly"; {type!r} and {kind!r} were given.'
            )
        return _gain(self.trials, kind, metric, type, float(factor), self.seed)

    @cached_property
    def gains(self) -> tuple[Gain, ...]:
        """Return what twice as many images would give in F1: anomalies, normal images, then each anomaly type."""
        every = [self.gain("anomaly"), self.gain("normal")]
        return (*every, *(self.gain("anomaly", type=name) for name in self.types))

    def to_dict(self) -> dict[str, Any]:
        """Return the plain facts, ready for JSON: the sentence, the points and the gains."""
        return {
            "told": str(self),
            "points": [point.to_dict() for point in self.points],
            "gains": [gain.to_dict() for gain in self.gains],
        }

    def to_frame(self) -> pd.DataFrame:
        """Return one line a number of images: normals, anomalies, repeats, and each score with its interval."""
        import pandas as pd

        lines = [
            {"normals": point.normals, "anomalies": point.anomalies, "repeats": point.repeats}
            | {
                f"{name}{end}": value
                for name in METRICS
                for score in (getattr(point, name),)
                for end, value in (("", float(score)), ("_low", score.low), ("_high", score.high))
            }
            for point in self.points
        ]
        return pd.DataFrame(lines)

    def show(self) -> Figure:
        """Draw F1 over the number of images of each kind, and where it would go."""
        from vision_toolkit.plots.learning import plot_learning_curve
        from vision_toolkit.plots.style import detached

        figure = plot_learning_curve(self).get_figure(root=True)
        assert figure is not None
        return detached(figure)

    def __str__(self) -> str:
        text = "; ".join(str(gain) for gain in self.gains)
        return f"{text[0].upper()}{text[1:]}."

    def __repr__(self) -> str:
        most = max(self.points, key=lambda point: point.normals + point.anomalies)
        return (
            f"LearningCurve({len(self.trials)} models, up to {most.normals} normal images and {most.anomalies} "
            f"anomalies: F1 {float(most.f1):.3f})"
        )

    def _repr_html_(self) -> str:
        cells = "".join(
            f"<tr><td>{point.normals}</td><td>{point.anomalies}</td><td>{point.repeats}</td>"
            + "".join(f"<td>{_brief(getattr(point, name))}</td>" for name in METRICS)
            + "</tr>"
            for point in self.points
        )
        names = ["normal images", "anomalies", "models", *(_TITLES[name] for name in METRICS)]
        head = "".join(f"<th>{name}</th>" for name in names)
        return (
            f"<table><caption>{html.escape(str(self))}</caption><thead><tr>{head}</tr></thead>"
            f"<tbody>{cells}</tbody></table>"
        )


def _checked(row: Trial | Sequence[Any], number: int) -> Trial:
    if not 6 <= len(row) <= len(Trial._fields):
        raise Invalid(
            f"Row {number}: a row holds {', '.join(Trial._fields[:6])}, and {', '.join(Trial._fields[6:])} if known; "
            f"{len(row)} values were given."
        )
    trial = Trial(*row)
    for name in ("normals", "anomalies"):
        value = getattr(trial, name)
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 0:
            raise Invalid(f"Row {number}: {name} is how many images were learned from, from 0; {value!r} was given.")
    truth = as_truth(trial.truth)
    scores = as_scores(trial.scores, n=truth.size)
    if truth.all() or not truth.any():
        raise Invalid(
            f"Row {number}: {int(truth.sum())} of {truth.size} held-out images are anomalies. Hold out both kinds."
        )
    limits = float(scores.min()), float(scores.max()), float(trial.threshold)
    if not all(0.0 <= value <= 1.0 for value in limits):
        raise Invalid(f"Row {number}: scores and threshold lie between 0 and 1; {limits} was given.")
    for name in ("images", "types"):
        given = getattr(trial, name)
        if given is not None and len(given) != truth.size:
            raise Invalid(f"Row {number}: {name} are as many as the held-out images, {truth.size}; {len(given)} are.")
    return trial._replace(
        normals=int(trial.normals),
        anomalies=int(trial.anomalies),
        truth=truth,
        scores=scores,
        threshold=float(trial.threshold),
        trained_types=dict(trial.trained_types),
    )


def _gain(trials: tuple[Trial, ...], kind: Axis, metric: str, type: str | None, factor: float, seed: int) -> Gain:
    """Fit the trials in which only the number of this kind differs."""
    measure = metric if type is None else "recall"
    if type is not None:
        trials = tuple(one for one in trials if type in (one.types or ()) and one.trained_types.get(type, 0) > 0)
    own, other = ("normals", "anomalies") if kind == "normal" else ("anomalies", "normals")
    groups: dict[int, dict[int, dict[int | str, Trial]]] = {}
    for trial in trials:
        if getattr(trial, own):  # a power law has no value at 0
            columns = groups.setdefault(getattr(trial, other), {})
            columns.setdefault(getattr(trial, own), {})[trial.repeat] = trial
    level = max(groups, key=lambda one: (len(groups[one]), one), default=None)
    columns = dict(sorted(groups[level].items())) if level is not None else {}
    sizes = np.array([np.mean([_learned(one, own, type) for one in column.values()]) for column in columns.values()])
    points = [
        _mean([_measure(one, measure, type) for one in column.values()], 0, measure) for column in columns.values()
    ]
    means, lows, highs = (
        np.array(part)
        for part in ([float(one) for one in points], [one.low for one in points], [one.high for one in points])
    )
    # Only repeats that tried every size: else those of the small sizes would be other images than those of the large.
    repeats = [key for key in next(iter(columns.values()), {}) if all(key in column for column in columns.values())]
    table = [[column[key] for column in columns.values()] for key in repeats]
    why = _too_few(np.unique(sizes).size, len(repeats), _NAMES[kind] if type is None else f"images of {type}")
    if why:
        return Gain(kind, measure, Score(math.nan), factor, sizes, means, lows, highs, why, type)
    sign = 1.0 if measure == "log_loss" else -1.0
    offset = 0.0 if measure == "log_loss" else 1.0
    errors = offset + sign * np.array([[_measure(one, measure, type) for one in row] for row in table])
    rng = np.random.default_rng(seed)
    drawn = _redrawn(table, measure, type, rng)
    judged = sum(np.asarray(row[-1].truth).size for row in table)
    now = float(sizes.max())
    law = fit_power_law(
        sizes,
        errors,
        reach=now * factor,
        rng=rng,
        drawn=None if drawn is None else offset + sign * drawn,
        grain=0.5 / judged,
    )
    value, low, high = (max(0.0, one) for one in law.gain(now, now * factor))
    score = Score(value, min(low, value), max(high, value), judged)
    return Gain(kind, measure, score, factor, sizes, means, lows, highs, "", type, law)


def _too_few(sizes: int, repeats: int, name: str) -> str:
    if sizes < FEWEST_SIZES:
        return f"it takes models of {FEWEST_SIZES} numbers of {name}, the rest the same; there are {sizes}"
    if repeats < FEWEST_REPEATS:
        return f"it takes {FEWEST_REPEATS} repeats of every number of {name}; there are {repeats}"
    return ""


def _learned(trial: Trial, own: str, type: str | None) -> float:
    return float(getattr(trial, own) if type is None else trial.trained_types[type])


def _redrawn(table: list[list[Trial]], measure: str, type: str | None, rng: np.random.Generator) -> Floats | None:
    """Return the measure of every trial, as other held-out images would have given it: (s, r, k).

    Each named image weighs the same wherever it was held out. None where no image was held out by two repeats: then the
    scatter of the repeats holds that of the images already.
    """
    names = [[None if one.images is None else list(one.images) for one in row] for row in table]
    if any(name is None for row in names for name in row):
        return None
    per_repeat = [{image for name in row for image in name or ()} for row in names]
    every = sorted(set().union(*per_repeat))
    if len(every) == sum(len(images) for images in per_repeat):
        return None
    place = {image: index for index, image in enumerate(every)}
    weights = rng.standard_exponential((_RESAMPLES, len(every)))
    drawn = [
        [
            _weighted(one, measure, type, weights[:, [place[image] for image in name or ()]])
            for one, name in zip(row, listed, strict=True)
        ]
        for row, listed in zip(table, names, strict=True)
    ]
    return np.moveaxis(np.array(drawn), 2, 0)


def _measure(trial: Trial, measure: str, type: str | None = None) -> float:
    return float(_weighted(trial, measure, type, np.ones((1, np.asarray(trial.truth).size)))[0])


def _weighted(trial: Trial, measure: str, type: str | None, weights: Floats) -> Floats:
    """Return a measure of held-out images that count (s, n) times each: (s,)."""
    truth, scores = np.asarray(trial.truth, np.bool_), np.asarray(trial.scores, np.float64)
    if measure == "roc_auc":
        above = scores[truth][:, None] - scores[~truth]
        right = (above > 0) + 0.5 * (above == 0)
        pairs = weights[:, truth].sum(axis=1) * weights[:, ~truth].sum(axis=1)
        return np.asarray(((weights[:, truth] @ right) * weights[:, ~truth]).sum(axis=1) / pairs)
    if measure == "log_loss":
        inside = np.clip(scores, 1e-6, 1 - 1e-6)
        return np.asarray(-(weights @ np.log(np.where(truth, inside, 1 - inside))) / weights.sum(axis=1))
    # As Prediction compares them, so that these are its verdicts.
    said = np.array([round(score, 4) >= round(trial.threshold, 4) for score in scores.tolist()])
    if type is not None:
        truth = np.array([name == type for name in trial.types or ()])
        return np.asarray(weights @ (truth & said) / (weights @ truth))
    return np.asarray(2 * (weights @ (truth & said)) / (weights @ truth + weights @ said))


def _mean(values: list[float], judged: int, measure: str) -> Score:
    """Return the mean with Student's interval; undefined for one value."""
    mean, n = float(np.mean(values)), len(values)
    if n < 2:
        return Score(mean, n=judged)
    half = student(n - 1) * float(np.std(values, ddof=1)) / math.sqrt(n)
    top = math.inf if measure == "log_loss" else 1.0
    return Score(mean, max(0.0, mean - half), min(top, mean + half), judged)


def _plain(value: float) -> str:
    return f"{value + 0.0:.2f}"


def _brief(score: Score) -> str:
    if math.isnan(score.low):
        return f"{float(score):.3f}"
    return f"{float(score):.3f} ({score.low:.2f}-{score.high:.2f})"
