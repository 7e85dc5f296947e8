"""What repairs one line: a small function for each rule, by the rule's id."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

from vision_toolkit.core.entry import Entry, Finding, Label
from vision_toolkit.data.attributes import CLASSIFICATION, LABEL_NAME, MASK_NAME, SEGMENTATION, attributes, free_name
from vision_toolkit.data.dates import parse_date
from vision_toolkit.data.edits import dumped, edited
from vision_toolkit.data.jsonlines import Line, decode_line, scan_line

__all__ = ["REJECTED", "REMEDIES", "repair_line"]

Json = dict[str, Any]

REJECTED = ("not-utf8", "nul-bytes", "not-json", "not-object", "huge-line", "no-source")
"""Rules of lines that cannot be read: a repair moves such a line to the rejected ones."""


def repair_line(
    text: bytes, number: int, rules: frozenset[str]
) -> tuple[bytes | None, tuple[str, ...], Line | None, list[Finding]]:
    r"""Repair one line by the named rules.

    Parameters
    ----------
    text
        the line in UTF-8, without its newline.
    number
        its number from 1.
    rules
        ids of the rules to repair.

    Returns
    -------
    text, repaired, line, left
        the new line (the old one to the letter if nothing was done, None if it is to be rejected), the rules that were
        repaired, what the new line says, and what is still odd about it.

    Examples
    --------
    >>> repair_line(b'{"source-ref": "1.png"}\r', 1, frozenset({"crlf"}))[:2]
    (b'{"source-ref": "1.png"}', ('crlf',))
    """
    done: list[str] = []
    if text.endswith(b"\r") and "crlf" in rules:
        text = text[:-1]
        done.append("crlf")
    if text.startswith(b"\xef\xbb\xbf") and "byte-order-mark" in rules:
        text = text[3:]
        done.append("byte-order-mark")
    findings: list[Finding] = []
    line = scan_line(text, number, findings.append)
    if line is None and "nul-bytes" in rules and any(finding.rule == "nul-bytes" for finding in findings):
        bare = text.replace(b"\0", b"")
        again: list[Finding] = []
        line = scan_line(bare, number, again.append) if bare.strip() else None
        if line is not None:
            text, findings = bare, again
            done.append("nul-bytes")
    if line is None:
        rule = next((f.rule for f in findings if f.rule in REJECTED and f.rule in rules), None)
        return (None, (*done, rule), None, []) if rule else (text, tuple(done), None, findings)
    wanted = ({finding.rule for finding in findings} | {"names-differ"}) & rules & REMEDIES.keys()
    if not wanted:
        return text, tuple(done), line, findings
    data = decode_line(text, number, _ignore)
    assert data is not None
    before = dumped(data)
    for rule in (rule for rule in REMEDIES if rule in wanted):
        data = REMEDIES[rule](data)
    if dumped(data) == before and "loose-json" not in wanted:
        return text, tuple(done), line, findings
    text = dumped(data, like=text.decode("utf-8")).encode("utf-8")
    left: list[Finding] = []
    line = scan_line(text, number, left.append)
    still = {finding.rule for finding in left}
    return text, (*done, *(rule for rule in wanted if rule not in still)), line, left


def _ignore(finding: Finding) -> None:
    pass


def _verdicts(data: Json) -> Iterator[tuple[str, Json, str]]:
    """Yield each classification that says normal or anomaly: its name, its metadata, and which."""
    for name, meta, kind in list(attributes(data)):
        said = meta.get("class-name")
        word = said.strip().casefold() if isinstance(said, str) else ""
        if kind == CLASSIFICATION and word in ("normal", "anomaly"):
            yield name, meta, word


def _lower_class(data: Json) -> Json:
    for _, meta, word in _verdicts(data):
        meta["class-name"] = word
    return data


def _set_value(data: Json) -> Json:
    for name, _, word in _verdicts(data):
        value = int(word == "anomaly")
        if name not in data:
            data = _with_before(data, f"{name}-metadata", name, value)
        elif data[name] != str(value) or isinstance(data[name], bool):
            data[name] = value
    return data


def _with_before(data: Json, place: str, key: str, value: object) -> Json:
    """Put a key before another one."""
    result: Json = {}
    for old, kept in data.items():
        if old == place:
            result[key] = value
        result[old] = kept
    return result


def _set_type(data: Json) -> Json:
    for _, meta, kind in attributes(data):
        if kind and "type" not in meta:
            meta["type"] = kind
    return data


def _set_human(data: Json) -> Json:
    for _, meta, kind in attributes(data):
        if kind:
            meta.setdefault("human-annotated", "yes")
    return data


def _iso_dates(data: Json) -> Json:
    for _, meta, kind in attributes(data):
        date = meta.get("creation-date")
        if kind and date is not None and not _is_iso(date):
            moment = parse_date(date)
            if moment is not None:
                meta["creation-date"] = moment.isoformat()
    return data


def _is_iso(date: object) -> bool:
    try:
        datetime.fromisoformat(date)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return False
    return True


def _maps(data: Json) -> Iterator[tuple[Json, Json]]:
    for _, meta, kind in attributes(data):
        listed = meta.get("internal-color-map")
        if kind == SEGMENTATION and isinstance(listed, dict):
            yield meta, listed


def _add_background(data: Json) -> Json:
    background = {"class-name": "BACKGROUND", "hex-color": "#ffffff", "confidence": 0.0}
    for meta, listed in _maps(data):
        names = [item.get("class-name") for item in listed.values() if isinstance(item, dict)]
        if any(isinstance(name, str) and name.strip().casefold() == "background" for name in names):
            continue
        types = listed
        if "0" in listed:  # every type moves up by one
            items = sorted(listed.items(), key=lambda item: (0, int(item[0])) if item[0].isdecimal() else (1, 0))
            types = {str(index): item for index, (_, item) in enumerate(items, 1)}
        meta["internal-color-map"] = {"0": background} | types
    return data


def _set_confidence(data: Json) -> Json:
    for _, listed in _maps(data):
        for item in listed.values():
            if isinstance(item, dict):
                item.setdefault("confidence", 0.0)
    return data


def _renamed(data: Json, old: str, new: str) -> Json:
    """Rename an attribute and its metadata; every key keeps its place."""
    names = {old: new, f"{old}-metadata": f"{new}-metadata"}
    return {names.get(key, key): value for key, value in data.items()}


def _end_with_ref(data: Json) -> Json:
    for name, _, kind in list(attributes(data)):
        if kind == SEGMENTATION and not name.endswith("-ref"):
            data = _renamed(data, name, free_name(data, f"{name}-ref"))
    return data


def _usual_names(data: Json) -> Json:
    for kind_wanted, usual in ((CLASSIFICATION, LABEL_NAME), (SEGMENTATION, MASK_NAME)):
        names = [name for name, meta, kind in attributes(data) if kind == kind_wanted]
        if kind_wanted == CLASSIFICATION:
            names = [name for name, _, _ in _verdicts(data)]
        if names and names[0] != usual and usual not in data and f"{usual}-metadata" not in data:
            data = _renamed(data, names[0], usual)
    return data


def _colons(data: Json) -> Json:
    for key, value in data.items():
        if isinstance(value, str) and (key == "source-ref" or f"{key}-metadata" in data):
            data[key] = value.replace("\uf03a", ":")
    return data


def _first_verdict(data: Json) -> Json:
    verdicts = list(_verdicts(data))
    for name, _, word in verdicts[1:]:
        if word != verdicts[0][2]:
            data.pop(name, None)
            del data[f"{name}-metadata"]
    return data


def _is_anomaly(data: Json) -> Json:
    return edited(data, Entry(data["source-ref"]), Entry(data["source-ref"], Label.ANOMALY))


def _null(value: Any) -> Any:
    if isinstance(value, dict):
        return {_whole(key): _null(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_null(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return _whole(value) if isinstance(value, str) else value


def _whole(text: str) -> str:
    """Write the replacement character for half of one."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


REMEDIES: dict[str, Callable[[Json], Json]] = {
    "loose-json": _null,
    "f03a-in-key": _colons,
    "labels-disagree": _first_verdict,
    "mask-without-label": _is_anomaly,
    "class-case": _lower_class,
    "value-ignored": _set_value,
    "value-is-place": _set_value,
    "no-value": _set_value,
    "no-type": _set_type,
    "no-human-annotated": _set_human,
    "odd-date": _iso_dates,
    "no-background": _add_background,
    "no-confidence": _set_confidence,
    "mask-key": _end_with_ref,
    "names-differ": _usual_names,
}
"""By rule: takes the decoded line and returns the repaired one."""
