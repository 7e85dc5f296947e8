"""Dates as labelling tools write them."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta, timezone
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vision_toolkit.core import Entry
from vision_toolkit.data import Manifest
from vision_toolkit.data.dates import created, parse_date

MOMENT = datetime(2022, 8, 22, 20, 52, 52, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        "2022-08-22T20:52:52Z",
        "2022-08-22T20:52:52z",
        "2022-08-22T20:52:52",
        "2022-08-22 20:52:52",
        "  2022-08-22T20:52:52.000000  ",
        "2022-08-22T20:52:52,000",
        "2022-08-22T20:52:52.000000000Z",
        "20220822T205252Z",
        "2022-08-22T13:52:52-07:00",
        "2022-08-22T13:52:52-0700",
        "2022-08-22 13:52:52 -0700",
        "2022-08-22 20:52:52 UTC",
        "2022-08-22 20:52:52 GMT",
        "Mon Aug 22 2022 13:52:52 GMT-0700 (Pacific Daylight Time)",
        "Mon Aug 22 2022 20:52:52 GMT+0000",
        "Mon Aug 22 2022 20:52:52",
        "Mon, 22 Aug 2022 20:52:52 GMT",
        "22 Aug 2022 22:52:52 +0200",
        "1661201572",
        "1661201572000",
        "1661201572.0",
        1661201572,
        1661201572.0,
        1661201572000,
        datetime(2022, 8, 22, 20, 52, 52),  # noqa: DTZ001 (a naive time is what is tested)
        datetime(2022, 8, 22, 22, 52, 52, tzinfo=timezone(timedelta(hours=2))),
    ],
    ids=repr,
)
def test_every_spelling_is_the_same_moment(text):
    found = parse_date(text)
    assert found == MOMENT and found is not None and found.utcoffset() == timedelta(0)


def test_fractions_and_dates_alone():
    assert parse_date("2022-08-22T20:52:52.851Z") == MOMENT + timedelta(milliseconds=851)
    assert parse_date("1661201572851") == MOMENT + timedelta(milliseconds=851)
    assert parse_date("2022-08-22") == parse_date(date(2022, 8, 22)) == datetime(2022, 8, 22, tzinfo=UTC)
    assert parse_date(0) == datetime(1970, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    ["", "yesterday", "2022", "12", "2022-13-01", "2022-02-30", "Mon Foo 22 2022 13:52:52", "31 Feb 2022 00:00",
     "22 Aug 2022 25:00:00", "9999-12-31T23:59:59-12:00", "0001-01-01T00:00:00+14:00", "2022-08-22T20:52:52+99:00",
     None, True, [], {}, float("nan"), float("inf"), -1e300, 10**400, "2022-08-22" * 1000,
     "22 Aug 2022 10:00 GMT+9900"],
    ids=lambda value: repr(value)[:40],
)  # fmt: skip
def test_what_is_no_date_is_none(text):
    assert parse_date(text) is None


@given(
    st.datetimes(min_value=datetime(1900, 1, 1), max_value=datetime(2200, 1, 1)),  # noqa: DTZ001
    st.integers(-14 * 60, 14 * 60),
)
def test_what_python_writes_is_read(naive, minutes):
    moment = naive.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    assert parse_date(moment.isoformat()) == moment
    assert parse_date(format_datetime(moment)) == moment.replace(microsecond=0)
    words = moment.strftime("%a %b %d %Y %H:%M:%S GMT%z (Somewhere (else) Time)")
    assert parse_date(words) == moment.replace(microsecond=0)


@given(st.one_of(st.text(max_size=40), st.floats(), st.integers(), st.from_regex(r"[\dTZ:. +-]{1,30}", fullmatch=True)))
def test_nothing_stops_it(value):
    found = parse_date(value)
    assert found is None or found.tzinfo is UTC


def metadata(day: str, **more: str) -> dict[str, str]:
    return {"creation-date": day} | more


@pytest.mark.parametrize(
    ("line", "day"),
    [
        # the label's comes first, wherever it stands
        ({"m-metadata": metadata("2001-01-01", type="groundtruth/semantic-segmentation"),
          "l-metadata": metadata("2002-01-01", **{"class-name": "Anomaly"})}, 2002),
        # ... then the mask's, then any
        ({"o-metadata": metadata("2003-01-01"),
          "m-metadata": metadata("2001-01-01", type="groundtruth/semantic-segmentation")}, 2001),
        ({"o-metadata": metadata("2003-01-01")}, 2003),
        # a class that is no verdict decides nothing
        ({"c-metadata": metadata("2004-01-01", **{"class-name": "dog"}),
          "l-metadata": metadata("2002-01-01", **{"class-name": "normal"})}, 2002),
        # what cannot be read is passed over
        ({"l-metadata": metadata("soon", **{"class-name": "normal"}), "o-metadata": metadata("2003-01-01")}, 2003),
        # what a model said was not said by a person
        ({"l-detected-metadata": metadata("2003-01-01", **{"class-name": "normal"})}, None),
        ({"l-metadata": "creation-date"}, None),
        ({}, None),
    ],
)  # fmt: skip
def test_the_deciding_attribute_says_when(line, day):
    found = created(Entry("1.png", raw=json.dumps({"source-ref": "1.png"} | line)))
    assert (found and found.year) == day


@pytest.mark.parametrize("raw", [None, "", 'junk "creation-date"', '["creation-date"]', "\ufeff{}"])
def test_lines_that_say_nothing(raw):
    assert created(Entry("1.png", raw=raw)) is None


def test_the_dates_of_amazons_cookies(shared):
    path = shared / "data" / "cookies" / "manifests" / "train_segmentation.manifest"
    years = {moment.year for moment in map(created, Manifest.read(path)) if moment}
    assert years == {2022} and all(created(entry) for entry in Manifest.read(path))
