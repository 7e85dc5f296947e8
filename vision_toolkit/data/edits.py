"""Change what an edit touches in a decoded line, and nothing else."""

from __future__ import annotations

import json
from typing import Any

from vision_toolkit.core.entry import Entry, Label, MaskRef, Region, Tag
from vision_toolkit.data.attributes import (
    CLASSIFICATION,
    DETECTION,
    LABEL_NAME,
    MASK_NAME,
    MULTILABEL,
    REGIONS,
    SEGMENTATION,
    attributes,
    free_name,
)

__all__ = ["dumped", "edited"]

Json = dict[str, Any]


def dumped(data: Json, like: str | None = None) -> str:
    """Write a decoded line as JSON, spaced and escaped as the line that it came from.

    Examples
    --------
    >>> dumped({"a": [1]}, '{"a":2}'), dumped({"a": "é"})
    ('{"a":[1]}', '{"a": "é"}')
    """
    separators = (", ", ": ") if like is None or '": ' in like else (",", ":")
    ascii_only = like is not None and like.isascii()
    text = json.dumps(data, separators=separators, ensure_ascii=ascii_only)
    # A lone surrogate can only be written as an escape.
    lone = any("\ud800" <= c <= "\udfff" for c in text)
    return json.dumps(data, separators=separators) if lone else text


def edited(data: Json, before: Entry, after: Entry) -> Json:
    """Return the line of ``before`` as that of ``after``: only what differs changes, other keys keep their place."""
    data["source-ref"] = after.source
    if after.label is not before.label:
        _edit_label(data, after.label)
    if after.mask != before.mask:
        _edit_mask(data, before.mask, after.mask)
    if after.tags != before.tags:
        _edit_tags(data, after.tags)
    if after.regions != before.regions:
        _edit_regions(data, after.regions)
    return data


def _is_verdict(meta: Json) -> bool:
    return str(meta.get("class-name", "")).strip().casefold() in ("normal", "anomaly")


def _edit_label(data: Json, label: Label) -> None:
    deciding = [(n, m) for n, m, kind in attributes(data) if kind == CLASSIFICATION and _is_verdict(m)]
    if label is Label.UNLABELLED:
        for name, _ in deciding:
            data.pop(name, None)
            del data[f"{name}-metadata"]
        return
    name, meta = deciding[0] if deciding else (free_name(data, LABEL_NAME), {})
    data[name] = int(label is Label.ANOMALY)
    meta["class-name"] = str(label)
    if not deciding:
        data[f"{name}-metadata"] = meta | {"confidence": 1, "human-annotated": "yes", "type": CLASSIFICATION}


def _edit_mask(data: Json, before: MaskRef | None, mask: MaskRef | None) -> None:
    existing = next(((n, m) for n, m, kind in attributes(data) if kind == SEGMENTATION), None)
    if mask is None:
        _keep_first(data, {SEGMENTATION}, keep=0)
        return
    name, meta = existing or (free_name(data, MASK_NAME), {"human-annotated": "yes", "type": SEGMENTATION})
    data[name] = mask.uri
    if before is not None and list(before.colours.items()) == list(mask.colours.items()):
        return  # only the place changed
    listed: Json = {"0": {"class-name": "BACKGROUND", "hex-color": "#ffffff", "confidence": 0.0}}
    for index, (kind, colour) in enumerate(mask.colours.items(), 1):
        listed[str(index)] = {"class-name": kind, "hex-color": colour, "confidence": 0.0}
    meta["internal-color-map"] = listed
    data[f"{name}-metadata"] = meta


def _edit_tags(data: Json, tags: tuple[Tag, ...]) -> None:
    for name, meta, kind in list(attributes(data)):
        if kind == CLASSIFICATION and meta.get("class-name") and not _is_verdict(meta):
            data.pop(name, None)
            del data[f"{name}-metadata"]
    name = _keep_first(data, {MULTILABEL}, keep=min(1, len(tags))) or free_name(data, "tags")
    if tags:
        data[name] = list(range(len(tags)))
        meta = data.get(f"{name}-metadata", {"human-annotated": "yes"})
        data[f"{name}-metadata"] = meta | {
            "class-map": {str(i): tag.name for i, tag in enumerate(tags)},
            "confidence-map": {str(i): tag.confidence for i, tag in enumerate(tags) if tag.confidence is not None},
            "type": MULTILABEL,
        }


def _edit_regions(data: Json, regions: tuple[Region, ...]) -> None:
    _keep_first(data, {DETECTION}, keep=0)
    name = _keep_first(data, {REGIONS}, keep=min(1, len(regions))) or free_name(data, "regions")
    if regions:
        data[name] = [
            {"name": r.name, "polygon": [list(point) for point in r.polygon], "confidence": r.confidence, "id": r.id}
            for r in regions
        ]
        meta = data.get(f"{name}-metadata", {"human-annotated": "yes"})
        data[f"{name}-metadata"] = meta | {"type": REGIONS}


def _keep_first(data: Json, kinds: set[str], *, keep: int) -> str | None:
    """Remove the attributes of these kinds but the first ``keep``; return the name of the first that stays."""
    names = [name for name, _, kind in attributes(data) if kind in kinds]
    for name in names[keep:]:
        data.pop(name, None)
        del data[f"{name}-metadata"]
    return names[0] if keep and names else None
