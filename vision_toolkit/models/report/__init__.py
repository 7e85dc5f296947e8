"""One page that says how good a model is, where it fails and how it was made; to read, print and forward.

========================  ==========================================================
:mod:`.facts`             what ``report.json`` says, and the words for it
:mod:`.pictures`          cards of single images, and charts
:mod:`.markup`            HTML elements that no name can break
:mod:`.page`              ``report.html``: the sections, in their order
:mod:`.making`            its last part: how the model was made
========================  ==========================================================
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

from vision_toolkit.core.entry import Entry, Finding
from vision_toolkit.core.errors import Conflict, Invalid
from vision_toolkit.core.prediction import Prediction
from vision_toolkit.data.manifest import Manifest
from vision_toolkit.data.storage import write_file
from vision_toolkit.metrics.evaluation import Evaluation
from vision_toolkit.models.report.facts import collect
from vision_toolkit.models.report.page import write_page
from vision_toolkit.models.report.pictures import best_rows, draw_cards, worst_rows

__all__ = ["Reportable", "write_report"]


class Reportable(Protocol):
    """Say what a report needs of a model; :class:`~vision_toolkit.models.model.Model` has it."""

    @property
    def info(self) -> Mapping[str, Any]:
        """Return how the model was made: plain facts, in the shape that ``train`` gives them."""

    @property
    def task(self) -> str:
        """Return what the model was trained to do."""

    def predict(self, entry: Entry, /) -> Prediction:
        """Return what the model says of one image."""


def write_report(
    model: Reportable,
    evaluation: Evaluation,
    manifest: Manifest,
    folder: str | os.PathLike[str],
    *,
    title: str | None = None,
    findings: Iterable[Finding] | None = None,
    overwrite: bool = False,
    best: int = 4,
    worst: int = 8,
) -> Path:
    """Write ``report.html``, one page for engineers and their bosses, and ``report.json``, the same facts.

    The page carries its pictures within itself, runs no script and asks no other computer for anything: it can be
    mailed, printed and archived. With the default numbers of images it stays below 4 MB whatever their sizes.

    Parameters
    ----------
    model
        what was evaluated; it predicts the shown images again for their heat maps and masks.
    evaluation
        the scores, counts and verdicts.
    manifest
        the evaluated entries, for images and true masks.
    folder
        where to write; made if it is not there. Other files in it are left alone.
    title
        heading of the page.
    findings
        what is odd in the data, as ``manifest.check()`` returns it; None where nobody checked.
    overwrite
        replace a report that is there already.
    best, worst
        how many images to show: the surest right ones; missed anomalies, false alarms, then the least sure.

    Returns
    -------
    Path
        the page.

    Raises
    ------
    Invalid
        if ``best`` or ``worst`` is negative.
    Conflict
        if there is a report already and ``overwrite`` is not set.
    Failed
        if the disk refuses.

    Examples
    --------
    >>> import tempfile
    >>> import vision_toolkit as vt
    >>> train, test = vt.load_dataset("biscuit")[:20], vt.load_dataset("biscuit")[20:30]
    >>> model = vt.train(train, weights=None, preset="fast", task="classification", budget=1, progress=False)
    >>> folder = tempfile.mkdtemp()
    >>> write_report(model, model.evaluate(test), test, folder, findings=test.check(), best=1, worst=1).name
    'report.html'
    """
    if best < 0 or worst < 0:
        raise Invalid(f"best and worst count images, from 0; {best} and {worst} were given.")
    page, data = Path(folder) / "report.html", Path(folder) / "report.json"
    for path in (page, data):
        if path.exists() and not overwrite:
            raise Conflict(f"{path} exists; give another folder or overwrite=True.")
    facts = collect(model, evaluation, manifest, title=title, findings=findings)
    bad = worst_rows(evaluation, worst)
    good = best_rows(evaluation, best, besides=bad)
    html = write_page(facts, evaluation, draw_cards(bad, manifest, model), draw_cards(good, manifest, model))
    write_file(data, json.dumps(facts, indent=1, allow_nan=False).encode("ascii"), overwrite=overwrite)
    return write_file(page, html.encode("utf-8", "replace"), overwrite=overwrite)
