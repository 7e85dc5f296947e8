"""What people say of images, one JSON line each: appended at once, never rewritten, read back after any crash.

A line is an act of one annotator: a label, a skip, a flag, a note, or an undo of an earlier act by its id. What holds
of an image follows from all lines that were not undone. Several people may write to one file at the same time.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
import uuid
from collections import Counter
from collections.abc import Container, Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from vision_toolkit.core.entry import Entry, Finding, Label, Tag
from vision_toolkit.core.errors import Conflict, Failed, Invalid
from vision_toolkit.data.edits import dumped
from vision_toolkit.data.label_act import VERSION, Act, Action, OddActError, Opinion, opinion_of, read_act
from vision_toolkit.data.manifest import Manifest
from vision_toolkit.data.storage import local_path

try:
    import fcntl
except ImportError:  # pragma: no cover (no POSIX: one annotator a file)
    fcntl = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from pandas import DataFrame

__all__ = ["LabelLog", "OnDisagreement"]

OnDisagreement = Literal["leave", "majority", "last"]

_START = b'{"v"'
_PACE = 20
"""How many of the last labels tell the pace."""
_PAUSE = 120.0
"""Seconds from which somebody went for coffee."""


class LabelLog:
    """Keep what annotators say of images, in a file of JSON lines or in memory only.

    Each act is on the disk (flushed and synced) before :meth:`add` returns. A line that a crash cut off stays where it
    is, is passed over, and is told in :attr:`findings`. Lines that others append meanwhile are read along.

    Parameters
    ----------
    file
        to go on with, or to make with the first act; None keeps everything in memory only.

    Raises
    ------
    Invalid
        if the file is no label file, or a newer version wrote it. It is left as it is.

    Examples
    --------
    >>> log = LabelLog()
    >>> _ = log.add("label", "1.png", name="normal", annotator="ann")
    >>> _ = log.add("label", "1.png", name="anomaly", annotator="bob")
    >>> log.disagreements()
    {'1.png': {'ann': 'normal', 'bob': 'anomaly'}}
    >>> log.undo("bob").name
    'anomaly'
    >>> log
    LabelLog(in memory only: 1 label of 1 image by 'ann')
    """

    def __init__(self, file: str | os.PathLike[str] | None = None) -> None:
        self.path: Path | None = None if file is None else local_path(file).absolute()
        self.findings: list[Finding] = []
        self._acts: dict[str, Act] = {}
        self._counting: dict[tuple[str, str], list[Act]] = {}  # by annotator and source: what was not undone
        self._stacks: dict[str, list[Act]] = {}  # by annotator: what undo would take, last first from the end
        self._opinions: dict[tuple[str, str], Opinion] = {}
        self._by_source: dict[str, dict[str, None]] = {}  # annotators in the order of their first act
        self._offset = 0
        self._lines = 0
        self._tail_open = False  # the last line has no newline: the next act begins with one
        self.refresh()

    # ---------------------------------------------------------------- writing

    def add(
        self,
        action: Action,
        source: str,
        *,
        annotator: str = "",
        name: str | None = None,
        label: Label | str | None = None,
        flagged: bool | None = None,
        text: str | None = None,
        undoes: str | None = None,
        seconds: float | None = None,
        id: str | None = None,
    ) -> Act:
        """Append one act; it is on the disk when this returns.

        Parameters
        ----------
        action, source, annotator, name, label, flagged, text, undoes, seconds, id
            see :class:`~vision_toolkit.data.label_act.Act`. A class named normal or anomaly means that label unless
            another is given. An ``id`` that is in the file already changes nothing: what is sent twice counts once.

        Returns
        -------
        Act
            as it was written, now or before.

        Raises
        ------
        Invalid
            if something of it is missing or makes no sense.
        Conflict
            if something else cut the file meanwhile.
        Failed
            if the disk refuses; the act does not count then.
        """
        if id is not None and id in self._acts:
            return self._acts[id]
        if label is None and name in (Label.NORMAL, Label.ANOMALY):
            label = Label(name)
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        data: dict[str, Any] = {
            "v": VERSION, "id": id or uuid.uuid4().hex[:16], "time": now, "annotator": annotator, "action": action,
            "source": source, "class": name, "label": None if label is None else str(label), "flagged": flagged,
            "text": text, "undoes": undoes, "seconds": seconds,
        }  # fmt: skip
        data = {key: value for key, value in data.items() if value is not None and (key, value) != ("annotator", "")}
        try:
            act = read_act(data)
        except OddActError as odd:
            raise Invalid(f"This act cannot be kept: {odd}") from None
        if act.undoes is not None:
            self._check_undo(act)
        self._write(dumped(data).encode("utf-8"))
        self._take(act)
        return act

    def undo(self, annotator: str = "", *, within: Container[str] | None = None, id: str | None = None) -> Act | None:
        """Take back the annotator's last act that counts, by one more line; return it, or None if there is none.

        Parameters
        ----------
        annotator
            whose.
        within
            sources; acts on other images are passed over. A file may hold labels of several manifests.
        id
            of the new line; one that is in the file already changes nothing.
        """
        if id is not None and id in self._acts:
            return self._acts.get(self._acts[id].undoes or "")
        last = next(self._last(annotator, within), None)
        if last is None:
            return None
        self.add("undo", last.source, annotator=annotator, undoes=last.id, id=id)
        return last

    def refresh(self) -> int:
        """Read the lines that others appended since, and return how many acts they hold."""
        if self.path is None:
            return 0
        try:
            with self._opened(os.O_RDONLY, exclusive=False) as file:
                return self._catch_up(file)
        except FileNotFoundError:
            if self._offset:
                raise self._cut() from None
            return 0
        except OSError as error:
            raise Failed(f"{self.path} cannot be read: {error.strerror or error}.") from error

    def _write(self, line: bytes) -> None:
        if self.path is None:
            return
        try:
            new = not self.path.exists()
            if new and self._offset:
                raise self._cut()
            if new:
                self.path.parent.mkdir(parents=True, exist_ok=True)
            with self._opened(os.O_RDWR | os.O_APPEND | os.O_CREAT, exclusive=True) as file:
                self._catch_up(file)
                data = b"\n" * self._tail_open + line + b"\n"
                written = os.write(file, data)
                if written < len(data):
                    raise OSError(0, "the disk took a part of a line only")
                os.fsync(file)
                self._offset += len(data)
                self._lines += 1
                self._tail_open = False
            if new:
                _sync_folder(self.path.parent)  # else the name of the file may not outlive a power cut
        except OSError as error:
            raise Failed(f"{self.path} cannot be written: {error.strerror or error}. Nothing was kept.") from error

    @contextlib.contextmanager
    def _opened(self, flags: int, *, exclusive: bool) -> Iterator[int]:
        assert self.path is not None
        if self.path.is_dir():
            raise Invalid(f"{self.path} is a folder; name a file of labels, labels.jsonl for example.")
        if self.path.exists() and not stat.S_ISREG(self.path.stat().st_mode):
            raise Invalid(f"{self.path} is a pipe or a device; name a file of labels, labels.jsonl for example.")
        file = os.open(self.path, flags, 0o666)
        try:
            if fcntl is not None:
                with contextlib.suppress(OSError):  # some network disks know no locks
                    fcntl.flock(file, fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH)
            yield file
        finally:
            os.close(file)

    # ---------------------------------------------------------------- reading

    def _catch_up(self, file: int) -> int:
        size = os.fstat(file).st_size
        if size < self._offset:
            raise self._cut()
        data = bytearray()
        while self._offset + len(data) < size:
            piece = os.pread(file, size - self._offset - len(data), self._offset + len(data))
            if not piece:
                break
            data += piece
        if not data:
            return 0
        if self._offset == 0 and not _is_ours(bytes(data)):
            raise Invalid(
                f"{self.path} is no file of labels: its first line is {bytes(data[:40])!r}. It was left as it is; name "
                "another file."
            )
        pieces = bytes(data).split(b"\n")
        tail = pieces.pop()
        taken = 0
        for number, piece in enumerate(pieces):
            continues = number == 0 and self._tail_open  # of a line that was there before, whole or torn
            self._lines += not continues
            if continues and piece.strip():
                self._odd("torn-line", "The line goes on after its end; the rest was passed over.")
            elif not continues:
                taken += self._read(piece)
        if pieces:
            self._tail_open = False
        if tail:
            self._lines += not self._tail_open
            taken += self._read(tail, is_tail=True)
            self._tail_open = True
        self._offset += len(data)
        return taken

    def _read(self, line: bytes, *, is_tail: bool = False) -> int:
        if not line.strip():
            return 0
        try:
            data = json.loads(line.decode("utf-8"))
        except ValueError:
            how = "was cut off, by a crash it seems" if is_tail else "is not whole"
            self._odd("torn-line", f"The line {how}; it was passed over ({len(line)} bytes).")
            return 0
        except RecursionError:
            self._odd("torn-line", "The line is nested too deep to be one of ours; it was passed over.")
            return 0
        version = data.get("v") if isinstance(data, dict) else None
        if isinstance(version, int) and version > VERSION:
            raise Invalid(
                f"{self.path}, line {self._lines}: written in form {version}; this toolkit knows form {VERSION}. "
                "Update vision_toolkit; the file was left as it is."
            )
        try:
            act = read_act(data)
            if act.undoes is not None and act.id not in self._acts:
                self._check_undo(act)
        except (OddActError, Invalid) as odd:
            self._odd("odd-line", f"The line was passed over: {odd}")
            return 0
        return self._take(act)

    def _odd(self, rule: str, text: str) -> None:
        self.findings.append(Finding(self._lines, "warning", rule, text))

    def _cut(self) -> Conflict:
        return Conflict(
            f"{self.path} is gone or shorter than it was: something else changed it. Put it back and try again; what "
            "was labelled is still in memory, and `.manifest.write(...)` keeps it."
        )

    def _check_undo(self, act: Act) -> None:
        undone = self._acts.get(act.undoes or "")
        counts = undone is not None and undone in self._counting.get((undone.annotator, undone.source), ())
        if undone is None or not counts or undone.annotator != act.annotator or undone.source != act.source:
            raise Invalid(f"There is no act {act.undoes!r} on {act.source!r} that {act.annotator!r} could undo.")

    def _take(self, act: Act) -> int:
        if act.id in self._acts:
            return 0
        self._acts[act.id] = act
        key = (act.annotator, act.source)
        self._by_source.setdefault(act.source, {}).setdefault(act.annotator)
        mine, stack = self._counting.setdefault(key, []), self._stacks.setdefault(act.annotator, [])
        if act.undoes is None:
            mine.append(act)
            stack.append(act)
        else:
            undone = self._acts[act.undoes]
            mine.remove(undone)
            # Nearly always the last: look from the end.
            del stack[next(i for i in range(len(stack) - 1, -1, -1) if stack[i] is undone)]
        self._opinions[key] = opinion_of(mine)
        return 1

    # ---------------------------------------------------------------- looking

    @property
    def acts(self) -> tuple[Act, ...]:
        """Return every act in the order of the file, undone ones too."""
        return tuple(self._acts.values())

    @property
    def annotators(self) -> tuple[str, ...]:
        """Return who acted, in the order of their first act."""
        return tuple(self._stacks)

    def opinion(self, source: str, annotator: str = "") -> Opinion:
        """Return what an annotator says of an image."""
        return self._opinions.get((annotator, source), Opinion())

    def names(self, source: str) -> dict[str, str]:
        """Return the class that each annotator gave an image, of those who gave one."""
        given = ((who, self._opinions[who, source].name) for who in self._by_source.get(source, ()))
        return {who: name for who, name in given if name is not None}

    def history(
        self, annotator: str = "", *, n: int = 10, within: Container[str] | None = None
    ) -> list[tuple[Act, Opinion]]:
        """Return the last acts that count, the newest first, each with the opinion that its undo would restore.

        Parameters
        ----------
        annotator, within
            as :meth:`undo` takes them.
        n
            how many at most.
        """
        found = []
        left: dict[str, list[Act]] = {}
        for act in islice(self._last(annotator, within), n):
            mine = left.setdefault(act.source, list(self._counting[annotator, act.source]))
            mine.remove(act)
            found.append((act, opinion_of(mine)))
        return found

    def _last(self, annotator: str, within: Container[str] | None) -> Iterator[Act]:
        acts = reversed(self._stacks.get(annotator, ()))
        return (act for act in acts if within is None or act.source in within)

    def disagreements(self) -> dict[str, dict[str, str]]:
        """Return the images that annotators gave different classes, and who said what."""
        said = {source: self.names(source) for source in self._by_source}
        return {source: names for source, names in said.items() if len(set(names.values())) > 1}

    def pace(self, annotator: str = "") -> float | None:
        """Return images a minute over the last labels whose time is known; None before there are three."""
        stack = (act for act in reversed(self._stacks.get(annotator, ())) if act.action == "label" and act.seconds)
        taken = [seconds for act in islice(stack, _PACE) if (seconds := act.seconds or 0.0) < _PAUSE]
        return 60.0 * len(taken) / max(sum(taken), 1e-3) if len(taken) >= 3 else None

    def apply(self, manifest: Manifest, *, on_disagreement: OnDisagreement = "leave") -> Manifest:
        """Return the manifest with the labels in it; everything else of its lines stays.

        A class that means normal or anomaly sets the entry's label. A class of another name becomes a tag, beside the
        tags that are there. Images that nobody labelled stay as they are; lines that could not be read, too.

        Parameters
        ----------
        manifest
            whose sources the log names.
        on_disagreement
            where annotators gave different classes: ``"leave"`` the entry as it is, take what the ``"majority"`` says
            (and leave it where there is none), or the class that was given ``"last"``.

        Examples
        --------
        >>> log = LabelLog()
        >>> _ = log.add("label", "1.png", name="anomaly")
        >>> log.apply(Manifest([Entry("1.png"), Entry("2.png")]))
        Manifest(2 images: 1 anomaly, 1 unlabelled)
        """
        if on_disagreement not in get_args(OnDisagreement):
            allowed = ", ".join(map(repr, get_args(OnDisagreement)))
            raise Invalid(f"on_disagreement is one of {allowed}; {on_disagreement!r} was given.")
        places = {one: place for place, one in enumerate(self._acts)} if on_disagreement == "last" else {}
        return manifest.edit(lambda entry: self._applied(entry, on_disagreement, places))

    def _applied(self, entry: Entry, on_disagreement: OnDisagreement, places: dict[str, int]) -> Entry:
        said = [
            next(act for act in reversed(self._counting[who, entry.source]) if act.action == "label")
            for who in self.names(entry.source)
        ]
        names = [act.name for act in said]
        name = _majority(names) if on_disagreement == "majority" else _agreed(names)
        if on_disagreement == "last" and said:  # in the order of the file: clocks differ
            name = max(said, key=lambda act: places[act.id]).name
        if name is None:
            return entry
        label = next(act.label for act in said if act.name == name)
        if label is not None:
            entry = entry.relabelled(label)
        if name in (Label.NORMAL, Label.ANOMALY) or any(tag.name == name for tag in entry.tags):
            return entry
        return replace(entry, tags=(*entry.tags, Tag(name)))

    def to_frame(self) -> DataFrame:
        """Return a pandas table, one row for each image and annotator who said something of it.

        Its columns: ``source``, ``annotator``, ``class``, ``label``, ``skipped``, ``flagged``, ``note``, ``time``
        (of the last act that counts) and ``seconds`` (spent on it, where that is known).
        """
        import pandas as pd

        rows = []
        for (who, source), acts in self._counting.items():
            if acts:
                held, spent = self._opinions[who, source], [act.seconds for act in acts if act.seconds is not None]
                rows.append({
                    "source": source, "annotator": who, "class": held.name,
                    "label": None if held.label is None else str(held.label), "skipped": held.skipped,
                    "flagged": held.flagged, "note": held.note, "time": acts[-1].time,
                    "seconds": round(sum(spent), 3) if spent else None,
                })  # fmt: skip
        columns = ["source", "annotator", "class", "label", "skipped", "flagged", "note", "time", "seconds"]
        frame = pd.DataFrame(rows, columns=columns)
        return frame.assign(time=pd.to_datetime(frame["time"], utc=True, format="ISO8601"))

    def __len__(self) -> int:
        return len(self._acts)

    def __repr__(self) -> str:
        labels = sum(opinion.name is not None for opinion in self._opinions.values())
        images = sum(bool(self.names(source)) for source in self._by_source)
        who = ", ".join(repr(name) for name, acts in self._stacks.items() if name and acts)
        place = "in memory only" if self.path is None else self.path.name
        counts = f"{labels} label{'s' * (labels != 1)} of {images} image{'s' * (images != 1)}"
        return f"LabelLog({place}: {counts}{f' by {who}' if who else ''})"


def _agreed(names: Iterable[str | None]) -> str | None:
    different = set(names)
    return different.pop() if len(different) == 1 else None


def _majority(names: Iterable[str | None]) -> str | None:
    counts = Counter(names)
    best = counts.most_common(1)
    return best[0][0] if best and 2 * best[0][1] > counts.total() else None


def _is_ours(data: bytes) -> bool:
    """Say whether a file begins as ours do; its first line may have been cut off, and then the next one tells."""
    first, *rest = data.lstrip().split(b"\n", 2)
    torn = _START.startswith(first.strip())
    return first.startswith(_START) or (torn and (not rest or not rest[0].strip() or rest[0].startswith(_START)))


def _sync_folder(folder: Path) -> None:
    with contextlib.suppress(OSError):  # not every system lets a folder be opened
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
