"""Give a package's golden answers again on the machine where it runs, and say how far they lie from the exported ones.

The export's own gate compares with these functions too, so that both mean the same by an equal answer.
"""

from __future__ import annotations

import json
import statistics
import time
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import files

__all__ = ["LOWEST_IOU", "MOST_SCORE_DIFFERENCE", "main", "replay", "score_difference", "shared_iou"]

MOST_SCORE_DIFFERENCE = 1e-3
"""By which a golden score or confidence may differ."""
LOWEST_IOU = 0.99
"""Intersection over union that each class of each golden mask must reach."""

NOTHING = np.zeros((0, 0, 3), np.uint8)


def score_difference(one: float, two: float, *, drawn: bool = False) -> float:
    """Return how far two scores lie apart; infinity where the first is none.

    Parameters
    ----------
    one, two
        from 0 to 1.
    drawn
        of drawn patterns, which mostly score nearly 0 or 1, where small faults are hidden: a quarter of the difference
        of their log-odds, if that is more, which is what it would be at a score of one half.

    Examples
    --------
    >>> round(score_difference(0.9999, 0.9998, drawn=True), 2)
    0.17
    """
    if not np.isfinite(one):
        return float("inf")
    if not drawn:
        return abs(one - two)
    # Beyond that, a score so near to 1 has too few digits left for its log-odds.
    first, second = (float(np.log(score / (1 - score))) for score in np.clip((one, two), 1e-10, 1 - 1e-10))
    return max(abs(one - two), abs(first - second) / 4)


def shared_iou(one: NDArray[np.uint8], two: NDArray[np.uint8]) -> float:
    """Return the lowest intersection over union of a colour that one of two painted masks (H, W, 3) has.

    Examples
    --------
    >>> shared_iou(np.zeros((2, 2, 3), np.uint8), np.full((2, 2, 3), 255, np.uint8))
    0.0
    """
    if one.shape != two.shape:
        return 0.0
    first, second = (mask.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32) for mask in (one, two))
    found = []
    for colour in np.union1d(first, second):
        here, there = first == colour, second == colour
        found.append(float((here & there).sum() / (here | there).sum()))
    return min(found)


def replay(root: files.Place, runtime: ModuleType, model: Any) -> dict[str, Any]:
    """Answer the golden images again and compare.

    Parameters
    ----------
    root
        the package.
    runtime, model
        its ``runtime`` module, and what that loaded.

    Returns
    -------
    dict
        ``images``; ``verdicts_equal`` and ``identical``, how many of them have the golden verdict, and the golden
        score and mask to the last bit; ``score_difference`` the largest, ``mask_iou`` the lowest (None without masks);
        ``worst``, the image that lies farthest off; ``seconds_per_image``, the median; ``holds``, whether these are the
        golden answers.
    """
    golden = json.loads((root / "golden" / "answers.json").read_text("utf-8"))
    colours = np.array([list(bytes.fromhex(colour[1:])) for colour in golden["colours"]], np.uint8)
    same_names = [model.info["types"], model.info["colours"]] == [golden["types"], golden["colours"]]
    equal, identical, differences, ious, faults, seconds = 0, 0, [0.0], [], [], []
    for known in golden["answers"]:
        data = (root / known["image"]).read_bytes()
        started = time.perf_counter()
        answer = model.predict([runtime.read(data)])[0]
        seconds.append(time.perf_counter() - started)
        verdict, confidence = runtime.judge(answer["score"], model.info["threshold"])
        difference = score_difference(answer["score"], known["score"], drawn=golden["drawn"])
        if verdict is known["is_anomalous"]:
            equal += 1
            difference = max(difference, score_difference(confidence, known["confidence"]))
        off, exact = difference / MOST_SCORE_DIFFERENCE, answer["score"] == known["score"]
        if "mask" in known or answer["ids"] is not None:
            truth = runtime.read((root / known["mask"]).read_bytes()) if "mask" in known else NOTHING
            painted = NOTHING if answer["ids"] is None else colours[answer["ids"]]
            ious.append(shared_iou(painted, truth))
            off, exact = max(off, (1 - ious[-1]) / (1 - LOWEST_IOU)), exact and ious[-1] == 1.0
        identical += exact
        differences.append(difference)
        faults.append((verdict is not known["is_anomalous"], off, known["image"]))
    count = len(golden["answers"])
    most, least = max(differences), min(ious) if ious else None
    iou_holds = least is None or least >= LOWEST_IOU
    return {
        "images": count,
        "verdicts_equal": equal,
        "identical": identical,
        "score_difference": most,
        "mask_iou": least,
        "worst": max(faults)[2],
        "seconds_per_image": statistics.median(seconds),
        "holds": bool(same_names and equal == count and most <= MOST_SCORE_DIFFERENCE and iou_holds),
    }


def main(root: files.Place, runtime: ModuleType) -> int:
    """Print one JSON line, what is wrong with the files or how the golden answers came; return 1 where not well."""
    told: dict[str, Any] = {"package": str(root)}
    try:
        told["faults"] = list(files.faults(root, files.read_facts(root)["files"]))
        if not told["faults"]:
            told |= replay(root, runtime, runtime.load_configured(root))
    except (ValueError, KeyError, TypeError, IndexError, OSError) as error:
        told.setdefault("faults", []).append(str(error))
    told["holds"] = bool(told.get("holds", False))
    print(json.dumps(told))
    return 0 if told["holds"] else 1
