"""The command line: ``vision-toolkit check | split | train | evaluate | predict | demo``.

Exit codes: 0 done; 1 done, and the answer is no (errors in a manifest, an image that could not be predicted); 2 the
call was wrong; 3 it failed, and standard error says why in one sentence; 130 interrupted.
"""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import vision_toolkit as vt
from vision_toolkit.core.entry import Finding
from vision_toolkit.core.errors import Conflict, Invalid, NotFound, VisionError
from vision_toolkit.data.storage import new_folder

if TYPE_CHECKING:
    from vision_toolkit.data.manifest import Manifest
    from vision_toolkit.metrics.evaluation import Evaluation
    from vision_toolkit.models.model import Model

__all__ = ["main"]

REPORT_MARK = "report.json"
Say = Callable[[str], None]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    Parameters
    ----------
    arguments
        the words after the program's name; None = those of this process.

    Examples
    --------
    >>> main(["check", "nowhere.manifest"])
    3
    """
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.command is None:
        parser.print_help()
        return 2
    try:
        with warnings.catch_warnings():
            warnings.showwarning = lambda message, *rest, **more: print(f"Note: {message}", file=sys.stderr)
            return int(options.run(options))
    except VisionError as error:
        print(f"vision-toolkit {options.command}: {error}", file=sys.stderr)
        return 3
    except KeyboardInterrupt:
        print("\nInterrupted; nothing half-written is left.", file=sys.stderr)
        return 130
    except BrokenPipeError:
        sys.stderr.close()
        return 3


# The commands


def _check(options: argparse.Namespace) -> int:
    manifest = _open(options.data, options.images)
    findings = manifest.check()
    worst = sum(finding.severity == "error" for finding in findings)
    if options.json:
        facts = [
            {"line": f.line, "severity": f.severity, "rule": f.rule, "text": f.text, "repair": f.repair}
            for f in findings
        ]
        _print_json({"counts": manifest.counts(), "types": manifest.types, "findings": facts})
        return 1 if worst else 0
    print(manifest)
    for line in _grouped(findings, most=options.most):
        print(line)
    print(f"{worst} errors, {len(findings) - worst} other findings." if findings else "Nothing odd was found.")
    return 1 if worst else 0


def _split(options: argparse.Namespace) -> int:
    manifest = _open(options.data, options.images)
    train, test = vt.train_test_split(manifest, test_size=options.test_size, seed=options.seed)
    stem = Path(options.data).name.removesuffix(".manifest")
    folder = Path(options.out) if options.out else _folder_of(options.data)
    paths = [folder / f"{stem}-train.manifest", folder / f"{stem}-test.manifest"]
    for path in paths:
        if path.exists() and not options.overwrite:
            raise Conflict(f"{path} exists; give --out or --overwrite.")
    for part, path in zip((train, test), paths, strict=True):
        part.write(path, overwrite=options.overwrite)
    if options.json:
        _print_json({str(path): part.counts() for part, path in zip((train, test), paths, strict=True)})
    else:
        for part, path in zip((train, test), paths, strict=True):
            print(f"{path}: {part}")
    return 0


def _train(options: argparse.Namespace) -> int:
    manifest = _open(options.data, options.images)
    test = _open(options.test, options.images) if options.test else None
    if Path(options.model).exists() and not options.overwrite:
        raise Conflict(f"{options.model} exists; give another --model or --overwrite.")
    model = vt.train(
        manifest,
        test=test,
        task=options.task,
        weights=None if options.weights == "none" else options.weights,
        preset=options.preset,
        budget=options.budget,
        metric=options.metric,
        threshold=_threshold(options.threshold),
        seed=options.seed,
        threads=options.threads,
        progress=None if not options.json else False,
    )
    model.save(options.model, overwrite=options.overwrite)
    if options.report and model.evaluation is not None:
        judged = test if test is not None else manifest
        _write_report(model, model.evaluation, judged, options.report, manifest.check(), options.overwrite)
    if options.json:
        scores = model.evaluation.to_dict() if model.evaluation is not None else None
        _print_json({"model": options.model, "report": options.report, "evaluation": scores})
    else:
        print(model)
        print(model.evaluation if model.evaluation is not None else "Normal images alone: nothing to score it on.")
        print(f"Wrote {options.model}" + (f" and {options.report}/report.html" if options.report else ""))
    return 0


def _evaluate(options: argparse.Namespace) -> int:
    model = vt.load(options.model, threads=options.threads)
    manifest = _open(options.data, options.images)
    evaluation = model.evaluate(manifest)
    if options.report:
        _write_report(model, evaluation, manifest, options.report, manifest.check(), options.overwrite)
    if options.json:
        _print_json(evaluation.to_dict())
    else:
        print(evaluation)
        for name, score in evaluation.types.items():
            print(f"  {name}: {score}")
    return 0


def _predict(options: argparse.Namespace) -> int:
    model = vt.load(options.model, threads=options.threads)
    if options.threshold is not None:
        model = model.at(options.threshold)
    failed = 0
    for source in options.image:
        try:
            prediction = model.predict(source)
        except VisionError as error:
            failed += 1
            _print_line(options.json, {"source": source, "error": str(error)}, f"{source}: {error}", error=True)
            continue
        _print_line(options.json, prediction.to_dict(), f"{source}: {prediction}")
        if options.overlays:
            _write_overlay(source, prediction, Path(options.overlays))
    return 1 if failed else 0


def _demo(options: argparse.Namespace) -> int:
    """Go the whole way once on a bundled dataset."""
    say: Say = (lambda text: None) if options.json else (lambda text: print(text, flush=True))
    manifest = vt.load_dataset(options.dataset)
    say(f"1. Read {options.dataset}: {manifest}")
    findings = manifest.check()
    say(f"2. Checked: {sum(f.severity == 'error' for f in findings)} errors, {len(findings)} findings in all")
    train, test = vt.train_test_split(manifest, test_size=0.3, seed=options.seed)
    say(f"3. Split, near duplicates together: {len(train)} to train with, {len(test)} to test with")
    say("4. Training (features, memory of normal patches, verdict, anomaly types) ...")
    weights = None if options.weights == "none" else options.weights
    model = vt.train(train, weights=weights, preset=options.preset, seed=options.seed)
    say(f"   {model}\n   because {model.info['verdict']['why']}")
    say("5. Testing on the images that it has not seen ...")
    evaluation = model.evaluate(test)
    say(f"   {evaluation}")
    with new_folder(options.out, overwrite=True, mark=REPORT_MARK) as folder:
        (folder / "model").mkdir()
        model.write_files(folder / "model")
        _report(model, evaluation, test, folder, findings)
    if options.json:
        _print_json({"out": options.out, "evaluation": evaluation.to_dict()})
    out = Path(options.out)
    say(
        f"6. Wrote {out / 'report.html'} (open it in a browser), {out / 'report.json'} (the same facts) and\n"
        f"   {out / 'model'} (vt.load({str(out / 'model')!r}); or: vision-toolkit predict {out / 'model'} IMAGE...)"
    )
    return 0


# What the commands share


def _open(data: str, images: Sequence[str]) -> Manifest:
    """Open a manifest, a folder with normal/ and anomaly/, or a bundled dataset by its name."""
    path = Path(data)
    places: Any = None
    if images:
        pairs = [text.partition("=") for text in images]
        if len(pairs) == 1 and not pairs[0][1]:
            places = pairs[0][0]
        elif all(middle for _, middle, _ in pairs):
            places = {prefix: folder for prefix, _, folder in pairs}
        else:
            raise Invalid("--images is one folder, or prefixes with their folders: --images s3://bucket/prefix=folder")
    if path.is_dir():
        return vt.Manifest.from_folder(path)
    if not path.exists() and "/" not in data and not path.suffix:
        try:
            return vt.load_dataset(data)
        except NotFound as error:
            raise NotFound(f"There is no file, folder or bundled dataset {data!r}. {error}") from None
    return vt.Manifest.read(data, images=places)


def _folder_of(data: str) -> Path:
    path = Path(data)
    return path.parent if path.exists() else Path()


def _threshold(text: str) -> str | float:
    try:
        return float(text)
    except ValueError:
        return text


def _grouped(findings: Sequence[Finding], *, most: int) -> list[str]:
    """Say each rule's first findings, and how many more there are."""
    lines: list[str] = []
    seen: Counter[str] = Counter()
    for finding in findings:
        seen[finding.rule] += 1
        if seen[finding.rule] <= most:
            lines.append(str(finding))
    lines += [f"... and {n - most} more of [{rule}]" for rule, n in seen.items() if n > most]
    return lines


def _write_report(
    model: Model,
    evaluation: Evaluation,
    manifest: Manifest,
    out: str,
    findings: Sequence[Finding],
    overwrite: bool,
) -> None:
    with new_folder(out, overwrite=overwrite, mark=REPORT_MARK) as folder:
        _report(model, evaluation, manifest, folder, findings)


def _report(
    model: Model, evaluation: Evaluation, manifest: Manifest, folder: Path, findings: Sequence[Finding]
) -> None:
    from vision_toolkit.models.report import write_report

    write_report(model, evaluation, manifest, folder, findings=findings)


def _write_overlay(source: str, prediction: vt.Prediction, folder: Path) -> None:
    from vision_toolkit.data.images import encode_png, read_image
    from vision_toolkit.data.storage import write_file

    picture = vt.overlay(read_image(source), mask=prediction.mask, map=prediction.map)
    write_file(folder / f"{Path(source).stem}-overlay.png", encode_png(picture), overwrite=True)


def _print_json(facts: Any) -> None:
    print(json.dumps(facts, indent=1, allow_nan=False, default=list))


def _print_line(as_json: bool, facts: dict[str, Any], text: str, *, error: bool = False) -> None:
    if as_json:
        print(json.dumps(facts, allow_nan=False), flush=True)
    else:
        print(text, file=sys.stderr if error else sys.stdout, flush=True)


# The words of the commands


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="vision-toolkit",
        description="Visual inspection on your own machine: check a manifest, train, evaluate, predict.",
        epilog="Exit codes: 0 done, 1 the answer is no, 2 wrong call, 3 failed (standard error says why).",
    )
    parser.add_argument("--version", action="version", version=f"vision-toolkit {vt.__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")

    def command(name: str, text: str, run: Callable[[argparse.Namespace], int]) -> argparse.ArgumentParser:
        one = commands.add_parser(name, help=text, description=text)
        one.set_defaults(run=run)
        one.add_argument("--json", action="store_true", help="print JSON for programs")
        return one

    one = command("check", "Say everything that is odd in a manifest and its images.", _check)
    _add_data(one)
    one.add_argument("--most", type=int, default=5, metavar="N", help="findings shown of each rule (default 5)")

    one = command("split", "Divide a manifest into train and test; near duplicates stay together.", _split)
    _add_data(one)
    one.add_argument("--test-size", type=float, default=0.25, metavar="SHARE", help="share to test (default 0.25)")
    one.add_argument("--seed", type=int, default=0, help="the same seed gives the same split (default 0)")
    one.add_argument("--out", metavar="DIR", help="where to write NAME-train.manifest and NAME-test.manifest")
    one.add_argument("--overwrite", action="store_true", help="replace files that are there")

    one = command("train", "Train a model; without --test its scores come from cross-validation.", _train)
    _add_data(one)
    one.add_argument("--model", required=True, metavar="DIR", help="where to write the model")
    one.add_argument("--test", metavar="DATA", help="images to judge the model on")
    one.add_argument("--report", metavar="DIR", help="write report.html and report.json there")
    one.add_argument("--task", default="auto", choices=("auto", "classification", "segmentation"))
    one.add_argument(
        "--weights", default="auto", metavar="W", help="auto, none (random), a .safetensors file, a timm network"
    )
    one.add_argument("--preset", default="balanced", choices=("fast", "balanced", "best"))
    one.add_argument("--budget", metavar="TIME", help="stop trying after so long: 60s, 2min")
    one.add_argument("--metric", default="f1", help="by which candidates are compared (default f1)")
    one.add_argument(
        "--threshold",
        default="best_f1",
        metavar="RULE",
        help="best_f1, at_recall(0.99), at_cost(miss=50, reject=1), 0.5",
    )
    one.add_argument("--seed", type=int, default=0)
    _add_threads(one)
    one.add_argument("--overwrite", action="store_true", help="replace an older model or report, never anything else")

    one = command("evaluate", "Judge a model on labelled images.", _evaluate)
    one.add_argument("model", help="folder of the model")
    _add_data(one)
    one.add_argument("--report", metavar="DIR", help="write report.html and report.json there")
    _add_threads(one)
    one.add_argument("--overwrite", action="store_true", help="replace an older report")

    one = command("predict", "Predict images, one line each.", _predict)
    one.add_argument("model", help="folder of the model")
    one.add_argument("image", nargs="+", help="image files or URIs")
    one.add_argument("--threshold", type=float, metavar="T", help="another threshold than the model's, 0 to 1")
    one.add_argument("--overlays", metavar="DIR", help="write pictures with heat map and mask there")
    _add_threads(one)

    one = command("demo", "Go the whole way on a bundled dataset, offline.", _demo)
    one.add_argument("--dataset", default="board", help="board, casting or biscuit (default board)")
    one.add_argument("--out", default="out", metavar="DIR", help="where to write (default out)")
    one.add_argument("--weights", default="auto", metavar="W")
    one.add_argument("--preset", default="balanced", choices=("fast", "balanced", "best"))
    one.add_argument("--seed", type=int, default=0)
    return parser


def _add_data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "data", help="a manifest, a folder with normal/ and anomaly/ in it, or a bundled dataset's name"
    )
    parser.add_argument(
        "--images",
        action="append",
        default=[],
        metavar="DIR",
        help="where the images lie: a folder, or PREFIX=FOLDER (may be repeated)",
    )


def _add_threads(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--threads", type=int, metavar="N", help="threads of one computation")


if __name__ == "__main__":
    sys.exit(main())
