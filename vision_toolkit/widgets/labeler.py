"""Label images in a notebook, with keys: the next one is there at once, and each label is on the disk at once."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import traitlets

from vision_toolkit.core.entry import Entry, Finding, Label
from vision_toolkit.core.errors import Conflict, Failed, Invalid, NotFound
from vision_toolkit.data.label_act import Opinion
from vision_toolkit.data.label_log import LabelLog, OnDisagreement
from vision_toolkit.data.manifest import Manifest
from vision_toolkit.data.preview import preview
from vision_toolkit.widgets import wire
from vision_toolkit.widgets.key_map import check_classes, class_keys, command_keys
from vision_toolkit.widgets.label_queue import LabelQueue, distinct
from vision_toolkit.widgets.ordering import Embed, Predicting, check_order, doubtful, ordered
from vision_toolkit.widgets.page import PageWidget, module, style
from vision_toolkit.widgets.pictures import Pictures, Shown, contact_png

if TYPE_CHECKING:
    from pandas import DataFrame

__all__ = ["Labeler"]

_PICTURES = 6
"""Images of the picture that remains when the kernel is gone."""


class Labeler(PageWidget):
    """Label images with keys, in JupyterLab, Notebook 7 or Voila; every key is a method too.

    Show it as the last line of a cell, click it, and press the key of a class: its first letter, or its number. ``u``
    takes back the last act, the space bar skips, ``f`` flags for a second look, Enter opens a note, arrows leaf, ``z``
    enlarges, ``h`` shows all keys and Esc leaves the widget. Each act is appended to ``file`` at once and never
    rewritten, so the same call after any crash goes on where you were.

    Parameters
    ----------
    manifest
        the images. Each source is labelled once.
    classes
        names, ``("normal", "anomaly")`` unless told otherwise; or a mapping of names to what they mean, for example
        ``{"good": "normal", "scratch": "anomaly", "blurred": None}``. Classes of other names become tags.
    file
        where labels go, one JSON line each (:class:`~vision_toolkit.data.label_log.LabelLog`), made if it is not there.
        None keeps them in memory only: they are gone with the kernel.
    order
        ``"given"``; ``"random"``; ``"doubtful"``: those first whose score is closest to the threshold of ``model``;
        ``"diverse"``: each as unlike those before it as can be.
    model
        a trained :class:`~vision_toolkit.Model`.
    annotator
        who labels. Several people may write to one file; each sees the own labels only.
    embed
        for ``"diverse"``: turns a list of n images, (H, W, 3) uint8, into (n, d) numbers. By default small thumbnails
        are compared.
    seed
        of ``"random"``.
    side
        the longer side of the images that are shown, in pixels, 64 to 4096.
    prefetch
        how many images the browser holds ready, 1 to 32.

    Raises
    ------
    Invalid
        if the manifest is empty or a name stands for two images, or if an argument is none of those above.

    Examples
    --------
    >>> from vision_toolkit.data import Manifest
    >>> labeler = Labeler(Manifest([Entry("1.png"), Entry("2.png"), Entry("3.png")]))
    >>> labeler.label("normal")
    >>> labeler.label("anomaly")
    >>> labeler.undo()
    >>> labeler.label("normal")
    >>> labeler
    Labeler(2 of 3 images labelled, in memory only)
    >>> labeler.manifest
    Manifest(3 images: 2 normal, 1 unlabelled)
    """

    _esm = module("labeler.js")
    _css = style("labeler.css")
    n_labelled = traitlets.Int(0).tag(sync=True)

    def __init__(
        self,
        manifest: Manifest,
        classes: Sequence[str] | Mapping[str, Label | str | None] = ("normal", "anomaly"),
        *,
        file: str | os.PathLike[str] | None = None,
        order: str = "given",
        model: Predicting | None = None,
        annotator: str | None = None,
        embed: Embed | None = None,
        seed: int = 0,
        side: int = 1024,
        prefetch: int = 10,
    ) -> None:
        if not isinstance(manifest, Manifest):
            raise Invalid(f"Labeler takes a Manifest (Manifest.from_folder makes one); {_kind(manifest)} was given.")
        self.classes, self._meanings = _meanings(classes)
        check_order(order, model=model)
        if embed is not None and not callable(embed):
            raise Invalid(f"embed is a function of a list of images; {_kind(embed)} was given.")
        for name, value, least, most in (("side", side, 64, 4096), ("prefetch", prefetch, 1, 32)):
            if not isinstance(value, int) or not least <= value <= most:
                raise Invalid(f"{name} is a whole number from {least} to {most}; {value!r} was given.")
        if annotator is not None and not (isinstance(annotator, str) and 0 < len(annotator) <= 80):
            raise Invalid(f"An annotator is a name of 1 to 80 letters; {annotator!r} was given.")
        entries = distinct(manifest)
        self._given = manifest
        self._side, self._prefetch = side, prefetch
        self.annotator = annotator or ""
        self.label_log = LabelLog(file)
        self._queue = LabelQueue(
            entries, ordered(entries, order, seed=seed, model=model, embed=embed), self.label_log, self.annotator
        )
        self._pictures = Pictures(self._shown, self._post_image)
        super().__init__(self._what_pages_need(), n_labelled=self._queue.counts()["labelled"])

    def _what_pages_need(self) -> dict[str, Any]:
        keys = class_keys(self.classes)
        return {
            "classes": [
                {"name": name, "keys": keys[name], "label": None if label is None else str(label)}
                for name, label in self._meanings.items()
            ],
            "commands": command_keys(self.classes),
            "prefetch": self._prefetch,
        }

    # ---------------------------------------------------------------- acting

    def label(self, name: str, *, source: str | None = None) -> None:
        """Give the current image a class and go to the next; or another image, and stay.

        Parameters
        ----------
        name
            one of the classes.
        source
            an image by the name that the manifest has for it; None is the current one.

        Raises
        ------
        Invalid
            if there is no such class, or if every image is done.
        NotFound
            if there is no such image.
        Failed
            if the disk refuses; the label does not count then.
        """
        self._do("label", self._item(source), self._known(name))

    def skip(self) -> None:
        """Leave the current image for later and go to the next; a label that it had is taken back."""
        self._do("skip", self._item(None))

    def flag(self, on: bool | None = None, *, source: str | None = None) -> None:
        """Flag an image for a second look, or take the flag away; None changes it to the other."""
        item = self._item(source)
        self._do("flag", item, not self._queue.opinion(item).flagged if on is None else bool(on))

    def note(self, text: str, *, source: str | None = None) -> None:
        """Write a note to an image; an empty one takes it away."""
        if not isinstance(text, str):
            raise Invalid(f"A note is text; {_kind(text)} was given.")
        self._do("note", self._item(source), text)

    def undo(self) -> None:
        """Take back your last act, also one of an earlier session, and go to its image.

        Raises
        ------
        NotFound
            if there is nothing left to undo.
        """
        self._do("undo", None)

    def go(self, to: int | str) -> None:
        """Go to an image: by its place in the order from 0, or by its source.

        Raises
        ------
        NotFound
            if there is no such image.
        """
        if isinstance(to, str):
            self._do("go", self._item(to))
            return
        if isinstance(to, bool) or not isinstance(to, int | np.integer) or not 0 <= to < len(self._queue.order):
            raise NotFound(f"There is no image at place {to!r}; places go from 0 to {len(self._queue.order) - 1}.")
        self._do("go", self._queue.order[int(to)])

    def rerank(self, model: Predicting) -> None:
        """Put the images still to come in the order of a new model's doubts; the one that is shown stays.

        Parameters
        ----------
        model
            trained again, on :attr:`manifest` for example.

        Raises
        ------
        Invalid
            if it is no model, or one that gives no scores.
        """
        check_order("doubtful", model=model)
        todo = self._queue.todo()
        ranking = doubtful([self._queue.entries[item] for item in todo], model)
        self._queue.rerank([todo[position] for position in ranking])
        self._tell()

    def _do(self, action: str, item: int | None, value: str | bool | None = None) -> None:
        self._queue.act(action, item, value, labels=self._meanings)
        self._tell()

    def _item(self, source: str | None) -> int:
        if source is None:
            if self._queue.current is None:
                raise Invalid("Every image is done. undo() or go(0) goes back to one.")
            return self._queue.current
        if source not in self._queue.items:
            raise NotFound(f"There is no image {source!r}; they are spelled as in {self._queue.entries[0].source!r}.")
        return self._queue.items[source]

    def _known(self, name: Any) -> str:
        if not isinstance(name, str) or name not in self._meanings:
            raise Invalid(f"The classes are {', '.join(map(repr, self.classes))}; {name!r} was given.")
        return str(name)

    # ---------------------------------------------------------------- looking

    @property
    def current(self) -> Entry | None:
        """Return the entry that is shown, as the manifest gave it; None when every image is done."""
        return None if self._queue.current is None else self._queue.entries[self._queue.current]

    @property
    def order(self) -> tuple[str, ...]:
        """Return the sources in the order in which they are shown."""
        return tuple(self._queue.entries[item].source for item in self._queue.order)

    @property
    def opinions(self) -> dict[str, Opinion]:
        """Return what you said of each image that you said something of."""
        said = ((entry.source, self._queue.opinion(item)) for item, entry in enumerate(self._queue.entries))
        return {source: held for source, held in said if held != Opinion()}

    @property
    def progress(self) -> dict[str, int]:
        """Return how many images there are in total, and how many you labelled, skipped and flagged."""
        return self._queue.counts()

    @property
    def findings(self) -> list[Finding]:
        """Return what is odd in the file, a line that a crash cut off for example."""
        return list(self.label_log.findings)

    @property
    def manifest(self) -> Manifest:
        """Return the manifest with the labels of all annotators in it; where they disagree, its line stays as it was.

        Everything else of each line stays. For other ways to settle disagreements, see :meth:`labelled`.
        """
        return self.labelled()

    def labelled(self, *, on_disagreement: OnDisagreement = "leave") -> Manifest:
        """Return the manifest with the labels in it, see :meth:`~vision_toolkit.data.label_log.LabelLog.apply`."""
        self._refresh()
        return self.label_log.apply(self._given, on_disagreement=on_disagreement)

    def disagreements(self) -> dict[str, dict[str, str]]:
        """Return the images of the manifest that annotators gave different classes, and who said what."""
        self._refresh()
        return {source: said for source, said in self.label_log.disagreements().items() if source in self._queue.items}

    def to_frame(self) -> DataFrame:
        """Return a pandas table of what was said, see :meth:`~vision_toolkit.data.label_log.LabelLog.to_frame`."""
        self._refresh()
        return self.label_log.to_frame()

    def _refresh(self) -> None:
        # What is in memory can be had even if the file is gone.
        with contextlib.suppress(Conflict, Failed):
            self.label_log.refresh()

    def __repr__(self) -> str:
        counts, path, odd = self._queue.counts(), self.label_log.path, len(self.label_log.findings)
        place = "in memory only" if path is None else f"in {path.name}"
        dropped = f", {odd} odd line{'s' * (odd != 1)} passed over" if odd else ""
        total = f"{counts['total']} image{'s' * (counts['total'] != 1)}"
        return f"Labeler({counts['labelled']} of {total} labelled, {place}{dropped})"

    def _picture(self) -> str:
        """Draw what remains in the notebook when the kernel is gone: some images and what was said of them, a PNG."""
        place = 0 if self._queue.current is None else self._queue.places[self._queue.current]
        start = max(0, min(place - _PICTURES // 2, len(self._queue.order) - _PICTURES))
        said = []
        for item in self._queue.order[start : start + _PICTURES]:
            held = self._queue.opinion(item)
            said.append((self._queue.entries[item], held.name or ("skipped" if held.skipped else "to do")))
        return contact_png(said)

    # ---------------------------------------------------------------- the page

    def _greet(self, page: str) -> None:
        self.label_log.refresh()
        self._queue.settle()
        self._tell(page)

    def _take_act(self, act: wire.PageAct, *, id: str) -> None:
        if isinstance(act.value, int) and not isinstance(act.value, bool):
            raise Invalid(f"A labeler knows no act {act.action!r}.")
        value = self._known(act.value) if act.action == "label" else act.value
        self._queue.act(act.action, act.item, value, labels=self._meanings, seconds=act.seconds, id=id)

    def _tell(self, page: str | None = None, refused: Sequence[str] = ()) -> None:
        path, odd = self.label_log.path, self.label_log.findings
        self._post(self._acked(page, refused) | self._queue.plan(self._prefetch) | {
            "type": "plan", "file": None if path is None else path.name, "annotator": self.annotator,
            "told": [str(finding) for finding in odd[-3:]],
        })  # fmt: skip
        self.n_labelled = self._queue.counts()["labelled"]

    def _send_image(self, item: int, *, large: bool) -> None:  # noqa: ARG002 (all are)
        if item < len(self._queue.entries):
            self._pictures.want(item)
            return
        there = len(self._queue.entries)
        self._post_image(item, f"There is no image number {item}; there are {there}.")

    def _shown(self, item: int) -> Shown:
        made = preview(self._queue.entries[item], side=self._side)
        facts = {"media": made.media_type, "width": made.width, "height": made.height, "original": list(made.original)}
        return Shown(facts, [made.data])

    def _post_image(self, item: int, made: Shown | str) -> None:
        if isinstance(made, str):
            self._post({"type": "image", "item": item, "error": made})
        else:
            self._post({"type": "image", "item": item} | made.facts, made.buffers)


def _meanings(classes: Any) -> tuple[tuple[str, ...], dict[str, Label | None]]:
    """Return the names of the classes, and which label each means."""
    names = check_classes(list(classes) if isinstance(classes, Mapping) else classes)
    meanings: dict[str, Label | None] = {}
    for name in names:
        label = classes[name] if isinstance(classes, Mapping) else name
        known = label in (Label.NORMAL, Label.ANOMALY)
        if isinstance(classes, Mapping) and label is not None and not known:
            raise Invalid(f"A class means 'normal', 'anomaly' or None; {label!r} was given for {name!r}.")
        if name in (Label.NORMAL, Label.ANOMALY) and label != name:
            raise Invalid(f"A class called {name!r} means {name!r}; {label!r} was given.")
        meanings[name] = Label(label) if known else None
    return names, meanings


def _kind(value: Any) -> str:
    return repr(value)[:60] if isinstance(value, str | int | float | None) else f"a {type(value).__name__}"
