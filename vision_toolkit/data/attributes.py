"""The annotations in a line of a manifest: which keys belong together, and what kind each is.

The form is SageMaker Ground Truth's augmented manifest: an attribute ``NAME`` stands beside its ``NAME-metadata``,
whose ``type`` says what it is. Names are free.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

__all__ = [
    "CLASSIFICATION",
    "DETECTION",
    "LABEL_NAME",
    "MASK_NAME",
    "MULTILABEL",
    "REGIONS",
    "SEGMENTATION",
    "attributes",
    "free_name",
    "kind_of",
]

CLASSIFICATION = "groundtruth/image-classification"
"""``type`` of an attribute that says normal or anomaly."""
MULTILABEL = "groundtruth/image-classification-multilabel"
"""``type`` of an attribute that lists classes of the image."""
SEGMENTATION = "groundtruth/semantic-segmentation"
"""``type`` of an attribute that names a mask."""
DETECTION = "groundtruth/object-detection"
"""``type`` of an attribute with boxes in pixels."""
REGIONS = "vision-toolkit/regions"
"""``type`` of our own attribute with polygons, which Ground Truth has no form for."""

LABEL_NAME = "anomaly-label"
"""What Lookout's own examples call the label."""
MASK_NAME = "anomaly-mask-ref"
"""What Lookout's own examples call the mask."""


def kind_of(meta: dict[str, Any]) -> str:
    """Return what an attribute with this metadata is; where it does not say so, by what else it holds.

    Examples
    --------
    >>> kind_of({"class-name": "normal"}) == CLASSIFICATION, kind_of({"who": "Ann"})
    (True, '')
    """
    kind = meta.get("type")
    if isinstance(kind, str):
        return kind
    return SEGMENTATION if "internal-color-map" in meta else CLASSIFICATION if "class-name" in meta else ""


def attributes(data: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any], str]]:
    """Yield each annotation that somebody made, in the order of the line: its name, its metadata, its kind.

    What a model said (``NAME-detected`` in an evaluation manifest) and what is said of the image's file are left out.

    Examples
    --------
    >>> [name for name, *_ in attributes({"source-ref": "1.png", "x": 1, "x-metadata": {"class-name": "normal"}})]
    ['x']
    """
    for key, meta in data.items():
        if key.endswith("-metadata") and isinstance(meta, dict):
            name = key[:-9]
            if name != "source-ref" and not name.endswith("-detected"):
                yield name, meta, kind_of(meta)


def free_name(data: dict[str, Any], name: str) -> str:
    """Return ``name``, or with a number in it if the line has such a key already; ``-ref`` stays at the end.

    Examples
    --------
    >>> free_name({"anomaly-mask-ref": "1.png"}, "anomaly-mask-ref")
    'anomaly-mask-2-ref'
    """
    tried, count = name, 1
    while tried in data or f"{tried}-metadata" in data:
        count += 1
        stem, dash, end = name.rpartition("-ref")
        tried = f"{stem}-{count}-ref{end}" if dash else f"{name}-{count}"
    return tried
