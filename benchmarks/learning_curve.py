"""How honest a learning curve is: drawn scores whose true gain is known, against what is told of it.

    python benchmarks/learning_curve.py [CURVES]

A model that learned from n images scores both kinds as normal distributions, d(n) apart, a little more or less by the
luck of its draw. Told is how often the interval holds the true gain in F1 of doubling, how often a gain is said to be
sure, and hardly any, and how wide the interval is. Held-out images are each repeat's own, or drawn from one pool of 60.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from vision_toolkit.metrics import LearningCurve, Trial

Floats = NDArray[np.float64]
WORLDS: dict[str, Callable[[float], float]] = {
    "flat": lambda n: 2.5,
    "flat and good": lambda n: 4.0,
    "worse": lambda n: 2.2 + 2 * n**-0.5,
    "slow": lambda n: 3.5 - 3 * n**-0.3,
    "root": lambda n: 3.2 - 4 * n**-0.5,
    "fast": lambda n: 3.0 - 12 / n,
    "soon over": lambda n: 2.8 - 30 * n**-1.7,
    "no end": lambda n: 0.6 * float(np.log(n)),
}
PLANS = ((8, 16, 32), (5, 10, 20, 40), (6, 10, 15, 22, 30))
HELD_OUT = 24
LUCK = 0.3


def trials(world: str, sizes: tuple[int, ...], repeats: int, rng: np.random.Generator, pool: int) -> list[Trial]:
    made = []
    truth = np.arange(pool or HELD_OUT) % 2 == 1
    hard = rng.standard_normal(truth.size)
    for repeat in range(repeats):
        held = rng.permutation(truth.size)[:HELD_OUT]
        while truth[held].all() or not truth[held].any():
            held = rng.permutation(truth.size)[:HELD_OUT]
        own = hard if pool else rng.standard_normal(truth.size)
        luck = rng.standard_normal()
        for n in sizes:
            apart = max(0.0, WORLDS[world](n) + 0.7 * LUCK * (luck + rng.standard_normal()))
            noise = 0.8 * own[held] + 0.6 * rng.standard_normal(HELD_OUT)
            odds = apart * (noise + apart * (truth[held] - 0.5))
            scores = 1 / (1 + np.exp(-np.clip(odds, -30, 30)))
            names = [str(place) for place in held] if pool else None
            made.append(Trial(40, n, repeat, truth[held], scores, 0.5, names))
    return made


def true_gain(world: str, most: int, rng: np.random.Generator) -> float:
    means = []
    for n in (most, 2 * most):
        apart = np.maximum(0.0, WORLDS[world](n) + LUCK * rng.standard_normal((40_000, 1)))
        kinds = rng.standard_normal((2, 40_000, HELD_OUT // 2))
        hits, alarms = (kinds[0] + apart / 2 >= 0).sum(1), (kinds[1] - apart / 2 >= 0).sum(1)
        means.append(float((2 * hits / (hits + alarms + HELD_OUT // 2)).mean()))
    return means[1] - means[0]


def main(curves: int) -> None:
    rng = np.random.default_rng(0)
    print(f"{'':16s}{'repeats':>8s}{'pool':>6s}{'gain':>8s}{'told':>8s}{'held':>7s}{'least':>7s}{'sure':>7s}"
          f"{'hardly':>8s}{'width':>8s}")  # fmt: skip
    for world in WORLDS:
        truths = {sizes: true_gain(world, sizes[-1], rng) for sizes in PLANS}
        for pool in (0, 60):
            for repeats in (3, 5, 10, 20):
                rows = []
                for sizes in PLANS:
                    gains = [LearningCurve(tuple(trials(world, sizes, repeats, rng, pool)), seed).gain("anomaly")
                             for seed in range(curves)]  # fmt: skip
                    real = truths[sizes]
                    # A loss is told as no gain.
                    held = [g.value.low - 1e-3 <= max(0.0, real) <= g.value.high + 1e-3 for g in gains]
                    verdicts = [g.verdict for g in gains]
                    rows.append((real, np.mean([float(g.value) for g in gains]), np.mean(held),
                                 np.mean([g.value.low > 0 for g in gains]), verdicts.count("hardly") / curves,
                                 np.mean([g.value.high - g.value.low for g in gains])))  # fmt: skip
                real, told, held, sure, hardly, width = np.mean(rows, axis=0)
                least = min(row[2] for row in rows)
                print(f"{world:16s}{repeats:8d}{pool:6d}{real:8.3f}{told:8.3f}{held:7.2f}{least:7.2f}{sure:7.2f}"
                      f"{hardly:8.2f}{width:8.3f}")  # fmt: skip


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 50)
