"""What goes into a command: a manifest, a data set of any format, a bundled one; and where its output may go."""

from __future__ import annotations

import argparse
import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import vision_toolkit as vt
from vision_toolkit.app.saying import complain, next_command
from vision_toolkit.core.entry import Entry
from vision_toolkit.core.errors import Conflict, Failed, Invalid, NotFound
from vision_toolkit.data.storage import is_local, local_path

if TYPE_CHECKING:
    from vision_toolkit.data.locate import Images
    from vision_toolkit.data.manifest import Manifest

__all__ = [
    "Opened",
    "after_manifests",
    "carried",
    "check_target",
    "clean_name",
    "is_missing",
    "kind_of",
    "open_both",
    "open_data",
    "places",
    "same_file",
]

_TEXTS = (".json", ".csv", ".tsv", ".xml", ".yaml", ".yml", ".txt")
"""Files that are of some format or of none, but hardly a manifest that is broken."""


@dataclass(frozen=True)
class Opened:
    """Hold what a DATA on the command line stands for.

    Parameters
    ----------
    text
        what was typed.
    kind
        ``"bundled"``, ``"manifest"``, or the name of a format.
    parts
        a manifest a split; one without splits is called ``""``.
    """

    text: str
    kind: str
    parts: Mapping[str, Manifest]

    @property
    def whole(self) -> Manifest:
        """Return all splits as one manifest."""
        return self._joined(self.parts)

    def _joined(self, parts: Mapping[str, Manifest]) -> Manifest:
        if len(parts) == 1:
            return next(iter(parts.values()))
        lines = (line for part in parts.values() for line in part.lines())
        return vt.Manifest.from_lines(lines, name=local_path(self.text).absolute().name)

    def _taken_together(self, parts: Mapping[str, Manifest]) -> Manifest:
        """Join splits, unless they are versions of each other: then every image would count twice."""
        seen: set[str] = set()
        for split, part in parts.items():
            there = {entry.source for entry in part}
            if seen & there:
                raise Invalid(
                    f"{self.text} has several manifests of the same images ({', '.join(map(repr, parts))}): "
                    f"{len(seen & there):,} images of {split!r} stand in another one too. Say which: --split NAME."
                )
            seen |= there
        return self._joined(parts)

    def split_like(self, name: str) -> Manifest | None:
        """Return the one split whose name says ``train`` or ``test``; None if there is none, or more than one."""
        spelled = re.compile(rf"(?i)(?<![a-z]){name}(ing)?(?![a-z])")
        found = [part for split, part in self.parts.items() if spelled.search(split)]
        return found[0] if len(self.parts) > 1 and len(found) == 1 else None

    def one(self, wanted: str = "") -> Manifest:
        """Return the split that a command is about, else everything; say on standard error what was taken."""
        if len(self.parts) == 1:
            return self.whole
        part = self.split_like(wanted) if wanted else None
        if part is None:
            part = self._taken_together(self.parts)
            self._note("all are taken together")
        else:
            self._note(f"{self._name(part)!r} is taken")
        return part

    def both(self) -> tuple[Manifest, Manifest | None]:
        """Return what to train with and what to test with, if the splits say so; never one image for both."""
        test = self.split_like("test")
        if test is None:
            return self.one("train"), None
        train = self.split_like("train")
        if train is not None:
            self._note(f"{self._name(train)!r} is taken to train, {self._name(test)!r} to test")
            return train, test
        others = {split: part for split, part in self.parts.items() if part is not test}
        train = self._taken_together(others)
        self._note(f"{self._name(test)!r} is taken to test, the rest to train")
        return train, test

    def _name(self, part: Manifest) -> str:
        return next(split for split, one in self.parts.items() if one is part)

    def _note(self, taken: str) -> None:
        names = ", ".join(repr(split) for split in self.parts)
        complain(f"Note: {self.text} has the splits {names}; {taken}. --split NAME takes another.")


def open_data(options: argparse.Namespace, text: str, **more: Any) -> Opened:
    """Open a bundled data set by its name, a manifest, or whatever file or folder is of a format.

    Parameters
    ----------
    options
        of the command: ``images``, ``source_format``, ``split``.
    text
        what was typed.
    more
        what else :func:`vision_toolkit.read_splits` takes.

    Raises
    ------
    NotFound
        if there is no such file, folder, data set or split.
    Invalid
        if it is of no format, or may be of several.
    """
    kind = kind_of(options, text)
    images = places(options)
    if kind == "bundled":
        if images is not None:
            _own_images(options, text)
        opened = Opened(text, kind, {"": _bundled(text)})
    elif kind == "manifest" and not more:
        opened = Opened(text, kind, {"": vt.Manifest.read(text, images=images)})
    elif kind == "folders" and not more and _is_plain(text):
        if images is not None:
            _own_images(options, text)
        opened = Opened(text, kind, {"": vt.Manifest.from_folder(text)})
    else:
        name = "lookout" if kind == "manifest" else kind
        opened = Opened(text, kind, vt.read_splits(text, format=name, images=images, **more))
    wanted = getattr(options, "split", None)
    if wanted is None or text != getattr(options, "data", None):
        return opened
    if wanted not in opened.parts:
        there = ", ".join(repr(name) for name in opened.parts if name) or "none: the whole is one"
        raise NotFound(f"{text} has no split {wanted!r}; there are {there}.")
    return replace(opened, parts={wanted: opened.parts[wanted]})


def open_both(options: argparse.Namespace) -> tuple[Manifest, Manifest | None]:
    """Open DATA and ``--test``: what to train with, and what to test with if there is something."""
    opened = open_data(options, options.data)
    if options.test:
        return opened.one("train"), open_data(options, options.test).one("test")
    return opened.both()


def kind_of(options: argparse.Namespace, text: str) -> str:
    """Tell what a DATA is: ``"bundled"``, ``"manifest"`` (one file of lines), or the name of its format.

    Raises
    ------
    Invalid
        if it is there, and of no format or of several.
    """
    given = getattr(options, "source_format", None)
    if given is not None:
        return "manifest" if given == "lookout" and not os.path.isdir(text) else str(given)
    if not os.path.exists(text):
        return "manifest" if "/" in text or os.sep in text or Path(text).suffix else "bundled"
    path = local_path(text)
    if path.is_dir() and _is_plain(text):
        _tell_others(path)
        return "folders"
    from vision_toolkit.data.convert import fitting_formats

    fitting = fitting_formats(path)
    if path.is_file():
        if "lookout" in fitting or (not fitting and path.suffix.lower() not in _TEXTS):
            return "manifest"
    elif "folders" in fitting and any(label in _folders(path) for label in ("normal", "anomaly")):
        _tell_others(path)
        return "folders"
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise Invalid(f"{text} could be {' or '.join(map(repr, fitting))}; say which: --from {fitting[0]}.")
    raise Invalid(_unknown(path))


def _tell_others(path: Path) -> None:
    from vision_toolkit.data.convert import fitting_formats

    others = [name for name in fitting_formats(path) if name != "folders"]
    if others:
        complain(f"Note: {path} is read by its folders normal/ and anomaly/; --from {others[0]} reads it as that.")


def _folders(path: Path) -> list[str]:
    return [child.name.casefold() for child in path.iterdir() if child.is_dir() and not child.name.startswith(".")]


def _is_plain(text: str) -> bool:
    """Return whether a folder has normal/ or anomaly/ in it, and no other folder."""
    names = set(_folders(local_path(text)))
    return bool(names) and names <= {"normal", "anomaly"}


def _unknown(path: Path) -> str:
    from vision_toolkit.data.formats import format_names, load_format

    formats = "; ".join(f"{name} ({load_format(name).TITLE})" for name in format_names())
    if path.is_dir():
        there = ", ".join(sorted(child.name for child in path.iterdir())[:10]) or "nothing"
        what = f"must have folders 'normal' and 'anomaly' with images in them, or be of a known format; it has {there}"
    else:
        what = "is neither a manifest nor of a known format"
    return f"{path} {what}. Looked for: {formats}. If it is one all the same, say which: --from FORMAT."


def _bundled(text: str) -> Manifest:
    try:
        return vt.load_dataset(text)
    except NotFound as error:
        raise NotFound(f"There is no file, folder or bundled dataset {text!r}. {error}") from None


def _own_images(options: argparse.Namespace, text: str) -> None:
    """Refuse ``--images``, unless they belong to the other DATA of the command."""
    others = [other for other in (options.data, getattr(options, "test", None)) if other not in (None, text)]
    if all(kind_of(options, other) in ("bundled", "folders") for other in others):
        options.parser.error(f"--images belongs to a manifest; {text!r} is a folder or dataset with its own images")


def places(options: argparse.Namespace) -> Images | None:
    """Return what ``--images`` says: a folder, prefixes with their folders, or None."""
    pairs = [_place(text) for text in options.images]
    if len(pairs) == 1 and not pairs[0][0]:
        return pairs[0][1]
    if any(not prefix for prefix, _ in pairs):
        options.parser.error("--images is one folder, or PREFIX=FOLDER as often as needed: s3://bucket/parts=pictures")
    return dict(pairs) or None


def _place(text: str) -> tuple[str, str]:
    """Return prefix and folder of one ``--images``; both may have an equals sign in their names."""
    if os.path.isdir(text):
        return "", text
    cuts = [match.start() for match in re.finditer("=", text)][::-1]
    pairs = [(text[:cut], text[cut + 1 :]) for cut in cuts]
    there = [pair for pair in pairs if os.path.isdir(pair[1])]
    return (there or pairs or [("", text)])[0]


# Where it goes


def check_target(path: str, *, overwrite: bool) -> None:
    """Raise now what would keep a file from being written later, after minutes of work.

    Raises
    ------
    Invalid
        if it is a folder.
    Conflict
        if it is there, and ``overwrite`` is not set.
    Failed
        if nothing can be written where it would be.
    """
    target = local_path(path).absolute()
    if target.is_dir():
        raise Invalid(f"{path} is a folder; name a file.")
    if target.exists() and not overwrite:
        raise Conflict(f"{path} exists; give another name or overwrite=True.")
    place = target.parent
    while not place.exists():
        place = place.parent
    if not place.is_dir():
        raise Conflict(f"{place} is a file, so that {path} cannot be written; name another file.")
    try:
        with tempfile.TemporaryDirectory(prefix=".", dir=place):
            pass
    except OSError as error:
        raise Failed(f"Nothing can be written into {place}: {error.strerror}. Name another file.") from None


def same_file(one: str, other: str) -> bool:
    """Return whether two names lead to one file of this machine."""
    if not (is_local(one) and is_local(other)):
        return False
    return os.path.realpath(local_path(one)) == os.path.realpath(local_path(other))


def clean_name(data: str) -> str:
    """Return what to call a manifest without faults: beside the old one, where relative places lead to the same files.

    Examples
    --------
    >>> clean_name("sets/train.manifest"), clean_name("s3://bucket/sets/train.jsonl.gz")
    ('sets/train-clean.manifest', 'train-clean.jsonl')
    >>> clean_name("sets/train-clean.manifest")
    'sets/train-clean-2.manifest'
    """
    path = Path(data) if is_local(data) else Path(Path(data).name)
    if path.is_dir():
        return f"{path.absolute().name}-clean.manifest"
    name = path.name.removesuffix(".gz")
    stem, suffix = (name.rpartition(".")[0] or name), (Path(name).suffix or ".manifest")
    before = re.search(r"-clean(?:-(\d+))?$", stem)
    if before:
        return str(path.with_name(f"{stem[: before.start()]}-clean-{int(before[1] or 1) + 1}{suffix}"))
    return str(path.with_name(f"{stem}-clean{suffix}"))


def after_manifests(files: Sequence[str], again: Sequence[str] = ()) -> list[str]:
    """Return what comes next for some manifests: a repair of those where it would do something, else training."""
    dirty = [file for file in files if vt.plan_repair(file)]
    if dirty:
        return [f"Next: {next_command('repair', file, clean_name(file), *again)}" for file in dirty]
    tests = [file for file in files if Path(file).stem == "test"]
    trains = [file for file in files if file not in tests] or list(files)
    more = ["--test", tests[0]] if tests and trains != tests else []
    return [f"Nothing to repair. Next: {next_command('train', trains[0], *more, *again, '--model', 'model')}"]


def carried(options: argparse.Namespace) -> list[str]:
    """Return what must be typed again in the next command: where the images lie, and the format."""
    words = [f"--images={place}" for place in options.images]
    return [*words, *([f"--from={options.source_format}"] if getattr(options, "source_format", None) else [])]


def is_missing(entry: Entry) -> bool:
    """Return whether an image should be on this machine, and is not."""
    place = entry.location
    return is_local(place) and not local_path(place).is_file()
