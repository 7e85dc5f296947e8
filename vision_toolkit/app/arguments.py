"""The words of the command line: each command's arguments, what they may be and what they mean."""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Callable

import vision_toolkit as vt
from vision_toolkit.core.errors import Invalid

__all__ = ["METRICS", "build_parser"]

METRICS = ("f1", "precision", "recall", "accuracy", "balanced_accuracy", "roc_auc", "average_precision")
"""The names in ``models/verdict.py``, which is too heavy to import for a page of help."""


def build_parser(**runs: Callable[[argparse.Namespace], int]) -> argparse.ArgumentParser:
    """Return the parser; of each command's options ``run`` is what runs it, and ``parser`` tells a wrong call.

    Parameters
    ----------
    runs
        what runs each command: check, split, train, evaluate, predict, demo.

    Examples
    --------
    >>> names = ("check", "split", "train", "evaluate", "predict", "demo")
    >>> parser = build_parser(**dict.fromkeys(names, lambda options: 0))
    >>> parser.parse_args(["split", "board", "--test-size", "20"]).test_size
    20
    """
    parser = argparse.ArgumentParser(
        prog="vision-toolkit",
        description="Visual inspection on your own machine: check a manifest, train, evaluate, predict.",
        epilog="Begin with: vision-toolkit demo. Exit codes: 0 done, 1 the answer is no, 2 wrong call, 3 failed "
        "(standard error says why), 130 interrupted.",
    )
    parser.add_argument("--version", action="version", version=f"vision-toolkit {vt.__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")

    def command(name: str, text: str) -> argparse.ArgumentParser:
        one = commands.add_parser(name, help=text, description=text)
        one.set_defaults(run=runs[name], parser=one)
        one.add_argument("--json", action="store_true", help="print JSON for programs, and no progress")
        return one

    one = command("check", "Say everything that is odd in a manifest and its images.")
    _add_data(one)
    one.add_argument("--most", type=_whole(0), default=5, metavar="N", help="findings shown of each rule (default 5)")

    one = command("split", "Divide a manifest into train and test; near duplicates stay together.")
    _add_data(one)
    one.add_argument("--test-size", type=_size, default=0.25, metavar="N", help="share (0.25) or number (20) to test")
    _add_seed(one, "the same seed gives the same split (default 0)")
    one.add_argument(
        "--groups",
        default="near-duplicates",
        choices=("near-duplicates", "none"),
        help="what is never divided: images that look like one thing (default), or nothing",
    )
    one.add_argument("--out", metavar="DIR", help="where to write NAME-train.manifest and NAME-test.manifest")
    one.add_argument("--overwrite", action="store_true", help="replace files that are there")

    one = command("train", "Train a model; without --test its scores come from cross-validation.")
    _add_data(one)
    one.add_argument("--model", required=True, metavar="DIR", help="where to write the model")
    one.add_argument("--test", metavar="DATA", help="images to judge the model on, given as data is")
    one.add_argument("--report", metavar="DIR", help="write report.html and report.json there")
    one.add_argument(
        "--task",
        default="auto",
        choices=("auto", "classification", "segmentation"),
        help="verdict alone, or anomaly types as well; auto (default): types where there are masks",
    )
    _add_recipe(one)
    one.add_argument("--budget", type=_seconds, metavar="TIME", help="try nothing more after so long: 60s, 2min")
    one.add_argument(
        "--metric", default="f1", choices=METRICS, metavar="M", help=f"what is best: {', '.join(METRICS)} (default f1)"
    )
    one.add_argument(
        "--threshold",
        type=_rule,
        default="best_f1",
        metavar="RULE",
        help="best_f1 (default), at_recall(0.99), at_precision(0.9), at_cost(miss=50, reject=1), or 0 to 1",
    )
    _add_threads(one)
    one.add_argument("--overwrite", action="store_true", help="replace an older model or report, never anything else")

    one = command("evaluate", "Judge a model on labelled images.")
    one.add_argument("model", help="folder of the model")
    _add_data(one)
    one.add_argument("--report", metavar="DIR", help="write report.html and report.json there")
    _add_threads(one)
    one.add_argument("--overwrite", action="store_true", help="replace an older report, never anything else")

    one = command("predict", "Predict images, one line each.")
    one.add_argument("model", help="folder of the model")
    one.add_argument("image", nargs="+", help="image files, URIs, or folders of images")
    one.add_argument("--threshold", type=_share, metavar="T", help="another threshold than the model's, 0 to 1")
    one.add_argument("--overlays", metavar="DIR", help="write pictures with heat map and mask there: NAME-overlay.png")
    _add_threads(one)

    one = command("demo", "Go the whole way on a bundled dataset, offline.")
    one.add_argument("--dataset", default="board", help="board, casting or biscuit (default board)")
    one.add_argument("--out", default="out", metavar="DIR", help="where to write (default out); replaces an older demo")
    _add_recipe(one)
    _add_threads(one)
    return parser


def _add_data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "data", help="a manifest, a folder with normal/ and anomaly/ in it, or board, casting, biscuit (drawn here)"
    )
    parser.add_argument(
        "--images",
        action="append",
        default=[],
        metavar="DIR",
        help="where the images of a manifest lie: a folder, or PREFIX=FOLDER (may be repeated)",
    )


def _add_recipe(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--weights",
        default="auto",
        metavar="W",
        help="of the network: auto (default: from the hub, else fixed filters), none (fixed filters), a .safetensors "
        "file, or the name of a timm network",
    )
    parser.add_argument(
        "--preset",
        default="balanced",
        choices=("fast", "balanced", "best"),
        help="how closely to look: fast, balanced (default), or best, which takes longest",
    )
    _add_seed(parser, "the same seed gives the same model (default 0)")


def _add_seed(parser: argparse.ArgumentParser, text: str) -> None:
    parser.add_argument("--seed", type=_whole(0), default=0, metavar="N", help=text)


def _add_threads(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--threads", type=_whole(1), metavar="N", help="threads of one computation (default: all CPUs)")


# What a word on the command line must be


def _whole(least: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"a whole number from {least} is needed; {text!r} was given")
        return int(text)

    return read


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")


def _share(text: str) -> float:
    if not 0.0 <= _number(text) <= 1.0:
        raise argparse.ArgumentTypeError(f"a number from 0 to 1 is needed; {text!r} was given")
    return float(text)


def _size(text: str) -> int | float:
    if text.isdecimal() and int(text) > 0:
        return int(text)
    if not 0.0 < _number(text) < 1.0:
        raise argparse.ArgumentTypeError(
            f"a share between 0 and 1, or a number of images, is needed; {text!r} was given"
        )
    return float(text)


def _seconds(text: str) -> str:
    match = re.fullmatch(r"\s*([0-9]+\.?[0-9]*|\.[0-9]+)\s*(s|sec|seconds|min|m|minutes|h)?\s*", text)
    if match is None or not float(match[1]):
        raise argparse.ArgumentTypeError(f"a time above 0 is needed, such as 60s, 2min or 1h; {text!r} was given")
    return text


def _rule(text: str) -> str | float:
    from vision_toolkit.metrics.thresholds import choose_threshold

    rule: str | float = text if math.isnan(_number(text)) else float(text)
    try:
        choose_threshold(rule, [False, True], [0.0, 1.0])
    except Invalid:
        raise argparse.ArgumentTypeError(
            "best_f1, at_recall(0.99), at_precision(0.9), at_cost(miss=50, reject=1) or a number from 0 to 1 is "
            f"needed; {text!r} was given"
        ) from None
    return rule
