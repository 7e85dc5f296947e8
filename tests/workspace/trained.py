"""A workspace with two trained models, made once for all tests that only want to use some."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tests.workspace.conftest import draw, lines, part
from vision_toolkit.services.lookout.service import LookoutVision
from vision_toolkit.workspace import Workspace

NORMAL, BAD = range(20), range(20, 40)
FEW, FEW_BAD = range(12), range(20, 28)
OUTPUT = {"S3Location": {"Bucket": "results", "Prefix": "first/run_"}}


def source(key: str, bucket: str = "factory") -> dict[str, Any]:
    """Return where a dataset comes from."""
    return {"GroundTruthManifest": {"S3Object": {"Bucket": bucket, "Key": key}}}


def paint(workspace: Workspace, numbers: range, *, colour: tuple[int, int, int] = (0x23, 0xA4, 0x36)) -> None:
    """Write the masks of drawn images: the bright spot of each."""
    for number in numbers:
        pixels = np.asarray(Image.open(workspace.buckets.place(f"s3://factory/parts/{number}.png")))
        mask = Image.fromarray((pixels.mean(axis=2) > 160).astype(np.uint8)).convert("P")
        mask.putpalette([255, 255, 255, *colour])
        data = io.BytesIO()
        mask.save(data, "PNG")
        workspace.buckets.write(f"s3://factory/masks/{number}.png", data.getvalue())


def train_two(folder: Path) -> Path:
    """Train ``plain`` (a classification model) and ``masked`` (segmentation), with few images: limits are off here.

    Both have one dataset; the first was made with description, key and tags.
    """
    with Workspace(folder, run="inline", preset="fast", threads=1, limits=False) as workspace:
        client = LookoutVision(workspace)
        draw(workspace, 40, spots=frozenset(BAD))
        paint(workspace, BAD)
        plain = [part(n) for n in FEW] + [part(n, "anomaly") for n in FEW_BAD]
        masked = [part(n) for n in FEW] + [part(n, "anomaly", mask="dent") for n in FEW_BAD]
        for name, given, more in (
            ("plain", plain, {"Description": "a-first.one", "KmsKeyId": "alias/mine",
                              "Tags": [{"Key": "line", "Value": "7"}]}),
            ("masked", masked, {}),
        ):  # fmt: skip
            workspace.buckets.write(f"s3://factory/{name}.manifest", lines(*given))
            client.create_project(ProjectName=name)
            client.create_dataset(ProjectName=name, DatasetType="train", DatasetSource=source(f"{name}.manifest"))
            client.create_model(ProjectName=name, OutputConfig=OUTPUT, **more)
            told = client.describe_model(ProjectName=name, ModelVersion="1")["ModelDescription"]
            assert told["Status"] == "TRAINED", told
    return folder
