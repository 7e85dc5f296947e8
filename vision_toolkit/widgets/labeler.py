"""Label images in a notebook, with keys: the next one is there at once, and each label is on the disk at once."""

from __future__ import annotations

import base64
import contextlib
import io
import os
import threading
import uuid
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anywidget
import numpy as np
import traitlets

from vision_toolkit.core.entry import Entry, Finding, Label
from vision_toolkit.core.errors import Conflict, Failed, Invalid, NotFound, VisionError
from vision_toolkit.data.images import encode_png, read_image, thumbnail
from vision_toolkit.data.label_act import Opinion
from vision_toolkit.data.label_log import LabelLog, OnDisagreement
from vision_toolkit.data.manifest import Manifest
from vision_toolkit.data.preview import Preview, preview
from vision_toolkit.widgets import wire
from vision_toolkit.widgets.key_map import check_classes, class_keys, command_keys
from vision_toolkit.widgets.label_queue import LabelQueue, distinct
from vision_toolkit.widgets.ordering import Embed, Predicting, check_order, doubtful, ordered

if TYPE_CHECKING:
    from pandas import DataFrame

__all__ = ["Labeler"]

_HELD = 48
"""Previews that are kept encoded, for pages that are reloaded and for undo."""
_ENCODERS = 2
"""Threads that make images ready for the page."""
_PICTURES = 6
"""Images of the picture that remains when the kernel is gone."""


class Labeler(anywidget.AnyWidget):
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

    _esm = Path(__file__).with_suffix(".js")
    _css = Path(__file__).with_suffix(".css")
    _setup = traitlets.Dict().tag(sync=True)
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
        self._previews: OrderedDict[int, Preview | str] = OrderedDict()
        self._making: dict[int, Future[None]] = {}
        self._lock = threading.Lock()
        self._encoders = ThreadPoolExecutor(_ENCODERS, thread_name_prefix="labeler")
        self._kept: dict[str, int] = {}  # by page: up to which number its acts are kept
        self.last_error: str | None = None
        super().__init__(_setup=self._what_pages_need(), n_labelled=self._queue.counts()["labelled"])
        self.on_msg(self._on_message)

    def _what_pages_need(self) -> dict[str, Any]:
        keys = class_keys(self.classes)
        return {
            "v": wire.PROTOCOL,
            "id": uuid.uuid4().hex,
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

    def _repr_mimebundle_(self, **options: Any) -> Any:
        bundle = super()._repr_mimebundle_(**options)
        if bundle is None:
            return None
        shown, metadata = bundle
        return {"image/png": self._picture()} | shown, metadata

    def _picture(self) -> str:
        """Draw what remains in the notebook when the kernel is gone: some images and what was said of them, a PNG."""
        from vision_toolkit.plots import contact_sheet

        place = 0 if self._queue.current is None else self._queue.places[self._queue.current]
        start = max(0, min(place - _PICTURES // 2, len(self._queue.order) - _PICTURES))
        pictures, titles = [], []
        for item in self._queue.order[start : start + _PICTURES]:
            entry, held = self._queue.entries[item], self._queue.opinion(item)
            try:
                pictures.append(thumbnail(read_image(entry), 200))
            except VisionError:
                pictures.append(np.full((150, 200, 3), 200, np.uint8))
            said = held.name or ("skipped" if held.skipped else "to do")
            titles.append(f"{entry.source.replace(chr(92), '/').rpartition('/')[2]}\n{said}")
        file = io.BytesIO()
        sheet = contact_sheet(pictures, titles=titles, columns=min(3, len(pictures)), width=7.0)
        sheet.savefig(file, format="png", dpi=64, metadata={"Software": None})
        rough = read_image(file.getvalue()) & np.uint8(0xF0)  # 16 steps a colour: a notebook is to stay small
        return base64.b64encode(encode_png(rough | rough >> np.uint8(4))).decode("ascii")

    # ---------------------------------------------------------------- the page

    def _on_message(self, _widget: Any, content: Any, _buffers: Any) -> None:
        """Answer a page; whatever it says, no error reaches the user's notebook."""
        try:
            message = wire.read_message(content)
        except Invalid as error:
            self._complain("message", str(error))
            return
        try:
            if isinstance(message, wire.Hello):
                self.label_log.refresh()
                self._queue.settle()
                self._tell(message.page)
            elif isinstance(message, wire.Want):
                for item in message.items:
                    self._send_image(item)
            else:
                self._take(message)
        except VisionError as error:  # of the file: the page keeps its acts and sends them again
            self._complain("file", str(error))
        except Exception as error:  # noqa: BLE001 (a mistake of ours must neither be lost nor stop the labelling)
            self._complain("bug", f"{type(error).__name__}: {error}")

    def _take(self, message: wire.Acts) -> None:
        kept = self._kept.get(message.page, 0)
        if message.acts and message.acts[0].seq > kept + 1:
            self._post({"type": "gap", "page": message.page, "acked": kept})
            return
        refused = []
        try:
            for act in message.acts:
                if act.seq <= kept:
                    continue  # sent again, because the answer was lost
                try:
                    value = self._known(act.value) if act.action == "label" else act.value
                    self._queue.act(
                        act.action, act.item, value,
                        labels=self._meanings, seconds=act.seconds, id=f"{message.page}-{act.seq}",
                    )  # fmt: skip
                except (NotFound, Invalid) as error:
                    refused.append(str(error))
                kept = act.seq
        finally:
            self._kept[message.page] = kept
        self._tell(message.page, refused)

    def _tell(self, page: str | None = None, refused: Sequence[str] = ()) -> None:
        """Send what there is to show; ``page`` learns up to which number its acts are kept."""
        path, odd = self.label_log.path, self.label_log.findings
        self._post(self._queue.plan(self._prefetch) | {
            "type": "plan", "page": page, "acked": self._kept.get(page or "", 0), "refused": list(refused),
            "file": None if path is None else path.name, "annotator": self.annotator,
            "told": [str(finding) for finding in odd[-3:]],
        })  # fmt: skip
        if refused:
            self.last_error = refused[-1]
        self.n_labelled = self._queue.counts()["labelled"]

    def _send_image(self, item: int) -> None:
        if item >= len(self._queue.entries):
            there = len(self._queue.entries)
            self._post({"type": "image", "item": item, "error": f"There is no image number {item}; there are {there}."})
            return
        with self._lock:
            made = self._previews.get(item)
            if made is None and item not in self._making:
                # Beside the kernel's own thread, which is to answer keys meanwhile.
                self._making[item] = self._encoders.submit(self._make_preview, item)
        if made is not None:
            self._post_image(item, made)

    def _make_preview(self, item: int) -> None:
        try:
            made: Preview | str = preview(self._queue.entries[item], side=self._side)
        except VisionError as error:
            made = str(error)
        except Exception as error:  # noqa: BLE001 (whatever a broken file does to a decoder, the page is answered)
            made = f"The image cannot be read: {type(error).__name__}: {error}"
        with self._lock:
            self._previews[item] = made
            while len(self._previews) > _HELD:
                self._previews.popitem(last=False)
        self._post_image(item, made)
        with self._lock:
            del self._making[item]

    def _post_image(self, item: int, made: Preview | str) -> None:
        if isinstance(made, str):
            self._post({"type": "image", "item": item, "error": made})
            return
        facts = {"media": made.media_type, "width": made.width, "height": made.height, "original": list(made.original)}
        self._post({"type": "image", "item": item, **facts}, [made.data])

    def _complain(self, code: str, text: str) -> None:
        self.last_error = text
        self._post({"type": "error", "code": code, "text": text})

    def _post(self, message: dict[str, Any], buffers: list[bytes] | None = None) -> None:
        self.send(_sendable({"v": wire.PROTOCOL} | message), buffers)


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


def _sendable(value: Any) -> Any:
    """Replace what no browser reads: halves of letters, from names of files that were no UTF-8."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, dict):
        return {key: _sendable(one) for key, one in value.items()}
    return [_sendable(one) for one in value] if isinstance(value, list) else value


def _kind(value: Any) -> str:
    return repr(value)[:60] if isinstance(value, str | int | float | None) else f"a {type(value).__name__}"
