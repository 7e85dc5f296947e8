"""The dirty dataset has the troubles that it says it has, in the lines that it names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vision_toolkit.core import Conflict, Invalid, NotFound
from vision_toolkit.data import Manifest
from vision_toolkit.data.check import check_file
from vision_toolkit.data.images import probe, read_image, read_mask
from vision_toolkit.data.rules import RULES
from vision_toolkit.data.synthetic import Dirty, draw_dirty
from vision_toolkit.data.synthetic.dirty import FEWEST


@pytest.fixture(scope="module")
def dirty(tmp_path_factory: pytest.TempPathFactory) -> Dirty:
    return draw_dirty(tmp_path_factory.mktemp("dirty") / "set", seed=4, n=FEWEST)


@pytest.fixture(scope="module")
def lines(dirty: Dirty) -> list[str]:
    return dirty.path.read_bytes().decode("utf-8").split("\n")


def data(line: str) -> dict[str, Any]:
    return json.loads(line.removeprefix("\ufeff"))


def of(dirty: Dirty, lines: list[str], rule: str) -> list[dict[str, Any]]:
    return [data(lines[number - 1]) for number in dirty.planted[rule]]


def test_folder_and_manifest(dirty: Dirty):
    assert sorted(child.name for child in dirty.path.parent.iterdir()) == ["images", "masks", "parts.manifest"]
    manifest = Manifest.read(dirty.path)
    assert len(manifest) == FEWEST + 6 == len(dirty.sources)
    assert manifest.counts()["unlabelled"] == 1 and manifest.types == ("smear", "break")
    assert manifest.write(dirty.path.with_name("again")).read_bytes() == dirty.path.read_bytes()
    dirty.path.with_name("again").unlink()


def test_every_rule_that_was_asked_for_is_planted(dirty: Dirty):
    asked = [
        "value-ignored",
        "class-case",
        "no-background",
        "no-confidence",
        "odd-date",
        "labels-disagree",
        "blank-line",
        "byte-order-mark",
        "crlf",
        "not-json",
        "no-source",
        "nul-bytes",
        "source-twice",
        "source-conflict",
        "f03a-in-key",
        "mask-no-png",
        "mask-size",
        "mask-colours",
        "no-mask",
        "mask-without-label",
        "unreadable-image",
        "wrong-suffix",
        "missing-image",
        "sizes-differ",
        "odd-mode",
        "blurred",
        "dark",
        "overexposed",
        "low-contrast",
        "exact-duplicate",
        "near-duplicate",
        "labels-conflict",
        "odd-shape",
        "unlabelled",
    ]
    assert sorted(dirty.planted) == sorted(asked)
    assert all(numbers == tuple(sorted(numbers)) and numbers for numbers in dirty.planted.values())


def test_planted_bytes_are_in_the_file(dirty: Dirty, lines: list[str]):
    at = {rule: lines[numbers[0] - 1] for rule, numbers in dirty.planted.items()}
    assert dirty.planted["byte-order-mark"] == (1,) and lines[0].startswith("\ufeff")
    assert tuple(i for i, line in enumerate(lines, 1) if line.endswith("\r")) == dirty.planted["crlf"]
    assert not at["blank-line"].strip() and set(at["nul-bytes"].strip()) == {"\0"}
    assert "source-ref" not in data(at["no-source"])
    with pytest.raises(json.JSONDecodeError):
        data(at["not-json"])
    assert lines[-1] == ""


def test_planted_words_are_in_their_lines(dirty: Dirty, lines: list[str]):
    values = [(one["anomaly-label"], one["anomaly-label-metadata"]["class-name"].lower()) for one in
              of(dirty, lines, "value-ignored")]  # fmt: skip
    assert sorted(values, key=str) == [("1", "normal"), (0, "anomaly"), (0, "anomaly"), (1, "normal")]
    assert {one["anomaly-label-metadata"]["class-name"] for one in of(dirty, lines, "class-case")} == {"Anomaly"}
    (twice,) = of(dirty, lines, "labels-disagree")
    assert twice["second-look-metadata"]["class-name"] != twice["anomaly-label-metadata"]["class-name"]
    assert "GMT" in of(dirty, lines, "odd-date")[0]["anomaly-label-metadata"]["creation-date"]
    (bare,) = of(dirty, lines, "no-background")
    names = [one["class-name"] for one in bare["anomaly-mask-ref-metadata"]["internal-color-map"].values()]
    assert names and "BACKGROUND" not in names
    (unsure,) = of(dirty, lines, "no-confidence")
    assert all("confidence" not in one for one in unsure["anomaly-mask-ref-metadata"]["internal-color-map"].values())
    (private,) = of(dirty, lines, "f03a-in-key")
    assert "\uf03a" in private["anomaly-mask-ref"] and (dirty.path.parent / private["anomaly-mask-ref"]).is_file()


def test_planted_masks(dirty: Dirty):
    entries = {entry.source: entry for entry in Manifest.read(dirty.path)}

    def mask(rule: str):
        (source,) = dirty.sources_of(rule)
        return entries[source], entries[source].mask

    entry, ref = mask("mask-no-png")
    assert ref.uri.endswith(".png") and probe(ref.location).format == "JPEG"
    entry, ref = mask("mask-size")
    assert probe(ref.location).width == probe(entry).width // 2
    entry, ref = mask("mask-colours")
    painted = {tuple(pixel) for pixel in read_image(ref.location).reshape(-1, 3).tolist()}
    assert (214, 39, 40) in painted and read_mask(ref).types == entry.types
    entry, ref = mask("no-mask")
    assert ref is None and entry.label == "anomaly"
    entry, ref = mask("mask-without-label")
    assert ref.colours and not entry.is_labelled


def test_planted_files(dirty: Dirty):
    folder = dirty.path.parent

    def one(rule: str) -> Path:
        (source,) = dirty.sources_of(rule)
        return folder / source

    with pytest.raises(Invalid, match="truncated"):
        read_image(one("unreadable-image"))
    assert not one("missing-image").exists()
    assert one("wrong-suffix").suffix == ".jpg" and probe(one("wrong-suffix")).format == "PNG"
    usual = (probe(one("dark")).width, probe(one("dark")).height)
    assert (probe(one("odd-shape")).width, probe(one("odd-shape")).height) != usual
    assert {probe(folder / source).mode for source in dirty.sources_of("odd-mode")} == {"CMYK", "I;16"}
    grey = {rule: read_image(one(rule)).mean() for rule in ("dark", "overexposed", "wrong-suffix")}
    assert grey["dark"] < 0.4 * grey["wrong-suffix"] < 0.4 * grey["overexposed"]


def test_copies_stand_below_what_they_copy(dirty: Dirty, lines: list[str]):
    folder = dirty.path.parent
    for rule, same_label in (("source-twice", True), ("source-conflict", False)):
        (number,) = dirty.planted[rule]
        above = [one for one, source in dirty.sources.items() if source == dirty.sources[number] and one < number]
        assert len(above) == 1
        labels = [data(lines[i - 1])["anomaly-label-metadata"]["class-name"] for i in (number, above[0])]
        assert (labels[0] == labels[1]) is same_label
    names = set(dirty.sources.values()) - set(dirty.sources_of("missing-image"))
    for number in dirty.planted["exact-duplicate"]:
        content = (folder / dirty.sources[number]).read_bytes()
        twins = {name for name in names if (folder / name).read_bytes() == content}
        assert len(twins) == 2
    for source in dirty.sources_of("near-duplicate"):
        content = read_image(folder / source)
        others = [read_image(folder / name) for name in dirty.sources_of("exact-duplicate")]
        assert all(np.abs(content.astype(int) - other).mean() > 1 for other in others)


def test_the_doctor_finds_what_is_planted_where_it_is(dirty: Dirty):
    found: dict[str, set[int | None]] = {}
    for finding in check_file(dirty.path):
        found.setdefault(finding.rule, set()).add(finding.line)
    once = {"crlf", "unlabelled"}  # told of the whole, not of a line
    for rule, lines in dirty.planted.items():
        if rule in RULES:
            assert set(lines) <= found[rule] or (rule in once and found[rule] == {None}), rule
    brought_along = {"mask-colours", "empty-mask", "few-of-type", "few-images"}
    assert {rule for rule in found if found[rule] != set(dirty.planted.get(rule, ()))} <= brought_along | once


def test_an_unknown_rule_names_the_known_ones(dirty: Dirty):
    with pytest.raises(NotFound, match="blurred"):
        dirty.sources_of("blured")


@pytest.mark.parametrize("wrong", [{"n": FEWEST - 1}, {"n": 60.0}, {"seed": -1}, {"seed": True}], ids=str)
def test_wrong_numbers_are_refused(tmp_path: Path, wrong: dict[str, Any]):
    with pytest.raises(Invalid, match="whole number"):
        draw_dirty(tmp_path / "new", **wrong)
    assert not (tmp_path / "new").exists()


@pytest.mark.slow
def test_the_seed_decides_every_byte_and_nothing_is_replaced(dirty: Dirty, tmp_path: Path):
    again = draw_dirty(tmp_path / "again", seed=4, n=FEWEST)
    assert again.planted == dirty.planted and again.sources == dirty.sources
    for path in sorted(dirty.path.parent.rglob("*.*")):
        assert path.read_bytes() == (again.path.parent / path.relative_to(dirty.path.parent)).read_bytes()
    assert draw_dirty(tmp_path / "other", seed=5, n=FEWEST).planted != dirty.planted
    with pytest.raises(Conflict):
        draw_dirty(tmp_path / "again", seed=4, n=FEWEST)
