"""Review what a model says of images: look at its mistakes, mend labels, move the threshold and keep it."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import traitlets

from vision_toolkit.core.entry import Finding, Label
from vision_toolkit.core.errors import Invalid, NotFound, VisionError
from vision_toolkit.core.prediction import Prediction, Task
from vision_toolkit.data.label_log import LabelLog
from vision_toolkit.data.manifest import Manifest
from vision_toolkit.data.storage import local_path
from vision_toolkit.metrics import scores
from vision_toolkit.metrics.counts import Counts
from vision_toolkit.metrics.evaluation import Evaluation
from vision_toolkit.metrics.intervals import answered_proportion, f1_interval, proportion_interval
from vision_toolkit.metrics.thresholds import Rule, choose_threshold
from vision_toolkit.models.model import Model, load
from vision_toolkit.models.progress import Progress, told
from vision_toolkit.widgets import wire
from vision_toolkit.widgets.box_labeler import BoxLabeler
from vision_toolkit.widgets.label_queue import distinct
from vision_toolkit.widgets.looks import Looks
from vision_toolkit.widgets.mask_painter import MaskPainter
from vision_toolkit.widgets.mending import Mending, open_copy
from vision_toolkit.widgets.page import Carry, PageWidget, module, style
from vision_toolkit.widgets.pictures import Pictures, Shown, contact_png
from vision_toolkit.widgets.review_state import CHANGED, FLAGGED, ReviewState
from vision_toolkit.widgets.verdicts import NONE, TICKS, TRUTH, from_evaluation, from_model, tick_of

if TYPE_CHECKING:
    from pandas import DataFrame

__all__ = ["Review"]

_PART = 4_000_000
"""Most bytes of one message with numbers of all images."""
_PICTURES = 6
_WORDS = {"fn": "missed", "fp": "false alarm", "tp": "found", "tn": "passed", "unlabelled": "no label", "": "no score"}
_LABELS = (Label.NORMAL, Label.ANOMALY)


class Review(PageWidget):
    """Look at what a model says of images, mend labels, and move its threshold; every action is a method too.

    Show it as the last line of a cell. The slider moves the threshold; counts, F1, precision, recall and cost follow at
    once, for any number of images. Below are the images themselves, wrong verdicts first, the surest ahead. Arrows
    move, Enter looks closely, ``n`` and ``a`` say normal and anomaly, ``x`` turns a label round, ``y`` says that it is
    right, ``u`` takes back, ``p`` paints its mask and ``r`` draws boxes, both beginning with what the model saw;
    ``h`` shows all keys. Labels are appended to ``file`` at once, as :class:`~vision_toolkit.Labeler` does; masks and
    boxes go to ``NAME-mended.manifest`` beside it. The manifest itself is never touched.

    Parameters
    ----------
    model
        a :class:`~vision_toolkit.Model`; or the folder of one, and then a threshold that is kept goes there too; or an
        :class:`~vision_toolkit.Evaluation` of these images: ``model.evaluation`` for example holds what a model said of
        its training images while they were held out, which finds wrong labels among them.
    manifest
        the images. A model is to be judged on images that it was not trained with.
    file
        where labels go, one JSON line each, made if it is not there; may be the file of a
        :class:`~vision_toolkit.Labeler`. None keeps them in memory only.
    annotator
        who labels. Several people may write to one file; each sees the own labels only.
    threshold
        where the slider stands at first: a number from 0 to 1 or a rule, as :meth:`~vision_toolkit.Evaluation.at` takes
        it. None: where the model has it.
    miss, reject
        what an anomaly that is missed costs, and a good part that is rejected; from 0.
    prevalence
        share of anomalies on the line, for the cost. None: the one that the model was trained for, else that of these
        images.
    export
        where the button writes the corrected manifest. None: ``NAME-corrected.manifest`` beside ``file``, or
        ``corrected.manifest``.
    types
        anomaly types to paint and to box, names or names and colours. None: those of the manifest and of the model; if
        there are none, ``"defect"``.
    side
        longer side of an image that is looked at closely, in pixels, 64 to 4096.
    progress
        None: a bar where somebody watches, if judging takes long; False: none; or a function told ``(share, what)``.

    Raises
    ------
    Invalid
        if the manifest is empty or a name stands for two images, or if an argument is none of those above.
    Unsupported
        if the model gives no verdicts.

    Examples
    --------
    >>> import vision_toolkit as vt
    >>> parts = vt.load_dataset("biscuit")
    >>> train, test = vt.train_test_split(parts)
    >>> model = vt.train(train, weights=None, preset="fast", task="classification", progress=False)
    >>> review = vt.Review(model, test, progress=False)
    >>> review.threshold = 0.0
    >>> review.counts.fn
    0
    >>> review.flip(review.sources("fp")[0])
    >>> len(review.changed)
    1
    """

    _esm = module("board.js", "inner.js", "review_doc.js", "review.js")
    _css = style("review.css")
    n_changed = traitlets.Int(0).tag(sync=True)

    def __init__(
        self,
        model: Model | Evaluation | str | os.PathLike[str],
        manifest: Manifest,
        *,
        file: str | os.PathLike[str] | None = None,
        annotator: str | None = None,
        threshold: Rule | None = None,
        miss: float = 10.0,
        reject: float = 1.0,
        prevalence: float | None = None,
        export: str | os.PathLike[str] | None = None,
        types: Mapping[str, str] | Sequence[str] | None = None,
        side: int = 1024,
        progress: Progress | bool | None = None,
    ) -> None:
        if not isinstance(manifest, Manifest):
            raise Invalid(
                f"Review takes a Manifest (Manifest.from_folder makes one); a {type(manifest).__name__} was given."
            )
        _check(miss=miss, reject=reject, prevalence=prevalence, annotator=annotator, types=types, side=side)
        self._folder: Path | None = None
        if isinstance(model, str | os.PathLike):
            self._folder, model = local_path(model).absolute(), load(model)
        given = distinct(manifest)
        self.label_log = LabelLog(file)
        copy = open_copy(manifest if len(given) == len(manifest) else Manifest(given), self.label_log.path)
        entries = [copy.entry(entry.source) for entry in given]
        self.model: Model | None = None
        if isinstance(model, Evaluation):
            self._verdicts = from_evaluation(model, entries, types=tuple(types or ()))
            own = 0.5 if math.isnan(model.threshold) else model.threshold
        elif all(hasattr(model, name) for name in ("predict_all", "threshold", "at")):
            self.model, own = model, model.threshold
            with told(progress, delay=5.0) as tell:
                self._verdicts = from_model(model, entries, tell, types=tuple(types or ()))
        else:
            raise Invalid(
                "Review takes a model (vt.train makes one), the folder of one, or an evaluation; "
                f"a {type(model).__name__} was given."
            )
        self._given = manifest
        self._entries = entries  # with masks and boxes as they are now; state, looks and verdicts hold the same list
        self.annotator = annotator or ""
        self._mending = Mending(copy, types=types, known=self._verdicts.types, model=self.model)
        self._export = self._where(export)
        self._written = False
        self._done = ""  # what to say to them
        self._state = ReviewState(entries, [entry.label for entry in given], self.label_log, self.annotator)
        self._own = self._tick = tick_of(own)
        self._looks = Looks(self._verdicts, self.model, side=side)
        self._pictures = Pictures(self._looks.small, lambda item, made: self._post_image(item, made, large=False))
        self._closer = Pictures(self._looks.large, lambda item, made: self._post_image(item, made, large=True))
        if prevalence is None:
            prevalence = getattr(self.model, "info", {}).get("prevalence") or self._state.share()
        costs = {"miss": miss, "reject": reject, "share": prevalence}
        super().__init__(
            {"total": len(entries), "costs": costs, "export": self._export.name}, n_changed=self._state.n_changed
        )
        if threshold is not None:
            self._tick = self._chosen(threshold, None)

    # ---------------------------------------------------------------- acting

    @property
    def threshold(self) -> float:
        """Return where the slider stands, 0 to 1; may be set to a number, or to a rule such as ``"at_recall(0.9)"``."""
        return self._tick / TICKS

    @threshold.setter
    def threshold(self, to: Rule) -> None:
        self._tick = self._chosen(to, None)
        self._tell()

    def keep_threshold(self) -> Model:
        """Write the threshold of the slider into the model, its folder too if one was given; return that model.

        It is :attr:`model` from now on; the one that was given stays as it was. Chosen on images whose answers were
        looked at, it flatters on these very images: judge it on others.

        Raises
        ------
        Invalid
            if an evaluation is reviewed, which has no threshold to move.
        Failed
            if the disk refuses.
        """
        if self.model is None:
            raise Invalid("An evaluation is reviewed, which has no threshold to keep; review the model to keep one.")
        moved = self.model.at(self.threshold)
        if self._folder is not None:
            moved.save(self._folder, overwrite=True)
        self.model, self._own = moved, self._tick
        where = "review.model has it" if self._folder is None else f"it is in {self._folder.name}"
        self._done = (
            f"Threshold {self.threshold:.4g} kept: {where}. Judge it on images that you have not looked at here."
        )
        self._tell()
        return moved

    def label(self, name: str, source: str) -> None:
        """Say that an image is ``"normal"`` or an ``"anomaly"``.

        Raises
        ------
        Invalid
            if it is neither.
        NotFound
            if there is no such image.
        Failed
            if the disk refuses; the label does not count then.
        """
        self._state.say(self._state.item(source), name)
        self._tell()

    def flip(self, source: str) -> None:
        """Turn the label of an image round: what was normal is an anomaly, and the other way.

        Raises
        ------
        Invalid
            if it has none.
        """
        self.label(self._state.other(source), source)

    def accept(self, source: str) -> None:
        """Say that the label of an image is right: somebody looked.

        Raises
        ------
        Invalid
            if it has none.
        """
        self.label(self._state.label(source), source)

    def flag(self, source: str, on: bool | None = None) -> None:
        """Flag an image for a second look, or take the flag away; None changes it to the other."""
        self._state.flag(self._state.item(source), on)
        self._tell()

    def undo(self) -> None:
        """Take back your last act on one of these images, also one of an earlier session.

        Raises
        ------
        NotFound
            if there is nothing left to undo.
        """
        self._state.undo()
        self._tell()

    def export(self, path: str | os.PathLike[str] | None = None) -> Path:
        """Write the corrected manifest to a new file, and return its path.

        Parameters
        ----------
        path
            of the file; None: the one that was given at the beginning.

        Raises
        ------
        Conflict
            if something else wrote that file.
        Failed
            if the disk refuses.
        """
        if path is not None:
            return self.manifest.write(path)
        found = self.manifest.write(self._export, overwrite=self._written)
        self._written = True
        self._done = f"The corrected manifest is {found.name}."
        self._tell()
        return found

    @property
    def painter(self) -> MaskPainter:
        """Return what paints the masks of these images; shown in a cell of its own it works on the same masks."""
        return self._mending.painter(self._carrier)

    @property
    def box_labeler(self) -> BoxLabeler:
        """Return what draws boxes on these images."""
        return self._mending.box_labeler(self._carrier)

    def _where(self, export: str | os.PathLike[str] | None) -> Path:
        if export is not None:
            return local_path(export)
        beside = self.label_log.path
        return Path("corrected.manifest") if beside is None else beside.with_name(f"{beside.stem}-corrected.manifest")

    def _chosen(self, rule: Rule, prevalence: float | None) -> int:
        truth, known = self._state.truth, (self._state.truth > 0) & (self._verdicts.ticks != NONE)
        values = self._verdicts.ticks[known] / TICKS
        return tick_of(choose_threshold(rule, truth[known] == 2, values, prevalence=prevalence))

    # ---------------------------------------------------------------- looking

    def sources(self, show: str = "wrong", *, type: str | None = None) -> tuple[str, ...]:
        """Return which images the page shows, in its order: wrong verdicts first, the surest ahead.

        Parameters
        ----------
        show
            ``"wrong"``, ``"fn"`` (missed), ``"fp"`` (false alarms), ``"tp"`` (found), ``"tn"`` (rightly passed),
            ``"unlabelled"`` or ``"all"``.
        type
            only images in which the model or the manifest's mask has this anomaly type.
        """
        order = self._verdicts.order(self._state.truth, self._tick, show, type)
        return tuple(self._entries[int(item)].source for item in order)

    @property
    def counts(self) -> Counts:
        """Return hits and misses at the slider's threshold, with the labels as they are now."""
        return self._verdicts.counts(self._state.truth, self._tick)

    @property
    def evaluation(self) -> Evaluation:
        """Return how good the verdicts are at the slider's threshold, with the labels as they are now."""
        done = [item for item in range(len(self._entries)) if self._verdicts.ticks[item] != NONE]
        truth = {value: label for label, value in TRUTH.items()}
        now = self._state.truth
        entries = [self._entries[item].relabelled(truth[int(now[item])]) for item in done]
        said = (
            Prediction(
                Task.CLASSIFICATION, score=int(self._verdicts.ticks[item]) / TICKS, threshold=self.threshold,
                source=self._entries[item].source,
            )
            for item in done
        )  # fmt: skip
        trained = getattr(self.model, "info", {}).get("training", {}).get("images", 0)
        return Evaluation.from_predictions(entries, said, training_images=trained)

    @property
    def changed(self) -> tuple[str, ...]:
        """Return the images whose label you changed, in the order of the manifest."""
        return tuple(self._entries[item].source for item in np.flatnonzero(self._state.bytes & CHANGED))

    @property
    def errors(self) -> dict[str, str]:
        """Return the images that have no score, and why."""
        return {self._entries[item].source: why for item, why in self._verdicts.errors.items()}

    @property
    def findings(self) -> list[Finding]:
        """Return what is odd in the file, a line that a crash cut off for example."""
        return list(self.label_log.findings)

    @property
    def manifest(self) -> Manifest:
        """Return the manifest with what was painted and boxed, and the labels of all annotators; all else stays.

        Where annotators disagree, its label stays as it was. See
        :meth:`~vision_toolkit.data.label_log.LabelLog.apply`. A normal image has no mask that was painted here.
        """
        self.label_log.refresh()
        given = {entry.source: entry for entry in self._given}
        return self.label_log.apply(self._given.edit(self._mending.mended)).edit(
            lambda entry: (
                replace(entry, mask=mask)
                if entry.label is Label.NORMAL and (mask := given[entry.source].mask) != entry.mask
                else entry
            )
        )

    def to_frame(self) -> DataFrame:
        """Return a pandas table, one row an image: source, given, label, score, verdict, outcome, flagged."""
        import pandas as pd

        now = self._state.truth
        outcomes = self._verdicts.outcomes(now, self._tick)
        names = {value: str(label) for label, value in TRUTH.items()}
        rows = []
        for item, entry in enumerate(self._entries):
            tick = int(self._verdicts.ticks[item])
            score = None if tick == NONE else tick / TICKS
            verdict = None if score is None else str(_LABELS[tick >= self._tick])
            rows.append({
                "source": entry.source, "given": names[int(self._state.given[item])], "label": names[int(now[item])],
                "score": score, "verdict": verdict, "outcome": str(outcomes[item]) or None,
                "flagged": bool(self._state.bytes[item] & FLAGGED),
            })  # fmt: skip
        return pd.DataFrame(rows)

    def __repr__(self) -> str:
        counts, changed, path = self.counts, self._state.n_changed, self.label_log.path
        place = "in memory only" if path is None else f"in {path.name}"
        mended = f"; {changed} label{'s' * (changed != 1)} changed, {place}" if changed else ""
        total = f"{len(self._entries)} image{'s' * (len(self._entries) != 1)}"
        return (
            f"Review({total} at threshold {self.threshold:.4g}: {counts.fn} missed, {counts.fp} false "
            f"alarm{'s' * (counts.fp != 1)}{mended})"
        )

    def _picture(self) -> str:
        """Draw what remains in the notebook when the kernel is gone: the worst images and what was said, a PNG."""
        truth = self._state.truth
        outcomes = self._verdicts.outcomes(truth, self._tick)
        said = []
        for item in self._verdicts.order(truth, self._tick)[:_PICTURES].tolist():
            tick = int(self._verdicts.ticks[item])
            score = "" if tick == NONE else f", {tick / TICKS:.2f}"
            said.append((self._entries[item], f"{_WORDS[str(outcomes[item])]}{score}"))
        return contact_png(said, self._looks.laid)

    # ---------------------------------------------------------------- the page

    def _greet(self, page: str) -> None:
        self._state.refresh()
        total, types = len(self._entries), self._verdicts.types
        step = max(1, _PART // (3 + len(types)))
        for start in range(0, total, step):
            part = slice(start, start + step)
            numbers = self._verdicts.ticks[part].astype("<u2"), self._state.bytes[part], self._verdicts.painted[part]
            self._post(
                {"type": "board", "page": page, "start": start, "total": total, "types": list(types)},
                [array.tobytes() for array in numbers],
            )
        self._tell(page)

    def _take_act(self, act: wire.PageAct, *, id: str) -> None:
        if act.action in ("keep", "export"):
            try:
                if isinstance(act.value, int) and act.action == "keep":
                    self._tick = act.value
                    self.keep_threshold()
                else:
                    self.export()
            except VisionError as error:  # told once: sending it again would not help
                raise Invalid(str(error)) from error
        elif act.action == "undo":
            self._state.undo(id)
        elif act.item is None or act.item >= len(self._entries):
            raise NotFound(f"There is no image number {act.item}; there are {len(self._entries)}.")
        elif act.action == "open":
            self._open(str(act.value), act.item, page=id.rpartition("-")[0])
        elif act.action == "label":
            self._state.say(act.item, act.value, seconds=act.seconds, id=id)
        elif act.action == "flag":
            self._state.flag(act.item, bool(act.value), id=id)
        else:
            raise Invalid(f"A review knows no act {act.action!r}.")

    def _take_other(self, message: wire.Message) -> None:
        if isinstance(message, wire.Inner):
            tool = self._mending.opened(message.tool)
            if tool is None:
                raise Invalid(f"No {message.tool!r} is open here; run the cell again.")
            tool.hear(message.content, message.buffers)
            return
        if isinstance(message, wire.At):
            self._tick = message.tick
        elif isinstance(message, wire.Choose):
            try:
                self._tick = self._chosen(message.rule, message.prevalence)
            except Invalid as error:
                self._post({"type": "said", "text": str(error)})
                return
        else:
            super()._take_other(message)
        self._tell()

    def _open(self, name: str, item: int, *, page: str) -> None:
        """Give a page what it needs to show a tool in place of the review."""
        if name not in ("paint", "boxes"):
            raise Invalid(f"A review opens 'paint' or 'boxes'; {name!r} came.")
        try:
            tool: PageWidget = self.painter if name == "paint" else self.box_labeler
        except VisionError as error:  # told once: asking again would not help
            raise Invalid(str(error)) from error
        self._post({"type": "tool", "page": page, "tool": name, "item": item} | tool.parts())

    def _carrier(self, name: str) -> Carry:
        def carry(said: dict[str, Any], buffers: Sequence[bytes]) -> None:
            self._post({"type": "inner", "tool": name, "content": said}, buffers)
            if said["type"] in ("plan", "sheet"):  # comes after whatever changed
                self._take_up(name)

        return carry

    def _take_up(self, name: str) -> None:
        """See what was mended; who painted on an image has seen an anomaly, whatever was said of it before."""
        touched = dict.fromkeys(self._state.items[source] for source in self._mending.touched)
        self._mending.touched.clear()
        is_news = False
        for item in touched:
            entry = self._entries[item] = self._mending.copy.entry(self._entries[item].source)
            self._verdicts.mended(item)
            self._closer.forget(item)
            before = int(self._state.bytes[item])
            if name == "paint" and entry.mask is not None:
                self._state.painted(item)
            self._state.touch(item)
            is_news = is_news or before != int(self._state.bytes[item])
            self._post({"type": "mended", "item": item, "painted": self._verdicts.painted[item].tolist()})
        if is_news:
            self._tell()

    def _tell(self, page: str | None = None, refused: Sequence[str] = ()) -> None:
        items = self._state.news()
        done, self._done = self._done, ""
        path, odd = self.label_log.path, self.label_log.findings
        self.n_changed = self._state.n_changed
        self._post(self._acked(page, refused) | {
            "type": "news", "items": items, "state": [int(self._state.bytes[item]) for item in items],
            "changed": self.n_changed,
            "at": self._tick, "own": self._own, "scores": self._scores(), "keeps": self.model is not None,
            "file": None if path is None else path.name, "annotator": self.annotator, "done": done,
            "told": [str(finding) for finding in odd[-3:]],
        })  # fmt: skip

    def _scores(self) -> dict[str, Any]:
        """Return the intervals, which the page does not compute itself, and the counts that they belong to."""
        counts = self.counts
        told = {
            "f1": f1_interval(counts),
            "precision": answered_proportion(scores.precision(counts), counts.tp, counts.tp + counts.fp),
            "recall": proportion_interval(counts.tp, counts.tp + counts.fn),
        }
        ends = {name: None if math.isnan(one.low) else [float(one.low), float(one.high)] for name, one in told.items()}
        return {"counts": [counts.tp, counts.fp, counts.fn, counts.tn], **ends}

    def _send_image(self, item: int, *, large: bool) -> None:
        if item < len(self._entries):
            (self._closer if large else self._pictures).want(item)
            return
        self._post_image(item, f"There is no image number {item}; there are {len(self._entries)}.", large=large)

    def _post_image(self, item: int, made: Shown | str, *, large: bool) -> None:
        told = {"type": "image", "item": item, "large": large}
        if isinstance(made, str):
            self._post(told | {"error": made})
        else:
            self._post(told | made.facts, made.buffers)


def _check(*, miss: Any, reject: Any, prevalence: Any, annotator: Any, types: Any, side: Any) -> None:
    if not isinstance(side, int) or not 64 <= side <= 4096:
        raise Invalid(f"side is a whole number from 64 to 4096; {side!r} was given.")
    if annotator is not None and not (isinstance(annotator, str) and 0 < len(annotator) <= 80):
        raise Invalid(f"An annotator is a name of 1 to 80 letters; {annotator!r} was given.")
    if types is not None and not isinstance(types, Mapping | list | tuple):
        raise Invalid(f"types are names, or names and colours; {types!r} was given.")
    for name, cost in (("miss", miss), ("reject", reject)):
        if isinstance(cost, bool) or not isinstance(cost, int | float) or not 0 <= cost < math.inf:
            raise Invalid(f"{name} is a cost from 0; {cost!r} was given.")
    if prevalence is not None and not 0.0 < prevalence < 1.0:
        raise Invalid(f"prevalence lies between 0 and 1, both excluded; {prevalence!r} was given.")
