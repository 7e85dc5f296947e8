"""Lists that come in pages: where a page ends, and going through all of them."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from vision_toolkit.core.errors import Invalid
from vision_toolkit.services.oci.models import NEXT_PAGE, Headers, Response

__all__ = ["PAGE", "headers_of", "list_call_get_all_results", "list_call_get_all_results_generator", "read_page"]

PAGE = 100
"""How many items a page has where nobody says how many."""
_MOST = 2**63


def headers_of(query: Mapping[str, Any], after: tuple[Any, int] | None) -> dict[str, str]:
    """Return the header that names the next page; none on the last one.

    Parameters
    ----------
    query
        what the list was asked for, but page and limit: a page belongs to it.
    after
        the last item's place: its cell, and its number.

    Examples
    --------
    >>> query = {"sort": "displayName"}
    >>> read_page(headers_of(query, ("bolts", 7))["opc-next-page"], query, str)
    ('bolts', 7)
    """
    if after is None:
        return {}
    text = json.dumps([_digest(query), *after])
    return {NEXT_PAGE: base64.urlsafe_b64encode(text.encode()).decode("ascii")}


def read_page(token: str | None, query: Mapping[str, Any], kind: type) -> tuple[Any, int] | None:
    """Return the place after which a page begins.

    Parameters
    ----------
    token
        what ``opc-next-page`` said; None = the first page.
    query
        what the list is asked for now.
    kind
        of the cell that sorts it, ``str`` or ``float``.

    Raises
    ------
    Invalid
        if this list did not give it.
    """
    if token is None:
        return None
    digest: Any
    cell: Any
    number: Any
    try:
        digest, cell, number = json.loads(base64.b64decode(token, altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, TypeError, RecursionError):
        digest = cell = number = None
    good = type(cell) is kind and (not isinstance(cell, str) or _is_text(cell))
    good = good and (not isinstance(cell, float) or math.isfinite(cell))
    if digest != _digest(query) or not good or type(number) is not int or not 0 <= number < _MOST:
        raise Invalid("page is not one that this list gave; give what opc-next-page said, with the same filters.")
    return cell, number


def _is_text(cell: str) -> bool:
    """Return whether a database can take a text."""
    return "\0" not in cell and cell.encode("utf-8", "replace").decode() == cell


def _digest(query: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(query, sort_keys=True).encode()).hexdigest()[:16]


def list_call_get_all_results_generator(
    list_func_ref: Callable[..., Response], *arguments: Any, **named: Any
) -> Iterator[Response]:
    """Yield the pages of a list, each when it is wanted.

    Parameters
    ----------
    list_func_ref
        ``client.list_projects``.
    arguments, named
        those of every call.
    """
    while True:
        answer = list_func_ref(*arguments, **named)
        yield answer
        if not answer.has_next_page:
            return
        named["page"] = answer.next_page


def list_call_get_all_results(list_func_ref: Callable[..., Response], *arguments: Any, **named: Any) -> Response:
    """Return the last page's answer with the items of all pages as its data, as ``oci.pagination`` does.

    Parameters
    ----------
    list_func_ref
        ``client.list_projects``.
    arguments, named
        those of every call.
    """
    items: list[Any] = []
    for answer in list_call_get_all_results_generator(list_func_ref, *arguments, **named):
        items += answer.data.items
    return Response(answer.status, Headers(answer.headers), items, answer.request)
