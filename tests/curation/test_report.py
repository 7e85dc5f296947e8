"""A whole set is looked at: what is odd is told, what a plan removes is listed, nothing is lost unasked."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from vision_toolkit.core import Conflict, Entry, Invalid, Label, MaskRef
from vision_toolkit.curation import PROPOSED, REMOVABLE, Curation, curate
from vision_toolkit.data import Manifest
from vision_toolkit.data.images import encode_jpeg, encode_png, read_image
from vision_toolkit.data.storage import inline
from vision_toolkit.data.synthetic import draw_dirty, load_dataset

Pixels = NDArray[np.uint8]


def held(name: str, label: str, image: Pixels | bytes) -> Entry:
    data = image if isinstance(image, bytes) else encode_png(image)
    return Entry(name, Label(label), at=inline(data))


def moved(image: Pixels) -> Pixels:
    shifted = np.pad(image, ((3, 0), (2, 0), (0, 0)), mode="edge")[:-3, :-2]
    return read_image(encode_jpeg(np.clip(shifted * 1.05, 0, 255).astype(np.uint8), quality=80))


@pytest.fixture(scope="module")
def parts() -> list[Pixels]:
    """Give twelve different parts, small enough to be quick."""
    return [read_image(one)[::2, ::2].copy() for one in load_dataset("biscuit")[:12]]


@pytest.fixture(scope="module")
def clean(parts) -> list[Entry]:
    return [held(f"{i}.png", "anomaly" if i % 3 == 0 else "normal", part) for i, part in enumerate(parts)]


@pytest.fixture(scope="module")
def messy(parts, clean) -> Manifest:
    """Give 12 parts and, from position 12 on: a copy, a near copy, copies with other labels, a cut file, a dark one."""
    extra = [
        held("copy.png", "normal", parts[1]),
        held("near.png", "normal", moved(parts[2])),
        held("other.png", "anomaly", parts[4]),
        held("near-other.png", "anomaly", moved(parts[5])),
        held("cut.jpg", "normal", encode_jpeg(parts[7])[:2000]),
        held("dark.png", "normal", (parts[8][:, ::-1] * 0.15).astype(np.uint8)),
        held("nobody.png", "unlabelled", parts[10][::-1].copy()),
    ]
    return Manifest([*clean, *extra], name="messy")


@pytest.fixture(scope="module")
def found(messy) -> Curation:
    return curate(messy)


def sources(removals) -> dict[str, str]:
    return {one.source: one.rule for one in removals}


def of(curation: Curation, rule: str) -> list[tuple[int, ...]]:
    return [one.positions for one in curation.oddities if one.rule == rule]


class TestFindings:
    def test_each_trouble_is_told(self, found):
        assert of(found, "exact-duplicate") == [(12, 1), (14, 4)]
        assert of(found, "near-duplicate") == [(13, 2), (15, 5)]
        assert of(found, "labels-conflict") == [(4, 14), (5, 15)]
        assert of(found, "unreadable-image") == [(16,)] and of(found, "dark") == [(17,)]
        assert of(found, "unlabelled") == [(18,)] and of(found, "blurred") == []
        assert found.groups == ((1, 12), (2, 13), (4, 14), (5, 15))

    def test_findings_go_with_oddities_and_errors_come_first(self, found):
        assert [f.rule for f in found.findings] == [one.rule for one in found.oddities]
        order = [("error", "warning", "info").index(f.severity) for f in found.findings if f.rule != "few-images"]
        assert order == sorted(order)
        (dark,) = [f for f in found.findings if f.rule == "dark"]
        assert dark.line == 18 and dark.text.startswith("dark.png: ") and dark.repair

    def test_lines_are_those_of_the_file(self, tmp_path, parts):
        for i, part in enumerate(parts[:3]):
            (tmp_path / f"{i}.png").write_bytes(encode_png(part))
        text = '\nnot json\n{"source-ref": "0.png"}\n{"source-ref": "1.png"}\n\n{"source-ref": "9.png"}\n'
        (tmp_path / "m").write_text(text)
        manifest = Manifest.read(tmp_path / "m")
        (missing,) = [f for f in curate(manifest).findings if f.rule == "missing-image"]
        assert missing.line == 6
        kept = curate(manifest).apply(rules=["missing-image"]).write(tmp_path / "new")
        assert kept.read_text() == text.replace('{"source-ref": "9.png"}\n', "")

    def test_a_clean_set_has_only_too_few_images(self, clean):
        found = curate(clean)
        assert {f.rule for f in found.findings} == {"few-images"} and found.remove == ()
        assert [re.findall(r"\d+", f.text) for f in found.findings] == [["8", "20"], ["4", "10"]]

    def test_an_empty_set_and_one_of_nothing_readable_are_no_error(self):
        assert {f.rule for f in curate([]).findings} == {"few-images"}
        gone = curate(Manifest([Entry("a.png", Label.NORMAL), Entry("s3://nowhere/b.png")]))
        assert {f.rule for f in gone.findings} >= {"missing-image", "not-local"} and len(gone.apply()) == 2

    def test_few_images_follow_the_table_of_limits(self, parts):
        ref = MaskRef("1.png", {"smear": "#23A436"})
        train = [held(f"{i}.png", "normal", part) for i, part in enumerate(parts[:3])]
        train.append(replace(held("3.png", "anomaly", parts[3]), mask=ref))
        test = [held(f"t{i}.png", "normal", part) for i, part in enumerate(parts[4:])]
        told = [f.text for f in curate(train, test=test).findings if f.rule in ("few-images", "few-of-type")]
        assert [re.findall(r"\d+|smear|training|test", text) for text in told] == [
            ["3", "10", "training"],
            ["1", "smear", "10", "training"],
            ["8", "10", "test"],
            ["0", "10", "test"],
            ["0", "smear", "10", "test"],
        ]


class TestPlan:
    def test_the_proposal_loses_nothing_that_could_be_learned(self, found, messy):
        assert sources(found.remove) == {"copy.png": "exact-duplicate", "cut.jpg": "unreadable-image"}
        kept = found.apply()
        assert [e.source for e in kept] == [e.source for e in messy if e.source not in ("copy.png", "cut.jpg")]
        assert len(messy) == 19 and kept.name == "messy"

    def test_rules_are_asked_for_by_name(self, found):
        assert sources(found.plan(["dark"])) == {"dark.png": "dark"}
        assert sources(found.plan("near-duplicate")) == {"copy.png": "near-duplicate", "near.png": "near-duplicate"}
        assert sources(found.plan(["unlabelled"])) == {"nobody.png": "unlabelled"}
        assert found.plan([]) == ()

    def test_contradictions_stay_until_they_are_named(self, found):
        assert {"4.png", "other.png", "5.png", "near-other.png"}.isdisjoint(
            sources(found.plan([r for r in REMOVABLE if r != "labels-conflict"]))
        )
        assert {*sources(found.plan(["labels-conflict"]))} == {"4.png", "other.png", "5.png", "near-other.png"}
        assert len(found.decisions) == 2 and "4.png is normal; other.png is anomaly" in found.decisions[0].text

    def test_the_copy_of_which_more_is_known_stays(self, parts, clean):
        ref = MaskRef("m.png", {"smear": "#23A436"})
        entries = [
            held("nobody.png", "unlabelled", parts[1]),
            *clean,
            replace(held("masked.png", "anomaly", parts[3]), mask=ref),
        ]
        assert sources(curate(entries).remove) == {"nobody.png": "exact-duplicate", "3.png": "exact-duplicate"}

    def test_a_copy_of_what_goes_anyway_stays(self, parts, clean):
        blurred = held("soft.png", "normal", (parts[2] * 0.2).astype(np.uint8))
        twin = held("twin.png", "normal", moved(parts[2]))
        found = curate([blurred, *clean[3:], twin])
        assert found.groups == ((0, 10),)
        assert sources(found.plan(["dark", "near-duplicate"])) == {"soft.png": "dark"}

    def test_lines_of_one_source_are_told_apart(self, clean):
        doubled = Manifest([*clean, clean[1]])
        found = curate(doubled)
        assert [one.position for one in found.remove] == [12]
        assert found.apply() == Manifest(clean)
        relabelled = doubled.relabel({"2.png": "anomaly"})
        later = found.apply(relabelled)
        assert len(later) == 12 and later[2].label is Label.ANOMALY

    def test_unknown_rules_and_parts_are_refused(self, found):
        with pytest.raises(Invalid, match=r"few-images.*near-duplicate"):
            found.plan(["few-images"])
        with pytest.raises(Invalid, match="no test set"):
            found.apply(part="test")

    def test_what_a_quarter_of_the_set_has_is_never_removed(self, parts):
        entries = [held(f"{i}.png", "normal", part) for i, part in enumerate(parts[:8])]
        entries += [held(f"d{i}.png", "normal", (part * 0.2).astype(np.uint8)) for i, part in enumerate(parts[8:])]
        found = curate(entries)
        assert of(found, "dark") == [(8, 9, 10, 11)] and found.plan(["dark"]) == ()


@pytest.fixture(scope="module")
def split(parts, clean) -> Curation:
    test = [
        held("same.png", "normal", parts[1]),
        held("near.png", "anomaly", moved(parts[3])),
        held("wrong.png", "anomaly", parts[4]),
        held("again.png", "normal", parts[1]),
    ]
    return curate(clean, test=test)


class TestLeaks:
    def test_a_pair_across_is_an_error(self, split):
        assert of(split, "leak") == [(1, 12), (4, 14), (3, 13)]
        leaks = [f for f in split.findings if f.rule == "leak"]
        assert {f.severity for f in leaks} == {"error"} and [f.line for f in leaks] == [2, 5, 4]
        assert of(split, "exact-duplicate") == [(15, 12)]

    def test_the_train_side_goes_and_the_test_stays(self, split, clean):
        assert sources(split.remove) == {"1.png": "leak", "3.png": "leak"}
        assert len(split.apply()) == len(clean) - 2
        assert sources(split.plan(part="test")) == {"again.png": "exact-duplicate"}
        assert [e.source for e in split.apply(part="test")] == ["same.png", "near.png", "wrong.png"]

    def test_a_leak_with_another_label_is_left_for_a_decision(self, split):
        assert of(split, "labels-conflict") == [(4, 14)]
        assert "4.png" not in sources(split.plan(PROPOSED))
        assert sources(split.plan(["labels-conflict"])) == {"4.png": "labels-conflict"}

    def test_a_frame_tells_the_parts(self, split):
        frame = split.to_frame()
        assert frame["part"].value_counts().to_dict() == {"train": 12, "test": 4}
        assert frame["rules"][1] == ("leak",) and frame["source"][15] == "again.png"


class TestOutliers:
    @staticmethod
    def colour_of(images: list[Pixels]) -> NDArray[np.float64]:
        return np.stack([image.reshape(-1, 3).mean(axis=0) + 1 for image in images]).astype(float)

    def test_a_normal_stranger_is_told_and_an_anomalous_one_only_if_asked(self, parts, clean):
        blue = parts[9].copy()
        blue[..., 0] //= 8
        entries = [*clean, held("blue.png", "normal", blue), held("blue-a.png", "anomaly", blue[::-1].copy())]
        found = curate(entries, embed=self.colour_of)
        assert of(found, "outlier") == [(12,)]
        assert np.isfinite(found.scores).sum() == 9 and np.isnan(found.scores[13])
        assert {*of(curate(entries, embed=self.colour_of, among="all"), "outlier")} >= {(12,), (13,)}

    def test_the_ranking_is_that_of_the_scores(self, clean):
        found = curate(clean, embed=self.colour_of)
        assert np.nanmedian(found.scores) == pytest.approx(1.0)

    @pytest.mark.parametrize(
        "embed",
        [
            lambda images: np.ones(len(images)),
            lambda images: np.ones((len(images) + 1, 3)),
            lambda images: np.full((len(images), 3), np.nan),
            lambda images: [["a"]] * len(images),
        ],
        ids=["one row", "too many", "nan", "text"],
    )
    def test_a_wrong_embedding_is_refused(self, clean, embed):
        with pytest.raises(Invalid, match="embed must return"):
            curate(clean[:3], embed=embed)
        with pytest.raises(Invalid, match="among"):
            curate(clean[:3], among="anomaly")


class TestWork:
    def test_progress_ends_at_the_total(self, messy):
        seen: list[tuple[int, int]] = []
        curate(messy, embed=TestOutliers.colour_of, progress=lambda done, total: seen.append((done, total)))
        normal = sum(entry.label is Label.NORMAL for entry in messy)
        done, totals = zip(*seen, strict=True)
        assert set(totals) == {len(messy) + normal} and list(done) == sorted(done) and done[-1] == totals[-1]

    def test_the_number_of_threads_changes_nothing(self, messy, found):
        one = curate(messy, threads=1)
        assert one.findings == found.findings and one.remove == found.remove
        np.testing.assert_array_equal(one.measures.sharpness, found.measures.sharpness)


class TestShowing:
    def test_repr_says_what_there_is(self, found):
        assert repr(found).startswith("Curation(19 images: 1 unreadable-image, 4 labels-conflict, 1 dark")
        assert repr(found).endswith("; 2 to remove)")

    def test_html_is_small_and_of_small_jpegs(self, found):
        html = found._repr_html_()
        assert 4 < html.count("data:image/jpeg") <= 24 and len(html) < 250_000
        assert "labels-conflict" in html and "2 to remove" in html and "<script" not in html

    def test_names_cannot_break_the_page(self, parts, tmp_path):
        name = "<script>alert(1)</script>\ud800.png"
        page = curate([held(name, "normal", parts[0]), held("b&b.png", "normal", parts[0])]).write(tmp_path / "p.html")
        text = page.read_text(encoding="utf-8")
        assert "<script" not in text and "b&amp;b.png" in text and "http" not in text

    def test_a_page_lists_every_finding_and_is_not_overwritten_unasked(self, found, tmp_path):
        path = found.write(tmp_path / "report.html")
        text = path.read_text(encoding="utf-8")
        for rule in found.counts():
            assert f"</span> {rule}</h2>" in text
        assert "near-other.png is anomaly" in text and "Proposed to remove: 2" in text
        with pytest.raises(Conflict, match="exists"):
            found.write(path)
        assert found.write(path, overwrite=True) == path

    def test_a_sheet_shows_the_worst_or_the_first(self, found, clean):
        titles = [text.get_text() for text in found.show(n=6).axes[0].texts]
        assert len(titles) == 6 and titles[0].startswith("cut.jpg\nunreadable")
        assert len(curate(clean).show(n=4).axes[0].texts) == 4


@pytest.mark.slow
def test_what_is_planted_in_a_dirty_set_is_found(tmp_path: Path):
    for seed in (21, 22):
        dirty = draw_dirty(tmp_path / str(seed), seed=seed, n=40)
        found = curate(Manifest.read(dirty.path))
        frame = found.to_frame()
        for rule in ("blurred", "dark", "overexposed", "low-contrast", "odd-shape", "odd-mode", "near-duplicate"):
            assert sorted(frame["source"][[rule in rules for rules in frame["rules"]]]) == sorted(
                dirty.sources_of(rule)
            )
        lines = {f.line for f in found.findings if f.rule == "exact-duplicate"}
        expected = {line for rule in ("exact-duplicate", "source-twice") for line in dirty.planted[rule]}
        assert expected <= lines <= expected | set(dirty.planted["source-conflict"])
        said = " ".join(f.text for f in found.decisions)
        assert len(found.decisions) == 2 and all(source in said for source in dirty.sources_of("labels-conflict"))
