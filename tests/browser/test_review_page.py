"""The page of Review in a real browser, with the real Python half behind a connection that can fail."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vision_toolkit as vt
from vision_toolkit.core import Entry, Label
from vision_toolkit.core.prediction import Prediction, Task
from vision_toolkit.data import Manifest
from vision_toolkit.data.label_log import LabelLog
from vision_toolkit.metrics import scores
from vision_toolkit.metrics.counts import Counts
from vision_toolkit.widgets.review import Review

harness = sys.modules["harness"]  # loaded by conftest.py: this folder is no package


class Page(harness.WidgetPage):
    """A browser page with a review in it."""

    @property
    def review(self) -> Review:
        return self.widget

    def pictures(self) -> list[Any]:
        return [self.widget._pictures, self.widget._closer]

    def ready(self) -> None:
        self.page.wait_for_function("() => document.querySelector('.vt-review').dataset.ready === '1'")

    def start(self) -> None:
        self.ready()
        self.root.focus()

    def shown(self) -> list[int]:
        return list(self.root.evaluate(
            "(root) => [...root.querySelectorAll('.vt-tile:not([hidden])')].map((t) => Number(t.dataset.item))"
        ))  # fmt: skip

    def at(self) -> int:
        return int(self.root.get_attribute("data-item") or -1)

    def says(self, selector: str, text: str) -> None:
        self.page.wait_for_function(
            "([selector, text]) => document.querySelector(selector).textContent.includes(text)", arg=[selector, text]
        )

    def slide(self, tick: int) -> None:
        self.root.get_by_label("threshold", exact=True).first.evaluate(
            "(node, tick) => { node.value = tick; node.dispatchEvent(new Event('input', { bubbles: true })); }", tick
        )


@pytest.fixture(scope="module")
def parts() -> tuple[Manifest, Manifest]:
    return vt.train_test_split(vt.load_dataset("biscuit"))


@pytest.fixture(scope="module")
def model(parts: tuple[Manifest, Manifest]) -> vt.Model:
    return vt.train(parts[0], preset="fast", progress=False, weights=None)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "labels.jsonl"


@pytest.fixture
def opened(chromium: Any) -> Iterator[Any]:
    pages: list[Page] = []

    def open_page(review: Review, **size: int) -> Page:
        pages.append(Page(chromium, review, **{"width": 1000, "height": 1250} | size))
        return pages[-1]

    yield open_page
    for one in pages:
        one.close()


@pytest.fixture
def review(parts: Any, model: vt.Model, file: Path) -> Review:
    return vt.Review(model, parts[1], file=file, threshold=0.5, progress=False)


def test_the_worst_images_are_shown_with_what_the_model_saw(opened: Any, review: Review) -> None:
    page = opened(review)
    page.start()
    page.shot("review")
    entries = list(review._given)
    assert [entries[item].source for item in page.shown()] == list(review.sources()[:24])
    counts = review.counts
    for show, count in (("fn", counts.fn), ("fp", counts.fp), ("tp", counts.tp), ("tn", counts.tn)):
        assert page.root.locator(f"[data-id='show {show}'] .vt-count").inner_text() == str(count)
    told = page.root.locator(".vt-scores").inner_text()
    f1 = review.evaluation.f1
    assert f"{float(f1):.3f}" in told
    assert f"({f1.low:.2f}–{f1.high:.2f})" in told
    layers = page.root.evaluate(
        "(root) => [...root.querySelectorAll('.vt-tile:not([hidden]) .vt-layer')].filter((c) => !c.hidden).length"
    )
    assert layers == len(page.shown())
    page.root.get_by_role("button", name="all").click()
    page.ready()
    assert len(page.shown()) == 24
    page.press("PageDown")
    page.ready()
    assert len(page.shown()) == len(entries) - 24
    page.root.get_by_label("anomaly type").select_option(index=1)
    page.page.wait_for_function("() => document.querySelector('.vt-pages').textContent.includes('1 to')")
    kind = page.root.get_by_label("anomaly type").input_value()
    assert [entries[item].source for item in page.shown()] == list(review.sources("all", type=kind)[:24])


def test_the_slider_moves_everything_at_once_and_the_kernel_follows(opened: Any, review: Review) -> None:
    page = opened(review)
    page.start()
    page.page.evaluate("line.hold = true")
    for tick in (0, 1234, 5000, 8765, 10_000):
        page.slide(tick)
        counts = review._verdicts.counts(review._state.truth, tick)
        assert page.root.locator("[data-id='show fn'] .vt-count").inner_text() == str(counts.fn)
        assert page.root.locator("[data-id='show fp'] .vt-count").inner_text() == str(counts.fp)
        f1 = 2 * counts.tp / (2 * counts.tp + counts.fp + counts.fn)
        assert f"F1 {f1:.3f}" in page.root.locator(".vt-scores").inner_text()
        assert "(" not in page.root.locator(".vt-scores").inner_text() or tick == 5000, "no interval of other counts"
    assert review.threshold == 0.5
    page.page.evaluate("release()")
    page.slide(4200)
    page.says(".vt-scores", "(")
    assert review.threshold == 0.42
    page.press("]")
    page.page.wait_for_function("() => document.querySelector('.vt-review').dataset.tick === '4300'")
    page.root.get_by_label("threshold", exact=True).nth(1).fill("0.3")
    page.press("Enter")
    page.page.wait_for_function("() => document.querySelector('.vt-review').dataset.tick === '3000'")
    page.root.get_by_role("button", name="best F1").click()
    page.page.wait_for_function("() => document.querySelector('.vt-review').dataset.tick !== '3000'")
    review.threshold = 0.1
    page.told()
    page.page.wait_for_function("() => document.querySelector('.vt-review').dataset.tick === '1000'")


def test_the_cost_is_told_in_a_sentence(opened: Any) -> None:
    images = Manifest([Entry(f"{n}.png", Label.ANOMALY if n < 4 else Label.NORMAL) for n in range(12)])
    page = opened(Review(Graded(np.linspace(0.9, 0.1, 12)), images, miss=50, reject=1, prevalence=0.1))
    page.start()
    page.slide(7000)  # 0.9 0.827 0.755 reach it: one of four is missed
    assert "of 1,000 parts 25 missed, 0 good ones rejected: cost 1,250" in page.root.locator(".vt-cost").inner_text()
    page.slide(6000)  # the fifth, a normal one, 0.609
    page.root.get_by_label("cost of a reject").fill("2")
    told = page.root.locator(".vt-cost").inner_text()
    assert "0 missed, 113 good ones rejected: cost 225" in told, told
    page.root.get_by_role("button", name="cheapest").click()
    page.page.wait_for_function("() => document.querySelector('.vt-review').dataset.tick !== '6000'")
    page.root.get_by_label("per cent of parts that are bad").fill("")
    assert "needs normal images and anomalies" in page.root.locator(".vt-cost").inner_text()


def test_labels_are_mended_with_keys_and_taken_back(opened: Any, review: Review, file: Path) -> None:
    page = opened(review)
    page.start()
    first, second, third = page.shown()[:3]
    entries = list(review._given)
    page.press("x")
    assert page.at() == second, "the next one is taken up"
    assert page.shown()[0] == first, "what was mended stays in sight"
    page.press("y", "f", "ArrowRight", "ArrowLeft")
    page.settled()
    page.shot("mended")
    assert review.changed == (entries[first].source,)
    log = LabelLog(file)
    assert [act.action for act in log.acts] == ["label", "label", "flag"]
    assert log.opinion(entries[third].source).flagged
    page.press("u", "Control+z", "u")
    page.settled()
    assert review.changed == ()
    page.says(".vt-counts", "images")
    assert "changed" not in page.root.locator(".vt-counts").inner_text()
    page.press("u")
    page.says(".vt-status", "nothing left to undo")
    page.press("n")
    page.press("a")
    page.settled()
    assert page.page.evaluate("leaks") == []


def test_one_image_is_looked_at_closely(opened: Any, review: Review) -> None:
    page = opened(review)
    page.start()
    first, second = page.shown()[:2]
    page.press("Enter")
    page.page.wait_for_function(f"() => document.querySelector('.vt-review').dataset.large === '{first}'")
    page.shot("large")
    assert "score" in page.root.locator(".vt-large-view").inner_text()
    box = page.root.locator(".vt-sheet").bounding_box()
    image = page.root.locator(".vt-sheet .vt-image")
    width, height = image.evaluate("(node) => [node.width, node.height]")
    assert box["width"] / box["height"] == pytest.approx(width / height, rel=0.02)
    page.press("ArrowRight")
    page.page.wait_for_function(f"() => document.querySelector('.vt-review').dataset.large === '{second}'")
    page.press("z")
    assert page.root.locator(".vt-sheet").evaluate("(node) => node.style.transform") == "scale(3)"
    page.press("o")
    page.press("x", "Escape")
    assert page.root.locator(".vt-large-view").is_hidden()
    page.settled()
    assert review.changed == (list(review._given)[second].source,)


def test_a_threshold_is_kept_and_a_manifest_written(opened: Any, parts: Any, model: vt.Model, tmp_path: Path) -> None:
    folder = model.save(tmp_path / "model")
    review = vt.Review(folder, parts[1], file=tmp_path / "labels.jsonl", progress=False)
    page = opened(review)
    page.start()
    keep = page.root.get_by_role("button", name="keep this threshold")
    assert keep.is_disabled(), "it is the model's"
    page.slide(2500)
    keep.click()
    page.says(".vt-status", "it is in model")
    assert vt.load(folder).threshold == 0.25
    assert keep.is_disabled()
    page.root.get_by_role("button", name="all").click()
    page.press("x")
    page.root.get_by_role("button", name="write labels-corrected.manifest").click()
    page.says(".vt-status", "The corrected manifest is")
    written = Manifest.read(tmp_path / "labels-corrected.manifest")
    assert sum(a.label != b.label for a, b in zip(written, parts[1], strict=True)) == 1


def test_a_broken_connection_loses_nothing(opened: Any, review: Review, file: Path) -> None:
    page = opened(review)
    page.start()
    page.root.get_by_role("button", name="all").click()
    page.ready()
    shown = page.shown()[:5]
    page.page.evaluate("line.up = false")
    page.press("x", "x", "f", "ArrowRight", "x")
    page.says(".vt-saved", "4 not kept yet")
    assert not file.exists()
    page.page.evaluate("line.up = true")
    page.settled()
    entries = list(review._given)
    assert set(review.changed) == {entries[item].source for item in (shown[0], shown[1], shown[3])}
    page.page.evaluate("line.lose = 1")
    page.press("u")
    page.press("u")
    page.settled()
    page.page.evaluate("line.twice = true")
    page.press("u")
    page.settled()
    assert [act.action for act in LabelLog(file).acts].count("undo") == 3
    page.page.reload()
    page.ready()
    page.says(".vt-counts", "1 label changed")


def test_what_cannot_be_judged_or_shown_is_told(opened: Any, parts: Any, model: vt.Model, tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"no image")
    images = Manifest([Entry("broken.png", Label.NORMAL, at=str(tmp_path / "broken.png")), *parts[1][:3]])
    page = opened(vt.Review(model, images, progress=False), height=900)
    page.start()
    page.root.get_by_role("button", name="all").click()
    page.ready()
    assert page.shown()[-1] == 0
    page.press("ArrowRight", "ArrowRight", "ArrowRight", "n")
    assert "cannot be shown" in page.status()
    page.shot("broken_review")
    assert "no score" in page.root.locator(".vt-tile").nth(3).inner_text()


def test_keys_stay_in_the_widget_and_it_can_be_read_aloud(opened: Any, review: Review) -> None:
    page = opened(review)
    page.ready()
    page.page.locator("#cell").focus()
    page.page.keyboard.type("xnay")
    assert review.changed == ()
    page.page.evaluate("leaks.length = 0")
    page.root.focus()
    page.press("d", "d", "b", "h", "Control+s", "ArrowDown", "ArrowUp")
    assert page.page.evaluate("leaks") == []
    tree = page.root.aria_snapshot()
    for words in (
        'application "Review verdicts"',
        'slider "threshold"',
        'listbox "images"',
        "option",
        "status",
        "group",
    ):
        assert words in tree, tree
    page.page.evaluate("document.body.className = 'dark'")
    page.shot("review_dark")
    background, ink = page.root.evaluate("(n) => [getComputedStyle(n).backgroundColor, getComputedStyle(n).color]")
    assert (background, ink) == ("rgb(17, 17, 17)", "rgb(221, 221, 221)")
    page.press("Escape", "n")
    assert page.page.evaluate("leaks") == ["n"]


def test_it_fits_a_narrow_cell(opened: Any, review: Review) -> None:
    page = opened(review, width=430)
    page.start()
    page.shot("review_narrow")
    assert page.page.evaluate("document.documentElement.scrollWidth <= 430")


class Graded:
    """A model that gives the n-th image the n-th score."""

    threshold = 0.5

    def __init__(self, scores: Iterable[float]) -> None:
        self.scores = list(scores)

    def at(self, threshold: float) -> Graded:
        moved = Graded(self.scores)
        moved.threshold = threshold
        return moved

    def predict_all(self, sources: Iterable[Any], *, batch: int = 32) -> Iterator[Prediction]:
        assert batch
        for source in sources:
            yield Prediction(Task.CLASSIFICATION, score=self.scores[int(Path(source.source).stem)], threshold=0.5)


def test_the_page_counts_and_sorts_as_the_kernel_does(opened: Any) -> None:
    rng = np.random.default_rng(3)
    labels = [Label.NORMAL, Label.ANOMALY, Label.UNLABELLED]
    images = Manifest([Entry(f"{n}.png", labels[rng.integers(3)]) for n in range(700)])
    review = Review(Graded(rng.integers(0, 41, 700) / 40), images)
    page = opened(review)
    page.page.wait_for_function("() => document.querySelector('.vt-counts')?.textContent.includes('700')")
    boards = page.page.evaluate(
        """([ticks, state, points]) => {
      const board = new module.Board(ticks.length, []);
      board.fill(0, [new Uint8Array(new Uint16Array(ticks).buffer), new Uint8Array(state), new Uint8Array(0)]);
      return points.map(([tick, show]) => [tick, show, board.counts(tick)]).map(([tick, show, counts]) =>
        [counts, module.rates(counts), [...board.order(tick, show)]]);
    }""",
        [review._verdicts.ticks.tolist(), review._state.bytes.tolist(), POINTS],
    )
    truth = review._state.truth
    for (tick, show), (counts, rates, order) in zip(POINTS, boards, strict=True):
        known = review._verdicts.counts(truth, tick)
        assert [counts[name] for name in ("tp", "fp", "fn", "tn")] == [known.tp, known.fp, known.fn, known.tn]
        assert order == review._verdicts.order(truth, tick, show).tolist(), (tick, show)
        assert rates["precision"] == pytest.approx(scores.precision(known), nan_ok=True)
        assert rates["f1"] == pytest.approx(scores.f1(known), nan_ok=True)


POINTS = [(tick, show) for tick in (0, 250, 251, 5000, 9999, 10_000) for show in
          ("wrong", "fn", "fp", "tp", "tn", "unlabelled", "all")]  # fmt: skip


@pytest.mark.parametrize("counts", [(0, 0, 0, 5), (0, 0, 3, 5), (0, 2, 0, 5), (0, 2, 3, 0), (4, 0, 0, 0)])
def test_scores_of_nothing_are_told_as_the_kernel_tells_them(opened: Any, counts: tuple[int, ...]) -> None:
    known = Counts(*counts)
    page = opened(Review(Graded([0.1]), Manifest([Entry("0.png", Label.NORMAL)])))
    told = page.page.evaluate("([tp, fp, fn, tn]) => JSON.stringify(module.rates({ tp, fp, fn, tn }))", list(counts))
    for name, value in json.loads(told).items():
        want = getattr(scores, name)(known)
        assert (np.nan if value is None else value) == pytest.approx(want, nan_ok=True)


def test_two_hundred_thousand_scores_move_with_the_slider(opened: Any) -> None:
    rng = np.random.default_rng(5)
    images = Manifest([Entry(f"{n}.png", Label.ANOMALY if n % 9 == 0 else Label.NORMAL) for n in range(200_000)])
    review = Review(Graded(rng.random(200_000)), images, progress=False)
    page = opened(review)
    page.page.wait_for_function(
        "() => document.querySelector('.vt-counts')?.textContent.includes('200,000')", timeout=60_000
    )
    page.slide(6000)
    want = review._verdicts.counts(review._state.truth, 6000)
    assert page.root.locator("[data-id='show fp'] .vt-count").inner_text() == f"{want.fp:,}"
    assert page.root.locator("[data-id='show fn'] .vt-count").inner_text() == f"{want.fn:,}"
