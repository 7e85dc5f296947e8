"""Count scores in bins, and tell when those of a day have left what the training knew.

The training keeps two histograms of held-out scores in ``model.json``: of normal images and of anomalies. A line has
another share of anomalies than the training had, so the two together say nothing. What can be compared is the scores
of the images that *pass*: on the line and in training, they are those of normal images, but for anomalies that are
missed. The largest distance of both distributions (Kolmogorov and Smirnov's) is told when chance, the anomalies that
may be among them, and a margin do not explain it. Bins can only hide a distance, never make one.

All that fits beside it is the share that is rejected: beyond one half (or what is said), the line is another one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["BINS", "FEWEST", "MARGIN", "Day", "Departure", "Reference", "Rules", "bin_of", "edges", "histogram"]

BINS = 64
"""Bins of a histogram: quarters of log-odds from -8 to 8, the outermost hold all that lies beyond."""
_LOWEST, _WIDTH = -8.0, 0.25
FEWEST = 20
"""Held-out scores below the threshold that a comparison needs."""
MARGIN = 0.1
"""Distance that is never told: held-out scores are those of models that knew a little less than the final one."""

Numbers = dict[str, Any]


def bin_of(score: float) -> int:
    """Return the bin of a score, 0 to :data:`BINS` - 1.

    Examples
    --------
    >>> bin_of(0.0), bin_of(0.5), bin_of(1.0)
    (0, 32, 63)
    """
    inside = min(max(score, 1e-9), 1.0 - 1e-9)
    return min(max(int((math.log(inside / (1.0 - inside)) - _LOWEST) // _WIDTH), 0), BINS - 1)


def histogram(scores: Iterable[float]) -> list[int]:
    """Count scores from 0 to 1 in :data:`BINS` bins."""
    counts = [0] * BINS
    for score in scores:
        counts[bin_of(score)] += 1
    return counts


def edges() -> list[float]:
    """Return the scores between the bins, from 0 to 1: one more than there are bins."""
    inner = [1.0 / (1.0 + math.exp(-(_LOWEST + _WIDTH * number))) for number in range(1, BINS)]
    return [0.0, *(round(edge, 6) for edge in inner), 1.0]


@dataclass(frozen=True, slots=True)
class Reference:
    """Hold what the training knows of scores: counts of held-out normal images and anomalies, and the threshold.

    Examples
    --------
    >>> held_out = {"normal": histogram([0.1] * 30), "anomaly": histogram([0.9] * 10)}
    >>> reference = Reference.of({"threshold": 0.5, "held_out": held_out})
    >>> reference.compare(histogram([0.1] * 95 + [0.9] * 5), level=0.001).left
    False
    >>> reference.compare(histogram([0.3] * 95 + [0.9] * 5), level=0.001).left
    True
    """

    normal: tuple[int, ...]
    anomaly: tuple[int, ...]
    threshold: float

    @classmethod
    def of(cls, info: Mapping[str, Any]) -> Reference | None:
        """Return the reference that ``model.json`` holds; None where an older toolkit wrote it."""
        held_out = info.get("held_out")
        if not isinstance(held_out, dict):
            return None
        normal, anomaly = (tuple(int(count) for count in held_out[name]) for name in ("normal", "anomaly"))
        if len(normal) != BINS or len(anomaly) != BINS:
            return None
        return cls(normal, anomaly, float(info["threshold"]))

    @property
    def below(self) -> int:
        """Return how many bins lie wholly below the threshold."""
        return bin_of(self.threshold)

    def compare(self, counts: Sequence[int], *, level: float) -> Comparison:
        """Compare a day's scores with the training's, where chance may err with a probability of ``level``."""
        below = self.below
        known, seen = self.normal[:below], counts[:below]
        m, n = sum(known), sum(seen)
        if m < FEWEST:
            return Comparison(m, n, why=f"the training holds {m} scores of passed images, and it takes {FEWEST}")
        if not n:
            return Comparison(m, n, why="no image passed")
        missed = self._missed(counts)
        if missed >= 1.0:
            return Comparison(m, n, why="so few pass that all of them may be anomalies that are missed")
        distance, up = _distance(known, seen)
        root = math.sqrt(m * n / (m + n))
        smallest = missed + MARGIN + _quantile(level) / (root + 0.12 + 0.11 / root)
        return Comparison(m, n, distance, smallest, missed, up)

    def _missed(self, counts: Sequence[int]) -> float:
        """Return the share of anomalies that may be among the images that pass, judging by how many do not."""
        below, normals, anomalies, n = self.below, sum(self.normal), sum(self.anomaly), sum(counts)
        passing = sum(self.normal[:below]) / normals
        slipping = (sum(self.anomaly[:below]) + 1) / (anomalies + 2)  # of few anomalies, or none, little is known
        seen = sum(counts[:below]) / n
        if passing <= slipping:
            return 1.0  # the model hardly tells one from the other
        share = min(max((passing - seen) / (passing - slipping), 0.0), 1.0)
        return min(share * slipping / seen, 1.0)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Hold how far a day's scores lie from the training's, among the images that pass.

    ``known`` and ``seen`` images; ``distance`` of their distributions, 0 to 1, and the ``smallest`` that is told;
    ``missed``, the share of anomalies that is allowed for; ``up``: the day's scores are the higher ones. ``why`` says
    what keeps it from telling.
    """

    known: int
    seen: int
    distance: float = 0.0
    smallest: float = 1.0
    missed: float = 0.0
    up: bool = False
    why: str | None = None

    @property
    def left(self) -> bool:
        """Return whether the day's scores have left the training's."""
        return self.why is None and self.distance > self.smallest

    def numbers(self) -> Numbers:
        """Return the plain facts, ready for JSON."""
        facts: Numbers = {"training_images": self.known, "passed_images": self.seen}
        if self.why is not None:
            return facts | {"cannot_tell": self.why}
        return facts | {"distance": round(self.distance, 4), "smallest_told": round(self.smallest, 4)}


@dataclass(frozen=True, slots=True)
class Rules:
    """Hold how a day is judged.

    Parameters
    ----------
    fewest
        images of a day from which it is looked at; then at twice as many, and so on, and when it ends.
    false_alarms
        days of which one may be told by chance, of both kinds of findings together.
    most_rejects
        share of a good day's images that may be rejected, 0 to 1.
    """

    fewest: int = 50
    false_alarms: float = 1000.0
    most_rejects: float = 0.5


@dataclass(frozen=True, slots=True)
class Departure:
    """Hold one thing that a day's scores tell: ``rule``, ``text`` and ``numbers``."""

    rule: str
    text: str
    numbers: Numbers


@dataclass(slots=True)
class Day:
    """Count the scores of one day, and look at them when there are enough.

    All looks of a day together err by chance on one of ``rules.false_alarms`` days at most: half of that is kept for
    the end of the day, the other half is spent by halves on the looks before. What :meth:`add` and :meth:`close`
    return follows from the scores alone, so that a day can be told again from its lines.
    """

    name: str
    reference: Reference | None
    rules: Rules
    counts: list[int] = field(default_factory=lambda: [0] * BINS)
    rejected: int = 0
    told: set[str] = field(default_factory=set)
    comparison: Comparison | None = None

    @property
    def images(self) -> int:
        """Return how many scores were counted."""
        return sum(self.counts)

    def add(self, score: float, anomalous: bool) -> list[Departure]:
        """Count a score; return what is new to tell."""
        self.counts[bin_of(score)] += 1
        self.rejected += anomalous
        looks, rest = divmod(self.images, max(1, self.rules.fewest))
        if rest or looks & (looks - 1):
            return []
        return self._look(0.5 ** (looks.bit_length() + 1) / self.rules.false_alarms)

    def close(self) -> list[Departure]:
        """Look once more at the end of the day; return what is new to tell."""
        if self.images < self.rules.fewest:
            return []
        return self._look(0.5 / self.rules.false_alarms)

    def _look(self, level: float) -> list[Departure]:
        found = [self._rejects(level / 2)]
        if self.reference is not None:
            self.comparison = self.reference.compare(self.counts, level=level / 2)
            found.append(self._scores(self.comparison))
        new = [one for one in found if one is not None and one.rule not in self.told]
        self.told |= {one.rule for one in new}
        return new

    def _rejects(self, level: float) -> Departure | None:
        most, n = self.rules.most_rejects, self.images
        if _at_least(self.rejected, n, most) >= level:
            return None
        share = self.rejected / n
        text = f"{self.rejected} of {n} images were rejected ({share:.0%}); a good day rejects {most:.0%} at most."
        return Departure("many-rejects", text, {"rejected": self.rejected, "share": round(share, 4)})

    def _scores(self, comparison: Comparison) -> Departure | None:
        if not comparison.left:
            return None
        way = "higher" if comparison.up else "lower"
        text = (
            f"Images that pass score {way} than those of the training: the distributions of {comparison.seen} and "
            f"{comparison.known} scores are {comparison.distance:.2f} apart; chance, a margin and anomalies that are "
            f"missed explain {comparison.smallest:.2f}."
        )
        return Departure("score-drift", text, comparison.numbers())

    def facts(self) -> Numbers:
        """Return what is known of the day, ready for JSON."""
        facts: Numbers = {"day": self.name, "images": self.images, "rejected": self.rejected, "told": sorted(self.told)}
        if self.reference is None:
            return facts | {"cannot_tell": "the model holds no held-out scores; export it again after a training"}
        if self.comparison is None:
            return facts | {"cannot_tell": f"too few images: {self.rules.fewest} are the fewest"}
        return facts | self.comparison.numbers()


def _distance(known: Sequence[int], seen: Sequence[int]) -> tuple[float, bool]:
    """Return the largest distance of two cumulated distributions, and whether the second is the higher one there."""
    m, n, one, two = sum(known), sum(seen), 0, 0
    most, up = 0.0, False
    for first, second in zip(known, seen, strict=True):
        one, two = one + first, two + second
        apart = one / m - two / n
        if abs(apart) > most:
            most, up = abs(apart), apart > 0
    return most, up


def _quantile(level: float) -> float:
    """Return what Kolmogorov's statistic exceeds with a probability of at most ``level``, which is small."""
    return math.sqrt(math.log(2.0 / level) / 2.0)


def _at_least(hits: int, n: int, share: float) -> float:
    """Return the probability of ``hits`` or more among n, each with a probability of ``share``."""
    if share >= 1.0 or hits <= n * share:
        return 1.0
    if share <= 0.0:
        return 0.0
    # Beyond the mean the terms fall, each by a factor: those that no longer count are left out.
    log_term = math.lgamma(n + 1) - math.lgamma(hits + 1) - math.lgamma(n - hits + 1)
    log_term += hits * math.log(share) + (n - hits) * math.log1p(-share)
    total, term = 0.0, math.exp(log_term)
    for k in range(hits, n + 1):
        total += term
        term *= (n - k) / (k + 1) * share / (1.0 - share)
        if term < total * 1e-12:
            break
    return min(total, 1.0)
