"""Reports: the numbers of the evaluation, pictures within, nothing from elsewhere, and no name that breaks the page."""

from __future__ import annotations

import base64
import json
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from PIL import Image

from vision_toolkit.core import Conflict, Entry, Finding, Invalid, Label, Mask, MaskRef, NotFound, Prediction, Task
from vision_toolkit.data.images import encode_mask, encode_png, read_image, read_mask
from vision_toolkit.data.manifest import Manifest
from vision_toolkit.metrics.evaluation import Evaluation
from vision_toolkit.models.model import Model
from vision_toolkit.models.report import write_report

NAMES = ("background", "dark <b>spot</b>")
COLOURS = {NAMES[1]: "#23A436"}
INFO: dict[str, Any] = {
    "format": 2,
    "task": "segmentation",
    "types": [NAMES[1]],
    "colours": ["#FFFFFF", "#23A436"],
    "inputs": [{"width": 256, "height": 224}, {"width": 512, "height": 448}],
    "threshold": 0.4321,
    "threshold_rule": "best_f1",
    "prevalence": None,
    "map_level": 8.5,
    "verdict": {
        "name": "blend",
        "groups": ["distance", "global"],
        "why": "blend: within one standard error (0.030) of the best f1.",
        "tried": [
            {"name": "last layer", "f1": 0.912, "log_loss": 0.4, "tied_with_best": True},
            {"name": "blend", "f1": 0.9, "log_loss": 0.3, "tied_with_best": True},
            {"name": "all features", "f1": 0.5, "log_loss": 0.7, "tied_with_best": False},
        ],
    },
    "held_out": {"normal": [30], "anomaly": [13]},
    "metric": "f1",
    "preset": "fast",
    "seed": 1234,
    "backbone": {
        "name": "resnet18", "weights": "file resnet18.safetensors", "licence": "MIT", "pretrained": True,
        "side": None, "sha256": "beef",
    },
    "painting": {"name": "cells"},
    "training": {"images": 43, "normal": 30, "anomaly": 13, "with_mask": 12, "fingerprint": "cafe"},
    "versions": {"python": "3.99", "numpy": "9.8.7"},
    "metrics": None,
    "seconds": 61.7,
    "notes": ["The disk was slow."],
}  # fmt: skip
"""Facts of a model in the shape that ``train`` writes; a test below compares the two."""


class DarkSpots:
    """Find what is darker than a plain grey part; real numbers of real pixels, no trained model needed."""

    task = Task.SEGMENTATION

    def __init__(self, info: dict[str, Any] | None = None, *, maps: bool = True) -> None:
        self.info = INFO if info is None else info
        self.maps = maps

    def predict(self, entry: Entry, /) -> Prediction:
        grey = read_image(entry).mean(axis=2)
        heat = np.clip((170 - grey) / 100, 0, 1).astype(np.float32)
        if not self.maps:
            return Prediction(Task.CLASSIFICATION, score=float(heat.max()), threshold=0.5, source=entry.source)
        mask = Mask((heat > 0.5).astype(np.uint8), NAMES)
        return Prediction(
            self.task, score=float(heat.max()), threshold=0.5, mask=mask, map=heat[::4, ::4], source=entry.source
        )


class Usual(NamedTuple):
    manifest: Manifest
    evaluation: Evaluation
    page: Page
    facts: dict[str, Any]
    path: Path


class Page(HTMLParser):
    """Read what a browser would: every tag with its attributes, and the text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.styles: list[str] = []
        self.open: list[str] = []
        self.rows: list[list[str]] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("img", "meta", "br"):
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"{tag} is closed where it is not open"

    def handle_data(self, data: str) -> None:
        if "style" in self.open:
            self.styles.append(data)
            return
        self.words.append(data)
        if "td" in self.open or "th" in self.open:
            self.rows[-1][-1] += data

    @property
    def text(self) -> str:
        return " ".join(self.words)

    def pictures(self) -> list[Image.Image]:
        sources = [str(attributes["src"]) for tag, attributes in self.tags if tag == "img"]
        return [Image.open(BytesIO(base64.b64decode(source.partition(",")[2]))) for source in sources]


def parts(folder: Path, *, spots: str = "0001111", side: int = 48, seed: int = 0) -> Manifest:
    """Draw grey parts; 1 has a dark spot, 2 has one too faint to see, 0 is normal, 3 is normal with a shadow."""
    rng = np.random.default_rng(seed)
    entries = []
    for number, kind in enumerate(spots):
        image = rng.integers(190, 215, (side, side, 3)).astype(np.uint8)
        ids = np.zeros((side, side), np.uint8)
        if kind != "0":
            ids[8:20, 10:30] = 1
            image[ids == 1] = {"1": 30 + 5 * number, "2": 180, "3": 60}[kind]
        path = folder / f"part {number}.png"
        path.write_bytes(encode_png(image))
        label = Label.ANOMALY if kind in "12" else Label.NORMAL
        ref = None
        if label is Label.ANOMALY:
            masked = folder / f"mask {number}.png"
            masked.write_bytes(encode_mask(Mask(ids, NAMES)))
            ref = MaskRef(str(masked), COLOURS)
        entries.append(Entry(str(path), label, mask=ref))
    return Manifest(entries, name="parts.manifest")


def evaluate(model: DarkSpots, manifest: Manifest, **more: Any) -> Evaluation:
    def mask(entry: Entry) -> Mask | None:
        return read_mask(entry.mask) if entry.mask else None

    return Evaluation.from_predictions(manifest, [model.predict(entry) for entry in manifest], masks=mask, **more)


def written(
    tmp_path: Path, manifest: Manifest, model: DarkSpots | None = None, **more: Any
) -> tuple[Page, dict[str, Any]]:
    model = model or DarkSpots()
    options = {key: more.pop(key) for key in ("findings", "title", "best", "worst") if key in more}
    path = write_report(model, evaluate(model, manifest, **more), manifest, tmp_path / "report", **options)
    assert path == tmp_path / "report" / "report.html"
    facts = json.loads((tmp_path / "report" / "report.json").read_text("ascii"))
    return Page(path.read_text("utf-8")), facts


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> Usual:
    """Write one page of ten parts, for all tests that only read it."""
    folder = tmp_path_factory.mktemp("usual")
    manifest = parts(folder, spots="0000311112")
    page, facts = written(folder, manifest)
    return Usual(manifest, evaluate(DarkSpots(), manifest), page, facts, folder / "report" / "report.html")


def two(value: float) -> str:
    """Write a score so that nothing imperfect looks perfect."""
    return f"{value:.2f}" if not 0.995 <= value < 1 else str(value)[:5]


def test_headline_and_every_number_are_those_of_the_evaluation(usual: Usual) -> None:
    manifest, evaluation, page, facts, _ = usual
    headline = "On 10 images that the model has not seen, it found 4 of 5 anomalies and rejected 1 of 5 good parts."
    assert facts["headline"] == headline
    assert headline in page.text
    assert facts["evaluation"]["counts"] == {"tp": 4, "fp": 1, "fn": 1, "tn": 4}
    for name, title in {
        "recall": "recall", "precision": "precision", "f1": "F1", "accuracy": "accuracy", "roc_auc": "ROC AUC",
        "average_precision": "average precision",
    }.items():  # fmt: skip
        score = getattr(evaluation, name)
        told = facts["evaluation"]["scores"][name]
        assert (told["value"], told["low"], told["high"], told["n"]) == (float(score), score.low, score.high, score.n)
        row = next(cells for cells in page.rows if cells[0].startswith(title))
        assert row[1:] == [two(score), "", f"{two(score.low)} to {two(score.high)}", str(score.n)]
    assert [row["source"] for row in facts["evaluation"]["rows"]] == [entry.source for entry in manifest]
    assert [row["score"] for row in facts["evaluation"]["rows"]] == [row.score for row in evaluation.rows]
    confusion = [cells for cells in page.rows if cells and cells[0] in ("is normal", "is anomaly")]
    assert confusion == [
        ["is normal", "480 % passed", "120 % false alarms"],
        ["is anomaly", "120 % missed", "480 % found"],
    ]
    assert "The scores rest on 10 images of parts.manifest: 5 normal, 5 anomalies, 5 with masks." in page.words
    assert facts["dataset"]["total"] == 10
    assert facts["dataset"]["fingerprint"] == manifest.fingerprint()


def test_types_have_their_row(usual: Usual) -> None:
    score = usual.evaluation.types[NAMES[1]]
    row = next(cells for cells in usual.page.rows if cells[0] == NAMES[1])
    measures = [two(value) for value in (score.precision, score.recall, score.f1, score.aiou)]
    assert row == [NAMES[1], "4 of 5", *measures, f"{two(score.aiou.low)} to {two(score.aiou.high)}"]
    head = next(cells for cells in usual.page.rows if cells[0] == "anomaly type")
    assert head[5:] == ["IoU (mean over images)", "its 95 % interval"]


def test_page_asks_nobody_for_anything_and_runs_nothing(usual: Usual) -> None:
    page = usual.page
    assert not page.open
    names = {tag for tag, _ in page.tags}
    assert not names & {"script", "link", "iframe", "object", "embed", "a", "form", "base", "video"}
    for tag, attributes in page.tags:
        for name, value in attributes.items():
            assert not name.startswith("on")
            assert name not in ("href", "srcset", "action", "background")
            if name == "src":
                assert tag == "img"
                assert str(value).startswith(("data:image/png;base64,", "data:image/jpeg;base64,"))
    style = " ".join(page.styles)
    assert "url(" not in style
    assert "@import" not in style
    assert "prefers-color-scheme: dark" in style
    assert "@media print" in style
    raw = usual.path.read_text("utf-8")
    assert "http:" not in raw
    assert "https:" not in raw
    assert all(picture.verify() is None for picture in page.pictures())
    assert all(attributes.get("alt") for tag, attributes in page.tags if tag == "img")


HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "a&b;'c' --> ]]>",
    "</style></title>",
    "ü 漢.png",
)


@pytest.mark.parametrize("score", [0.9949, 0.995, 0.9999])
def test_what_is_not_perfect_does_not_look_perfect(tmp_path: Path, score: float) -> None:
    manifest = parts(tmp_path, spots="1")
    prediction = Prediction(Task.CLASSIFICATION, score=score, threshold=0.5)
    evaluation = Evaluation.from_predictions(manifest, [prediction])
    page = Page(write_report(DarkSpots(), evaluation, manifest, tmp_path / "report").read_text("utf-8"))
    told = next(word for word in page.words if word.startswith("score 0."))
    assert told == f"score {two(score)}, confidence {two(score)}"
    assert "1.00" not in told


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    drawn = parts(tmp_path, spots="01121")
    hostile = Manifest(
        [Entry(name, e.label, mask=e.mask, at=e.location) for name, e in zip(HOSTILE, drawn, strict=True)],
        name=HOSTILE[0],
    )
    info = INFO | {
        "types": list(HOSTILE),
        "threshold_rule": HOSTILE[0],
        "verdict": INFO["verdict"] | {"tried": [dict(INFO["verdict"]["tried"][0], name=name) for name in HOSTILE]},
        "backbone": INFO["backbone"] | {"name": HOSTILE[1], "weights": HOSTILE[2], "licence": HOSTILE[3]},
        "versions": {name: name for name in HOSTILE},
        "notes": list(HOSTILE),
    }
    findings = [Finding(1, "error", name, name, name) for name in HOSTILE]
    page, facts = written(tmp_path, hostile, DarkSpots(info), findings=findings, title=HOSTILE[0])
    assert not page.open
    allowed = {
        "html", "head", "meta", "title", "style", "body", "main", "footer", "p", "h1", "h2", "h3", "div", "span",
        "section",
        "table", "thead", "tbody", "tr", "th", "td", "small", "i", "b", "img", "article", "header", "strong", "figure",
        "figcaption", "dl", "dt", "dd", "pre",
    }  # fmt: skip
    assert {tag for tag, _ in page.tags} <= allowed
    assert not [value for _, attributes in page.tags for key, value in attributes.items() if key.startswith("on")]
    assert facts["title"] == HOSTILE[0]
    assert [row["source"] for row in facts["evaluation"]["rows"]] == list(HOSTILE)
    for name in HOSTILE:
        # Its finding's rule and text, what was tried, a note; its picture has the last part of its path.
        assert page.words.count(name) >= 3
        assert page.text.count(name) >= 7
        assert name.rpartition("/")[2] in page.words


def test_names_that_are_no_text_do_not_stop_the_page(tmp_path: Path) -> None:
    manifest = parts(tmp_path, spots="01")
    odd = Manifest([Entry(f"caf\udce9 {i}.png", e.label, mask=e.mask, at=e.location) for i, e in enumerate(manifest)])
    page, facts = written(tmp_path, odd)
    assert "caf? 0.png" in page.text
    assert facts["evaluation"]["rows"][0]["source"] == "caf\udce9 0.png"


def test_worst_come_first_and_best_are_others(tmp_path: Path) -> None:
    page, _ = written(tmp_path, parts(tmp_path, spots="30003112211"), worst=5, best=3)
    chips = [word for word in page.words if word.startswith(("anomaly, ", "normal, "))]
    assert chips[:4] == ["anomaly, missed"] * 2 + ["normal, false alarm"] * 2
    assert chips[5:] == ["anomaly, found", "normal, passed", "anomaly, found"]
    shown = [word for word in page.words if word.startswith("part ")]
    assert len(shown) == len(set(shown)) == 8


def test_pictures_show_image_heat_map_and_masks(tmp_path: Path) -> None:
    page, _ = written(tmp_path, parts(tmp_path, spots="0001"), worst=4, best=0)
    captions = [attributes["alt"] for tag, attributes in page.tags if tag == "img"]
    assert captions[0] == "precision-recall curve"
    assert captions.count("image") == captions.count("heat map") == 4
    assert captions.count("filled: found, outlined: truth") == 1
    assert captions.count("filled: found") == 3
    image, heat, masks = page.pictures()[2 + 3 * captions[2::3].index("image") :][:3]
    assert image.size == heat.size == masks.size == (48, 48)
    anomalous = page.pictures()[captions.index("filled: found, outlined: truth")].convert("RGB")
    red, green, blue = anomalous.getpixel((20, 14))
    assert green > red + 20
    assert green > blue + 10
    words = page.words[page.words.index("outlined: truth ") - 2 :]
    assert words[:4] == ["filled: found ", "dark <b>spot</b> 10.4 %", "outlined: truth ", "dark <b>spot</b> 10.4 %"]
    assert page.words.count("filled: found nothing") == 3
    swatches = [attributes["style"] for tag, attributes in page.tags if attributes.get("class") == "swatch"]
    assert swatches == ["background:#23A436"] * 2


def test_small_defects_are_not_lost_in_small_pictures(tmp_path: Path) -> None:
    side = 1500
    image, ids = np.full((side, side, 3), 200, np.uint8), np.zeros((side, side), np.uint8)
    ids[700:702, 900:902] = 1
    image[ids == 1] = 10
    (tmp_path / "1.png").write_bytes(encode_png(image))
    (tmp_path / "m.png").write_bytes(encode_mask(Mask(ids, NAMES)))
    entry = Entry(str(tmp_path / "1.png"), Label.ANOMALY, mask=MaskRef(str(tmp_path / "m.png"), COLOURS))
    page, _ = written(tmp_path, Manifest([entry]), best=0)
    picture = page.pictures()[-1].convert("RGB")
    assert max(picture.size) == 480
    # The defect was less than a pixel here: it has one, and a white line around it.
    spot = np.asarray(picture.convert("L"))[222:227, 286:291]
    assert spot.min() < 130
    assert (spot > 235).sum() >= 5


@pytest.mark.parametrize(("shape", "noisy"), [((500, 600), True), ((64, 64), False)])
def test_page_stays_below_four_megabytes(tmp_path: Path, shape: tuple[int, int], noisy: bool) -> None:
    rng = np.random.default_rng(0)
    low, high = (0, 256) if noisy else (190, 215)
    (tmp_path / "noise.png").write_bytes(encode_png(rng.integers(low, high, (*shape, 3)).astype(np.uint8)))
    entries = [
        Entry(f"{i}.png", Label("anomaly" if i % 2 else "normal"), at=str(tmp_path / "noise.png")) for i in range(14)
    ]
    page, _ = written(tmp_path, Manifest(entries))
    assert len(page.pictures()) == 2 + 12 * 3
    assert (tmp_path / "report" / "report.html").stat().st_size < 4_000_000
    assert all(max(picture.size) <= 480 for picture in page.pictures()[2:])


@pytest.mark.parametrize("pretrained", [True, False])
def test_weights_that_learned_nothing_are_said_plainly(tmp_path: Path, pretrained: bool) -> None:
    words = "resnet18.safetensors" if pretrained else "none: fixed filters"
    backbone = INFO["backbone"] | {"weights": words, "pretrained": pretrained}
    page, facts = written(tmp_path, Manifest(), DarkSpots(INFO | {"backbone": backbone}))
    assert ("bank of fixed filters that never learned to see" in page.text) is not pretrained
    assert ("bank of fixed filters that never learned to see" in facts["notes"][0]["text"]) is not pretrained
    assert facts["notes"][0]["severity"] == "warning"
    assert ("Weights: none: fixed filters, which never learned to see." in page.text) is not pretrained


def test_images_of_the_training_are_not_called_unseen(tmp_path: Path) -> None:
    manifest = parts(tmp_path, spots="0001")
    training = INFO["training"] | {"fingerprint": manifest.fingerprint()}
    unlabelled = Entry("unknown", at=manifest[0].location)  # does not train, so it makes no difference
    page, facts = written(tmp_path, Manifest([*manifest, unlabelled]), DarkSpots(INFO | {"training": training}))
    assert facts["headline"].startswith("On 4 images that the model was trained with, it found 1 of 1 anomaly")
    assert facts["notes"][0]["severity"] == "warning"
    assert "trained with these very images" in page.text
    assert any(word.endswith("with masks. Left out: 1 unlabelled.") for word in page.words)


def test_small_numbers_are_told_honestly_and_large_ones_are_not(tmp_path: Path, usual: Usual) -> None:
    assert "Small numbers: 5 anomalies and 5 normal images." in usual.page.text
    recall = usual.evaluation.recall
    assert f"anything from {recall.low * 100:.0f} % to {recall.high * 100:.0f} % (95 % interval)" in usual.page.text
    one = parts(tmp_path, spots="01")
    many = Manifest([Entry(f"{i}.png", one[i % 2].label, at=one[i % 2].location) for i in range(200)])
    page, _ = written(tmp_path, many, DarkSpots(maps=False), worst=1, best=1)
    assert "Small numbers" not in page.text
    assert "heat map" not in [attributes.get("alt") for _, attributes in page.tags]


def test_cross_validation_is_called_so(tmp_path: Path) -> None:
    page, facts = written(tmp_path, parts(tmp_path), kind="cross-validation")
    assert facts["headline"].startswith("In cross-validation on 7 images, each judged by a model that has not seen it,")
    assert "masks in the pictures are those of the final model" in page.text


@pytest.mark.parametrize(
    ("spots", "words"), [("000", "no anomalies"), ("11", "no normal images"), ("", "no anomalies")]
)
def test_one_class_alone_gives_a_page_without_curves(tmp_path: Path, spots: str, words: str) -> None:
    page, facts = written(tmp_path, parts(tmp_path, spots=spots))
    assert f"There were {words} to judge" in page.text
    assert facts["evaluation"]["scores"]["roc_auc"]["value"] is None
    assert "precision-recall curve" not in [attributes.get("alt") for _, attributes in page.tags]
    assert "undefined" in page.text
    assert "nan" not in page.text.lower().split()


def test_findings_are_grouped_by_rule_the_gravest_first(tmp_path: Path) -> None:
    findings = [
        Finding(None, "info", "few-images", "There are 7 images."),
        Finding(2, "warning", "no-background", "first", "add it"),
        Finding(5, "warning", "no-background", "second"),
        Finding(6, "error", "not-json", "Not JSON."),
    ]
    page, facts = written(tmp_path, Manifest(), findings=iter(findings))
    assert [(row["rule"], row["count"], row["lines"]) for row in facts["findings"]] == [
        ("not-json", 1, [6]),
        ("no-background", 2, [2, 5]),
        ("few-images", 1, []),
    ]
    assert ["warning", "no-background", "2", "e.g. first Repair: add it"] in page.rows


@pytest.mark.parametrize(
    ("findings", "words"), [(None, "The data were not checked."), ([], "The check of the data found nothing odd.")]
)
def test_data_without_findings_and_data_that_nobody_checked_differ(
    tmp_path: Path, findings: list[Finding] | None, words: str
) -> None:
    page, facts = written(tmp_path, Manifest(), findings=findings)
    assert words in page.words
    assert facts["findings"] == findings


@pytest.mark.parametrize(
    ("spots", "is_told"), [("01" * 5, True), ("01" * 5 + "3", True), ("01" * 4, False), ("0" * 20, False)]
)
def test_reliability_is_told_where_there_are_images_enough(tmp_path: Path, spots: str, is_told: bool) -> None:
    page, _ = written(tmp_path, parts(tmp_path, spots=spots, side=16), worst=0, best=0)
    charts = [attributes["alt"] for tag, attributes in page.tags if tag == "img"]
    assert ("share of anomalies over the score" in charts) is is_told
    assert (f"anomalies are as frequent as here, 5 of {len(spots)} images" in page.text) is is_told


def test_a_model_that_is_always_right_does_not_fail(tmp_path: Path) -> None:
    page, _ = written(tmp_path, parts(tmp_path, spots="0011"))
    assert "Where it fails" not in page.words
    assert "Where it is least sure" in page.words
    assert "The model was wrong on none of 4 images; these are the right verdicts that it was least sure of." in (
        page.words
    )


def test_making_tells_what_was_tried_why_seed_and_versions(usual: Usual) -> None:
    page, facts = usual.page, usual.facts
    assert ["candidate", "F1", "log-loss", "tied with the best", ""] in page.rows
    assert ["last layer", "0.912", "0.400", "yes", ""] in page.rows
    assert ["blend", "0.900", "0.300", "yes", "chosen"] in page.rows
    assert ["all features", "0.500", "0.700", "", ""] in page.rows
    learned = "It learned from 43 images, 30 normal and 13 anomalies (12 with masks), in 62 seconds."
    seen = "It sees images at 256 × 224 and 512 × 448 pixels through the network resnet18."
    for sentence in (
        f"{learned} It paints 1 anomaly type: dark <b>spot</b>.",
        f"{seen} Weights: file resnet18.safetensors (MIT).",
        "Its verdict comes from blend: within one standard error (0.030) of the best f1.",
        "It says anomaly from a score of 0.432 on (threshold rule: best_f1).",
        "The disk was slow.",
    ):
        assert sentence in page.words
    told = page.words[page.words.index("To make it again") + 1 :]
    recipe = dict(zip(told[::2], told[1::2], strict=False))
    assert recipe["seed"] == "1234"
    assert recipe["versions"] == "python 3.99, numpy 9.8.7"
    assert recipe["threshold"] == "best_f1, which gave 0.4321"
    assert recipe["training images"] == "43, sha256 cafe"
    assert recipe["evaluated images"] == f"10, parts.manifest, sha256 {usual.manifest.fingerprint()}"
    assert facts["model"] == INFO


def test_a_model_without_candidates_masks_or_types_has_its_page(tmp_path: Path) -> None:
    why = "memory: 2 anomalies are too few to learn from (at least 4)."
    info = INFO | {
        "task": "classification",
        "types": [],
        "verdict": {"name": "memory", "groups": ["distance"], "why": why, "tried": []},
        "training": INFO["training"] | {"with_mask": 0, "anomaly": 2},
    }
    page, _ = written(tmp_path, parts(tmp_path, spots="01"), DarkSpots(info, maps=False), kind="cross-validation")
    assert f"Its verdict comes from {why}" in page.words
    assert "What was tried" not in page.words
    assert "It learned from 43 images, 30 normal and 2 anomalies, in 62 seconds." in page.words
    assert "masks" not in " ".join(page.words[: page.words.index("Scores")])


def test_the_facts_of_real_models_have_this_shape(tmp_path: Path, model: Model, training: Manifest) -> None:
    def shape(facts: Any) -> Any:
        return {key: shape(part) for key, part in facts.items()} if isinstance(facts, dict) else type(facts)

    real = model.info
    assert real.keys() == INFO.keys()
    for key in INFO.keys() - {"metrics", "versions"}:
        assert shape(real[key]) == shape(INFO[key]), key
    assert real["verdict"]["tried"][0].keys() == INFO["verdict"]["tried"][0].keys()
    assert model.evaluation is not None
    page = Page(write_report(model, model.evaluation, training, tmp_path / "real").read_text("utf-8"))
    assert any(word.startswith("In cross-validation on 36 images, each judged by a model") for word in page.words)
    assert f"Its verdict comes from {real['verdict']['why']}" in page.words
    assert any(word.startswith("at a median threshold of ") for word in page.words)


def test_an_image_that_is_gone_is_told_and_the_rest_is_shown(tmp_path: Path) -> None:
    manifest = parts(tmp_path, spots="0011")
    model = DarkSpots()
    evaluation = evaluate(model, manifest)
    Path(manifest[3].location).unlink()
    with pytest.raises(NotFound):
        model.predict(manifest[3])
    page = Page(write_report(model, evaluation, manifest, tmp_path / "report").read_text("utf-8"))
    assert page.text.count("This image cannot be shown") == 1
    assert [attributes.get("alt") for tag, attributes in page.tags if tag == "img"].count("image") == 3


def test_heat_maps_of_cross_validation_win_over_the_final_model(tmp_path: Path) -> None:
    manifest = parts(tmp_path, spots="1")
    everywhere = Prediction(Task.CLASSIFICATION, score=0.9, threshold=0.5, map=np.ones((2, 2), np.float32))
    evaluation = Evaluation.from_predictions(manifest, [everywhere], kind="cross-validation")
    page = Page(write_report(DarkSpots(), evaluation, manifest, tmp_path / "report", best=0).read_text("utf-8"))
    captions = [attributes["alt"] for tag, attributes in page.tags if tag == "img"]
    red, _, blue = page.pictures()[captions.index("heat map")].convert("RGB").getpixel((44, 44))
    assert red > blue + 60


def test_a_report_that_is_there_is_kept_unless_told(tmp_path: Path) -> None:
    manifest, folder = parts(tmp_path, spots="01"), tmp_path / "report"
    model = DarkSpots()
    evaluation = evaluate(model, manifest)
    folder.mkdir()
    (folder / "mine.txt").write_text("mine")
    (folder / "report.json").write_text("old")
    with pytest.raises(Conflict, match=r"report\.json exists"):
        write_report(model, evaluation, manifest, folder)
    assert (folder / "report.json").read_text() == "old"
    assert not (folder / "report.html").exists()
    write_report(model, evaluation, manifest, folder, overwrite=True)
    assert sorted(path.name for path in folder.iterdir()) == ["mine.txt", "report.html", "report.json"]
    assert json.loads((folder / "report.json").read_text())["format"] == 1


@pytest.mark.parametrize("numbers", [{"best": -1}, {"worst": -1}])
def test_negative_numbers_of_images_are_refused(tmp_path: Path, numbers: dict[str, int]) -> None:
    manifest = parts(tmp_path, spots="01")
    with pytest.raises(Invalid, match="-1"):
        write_report(DarkSpots(), evaluate(DarkSpots(), manifest), manifest, tmp_path / "r", **numbers)
    assert not (tmp_path / "r").exists()


def test_no_images_wanted_gives_no_sections_of_images(tmp_path: Path) -> None:
    page, facts = written(tmp_path, parts(tmp_path), best=0, worst=0)
    assert "Where it fails" not in page.words
    assert "Where it is surest" not in page.words
    assert len(page.pictures()) == 2
    assert facts["evaluation"]["threshold"] == 0.5
