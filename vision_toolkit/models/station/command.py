"""Do what a package is asked on the command line.

    python FOLDER predict IMAGE...     one JSON line an image: source, is_anomalous, confidence, score
    python FOLDER serve [OPTION...]    answer over HTTP; serve --help
    python FOLDER watch IN OUT         answer whatever comes into a folder; watch --help
    python FOLDER check                whether the package is whole and gives its golden answers on this machine

FOLDER is the package, or its zip file as it is (but to watch it must be unpacked). VISION_TOOLKIT_THREADS says how many
threads one computation takes, VISION_TOOLKIT_ENGINE what computes: onnxruntime, cuda or openvino.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from . import files

__all__ = ["main"]

VERBS = ("predict", "serve", "watch", "check")


def main(arguments: Sequence[str], *, folder: Path) -> int:
    """Do what the words of the command line say with the package in a folder; return the exit status.

    A package whose files are not those that were exported does nothing.
    """
    verb, *words = arguments or [""]
    if verb not in VERBS:
        print(__doc__, file=sys.stdout if verb in ("-h", "--help") else sys.stderr)
        return 0 if verb in ("-h", "--help") else 2
    root = files.open_package(folder)
    if verb != "check":
        try:
            fault = next(files.faults(root, files.read_facts(root)["files"]), None)
        except ValueError as error:
            fault = str(error)
        if fault is not None:
            return _refuse(f"The package is not as it was exported: {fault}. Fetch it again.")
    runtime = importlib.import_module("runtime")  # the package's own, whose place Python put first
    if verb == "predict":
        return int(runtime.main(words, root))
    if verb == "watch":
        if not isinstance(root, Path):
            return _refuse("To watch a folder the package must be unpacked: python -m zipfile -e PACKAGE.zip FOLDER.")
        try:
            watch = importlib.import_module(".watch", __package__)
        except ModuleNotFoundError as error:
            return _refuse(f"This package cannot watch a folder: it has no {error.name}. Export the model again.")
        return int(watch.main(words, folder=folder, runtime=runtime))
    if verb == "serve":
        from . import serve

        return serve.main(words, root=root, runtime=runtime)
    from . import check

    return check.main(root, runtime)


def _refuse(why: str) -> int:
    print(json.dumps({"error": why}), flush=True)
    return 1
