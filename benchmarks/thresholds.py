"""How much a threshold chosen on few images loses on new ones: rules side by side, on drawn scores of known truth.

    python benchmarks/thresholds.py [SETS]

Scores of both kinds are drawn from known distributions, calibrated as training does, and cut by each rule. What the
cut gives on endlessly many new images follows from the distributions. Told is the mean loss against the best threshold
there is: in points of F1, or of the cost in % of the lowest. All rules see the same sets and the same thresholds.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.special import expit, logit, ndtr

from vision_toolkit.core import Invalid
from vision_toolkit.metrics import at_cost, at_precision, best_f1
from vision_toolkit.models.verdict import calibrate

Floats = NDArray[np.float64]
Rates = tuple[Floats, Floats]
Case = tuple[str, tuple[int, int]]
SIZES = ((12, 13), (20, 4), (30, 10), (30, 30), (100, 40), (300, 100))  # normal images and anomalies


class Mixture:
    """Several distributions, each with its share."""

    def __init__(self, *parts: tuple[float, object]) -> None:
        self.parts = parts

    def rvs(self, size: int, random_state: np.random.Generator) -> Floats:
        place = random_state.choice(len(self.parts), size, p=[share for share, _ in self.parts])
        drawn = [one.rvs(size, random_state=random_state) for _, one in self.parts]
        return np.choose(place, drawn)

    def sf(self, at: Floats) -> Floats:
        return sum(share * one.sf(at) for share, one in self.parts)


def heavy(centre: float) -> object:
    return stats.t(4, centre, 2**-0.5)


bell = stats.norm
WORLDS = {
    "bells 1.5 apart": (bell(0, 1), bell(1.5, 1)),
    "bells 2.5 apart": (bell(0, 1), bell(2.5, 1)),
    "bells 3.5 apart": (bell(0, 1), bell(3.5, 1)),
    "bells 5 apart": (bell(0, 1), bell(5, 1)),
    "wide anomalies": (bell(0, 1), bell(3, 2)),
    "wide normals": (bell(0, 1.5), bell(3.5, 0.75)),
    "heavy-tailed normals": (heavy(0), bell(3, 1)),
    "heavy tails": (heavy(0), heavy(3)),
    "skewed normals": (stats.gumbel_r(-0.45, 0.78), bell(3, 1.5)),
    "very skewed normals": (stats.lognorm(0.8, -1, 1), bell(4, 1.5)),
    "one-sided": (stats.expon(0, 1), stats.gamma(4, 0, 1.5)),
    "a quarter hard to find": (bell(0, 1), Mixture((0.25, bell(0.7, 1)), (0.75, bell(4.5, 1)))),
    "odd normals": (Mixture((0.95, bell(0, 1)), (0.05, bell(3, 1))), bell(4, 1)),
    "two cameras": (Mixture((0.5, bell(0, 0.5)), (0.5, bell(2.5, 0.5))), bell(4.5, 0.7)),
    "two cameras far apart": (Mixture((0.7, bell(0, 0.4)), (0.3, bell(3, 0.3))), bell(4.2, 0.4)),
    "two kinds of anomalies": (bell(0, 1), Mixture((0.5, bell(2, 0.5)), (0.5, bell(7, 0.5)))),
}


def f1(share: float) -> Callable[[Floats, Floats], Floats]:
    return lambda found, alarms: 2 * share * found / (share * found + (1 - share) * alarms + share)


def cost(share: float, miss: float) -> Callable[[Floats, Floats], Floats]:
    return lambda found, alarms: -(miss * share * (1 - found) + (1 - share) * alarms)


# Rules to compare with. Each estimates, from the log-odds of both kinds, how many would reach each threshold.


def counted(normal: Floats, anomaly: Floats, at: Floats) -> Rates:
    return (anomaly >= at[:, None]).mean(1), (normal >= at[:, None]).mean(1)


def add_half(normal: Floats, anomaly: Floats, at: Floats) -> Rates:
    found, alarms = counted(normal, anomaly, at)
    n, m = normal.size, anomaly.size
    return (found * m + 0.5) / (m + 1), (alarms * n + 0.5) / (n + 1)


def bells(normal: Floats, anomaly: Floats, at: Floats) -> Rates:
    found, alarms = (ndtr((kind.mean() - at) / kind.std(ddof=1)) for kind in (anomaly, normal))
    return found, alarms


def kernels(normal: Floats, anomaly: Floats, at: Floats) -> Rates:
    wide = [kind.std(ddof=1) * kind.size ** (-1 / 3) for kind in (anomaly, normal)]
    found, alarms = (
        ndtr((kind - at[:, None]) / one).mean(1) for kind, one in zip((anomaly, normal), wide, strict=True)
    )
    return found, alarms


def calibrated(normal: Floats, anomaly: Floats, at: Floats) -> Rates:
    both = np.r_[normal, anomaly]  # log-odds that are calibrated already: each image counts as both kinds
    likely, above = expit(both), both >= at[:, None]
    return (above * likely).sum(1) / likely.sum(), (above * (1 - likely)).sum(1) / (1 - likely).sum()


OTHERS = {
    "counts": counted, "counts and a half": add_half, "a bell each": bells, "kernels": kernels,
    "calibrated": calibrated,
}  # fmt: skip
TASKS = {
    "F1, own mix": (None, f1, ()),
    "F1, 7 % anomalies": (0.07, f1, ()),
    "F1, 1 % anomalies": (0.01, f1, ()),
    "cost 10 to 1, own mix": (None, cost, (10.0,)),
    "cost 50 to 1, 7 % anomalies": (0.07, cost, (50.0,)),
    "cost 10 to 1, 1 % anomalies": (0.01, cost, (10.0,)),
}


def main(sets: int) -> None:
    losses: dict[tuple[str, str], dict[Case, list[float]]] = defaultdict(lambda: defaultdict(list))
    kept: dict[Case, list[tuple[float, float]]] = defaultdict(list)
    rng = np.random.default_rng(0)
    fine = np.linspace(-8, 14, 4401)
    for world, (normal_law, anomaly_law) in WORLDS.items():
        for size in SIZES:
            for _ in range(sets):
                one_set(world, size, (normal_law, anomaly_law), fine, rng, losses, kept)
    for task in TASKS:
        unit = "F1 points" if task[0] == "F" else "% of its cost"
        print(f"\n{task}: mean loss against the best threshold, {unit}")
        print(f"{'':22s}" + "".join(f"{f'{n}+{m}':>9s}" for n, m in SIZES) + f"{'mean':>9s}  better than counts in")
        base = losses[task, "counts"]
        for rule in ("ours", *OTHERS):
            found = losses[task, rule]
            by_size = [np.mean([np.mean(v) for (_, s), v in found.items() if s == size]) for size in SIZES]
            by_world = {
                w: np.mean([np.mean(v) - np.mean(base[k]) for k, v in found.items() if k[0] == w]) for w in WORLDS
            }
            worst = max(by_world, key=lambda w: by_world[w])
            print(
                f"{rule:22s}"
                + "".join(f"{100 * one:9.2f}" for one in (*by_size, np.mean(by_size)))
                + f"  {sum(v < 0 for v in by_world.values())} of {len(WORLDS)} worlds; at worst"
                f" {100 * by_world[worst]:+.2f} ({worst})"
            )
    print("\nat_precision(0.8): true precision, share of sets that reach 0.8, recall lost against the best threshold")
    for key, pairs in kept.items():
        true = np.array(pairs)
        print(f"{key[0]:34s} {key[1]!s:10s} {len(true) / (sets * len(WORLDS)):5.0%} answered; "
              f"precision {true[:, 0].mean():.3f} (tenth {np.quantile(true[:, 0], 0.1):.3f}), "
              f"{(true[:, 0] >= 0.8).mean():.0%} reach it; recall lost {true[:, 1].mean():.3f}")  # fmt: skip


def one_set(world, size, laws, fine, rng, losses, kept) -> None:  # noqa: ANN001
    normal_law, anomaly_law = laws
    n, m = size
    drawn = np.r_[normal_law.rvs(n, random_state=rng), anomaly_law.rvs(m, random_state=rng)]
    truth = np.arange(n + m) >= n
    fitted = calibrate(drawn, truth)
    scores = np.round(fitted.scores(drawn), 4)
    odds = logit(np.clip(scores, 5e-5, 1 - 5e-5))

    def new(cut: Floats | float) -> Rates:
        at = (logit(np.clip(cut, 1e-9, 1 - 1e-9)) - fitted.offset) / fitted.slope
        return anomaly_law.sf(at), normal_law.sf(at)

    levels = np.unique(scores)
    cuts = np.round(np.r_[levels[0] / 2, (levels[1:] + levels[:-1]) / 2, (levels[-1] + 1) / 2], 4)
    at = logit(np.clip(cuts, 5e-5, 1 - 5e-5))
    estimates = {rule: estimate(odds[:n], odds[n:], at) for rule, estimate in OTHERS.items()}
    best_rates = anomaly_law.sf(fine), normal_law.sf(fine)
    for task, (share, measure, numbers) in TASKS.items():
        value = measure(share or m / (m + n), *numbers)
        best = float(value(*best_rates).max())
        chosen = {rule: cuts[np.flatnonzero(v >= v.max() - 1e-12)[0]] for rule, v in
                  ((rule, value(*rates)) for rule, rates in estimates.items())}  # fmt: skip
        ours = best_f1 if measure is f1 else at_cost
        chosen["ours"] = ours(truth, scores, *numbers, prevalence=share)
        for rule, cut in chosen.items():
            loss = best - float(value(*new(cut)))
            losses[task, rule][world, size].append(loss if measure is f1 else loss / -best)
    for share in (None, 0.07, 0.01):
        real = share or m / (m + n)
        line = np.divide(real * best_rates[0], real * best_rates[0] + (1 - real) * best_rates[1],
                         out=np.ones_like(fine), where=best_rates[0] + best_rates[1] > 1e-12)  # fmt: skip
        most = float(best_rates[0][line >= 0.8].max(initial=0.0))
        for name, given in (("counted at its own mix", None), (f"told {real:.2f}", real)):
            if name.startswith("counted") and share is not None:
                continue
            try:
                found, alarms = new(at_precision(truth, scores, 0.8, prevalence=given))
            except Invalid:
                continue
            reached = real * found / max(real * found + (1 - real) * alarms, 1e-12)
            label = f"{'own mix' if share is None else f'{share:.0%}'}, {'counted' if given is None else 'told'}"
            kept[label, size].append((float(reached), most - float(found)))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 50)
