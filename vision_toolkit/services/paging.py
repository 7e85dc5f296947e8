"""Go through answers that come in pages, as boto3's paginators do."""

from __future__ import annotations

import base64
import importlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from vision_toolkit.core.errors import Failed, Invalid, Unsupported

__all__ = ["PageIterator", "Pages", "Paginator"]

_CUT = "boto_truncate_amount"  # botocore's word for how many items of a page were given out


@dataclass(frozen=True, slots=True)
class Pages:
    """Name what pages are made of.

    Parameters
    ----------
    result
        the member of an answer that is a list.
    limit
        the parameter that says how many items a page may have.
    token
        the parameter that asks for a page, and the member of an answer that names the next.
    """

    result: str
    limit: str = "MaxResults"
    token: str = "NextToken"  # noqa: S105 the name of one


class Paginator:
    """Make iterators over the pages of one operation.

    Parameters
    ----------
    method
        the operation, which takes keyword arguments.
    pages
        what its pages are made of.

    Examples
    --------
    >>> def list_letters(NextToken="", MaxResults=2):
    ...     at = int(NextToken or 0)
    ...     more = {"NextToken": str(at + MaxResults)} if at + MaxResults < 5 else {}
    ...     return {"Letters": list("abcde"[at : at + MaxResults])} | more
    >>> letters = Paginator(list_letters, Pages("Letters"))
    >>> [page["Letters"] for page in letters.paginate()]
    [['a', 'b'], ['c', 'd'], ['e']]
    >>> first = letters.paginate(PaginationConfig={"MaxItems": 3}).build_full_result()
    >>> first["Letters"]
    ['a', 'b', 'c']
    >>> letters.paginate(PaginationConfig={"StartingToken": first["NextToken"]}).build_full_result()
    {'Letters': ['d', 'e']}
    """

    def __init__(self, method: Callable[..., Any], pages: Pages) -> None:
        self._method = method
        self._pages = pages

    def paginate(self, *, PaginationConfig: Mapping[str, Any] | None = None, **arguments: Any) -> PageIterator:
        """Return an iterable of pages; nothing is asked before the first is wanted.

        Parameters
        ----------
        PaginationConfig
            ``MaxItems``: how many items in all; ``PageSize``: how many a page; ``StartingToken``: where to go on, the
            ``resume_token`` of an iteration before. None of them is needed.
        arguments
            those of the operation.
        """
        config = PaginationConfig or {}
        most, size, start = (config.get(name) for name in ("MaxItems", "PageSize", "StartingToken"))
        if size is not None:
            arguments[self._pages.limit] = int(size)
        return PageIterator(self._method, self._pages, arguments, None if most is None else int(most), start)


@dataclass(slots=True)
class PageIterator:
    """Be an iterable of pages; :meth:`Paginator.paginate` makes it.

    Parameters
    ----------
    method, pages
        as of the paginator.
    arguments
        of every call.
    most
        how many items in all; None = all there are.
    start
        where to begin; None = at the beginning.
    """

    method: Callable[..., Any]
    pages: Pages
    arguments: dict[str, Any]
    most: int | None = None
    start: str | None = None
    resume_token: str | None = field(default=None, init=False)
    """Where to go on after ``most`` items, for the next ``StartingToken``; None at the end."""

    def __iter__(self) -> Iterator[dict[str, Any]]:
        self.resume_token = None
        token, skipped = _read_token(self.start, self.pages.token)
        seen = 0
        while True:
            page = dict(self.method(**self.arguments, **({} if token is None else {self.pages.token: token})))
            items = list(page.get(self.pages.result) or ())[skipped:]
            left = len(items) if self.most is None else self.most - seen
            seen += len(items)
            if left < len(items):
                self.resume_token = _write_token({self.pages.token: token, _CUT: skipped + left})
                yield page | {self.pages.result: items[:left]}
                return
            yield page | {self.pages.result: items} if self.pages.result in page else page
            following = page.get(self.pages.token) or None
            if following is None:
                return
            if seen == self.most:
                self.resume_token = _write_token({self.pages.token: following})
                return
            if following == token:
                raise Failed(f"The same next token was received twice: {following}")
            token, skipped = following, 0

    def build_full_result(self) -> dict[str, Any]:
        """Return the items of all pages as one answer, with ``NextToken`` if ``MaxItems`` left some out."""
        found: dict[str, Any] = {}
        for page in self:
            if self.pages.result in page:
                found.setdefault(self.pages.result, []).extend(page[self.pages.result])
        return found if self.resume_token is None else found | {"NextToken": self.resume_token}

    def search(self, expression: str) -> Iterator[Any]:
        """Yield what a JMESPath expression finds in each page, lists item by item.

        Raises
        ------
        Unsupported
            if the package jmespath is not installed.
        """
        try:
            compiled = importlib.import_module("jmespath").compile(expression)
        except ImportError:
            raise Unsupported("search() needs the package jmespath: pip install jmespath.") from None
        return self._searched(compiled)

    def _searched(self, compiled: Any) -> Iterator[Any]:
        for page in self:
            found = compiled.search(page)
            yield from found if isinstance(found, list) else [found]


def _write_token(token: Mapping[str, Any]) -> str:
    return base64.b64encode(json.dumps(token).encode()).decode("ascii")


def _read_token(text: str | None, name: str) -> tuple[str | None, int]:
    """Return the token of a page and how many of its items to leave out, from ours or from the service's own token."""
    if text is None:
        return None, 0
    try:
        token = json.loads(base64.b64decode(text, validate=True))
    except ValueError:
        return text, 0
    if not isinstance(token, dict) or name not in token:
        return text, 0
    cut = token.get(_CUT, 0)
    if not isinstance(cut, int) or cut < 0:
        raise Invalid(f"Bad starting token: {text}")
    return token[name], cut
