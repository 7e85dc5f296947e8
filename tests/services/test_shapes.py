"""One walk tells everything that is wrong with a value, in AWS's words."""

from __future__ import annotations

import base64
import io
import json
import math
import re
import unicodedata
from datetime import UTC, datetime, timedelta, timezone
from typing import Annotated, Any, Literal, NotRequired, Required, TypedDict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vision_toolkit.services.shapes import (
    Blob,
    Items,
    Text,
    Violation,
    Whole,
    check,
    encode,
    epoch,
    members,
    plain,
    same,
    told,
)  # fmt: skip

Name = Annotated[str, Text(1, 5, r"[a-z]+")]


class Tag(TypedDict):
    Key: Name
    Value: NotRequired[Annotated[str, Text(0, 3)]]


class Place(TypedDict, total=False):
    Bucket: Required[Annotated[str, Text(3, 63)]]
    Prefix: str
    Tags: Annotated[list[Tag], Items(0, 2)]
    Sizes: dict[str, int]
    Kind: Literal["ARM64", "X86_64"]


def rules(hint: Any, value: Any, **options: Any) -> list[tuple[str, str]]:
    return [(one.path, one.rule) for one in check(hint, value, ("It",), **options)[1]]


def test_all_is_told_at_once_with_the_way_to_it() -> None:
    value = {"Bucket": "b", "Tags": [{"Key": "A"}, {"Value": "long"}, 3], "Kind": "MIPS", "Other": 1}
    assert rules(Place, value) == [
        ("it.bucket", "Member must have length greater than or equal to 3"),
        ("it.tags.1.member.key", "Member must satisfy regular expression pattern: [a-z]+"),
        ("it.tags.2.member.key", "Member must not be null"),
        ("it.tags.2.member.value", "Member must have length less than or equal to 3"),
        ("it.tags.3.member", "Member must be a structure"),
        ("it.tags", "Member must have length less than or equal to 2"),
        ("it.kind", "Member must satisfy enum value set: [ARM64, X86_64]"),
        ("it.other", "Member must be one of: [Bucket, Prefix, Tags, Sizes, Kind]"),
    ]


def test_a_good_value_comes_back_converted() -> None:
    value = {"Bucket": "abc", "Prefix": None, "Tags": ({"Key": "a"},), "Sizes": {"x": np.int64(3)}}
    assert check(Place, value) == ({"Bucket": "abc", "Tags": [{"Key": "a"}], "Sizes": {"x": 3}}, [])


def test_names_in_a_map_have_a_shape_too() -> None:
    kind = Annotated[dict[Name, int], Items(0, 2)]
    assert check(kind, {"a": 1, "b": 2}) == ({"a": 1, "b": 2}, [])
    assert rules(kind, {"A": "x"}) == [
        ("it.a", "Member must satisfy regular expression pattern: [a-z]+"),
        ("it.a", "Member must be an integer"),
    ]
    assert rules(kind, {"a": 1, "b": 2, "c": 3}) == [("it", "Member must have length less than or equal to 2")]
    assert rules(kind, {1: 2}) == [("it.1", "Member must be a string")]


@pytest.mark.parametrize(("value", "same"), [("a", "a"), (True, True), (7, 7), (0.5, 0.5), (2**40, float(2**40))])
def test_one_of_several_shapes_will_do(value: Any, same: Any) -> None:
    converted, violations = check(Name | bool | int | float, value)
    assert violations == [] and converted == same and type(converted) is type(same)


def test_none_of_several_shapes_is_told() -> None:
    words = "Member must be a string or an integer, within its limits"
    assert rules(Name | int, "TOO LONG") == rules(Name | int, [1]) == [("it", words)]
    assert rules(Name | int | None, None) == [("it", "Member must not be null")]


class Inline(TypedDict, total=False):
    source: Required[Literal["INLINE"]]
    data: Required[str]


class Stored(TypedDict, total=False):
    source: Required[Literal["OBJECT_STORAGE"]]
    bucket: Required[str]


def test_structures_of_several_kinds_are_told_apart_by_a_member() -> None:
    for value in ({"source": "INLINE", "data": "x"}, {"source": "OBJECT_STORAGE", "bucket": "b"}):
        assert check(list[Inline | Stored], [value | {"newer": 1}], ignore_unknown=True) == ([value], [])
    for value in ({"source": "UNKNOWN_ENUM_VALUE", "data": "x"}, {"data": "x"}, {"source": "INLINE", "bucket": "b"}, 3):
        ((path, rule),) = rules(list[Inline | Stored], [value], ignore_unknown=True)
        assert path == "it.1.member" and "another kind" in rule


def test_a_text_has_no_nul() -> None:
    assert rules(str, "a\0b") == [("it", "Member must be a string")]


def test_unknown_members_are_left_out_where_the_service_says_so() -> None:
    value = {"Bucket": "abc", "New": 1, "Tags": [{"Key": "a", "New": 2}]}
    assert check(Place, value, ignore_unknown=True) == ({"Bucket": "abc", "Tags": [{"Key": "a"}]}, [])


WRONG = {
    str: [1, b"a", ["a"], True, "\ud800"],
    bool: [1, 0, "true", "yes"],
    int: [True, 1.0, "1", 2**31, -(2**31) - 1, 10**400],
    float: [True, "1.0", math.nan, math.inf, 10**400],
    bytes: [1, ["a"]],
    datetime: [True, "yesterday", 1e300, math.nan, []],
    list[str]: ["a", {"a": "b"}],
    dict[str, str]: [["a"], "a"],
    Literal["a", "b"]: ["c", 1, ["a"]],
    Place: ["a", [], 1],
}  # fmt: skip


@pytest.mark.parametrize(("hint", "value"), [(hint, value) for hint, values in WRONG.items() for value in values])
def test_a_value_of_another_type_is_told(hint: Any, value: Any) -> None:
    assert len(rules(hint, value)) == 1


EAST = timezone(timedelta(hours=3))
RIGHT: list[tuple[Any, Any, str, Any]] = [
    (int, np.int32(7), "python", 7),
    (int, " 12", "text", None),
    (int, "12", "text", 12),
    (int, "1" * 5000, "text", None),
    (int, "-3", "text", -3),
    (int, "12", "json", None),
    (float, 3, "json", 3.0),
    (float, "0.5", "text", 0.5),
    (float, "1e-3", "text", 0.001),
    (float, "nan", "text", None),
    (float, "1.2.3", "text", None),
    (bool, "true", "text", True),
    (bool, "false", "text", False),
    (bool, "True", "text", None),
    (bytes, "NDI=", "json", b"42"),
    (bytes, "NDI", "json", None),
    (bytes, "é", "json", None),
    (bytes, b"42", "json", None),
    (bytes, "42", "python", b"42"),
    (bytes, bytearray(b"42"), "python", b"42"),
    (bytes, io.BytesIO(b"42"), "python", b"42"),
    (datetime, 0, "json", datetime(1970, 1, 1, tzinfo=UTC)),
    (datetime, "2024-01-02T03:04:05Z", "text", datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC)),
    (datetime, "2024-01-02T03:04:05.678000Z", "text", datetime(2024, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)),
    (datetime, "2024-01-02T03:04:05", "text", datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC)),
    (datetime, datetime(2024, 1, 2, 3, tzinfo=EAST), "python", datetime(2024, 1, 2, tzinfo=UTC)),
    (datetime, "0001-01-01T00:00:00+14:00", "text", None),
    (Any, {"a": [1]}, "json", {"a": [1]}),
]  # fmt: skip


@pytest.mark.parametrize(("hint", "value", "form", "expected"), RIGHT)
def test_what_is_converted_depends_on_where_it_comes_from(hint: Any, value: Any, form: Any, expected: Any) -> None:
    converted, violations = check(hint, value, form=form)
    assert (converted == expected and type(converted) is type(expected)) if expected is not None else violations


def test_a_date_without_a_zone_is_local_time_in_python() -> None:
    naive = datetime(2024, 7, 2, 3, 4, 5)  # noqa: DTZ001
    assert check(datetime, naive)[0] == naive.astimezone(UTC)


@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 40))
def test_limits_include_their_ends(length: int, least: int, more: int) -> None:
    most = least + more
    for mark, value in [(Text(least, most), "a" * length), (Blob(least, most), b"a" * length),
                        (Items(least, most), [1] * length), (Whole(least, most), length)]:  # fmt: skip
        assert bool(list(mark.broken_by(value))) == (not least <= length <= most)


@given(st.text())
def test_categories_of_unicode_are_those_of_unicodedata(text: str) -> None:
    mark = Text(pattern=r"^([\p{L}\p{Z}\p{N}_.:/=+\-@]*)$")
    fits = all(c in "_.:/=+-@" or unicodedata.category(c)[0] in "LZN" for c in text)
    assert bool(list(mark.broken_by(text))) == (not fits)


@given(st.from_regex(r"[a-z]+", fullmatch=True) | st.text())
def test_a_pattern_must_match_the_whole(text: str) -> None:
    assert bool(list(Text(pattern=r"^[a-z]+$").broken_by(text))) == (not re.fullmatch("[a-z]+", text))


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


class BLOBS(TypedDict):
    A: bytes
    B: datetime
    C: list[Place]
    D: bool
    E: float
    F: int


@given(
    st.dictionaries(st.sampled_from(["A", "B", "C", "D", "E", "F", "G"]), ANY_JSON), st.sampled_from(["json", "text"])
)
def test_no_json_makes_the_walk_stumble(value: dict[str, Any], form: Any) -> None:
    converted, violations = check(BLOBS, value, form=form)
    message = told(violations)
    assert message.count("failed to satisfy constraint") == min(len(violations), 100)
    message.encode()  # whatever was given, the message is text
    if not violations:
        assert set(converted) == set("ABCDEF")


@given(st.binary(max_size=40), st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001
def test_what_is_encoded_is_read_again(blob: bytes, moment: datetime) -> None:
    line = json.loads(json.dumps(encode({"A": blob, "B": moment})))
    assert check(bytes, line["A"], form="json") == (blob, [])
    again, violations = check(datetime, line["B"], form="json")
    assert violations == [] and abs(again - moment) < timedelta(milliseconds=1)


def test_encoding_leaves_out_what_is_not_there() -> None:
    moment = datetime(2024, 1, 2, 3, 4, 5, 500000, tzinfo=UTC)
    answer = {"A": None, "B": [{"C": None, "D": math.nan}], "E": moment, "F": b"x", "G": 0, "H": ""}
    assert encode(answer) == {"B": [{}], "E": epoch(moment), "F": base64.b64encode(b"x").decode(), "G": 0, "H": ""}
    copy = encode(answer, date=same, blob=same)
    assert copy["E"] is moment and copy["F"] == b"x"
    assert epoch(moment) == 1704164645.5


def test_marks_are_found_below_optional_and_required() -> None:
    assert plain(Annotated[Annotated[str, Text(1)] | None, "x"]) == (str, (Text(1), "x"))
    assert plain(Required[int]) == (int, ())
    assert [required for _, required in members(Place).values()] == [True, False, False, False, False]
    assert [required for _, required in members(Tag).values()] == [True, False]


def test_messages_are_those_of_aws() -> None:
    one = Violation(("ProjectName",), "a b", "Member must satisfy regular expression pattern: [a-z]+")
    two = Violation(("OutputConfig", "S3Location", "Bucket"), None, "Member must not be null")
    assert told([one]) == (
        "1 validation error detected: Value 'a b' at 'projectName' failed to satisfy constraint: "
        "Member must satisfy regular expression pattern: [a-z]+"
    )
    assert told([one, two]).startswith("2 validation errors detected: Value 'a b' at 'projectName' failed")
    assert told([one, two]).endswith(
        "; Value null at 'outputConfig.s3Location.bucket' failed to satisfy constraint: Member must not be null"
    )


def test_long_and_odd_values_are_shortened_in_messages() -> None:
    def shown(value: Any) -> str:
        return str(Violation(("A",), value, "r")).removesuffix(" at 'a' failed to satisfy constraint: r")

    assert shown("x" * 540) == f"Value '{'x' * 60}...'"
    assert shown("a\nb\ud800") == "Value 'a\ufffdb\ufffd'"
    assert shown(b"x" * 10_000_000) == "Value '(10000000 bytes)'"
    assert shown(True) == "Value 'true'"
    assert len(shown({"a": ["x" * 1000] * 1000})) < 80
    many = [Violation(("A",), 1, "r")] * 250
    assert told(many).endswith("; and 150 more") and told(many).startswith("250 validation errors detected")
