"""Show what curation found: a few pictures in a notebook, or one page for everybody."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape
from itertools import zip_longest
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vision_toolkit.core import Entry, VisionError
from vision_toolkit.curation.checks import Oddity
from vision_toolkit.data.images import encode_jpeg, read_image, thumbnail

if TYPE_CHECKING:
    from vision_toolkit.curation.report import Curation

__all__ = ["chosen", "page", "picture", "summary"]

_SIDE = 160
_SHOWN = 24
_LISTED = 1000
_INK = {"error": "#b3261e", "warning": "#b05a00", "info": "#5b6773"}
_STYLE = """
body { font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; max-width: 1040px;
  margin: 32px auto; padding: 0 20px; color: #1f2933; background: #fff; }
h1 { font-size: 1.4rem; overflow-wrap: anywhere; } h2 { font-size: 1.1rem; margin-top: 2.2em; }
td, th { text-align: left; padding: 3px 16px 3px 0; vertical-align: top; } p.why { color: #5b6773; margin: 2px 0 10px; }
li { overflow-wrap: anywhere; } figcaption { overflow-wrap: anywhere; }
@media print { h2 { break-after: avoid; } figure { break-inside: avoid; } }
"""


def chosen(oddities: Sequence[Oddity], count: int) -> list[tuple[str, int]]:
    """Return the rule and position of the images to show: the strongest of each rule in turn, none twice a rule.

    Examples
    --------
    >>> chosen([Oddity("dark", (4,), ""), Oddity("dark", (2,), ""), Oddity("blurred", (7,), "")], 2)
    [('dark', 4), ('blurred', 7)]
    """
    by_rule: dict[str, list[tuple[int, ...]]] = {}
    for one in oddities:
        if one.positions:
            by_rule.setdefault(one.rule, []).append(one.positions[:4])
    turns = zip_longest(*([(rule, group) for group in groups] for rule, groups in by_rule.items()))
    cells = [cell for turn in turns for cell in turn if cell is not None]
    tiles = [(rule, i) for rule, group in cells for i in group]
    return list(dict.fromkeys(tiles))[: max(0, count)]


def picture(entry: Entry, side: int) -> NDArray[np.uint8]:
    """Return a small picture of an image, or a crossed one where it cannot be read."""
    try:
        return thumbnail(read_image(entry), side)
    except VisionError:
        y, x = np.mgrid[: side * 3 // 4, :side]
        crossed = np.abs(np.abs(x / side - 0.5) - np.abs(y / (side * 3 // 4) - 0.5)) < 0.008
        return np.where(crossed, 150, 225).astype(np.uint8)[..., None].repeat(3, axis=2)


def summary(curation: Curation) -> str:
    """Return a small piece of HTML: how many images break which rule, and some of the worst."""
    tiles = chosen(curation.oddities, _SHOWN)
    figures = "".join(_figure(curation, rule, i) for rule, i in tiles)
    return f"<div><p>{_head(curation)}</p>{_counts(curation)}<div {_FLEX}>{figures}</div></div>"


def page(curation: Curation) -> str:
    """Return a whole page: every rule that was broken, why it matters, its images and their list; no script."""
    title = f"Curation of {escape(curation.manifest.name)}"
    removals = curation.remove
    planned = _listed([str(one) for one in removals])
    sections = "".join(_section(curation, rule) for rule in dict.fromkeys(one.rule for one in curation.oddities))
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head><body>'
        f"<h1>{title}</h1><p>{_head(curation)}</p>{_counts(curation)}"
        f"<h2>Proposed to remove: {len(removals)}</h2>{planned}{sections}</body></html>\n"
    )


def _head(curation: Curation) -> str:
    images = len(curation.manifest)
    test = f" and {len(curation.test)} of a test set" if curation.test is not None else ""
    decide = f", {len(curation.decisions)} to decide" if curation.decisions else ""
    return f"{images} images{test}: {len(curation.findings)} findings, {len(curation.remove)} to remove{decide}."


def _counts(curation: Curation) -> str:
    from vision_toolkit.curation.report import rule_of

    rows = ""
    for rule, count in curation.counts().items():
        about = rule_of(rule)
        shown = count or sum(one.rule == rule for one in curation.oddities)
        rows += (
            f'<tr><td style="color:{_INK[about.severity]}">{about.severity}</td><td>{escape(rule)}</td>'
            f"<td>{shown}</td><td style='text-align:left'>{escape(about.text)}</td></tr>"
        )
    return f"<table>{rows}</table>" if rows else "<p>Nothing odd was found.</p>"


_FLEX = 'style="display:flex;flex-wrap:wrap;gap:10px;align-items:flex-end"'


def _figure(curation: Curation, rule: str, position: int) -> str:
    from vision_toolkit.curation.report import rule_of

    entry = curation.entries[position]
    data = base64.b64encode(encode_jpeg(picture(entry, _SIDE), quality=75)).decode("ascii")
    name = escape(entry.source.rpartition("/")[2][-40:])
    part = "test, " if position >= len(curation.manifest) else ""
    return (
        f'<figure style="margin:0;width:{_SIDE}px"><img src="data:image/jpeg;base64,{data}" '
        f'style="max-width:{_SIDE}px" alt="{name}"><figcaption style="font-size:12px;overflow-wrap:anywhere">{name}<br>'
        f'<span style="color:{_INK[rule_of(rule).severity]}">{escape(rule)}</span>, {part}{entry.label}'
        "</figcaption></figure>"
    )


def _section(curation: Curation, rule: str) -> str:
    from vision_toolkit.curation.report import rule_of

    about = rule_of(rule)
    found = [
        (one, finding) for one, finding in zip(curation.oddities, curation.findings, strict=True) if one.rule == rule
    ]
    figures = "".join(_figure(curation, rule, i) for _, i in chosen([one for one, _ in found], _SHOWN))
    repair = f" Repair: {escape(about.repair)}." if about.repair else ""
    return (
        f'<h2><span style="color:{_INK[about.severity]}">{about.severity}</span> {escape(rule)}</h2>'
        f'<p class="why">{escape(about.text)} {escape(about.why)}{repair}</p>'
        f"<div {_FLEX}>{figures}</div>{_listed([finding.text for _, finding in found])}"
    )


def _listed(texts: Sequence[str]) -> str:
    more = f"<li>and {len(texts) - _LISTED} more</li>" if len(texts) > _LISTED else ""
    items = "".join(f"<li>{escape(text)}</li>" for text in texts[:_LISTED])
    return f"<ul>{items}{more}</ul>" if texts else ""
