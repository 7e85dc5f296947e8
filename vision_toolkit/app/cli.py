"""The command line: ``vision-toolkit COMMAND``.

``check`` and ``repair`` are in :mod:`.doctor_commands`, ``convert``, ``diff``, ``stats`` and ``curate`` in
:mod:`.data_commands`, ``put`` in :mod:`.bucket_commands`, ``serve``, ``keys`` and ``aws-model`` in
:mod:`.service_commands`, ``edge`` in :mod:`.edge_commands`; ``split``, ``train``, ``evaluate``, ``predict``, ``card``
and ``demo`` are here.

Exit codes: 0 done; 1 done, and the answer is no (errors in a manifest, a difference, an image that could not be
predicted); 2 the call was wrong; 3 it failed, and standard error says why; 130 interrupted; 141 whoever read the
output has gone. With ``--json`` standard output is JSON alone: one value, or one a line for ``predict``.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import sys
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import vision_toolkit as vt
from vision_toolkit.app import bucket_commands, data_commands, doctor_commands, edge_commands, service_commands
from vision_toolkit.app.arguments import build_parser
from vision_toolkit.app.opening import open_both, open_data
from vision_toolkit.app.saying import as_typed, bar, complain, print_json, safely, some
from vision_toolkit.core.entry import Finding
from vision_toolkit.core.errors import Conflict, Failed, NotFound, VisionError
from vision_toolkit.data.storage import check_folder, is_local, local_path, new_folder, write_file

if TYPE_CHECKING:
    from vision_toolkit.data.manifest import Manifest
    from vision_toolkit.metrics.evaluation import Evaluation
    from vision_toolkit.models.model import Model

__all__ = ["main"]

ROOMS = (doctor_commands, data_commands, bucket_commands, service_commands, edge_commands)
OTHER_COMMANDS = {name: getattr(room, name) for room in ROOMS for name in room.__all__}

REPORT = ("report.json", "report.html")
DEMO = ("model", *REPORT)
"""What a command writes into its folder; the first tells whose it is. A folder with anything else in it stays."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; a wrong call, ``--help`` and ``--version`` raise SystemExit.

    Parameters
    ----------
    arguments
        the words after the program's name; None = those of this process.

    Examples
    --------
    >>> main(["check", "nowhere.manifest"])
    3
    """
    ours = {"split": _split, "train": _train, "evaluate": _evaluate, "predict": _predict, "card": _card, "demo": _demo}
    parser = build_parser(**OTHER_COMMANDS, **ours)
    options = parser.parse_args(arguments)
    if options.command is None:
        parser.print_help(sys.stderr)
        return 2
    try:
        with warnings.catch_warnings(), safely():
            warnings.showwarning = lambda message, *rest, **more: complain(f"Note: {message}")
            code = int(options.run(options))
            sys.stdout.flush()
            return code
    except VisionError as error:
        complain(f"vision-toolkit {options.command}: {error}")
        return 3
    except KeyboardInterrupt:
        complain("\nInterrupted; nothing half-written is left.")
        return 130
    except BrokenPipeError:
        _forget_output()
        return 141
    except OSError as error:
        _forget_output()
        complain(f"vision-toolkit {options.command}: the system refused: {error.strerror or error}.")
        return 3


# The commands


def _split(options: argparse.Namespace) -> int:
    folder, stem = _beside(options.data)
    folder = local_path(options.out) if options.out else folder
    paths = {side: folder / f"{stem}-{side}.manifest" for side in ("train", "test")}
    for path in paths.values():
        if path.is_dir() or (path.exists() and not options.overwrite):
            raise Conflict(f"{path} exists; give --out DIR or --overwrite.")
    manifest = open_data(options, options.data).one()
    with bar("looking for near duplicates", options) as tell:
        train, test = vt.train_test_split(
            manifest,
            test_size=options.test_size,
            seed=options.seed,
            groups=None if options.groups == "none" else options.groups,
            progress=lambda done, total: tell(done / total),
        )
    parts = {"train": train, "test": test}
    _write_together(parts, paths)
    if options.json:
        print_json({side: {"path": str(paths[side]), "counts": part.counts()} for side, part in parts.items()})
        return 0
    for side, part in parts.items():
        print(f"{paths[side]}: {part}")
    if options.images and not all(is_local(entry.source) for entry in manifest):
        print("Their lines name other places, as before: give --images again when you use them.")
    return 0


def _train(options: argparse.Namespace) -> int:
    from vision_toolkit.models.model import MODEL_FILES

    check_folder(options.model, names=MODEL_FILES, overwrite=options.overwrite)
    if options.report:
        if _inside(options.model, options.report) or _inside(options.report, options.model):
            options.parser.error("--model and --report must be two folders, neither inside the other")
        check_folder(options.report, names=REPORT, overwrite=options.overwrite)
    manifest, test = open_both(options)
    model = vt.train(
        manifest,
        test=test,
        task=options.task,
        weights=_weights(options),
        preset=options.preset,
        budget=options.budget,
        metric=options.metric,
        threshold=options.threshold,
        prevalence=options.prevalence,
        seed=options.seed,
        threads=options.threads,
        progress=False if options.json else None,
    )
    model.save(options.model, overwrite=options.overwrite)
    evaluation = model.evaluation
    if options.report and evaluation is not None:
        try:
            _write_report(model, evaluation, manifest if test is None else test, options, manifest.check())
        except VisionError as error:
            raise Failed(f"{error} The model itself was written: {options.model}.") from error
    written = [options.model, *([str(Path(options.report, "report.html"))] if options.report and evaluation else [])]
    if options.json:
        facts = {"task": str(model.task), "types": model.types, "threshold": model.threshold}
        report = options.report if evaluation else None
        scores = evaluation.to_dict() if evaluation else None
        print_json({"model": options.model, "report": report, **facts, "evaluation": scores})
        return 0
    print(model)
    if evaluation:
        _print_evaluation(evaluation)
    else:
        print(
            "Trained on normal images alone, so there are no scores" + " and no report" * bool(options.report), end=""
        )
        print("; give --test DATA with some anomalies in it to get them.")
    print(f"Wrote {' and '.join(written)}")
    return 0


def _evaluate(options: argparse.Namespace) -> int:
    if options.report:
        check_folder(options.report, names=REPORT, overwrite=options.overwrite)
    model = vt.load(options.model, threads=options.threads)
    manifest = open_data(options, options.data).one("test")
    with bar("judging", options) as tell:
        evaluation = model.evaluate(manifest, progress=lambda share, text: tell(share))
    if options.report:
        _write_report(model, evaluation, manifest, options, manifest.check())
    if options.json:
        print_json(evaluation.to_dict())
        return 0
    _print_evaluation(evaluation)
    if options.report:
        print(f"Wrote {Path(options.report, 'report.html')}")
    return 0


def _predict(options: argparse.Namespace) -> int:
    folder = local_path(options.overlays) if options.overlays else None
    if folder is not None:
        check_folder(folder / "overlays")
    sources = list(_sources(options.image))
    model = vt.load(options.model, threads=options.threads)
    if options.threshold is not None:
        model = model.at(options.threshold)
    failed = 0
    taken: Counter[str] = Counter()
    for source in sources:
        try:
            prediction = model.predict(source)
        except VisionError as error:
            failed += 1
            said = str(error) if str(error).startswith(source) else f"{source}: {error}"
            _print_line(options.json, {"source": source, "error": str(error)}, as_typed(said), error=True)
            continue
        _print_line(options.json, prediction.to_dict(), f"{source}: {prediction}")
        if folder is not None:
            stem = Path(source).stem
            taken[stem] += 1
            number = f"-{taken[stem]}" if taken[stem] > 1 else ""  # images of two folders may share a name
            _write_overlay(source, prediction, folder / f"{stem}{number}-overlay.png")
    return 1 if failed else 0


def _card(options: argparse.Namespace) -> int:
    model = vt.load(options.model, threads=1)
    if options.json:
        print_json(model.info)
    else:
        print(model.card(), end="")
    return 0


def _demo(options: argparse.Namespace) -> int:
    """Go the whole way once on a bundled dataset."""
    check_folder(options.out, names=DEMO, overwrite=True)

    def say(text: str) -> None:
        if not options.json:
            print(text, flush=True)

    manifest = vt.load_dataset(options.dataset)
    say(f"1. Read {options.dataset}: {manifest}")
    findings = manifest.check()
    errors = sum(f.severity == "error" for f in findings)
    say(f"2. Checked: {some(errors, 'error')}, {some(len(findings) - errors, 'other finding')}")
    with bar("looking for near duplicates", options) as tell:
        train, test = vt.train_test_split(
            manifest, test_size=0.3, seed=options.seed, progress=lambda done, total: tell(done / total)
        )
    say(f"3. Split, near duplicates together: {len(train)} to train with, {len(test)} to test with")
    say("4. Training (features, memory of normal patches, verdict, anomaly types) ...")
    quiet = False if options.json else None
    model = vt.train(
        train,
        weights=_weights(options),
        preset=options.preset,
        seed=options.seed,
        threads=options.threads,
        progress=quiet,
    )
    say(f"   {model}\n   because {model.info['verdict']['why']}")
    say("5. Testing on the images that it has not seen ...")
    with bar("judging", options) as tell:
        evaluation = model.evaluate(test, progress=lambda share, text: tell(share))
    say(f"   {evaluation}")
    with new_folder(options.out, overwrite=True, names=DEMO) as folder:
        (folder / "model").mkdir()
        model.write_files(folder / "model")
        _report(model, evaluation, test, folder, findings)
    if options.json:
        print_json({"out": options.out, "evaluation": evaluation.to_dict()})
    out = Path(options.out)
    say(
        f"6. Wrote {out / 'report.html'} (open it in a browser), {out / 'report.json'} (the same facts) and\n"
        f"   {out / 'model'} (vt.load({str(out / 'model')!r}); or: vision-toolkit predict {out / 'model'} IMAGE...)"
    )
    return 0


# What goes in


def _sources(words: Sequence[str]) -> Iterator[str]:
    """Yield what to predict: images as they are named, and each image below a folder."""
    from vision_toolkit.data.images import SUFFIXES

    for word in words:
        if not os.path.isdir(word):
            yield word
            continue
        files = sorted(path for path in Path(word).rglob("*") if path.suffix.lower() in SUFFIXES)
        if not files:
            raise NotFound(f"There is no image in the folder {word}; its files must end in {', '.join(SUFFIXES)}.")
        yield from map(str, files)


def _weights(options: argparse.Namespace) -> str | None:
    return None if options.weights == "none" else str(options.weights)


# What comes out


def _inside(inner: str, outer: str) -> bool:
    return Path(os.path.abspath(inner)).is_relative_to(os.path.abspath(outer))


def _beside(data: str) -> tuple[Path, str]:
    """Return where the parts of ``data`` go by default, and what their names begin with."""
    if not is_local(data):
        return Path(), Path(data).stem
    path = local_path(data)
    if not path.exists():
        return Path(), path.name
    return (path.parent, path.stem) if path.is_file() else (path.absolute().parent, path.resolve().name)


def _write_together(parts: dict[str, Manifest], paths: dict[str, Path]) -> None:
    """Write all files or none: a new training set beside an old test set would share images with it."""
    written = []
    try:
        for side, part in parts.items():
            written.append(paths[side].with_name(f".{paths[side].name}.new"))
            part.write(written[-1], overwrite=True, relocate=True)
        for temporary, path in zip(written, paths.values(), strict=True):
            os.replace(temporary, path)
    finally:
        for temporary in written:
            temporary.unlink(missing_ok=True)


def _write_report(
    model: Model, evaluation: Evaluation, manifest: Manifest, options: argparse.Namespace, findings: Sequence[Finding]
) -> None:
    with new_folder(options.report, overwrite=options.overwrite, names=REPORT) as folder:
        _report(model, evaluation, manifest, folder, findings)


def _report(
    model: Model, evaluation: Evaluation, manifest: Manifest, folder: Path, findings: Sequence[Finding]
) -> None:
    from vision_toolkit.models.report import write_report

    write_report(model, evaluation, manifest, folder, findings=findings)


def _write_overlay(source: str, prediction: vt.Prediction, path: Path) -> None:
    from vision_toolkit.data.images import encode_png, read_image

    picture = vt.overlay(read_image(source), mask=prediction.mask, map=prediction.map)
    write_file(path, encode_png(picture), overwrite=True)


# What is said


def _print_evaluation(evaluation: Evaluation) -> None:
    print(evaluation)
    for name, score in evaluation.types.items():
        pixels = "undefined" if math.isnan(score.f1) else f"{score.f1:.3f}"
        print(f"  {name}: in {some(score.images, 'image')}, pixel F1 {pixels}, mean IoU {score.aiou}")


def _print_line(as_json: bool, facts: dict[str, Any], text: str, *, error: bool = False) -> None:
    if as_json:
        print(json.dumps(facts, allow_nan=False), flush=True)
    elif error:
        complain(text)
    else:
        print(text, flush=True)


def _forget_output() -> None:
    """Point standard output nowhere, so that Python does not stumble over it once more when it ends."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
