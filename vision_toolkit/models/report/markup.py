"""HTML elements that no name can break: whatever is not HTML already is escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

__all__ = ["Html", "el", "section", "table"]


class Html(str):
    """Mark text that is HTML already; everything else is escaped.

    Examples
    --------
    >>> el("p", Html("<b>"), "<b>")
    '<p><b>&lt;b&gt;</p>'
    """

    __slots__ = ()


def el(tag: str, *children: object, **attributes: object) -> Html:
    """Return an element; text within it and in its attributes is escaped. ``cls`` is its class.

    Examples
    --------
    >>> el("p", "a < b", cls="note")
    '<p class="note">a &lt; b</p>'
    """
    told = "".join(
        f' {"class" if name == "cls" else name}="{escape(str(value))}"' for name, value in attributes.items()
    )
    inner = "".join(child if isinstance(child, Html) else escape(str(child)) for child in children)
    return Html(f"<{tag}{told}>" if tag in ("img", "meta") else f"<{tag}{told}>{inner}</{tag}>")


def section(title: str, *children: Html) -> Html:
    """Return a part of the page under its heading."""
    return el("section", el("h2", title), *children)


def table(head: Sequence[str], rows: Iterable[Sequence[object]], *, numbers: Iterable[int] = ()) -> Html:
    """Return a table on a card; the columns in ``numbers``, from 0, are flush right."""
    right = set(numbers)

    def line(cells: Sequence[object], tag: str, **attributes: str) -> Html:
        kinds = [{"cls": "number"} if i in right else {} for i in range(len(cells))]
        return el("tr", *(el(tag, cell, **kind, **attributes) for cell, kind in zip(cells, kinds, strict=True)))

    body = el("tbody", *(line(row, "td") for row in rows))
    return el("div", el("table", el("thead", line(head, "th", scope="col")), body), cls="card scroll")
