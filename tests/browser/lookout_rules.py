"""What Amazon Lookout for Vision documented of a segmentation manifest, read with json and Pillow and nothing of ours.

Of the guide's pages on manifest files (classification and segmentation), limits, and failed trainings. What only holds
for a bucket (``s3://`` before every name) cannot hold for files on a disk.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image

PNG = b"\x89PNG\r\n\x1a\n"


def broken_rules(manifest: Path) -> list[str]:
    """Return what Lookout would not take, or would train wrongly with."""
    sizes: set[tuple[int, int]] = set()
    found = []
    data = manifest.read_bytes()
    if len(data) > 2**30:
        found.append("a manifest has at most 1 GB")
    for number, line in enumerate(data.decode("utf-8").splitlines(), 1):
        found += [f"line {number}: {fault}" for fault in _line(json.loads(line), manifest.parent, sizes)]
    if len(sizes) > 1:
        found.append(f"all images have one size, not {sizes}")
    return found


def _line(line: Any, folder: Path, sizes: set[tuple[int, int]]) -> Iterator[str]:
    image = folder / line["source-ref"]
    with Image.open(image) as opened:
        size, kind = opened.size, opened.format
    sizes.add(size)
    if kind not in ("PNG", "JPEG") or image.stat().st_size > 8_000_000:
        yield "an image is PNG or JPEG and has at most 8 MB"
    if not all(64 <= side <= 4096 for side in size):
        yield "an image has 64 to 4096 pixels a side"
    if type(line.get("anomaly-label")) not in (int, float):
        yield "anomaly-label is a number"
    told = line.get("anomaly-label-metadata", {})
    if told.get("class-name") not in ("normal", "anomaly"):
        yield "class-name is normal or anomaly, in small letters"
    if told.get("human-annotated") not in ("yes", "no") or told.get("type") != "groundtruth/image-classification":
        yield "human-annotated and type of a label"
    if ("anomaly-mask-ref" in line) != ("anomaly-mask-ref-metadata" in line):
        yield "a mask and its metadata belong together"
    if "anomaly-mask-ref" in line:
        yield from _mask(folder / line["anomaly-mask-ref"], line.get("anomaly-mask-ref-metadata", {}), size)
    elif told.get("class-name") == "anomaly":
        yield "an anomaly needs label and mask"


def _mask(mask: Path, told: Any, size: tuple[int, int]) -> Iterator[str]:
    if told.get("human-annotated") not in ("yes", "no") or told.get("type") != "groundtruth/semantic-segmentation":
        yield "human-annotated and type of a mask"
    table = told.get("internal-color-map", {})
    first = table.get("0", {})
    if (first.get("class-name"), str(first.get("hex-color")).lower()) != ("BACKGROUND", "#ffffff"):
        yield "entry 0 of the colour map is BACKGROUND, #ffffff"
    for entry in table.values():
        whole = set(entry) >= {"class-name", "hex-color", "confidence"}
        if not whole or not re.fullmatch("#[0-9A-Fa-f]{6}", entry["hex-color"]):
            yield "an entry of the colour map has class-name, hex-color and confidence"
        elif type(entry["confidence"]) not in (int, float):
            yield "confidence is a number"
    if not mask.read_bytes().startswith(PNG):
        yield "a mask is really a PNG"
        return
    with Image.open(mask) as opened:
        if opened.size != size:
            yield "a mask has the size of its image"
        colours = opened.convert("RGB").getcolors()  # as AWS tells to look: None is more than 256
    seen = {"#{:02x}{:02x}{:02x}".format(*colour) for _, colour in colours or ()}
    named = {str(entry.get("hex-color")).lower() for entry in table.values()}
    if colours is None or not seen <= named:
        yield "every colour of the mask is in the colour map"
    if not named <= seen | {"#ffffff"}:
        yield "every colour of the map is in the mask"
