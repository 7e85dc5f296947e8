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
        what runs each command, by its name.

    Examples
    --------
    >>> data, models = "check repair convert diff stats curate put split", "train evaluate predict card demo"
    >>> names = f"{data} {models} serve keys aws_model edge".split()
    >>> parser = build_parser(**dict.fromkeys(names, lambda options: 0))
    >>> parser.parse_args(["split", "board", "--test-size", "20"]).test_size
    20
    """
    parser = argparse.ArgumentParser(
        prog="vision-toolkit",
        description="Visual inspection on your own machine: check, repair, convert and curate data; train, evaluate, "
        "predict.",
        epilog="Begin with: vision-toolkit demo. Exit codes: 0 done, 1 the answer is no, 2 wrong call, 3 failed "
        "(standard error says why), 130 interrupted.",
    )
    parser.add_argument("--version", action="version", version=f"vision-toolkit {vt.__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")

    def command(name: str, text: str) -> argparse.ArgumentParser:
        one = commands.add_parser(name, help=text, description=text)
        one.set_defaults(run=runs[name.replace("-", "_")], parser=one)
        one.add_argument("--json", action="store_true", help="print JSON for programs, and no progress")
        return one

    _add_data_commands(command)
    _add_bucket_commands(command)

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
    one.add_argument(
        "--prevalence",
        type=_prevalence,
        metavar="P",
        help="share of anomalies on the line, such as 0.07 (default: that of the training images)",
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

    one = command("card", "Say in words what a model is: what it learned from, how it judges, what it is worth.")
    one.add_argument("model", help="folder of the model")

    one = command("demo", "Go the whole way on a bundled dataset, offline.")
    one.add_argument("--dataset", default="board", help="board, casting or biscuit (default board)")
    one.add_argument("--out", default="out", metavar="DIR", help="where to write (default out); replaces an older demo")
    _add_recipe(one)
    _add_threads(one)

    _add_service_commands(command)
    _add_edge_commands(command)
    return parser


def _add_data_commands(command: Callable[[str, str], argparse.ArgumentParser]) -> None:
    """Add the commands in ``data_commands``."""
    one = command("check", "Say everything that is odd in a manifest of any size, or a data set, and its images.")
    _add_data(one, optional=True)
    _add_look(one, ("whole", "header", "none"), "decode images whole (default), read their headers, or look at none")
    one.add_argument(
        "--journal", metavar="FILE", help="remember there what was looked at: an interrupted check goes on"
    )
    _add_most(one, "findings shown of each rule (default 5; with --json all)")
    one.add_argument("--rules", action="store_true", help="list the rules instead; no data is needed")
    _add_threads(one)

    one = command("repair", "Show what a repair of a manifest would do; with NEW, write it there. The old one stays.")
    one.add_argument("data", metavar="MANIFEST", help="a manifest of any size")
    one.add_argument("new", metavar="NEW", nargs="?", help="the manifest to write")
    one.add_argument(
        "--rule", action="append", default=[], type=_repairable, metavar="ID", help="repair this too (may be repeated)"
    )
    one.add_argument(
        "--skip", action="append", default=[], type=_repairable, metavar="ID", help="leave this alone (may be repeated)"
    )
    _add_images(one)
    one.add_argument("--relocate", action="store_true", help="NEW lies in another folder: rewrite relative places")
    one.add_argument("--overwrite", action="store_true", help="replace NEW if it is there, never the old manifest")
    _add_threads(one)

    one = command("convert", "Read a data set of any format, and write it in any other.")
    one.add_argument("data", metavar="SOURCE", nargs="?", help="a file or folder of any format, or a bundled dataset")
    one.add_argument("dest", metavar="DEST", nargs="?", help="the folder to make; with --refer often a file")
    _add_format(one)
    one.add_argument("--to", type=_format, default="lookout", metavar="FORMAT", help="what to write (default lookout)")
    one.add_argument("--formats", "--list", action="store_true", help="list the formats instead")
    _add_images(one)
    ways = one.add_mutually_exclusive_group()
    ways.add_argument("--copy", action="store_true", help="copy the images: DEST is complete in itself (default)")
    ways.add_argument("--link", action="store_true", help="hard links where the disk allows, else copies")
    ways.add_argument("--refer", action="store_true", help="name the images where they lie")
    _add_split(one)
    one.add_argument(
        "--class",
        dest="classes",
        action="append",
        default=[],
        type=_meaning,
        metavar="NAME=LABEL",
        help="what a class means: good=normal, scratched=anomaly (may be repeated)",
    )
    one.add_argument(
        "--label-from-regions", action="store_true", help="an unlabelled image with a region or mask is an anomaly"
    )
    one.add_argument("--paint", action="store_true", help="draw the regions of images without a mask into one")
    one.add_argument(
        "--column",
        dest="columns",
        action="append",
        default=[],
        type=_column,
        metavar="OURS=THEIRS",
        help="CSV: which column is meant: source=path, label=verdict (may be repeated)",
    )
    one.add_argument(
        "--skip-missing", action="store_true", help="leave out images that are not there, and say which they are"
    )
    one.add_argument("--overwrite", action="store_true", help="replace what convert wrote there, never anything else")

    one = command("diff", "Say what differs between two manifests or data sets; 0: nothing, 1: something.")
    one.add_argument("old", metavar="OLD", help="as it was")
    one.add_argument("new", metavar="NEW", help="as it is now")
    _add_format(one)
    _add_most(one, "differences shown of each kind (default 20; with --json all)")
    one.set_defaults(images=[])

    one = command("stats", "Say what is in a data set: labels, types, tags, sizes, folders, dates.")
    _add_data(one)
    _add_look(one, ("header", "none"), "read the images' headers and the masks (default), or look at no file")
    _add_most(one, "lines shown of each kind (default 10; with --json all)")
    _add_threads(one)

    one = command("curate", "Look at the pictures: bad ones, copies, contradictions, leaks; say what to remove.")
    _add_data(one)
    one.add_argument("--test", metavar="DATA", help="the test set: what stands in both is a leak")
    one.add_argument("--report", metavar="PAGE", help="write one HTML page with the pictures of the worst there")
    one.add_argument("--apply", metavar="NEW", help="write a manifest of DATA there, without what is to be removed")
    one.add_argument(
        "--drop", action="append", default=[], type=_removable, metavar="RULE", help="remove what breaks this rule too"
    )
    one.add_argument(
        "--keep", action="append", default=[], type=_removable, metavar="RULE", help="remove nothing for this rule"
    )
    _add_most(one, "findings shown of each rule (default 5; with --json all)")
    one.add_argument("--overwrite", action="store_true", help="replace PAGE and NEW if they are there, never DATA")
    _add_threads(one)


def _add_bucket_commands(command: Callable[[str, str], argparse.ArgumentParser]) -> None:
    one = command("put", "Copy the files of a folder into a bucket of the workspace; what is there already stays.")
    one.add_argument("folder", metavar="FOLDER", help="the folder; each file is copied under its path from there")
    one.add_argument("uri", metavar="URI", help="s3://BUCKET or s3://BUCKET/PREFIX")
    one.add_argument(
        "--workspace",
        metavar="DIR",
        help="the workspace, where buckets are folders: the files go to DIR/buckets/s3/BUCKET/PREFIX. Not needed with "
        "VISION_TOOLKIT_S3=s3, which means a real S3",
    )
    _add_most(one, "files shown that were refused (default 5; with --json all)")
    one.add_argument("--overwrite", action="store_true", help="replace what is there and differs")


def _add_service_commands(command: Callable[[str, str], argparse.ArgumentParser]) -> None:
    """Add the commands in ``service_commands``."""
    one = command(
        "serve", "Offer a workspace over HTTP, to unmodified programs of Amazon Lookout for Vision and OCI Vision."
    )
    _add_workspace(one)
    one.add_argument("--host", default="127.0.0.1", metavar="H", help="address to listen on (default 127.0.0.1)")
    one.add_argument("--port", type=_whole(0), default=8000, metavar="P", help="port (default 8000; 0: a free one)")
    one.add_argument(
        "--s3",
        choices=("folders", "s3"),
        help="where s3://BUCKET/KEY is: a file of the workspace (folders; default), or a real S3 or a compatible store",
    )
    one.add_argument("--database", metavar="URL", help="where the records are: postgresql://... (default: a file)")
    one.add_argument("--weights", metavar="W", help="of the network of trainings: auto, hub, a timm network, none")
    one.add_argument("--preset", choices=("fast", "balanced", "best"), help="of trainings (default balanced)")
    one.add_argument("--no-limits", action="store_true", help="do not enforce the quotas that Lookout published")
    one.add_argument("--region", metavar="R", help="in the names that are given (default us-east-1)")
    one.add_argument("--certificate", metavar="FILE", help="serve https with this certificate (PEM)")
    one.add_argument("--private-key", metavar="FILE", help="and its key (PEM)")
    one.add_argument(
        "--allow-host", action="append", default=[], metavar="NAME", help="further name for a server on loopback"
    )
    _add_threads(one)

    one = command("keys", "Make, list or take back the keys of a workspace; with the first, all must sign.")
    one.add_argument(
        "action", choices=("create", "add", "list", "revoke"),
        help="create: an access key for AWS's programs; add: make a public key known, for OCI's",
    )  # fmt: skip
    one.add_argument("key", nargs="?", help="add: the file of a public key (PEM); revoke: the id or the fingerprint")
    _add_workspace(one)
    one.add_argument("--note", default="", metavar="TEXT", help="whose a new key is")
    one.add_argument("--read-only", action="store_true", help="a new key may only look")

    one = command("aws-model", "Teach today's boto3 and AWS command line the service, which they no longer know.")
    one.add_argument("action", choices=("install", "print"), help="write it where they look, or print service-2.json")
    one.add_argument(
        "--models", default="~/.aws/models", metavar="DIR", help="where to install (default ~/.aws/models)"
    )


def _add_edge_commands(command: Callable[[str, str], argparse.ArgumentParser]) -> None:
    """Add the commands in ``edge_commands``."""
    one = command("edge", "Serve packages over gRPC, to unmodified clients of Lookout for Vision's Edge Agent.")
    one.add_argument("action", choices=("run",), help="run the agent until a signal ends it")
    one.add_argument(
        "package", nargs="+", metavar="PACKAGE", help="folder or zip file of a package; NAME=PACKAGE gives another name"
    )
    where = one.add_mutually_exclusive_group()
    where.add_argument(
        "--socket",
        metavar="PATH",
        help="unix socket to listen on (default unix:///tmp/aws.iot.lookoutvision.EdgeAgent.sock, where clients look)",
    )
    where.add_argument("--port", type=_whole(0), metavar="P", help="listen on a port instead (0: a free one)")
    one.add_argument("--host", default="127.0.0.1", metavar="H", help="and on this address (default 127.0.0.1)")
    one.add_argument(
        "--start", action="store_true", help="start all models; without it those that ran when the agent ended last"
    )
    one.add_argument(
        "--workers", type=_whole(1), default=1, metavar="N", help="processes for each model, an image at a time each"
    )
    one.add_argument("--threads", type=_whole(1), default=1, metavar="N", help="threads of one computation (default 1)")
    one.add_argument(
        "--folder", default="edge", metavar="DIR", help="the agent's own folder: unpacked packages, and what is to run"
    )


def _add_workspace(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--workspace", default="workspace", metavar="DIR", help="folder of the workspace (default workspace)"
    )


def _add_data(parser: argparse.ArgumentParser, *, optional: bool = False) -> None:
    parser.add_argument(
        "data",
        nargs="?" if optional else None,
        help="a manifest, a folder with normal/ and anomaly/ in it, a file or folder of another format (COCO, YOLO, "
        "an export; see convert --formats), or board, casting, biscuit (drawn here)",
    )
    _add_images(parser)
    _add_format(parser)
    _add_split(parser)


def _add_images(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--images",
        action="append",
        default=[],
        metavar="DIR",
        help="where the images of a manifest lie: a folder, or PREFIX=FOLDER (may be repeated)",
    )


def _add_format(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--from", dest="source_format", type=_format, metavar="FORMAT", help="its format, if it fits several or none"
    )


def _add_split(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--split", metavar="NAME", help="one split of a data set that has several: train, test")


def _add_look(parser: argparse.ArgumentParser, ways: tuple[str, ...], text: str) -> None:
    parser.add_argument("--look", choices=ways, default=ways[0], help=text)


def _add_most(parser: argparse.ArgumentParser, text: str) -> None:
    parser.add_argument("--most", type=_whole(0), metavar="N", help=text)


def _add_recipe(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--weights",
        default="auto",
        metavar="W",
        help="of the network: auto (default: ours, in the package), hub or a timm network (both from the hub), a "
        ".safetensors file, or none (fixed filters that never learned to see)",
    )
    parser.add_argument(
        "--preset",
        default="balanced",
        choices=("fast", "balanced", "best"),
        help="the sizes at which images are looked at: fast (224 pixels), balanced (224 and 448; default), or best "
        "(224, 448 and 640), which takes longest",
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


def _prevalence(text: str) -> float:
    if not 0.0 < _number(text) < 1.0:
        raise argparse.ArgumentTypeError(f"a share above 0 and below 1 is needed, such as 0.07; {text!r} was given")
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


def _format(text: str) -> str:
    from vision_toolkit.data.formats import format_names

    names = format_names()
    if text not in names:
        raise argparse.ArgumentTypeError(f"there is no format {text!r}; there are: {', '.join(names)}")
    return text


def _repairable(text: str) -> str:
    from vision_toolkit.data.repair import REPAIRABLE
    from vision_toolkit.data.rules import RULES

    if text not in RULES:
        raise argparse.ArgumentTypeError(f"there is no rule {text!r}; a repair knows: {', '.join(REPAIRABLE)}")
    if text not in REPAIRABLE:
        raise argparse.ArgumentTypeError(f"{text!r} needs a person: {RULES[text].repair or RULES[text].why}")
    return text


def _removable(text: str) -> str:
    from vision_toolkit.curation.report import REMOVABLE

    if text not in REMOVABLE:
        raise argparse.ArgumentTypeError(f"no image is removed by {text!r}; there are: {', '.join(REMOVABLE)}")
    return text


def _meaning(text: str) -> tuple[str, str]:
    from vision_toolkit.core.entry import Label

    name, equals, label = text.rpartition("=")
    labels = [str(one) for one in Label]
    if not equals or not name.strip() or label.casefold() not in labels:
        raise argparse.ArgumentTypeError(f"CLASS=LABEL is needed, LABEL one of {', '.join(labels)}; {text!r} was given")
    return name, label.casefold()


def _column(text: str) -> tuple[str, str]:
    ours, equals, theirs = text.partition("=")
    if not equals or not ours or not theirs:
        raise argparse.ArgumentTypeError(f"OURS=THEIRS is needed, source=path say; {text!r} was given")
    return ours, theirs
