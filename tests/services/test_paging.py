"""Paginators give every item once, stop where they should, and go on where they stopped, as botocore's do."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vision_toolkit.core.errors import Failed, Invalid, Unsupported
from vision_toolkit.services.paging import Pages, Paginator

HAS_BOTOCORE = importlib.util.find_spec("botocore") is not None


def lister(total: int, size: int) -> Callable[..., dict[str, Any]]:
    """Return an operation that lists numbers; its token is opaque."""

    def list_numbers(NextToken: str = "p0", MaxResults: int = size, **other: Any) -> dict[str, Any]:
        at = int(NextToken[1:])
        page: dict[str, Any] = {"Numbers": list(range(at, min(total, at + MaxResults))), "ResponseMetadata": other}
        return page | ({"NextToken": f"p{at + MaxResults}"} if at + MaxResults < total else {})

    return list_numbers


def ours(total: int, size: int) -> Paginator:
    return Paginator(lister(total, size), Pages("Numbers"))


def theirs(total: int, size: int) -> Any:
    from botocore.paginate import Paginator as Other

    config = {
        "input_token": "NextToken",
        "output_token": "NextToken",
        "limit_key": "MaxResults",
        "result_key": "Numbers",
    }
    return Other(lister(total, size), config, None)


def in_parts(paginator: Any, most: int | None) -> list[dict[str, Any]]:
    parts = []
    config: dict[str, Any] = {} if most is None else {"MaxItems": most}
    while True:
        parts.append(paginator.paginate(PaginationConfig=dict(config)).build_full_result())
        if "NextToken" not in parts[-1]:
            return parts
        config["StartingToken"] = parts[-1]["NextToken"]


@given(st.integers(0, 30), st.integers(1, 7), st.none() | st.integers(1, 12))
def test_parts_hold_every_item_once(total: int, size: int, most: int | None) -> None:
    parts = in_parts(ours(total, size), most)
    assert [number for part in parts for number in part["Numbers"]] == list(range(total))
    assert all(len(part["Numbers"]) == most for part in parts[:-1])
    if HAS_BOTOCORE:
        assert parts == in_parts(theirs(total, size), most)


@given(st.integers(0, 30), st.integers(1, 7), st.none() | st.integers(1, 12))
def test_pages_are_those_of_botocore(total: int, size: int, most: int | None) -> None:
    config = {} if most is None else {"MaxItems": most}
    pages = list(ours(total, size).paginate(PaginationConfig=config, Other=1))
    assert all(page["ResponseMetadata"] == {"Other": 1} for page in pages)
    if HAS_BOTOCORE:
        assert pages == list(theirs(total, size).paginate(PaginationConfig=config, Other=1))


def test_page_size_is_asked_for() -> None:
    pages = list(ours(5, 100).paginate(PaginationConfig={"PageSize": "2"}))
    assert [len(page["Numbers"]) for page in pages] == [2, 2, 1]


def test_the_services_own_token_may_start() -> None:
    config = {"StartingToken": "p3"}
    assert ours(5, 2).paginate(PaginationConfig=config).build_full_result() == {"Numbers": [3, 4]}


def test_an_iteration_may_be_repeated() -> None:
    pages = ours(5, 2).paginate(PaginationConfig={"MaxItems": 3})
    assert pages.build_full_result() == pages.build_full_result()


def test_a_repeated_token_raises() -> None:
    endless = Paginator(lambda **_: {"Numbers": [1], "NextToken": "again"}, Pages("Numbers"))
    with pytest.raises(Failed, match="The same next token was received twice: again"):
        endless.paginate().build_full_result()


def test_an_empty_token_ends() -> None:
    assert len(list(Paginator(lambda **_: {"Numbers": [1], "NextToken": ""}, Pages("Numbers")).paginate())) == 1


def test_a_spoilt_token_is_told() -> None:
    from base64 import b64encode

    token = b64encode(b'{"NextToken": null, "boto_truncate_amount": "x"}').decode()
    with pytest.raises(Invalid, match="Bad starting token"):
        list(ours(5, 2).paginate(PaginationConfig={"StartingToken": token}))


def test_search_goes_through_the_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    if importlib.util.find_spec("jmespath"):
        assert list(ours(5, 2).paginate().search("Numbers[?@ > `2`]")) == [3, 4]
        assert list(ours(3, 2).paginate().search("length(Numbers)")) == [2, 1]
    monkeypatch.setitem(__import__("sys").modules, "jmespath", None)
    with pytest.raises(Unsupported, match="pip install jmespath"):
        ours(5, 2).paginate().search("Numbers")
