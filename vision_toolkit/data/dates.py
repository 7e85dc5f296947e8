"""Read the dates that labelling tools write into a line's ``creation-date``.

Ground Truth writes ISO 8601, Lookout's own sample has what JavaScript prints, other tools write seconds or
milliseconds since 1970. **A time without a zone is taken as UTC**, as the service's guide says of ``creation-date``.
"""

from __future__ import annotations

import json
import math
import re
from datetime import UTC, date, datetime, time, timedelta, timezone
from typing import Any

from vision_toolkit.core.entry import Entry
from vision_toolkit.data.attributes import CLASSIFICATION, SEGMENTATION, attributes

__all__ = ["created", "parse_date"]

_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
# The two orders of the same words. JavaScript's toString: Mon Aug 22 2022 13:52:52 GMT-0700 (Pacific Daylight Time);
# its toUTCString, and e-mail (RFC 2822): Mon, 22 Aug 2022 20:52:52 GMT.
_WORDS = re.compile(
    r"(?:[a-z]{3},?\s+)?(?:(?P<month>[a-z]{3})\s+(?P<day>\d\d?)|(?P<mail_day>\d\d?)\s+(?P<mail_month>[a-z]{3}))"
    r"\s+(?P<year>\d{4})\s+(?P<hour>\d\d?):(?P<minute>\d\d)(?::(?P<second>\d\d))?"
    r"(?:\s*(?:GMT|UTC|Z)?(?P<sign>[+-])(?P<zone_hours>\d\d):?(?P<zone_minutes>\d\d)|\s*(?:GMT|UTC|Z))?(?:\s*\(.*\))?",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"-?\d{9,14}(\.\d+)?")
_FIRST_MILLISECONDS = 1e11
"""From here on a number counts milliseconds: as seconds it would be the year 5138, as milliseconds it is March 1973."""


def parse_date(text: object) -> datetime | None:
    """Read a date as an aware time in UTC, or return None where it is none.

    Parameters
    ----------
    text
        ISO 8601 with or without a fraction, a zone, the time of day, or with a space for the ``T``; what JavaScript
        and e-mail write; a number of seconds or (from 1e11 on) milliseconds since 1970, also as text; or a
        :class:`~datetime.datetime` or :class:`~datetime.date`. Without a zone it is UTC; a date alone is its midnight.

    Examples
    --------
    >>> str(parse_date("2022-08-22T13:52:52.5-07:00"))
    '2022-08-22 20:52:52.500000+00:00'
    >>> str(parse_date("Mon Aug 22 2022 13:52:52 GMT-0700 (Pacific Daylight Time)"))
    '2022-08-22 20:52:52+00:00'
    >>> parse_date(1661201572) == parse_date(1661201572000.0) == parse_date("2022-08-22 20:52:52")
    True
    >>> parse_date("last week") is None
    True
    """
    try:
        if isinstance(text, datetime):
            found = text
        elif isinstance(text, date):
            found = datetime.combine(text, time(), UTC)
        elif isinstance(text, bool):
            return None
        elif isinstance(text, int | float):
            return _from_number(text)
        elif isinstance(text, str) and len(text) <= 100:
            read = _from_text(text.strip())
            if read is None:
                return None
            found = read
        else:
            return None
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):  # the 31st of February; the year 9999, west of Greenwich
        return None


def created(entry: Entry) -> datetime | None:
    """Return when an entry's annotation was made, in UTC, or None where its line says nothing of it.

    That is the ``creation-date`` beside the label (normal or anomaly), else beside the mask, else the first that
    stands in any annotation and can be read. It is read from the line as it was (``entry.raw``): an edit does not
    change it, and an entry that never had a line has none.

    Examples
    --------
    >>> line = '{"source-ref": "1.png", "l": 0, "l-metadata": {"class-name": "normal", "creation-date": "2022-08-22"}}'
    >>> str(created(Entry("1.png", raw=line)))
    '2022-08-22 00:00:00+00:00'
    """
    if entry.raw is None or '"creation-date"' not in entry.raw:
        return None
    try:
        data = json.loads(entry.raw.removeprefix("\ufeff"))
    except (ValueError, RecursionError):
        return None
    if not isinstance(data, dict):
        return None
    dated = sorted(((_rank(meta, kind), meta) for _, meta, kind in attributes(data)), key=lambda one: one[0])
    dates = (parse_date(meta.get("creation-date")) for _, meta in dated)
    return next((found for found in dates if found is not None), None)


def _rank(meta: dict[str, Any], kind: str) -> int:
    if kind == CLASSIFICATION and str(meta.get("class-name", "")).strip().casefold() in ("normal", "anomaly"):
        return 0
    return 1 if kind == SEGMENTATION else 2


def _from_number(value: float) -> datetime | None:
    if not math.isfinite(value):
        return None
    seconds = value / 1000 if abs(value) >= _FIRST_MILLISECONDS else value
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)


def _from_text(text: str) -> datetime | None:
    if _NUMBER.fullmatch(text):
        return _from_number(float(text) if "." in text else int(text))
    match = _WORDS.fullmatch(text)
    if match:
        return _from_words(match)
    if not re.match(r"\d{4}-?[\dW]", text):
        return None
    # Spaces before the zone, and words for it, are common and no ISO 8601.
    text = re.sub(r"\s*(?:UTC|GMT|Z)$", "+00:00", text, flags=re.IGNORECASE)
    text = re.sub(r"\s+(?=[+-]\d\d:?\d\d$)", "", text)
    return datetime.fromisoformat(text)


def _from_words(match: re.Match[str]) -> datetime | None:
    said = match.groupdict()
    month = (said["month"] or said["mail_month"]).casefold()
    if month not in _MONTHS:
        return None
    zone = UTC
    if said["sign"]:
        offset = timedelta(hours=int(said["zone_hours"]), minutes=int(said["zone_minutes"]))
        zone = timezone(offset if said["sign"] == "+" else -offset)
    day = int(said["year"]), _MONTHS.index(month) + 1, int(said["day"] or said["mail_day"])
    return datetime(*day, int(said["hour"]), int(said["minute"]), int(said["second"] or 0), tzinfo=zone)
