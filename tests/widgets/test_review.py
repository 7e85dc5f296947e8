"""Review without a browser: what is counted, what is kept, and what a page is told."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Iterator
from concurrent.futures import wait
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from sklearn.metrics import confusion_matrix, f1_score

import vision_toolkit as vt
from vision_toolkit.core import Entry, Label, MaskRef
from vision_toolkit.core.errors import Conflict, Invalid, NotFound, Unsupported
from vision_toolkit.core.mask import Mask
from vision_toolkit.core.prediction import Prediction, Task
from vision_toolkit.data import Manifest
from vision_toolkit.data.images import encode_mask, encode_png, read_image, read_mask
from vision_toolkit.widgets.layers import shrunk
from vision_toolkit.widgets.review import Review
from vision_toolkit.widgets.verdicts import TRUTH, from_model, tick_of

N, A, U = Label.NORMAL, Label.ANOMALY, Label.UNLABELLED


class Told:
    """A model that says what it was told to."""

    threshold = 0.5

    def __init__(self, scores: Iterable[float], **more: Any) -> None:
        self.scores, self.more = list(scores), more

    def at(self, threshold: float) -> Told:
        moved = Told(self.scores, **self.more)
        moved.threshold = threshold
        return moved

    def predict_all(self, sources: Iterable[Any], *, batch: int = 32) -> Iterator[Prediction]:
        assert batch
        for source in sources:
            score = self.scores[int(Path(source.source).stem)]
            yield Prediction(Task.CLASSIFICATION, score=score, threshold=0.5, source=source.source, **self.more)


class Comm:
    """Keep what the widget sends."""

    comm_id = "0"

    def __init__(self) -> None:
        self.sent: list[tuple[dict[str, Any], list[Any]]] = []

    def send(self, data: Any = None, metadata: Any = None, buffers: Any = None) -> None:
        if data["method"] == "custom":
            self.sent.append((data["content"], list(buffers or ())))

    def close(self, *_args: Any) -> None: ...

    on_msg = on_close = close


def say(review: Review, **message: Any) -> list[tuple[dict[str, Any], list[Any]]]:
    """Send what a page would, and return what it gets."""
    review.comm = Comm()
    data = {"method": "custom", "content": {"v": 1} | message}
    review._handle_msg({"content": {"data": data}, "buffers": []})
    wait([*review._pictures.making.values(), *review._closer.making.values()])
    return review.comm.sent


def act(seq: int, action: str, item: int | None = None, **more: Any) -> dict[str, Any]:
    return {"type": "acts", "page": "page", "acts": [{"seq": seq, "action": action, "item": item, **more}]}


def manifest_of(labels: Iterable[Label]) -> Manifest:
    return Manifest([Entry(f"{number}.png", label) for number, label in enumerate(labels)])


@pytest.fixture
def small() -> Review:
    return Review(Told([0.9, 0.2, 0.4, 0.6, 0.55, 0.1]), manifest_of([A, N, A, N, U, A]))


@pytest.fixture(scope="module")
def parts() -> tuple[vt.Manifest, vt.Manifest]:
    return vt.train_test_split(vt.load_dataset("biscuit"))


@pytest.fixture(scope="module")
def model(parts: tuple[vt.Manifest, vt.Manifest]) -> vt.Model:
    return vt.train(parts[0], preset="fast", task="classification", progress=False)


# ---------------------------------------------------------------------------------------------------- counting


def test_wrong_verdicts_come_first_the_surest_ahead(small: Review) -> None:
    assert small.sources() == ("5.png", "2.png", "3.png")
    assert small.sources("fn") == ("5.png", "2.png")
    assert small.sources("fp") == ("3.png",)
    assert small.sources("tp") == ("0.png",)
    assert small.sources("unlabelled") == ("4.png",)
    assert small.sources("all") == ("5.png", "2.png", "3.png", "1.png", "0.png", "4.png")
    assert (small.counts.tp, small.counts.fp, small.counts.fn, small.counts.tn) == (1, 1, 2, 1)
    small.threshold = 0.65
    assert small.sources() == ("5.png", "2.png")
    with pytest.raises(Invalid, match=r"'wrong', 'fn'.*'best' was given"):
        small.sources("best")
    with pytest.raises(Invalid, match="no type 'dent'; there are none"):
        small.sources(type="dent")


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0, 1), st.sampled_from([N, A, U])), min_size=1, max_size=40),
    st.floats(0, 1),
)
def test_counts_and_order_are_those_of_the_predictions(images: list[tuple[float, Label]], threshold: float) -> None:
    review = Review(Told([score for score, _ in images]), manifest_of(label for _, label in images))
    review.threshold = threshold
    known = [(score, label) for score, label in images if label is not U]
    said = [Prediction(Task.CLASSIFICATION, score=s, threshold=review.threshold).is_anomalous for s, _ in known]
    truth = [label is A for _, label in known]
    if known:
        (tn, fp), (fn, tp) = confusion_matrix(truth, said, labels=[False, True])
        counts = review.counts
        assert (counts.tp, counts.fp, counts.fn, counts.tn) == (tp, fp, fn, tn)
        evaluation = review.evaluation
        assert evaluation.counts == counts
        assert evaluation.unlabelled == len(images) - len(known)
        if any(truth) or any(said):
            assert float(evaluation.f1) == pytest.approx(f1_score(truth, said))
        order = [row.source for row in evaluation.worst(len(known))]
        shown = [source for source in review.sources("all") if source in order]
        scores = dict(zip((f"{number}.png" for number in range(len(images))), images, strict=True))
        wrongness = [1 - scores[s][0] if scores[s][1] is A else scores[s][0] for s in shown]
        there = [1 - scores[s][0] if scores[s][1] is A else scores[s][0] for s in order]
        assert wrongness == pytest.approx(there, abs=1e-4)


def test_a_score_rounds_as_a_verdict_does() -> None:
    for score in (0.49995, 0.50004999, 0.5, 0.00005, 0.99995):
        review = Review(Told([score]), manifest_of([A]))
        review.threshold = 0.5
        assert (review.counts.tp == 1) is Prediction(Task.CLASSIFICATION, score=score, threshold=0.5).is_anomalous
        assert tick_of(score) == round(round(score, 4) * 10_000)


def test_a_rule_chooses_the_threshold(small: Review) -> None:
    small.threshold = "at_recall(1.0)"
    assert small.counts.fn == 0
    with pytest.raises(Invalid, match="rule"):
        small.threshold = "at_best()"
    with pytest.raises(Invalid, match="threshold"):
        small.threshold = 1.5
    assert Review(Told([0.9, 0.2]), manifest_of([A, N]), threshold=0.123).threshold == 0.123


def test_a_real_model_is_reviewed_as_it_evaluates(parts: Any, model: vt.Model) -> None:
    review = vt.Review(model, parts[1], progress=False)
    evaluation = model.evaluate(parts[1])
    assert review.counts == evaluation.counts
    assert review.evaluation.f1 == evaluation.f1
    assert {row.source for row in evaluation.rows if row.is_error} == set(review.sources())
    frame = review.to_frame()
    assert list(frame.columns) == ["source", "given", "label", "score", "verdict", "outcome", "flagged"]
    assert frame["outcome"].value_counts().to_dict().get("fn", 0) == evaluation.counts.fn


def test_held_out_verdicts_of_training_images_can_be_reviewed(parts: Any, model: vt.Model) -> None:
    review = vt.Review(model.evaluation, parts[0])
    assert review.threshold == pytest.approx(model.evaluation.threshold, abs=5e-5)  # the median of the folds
    assert review.counts == model.evaluation.at(review.threshold).counts
    with pytest.raises(Invalid, match="no threshold to keep"):
        review.keep_threshold()
    (_, buffers), _ = say(review, type="hello", page="page")
    assert len(buffers[1]) == len(parts[0])
    ((answer, pictures),) = say(review, type="want", items=[0])
    assert answer["kinds"] == ["heat"]
    assert read_image(bytes(pictures[0])).ndim == 3
    with pytest.raises(Invalid, match="knows none of these images"):
        vt.Review(model.evaluation, manifest_of([N]))


# ---------------------------------------------------------------------------------------------------- labels


def test_labels_are_mended_kept_and_taken_back(tmp_path: Path) -> None:
    file = tmp_path / "labels.jsonl"
    review = Review(Told([0.9, 0.2, 0.4]), manifest_of([A, N, N]), file=file, annotator="ann")
    review.flip("2.png")
    review.accept("0.png")
    review.flag("1.png")
    assert review.changed == ("2.png",)
    assert review.counts.fn == 1
    assert review.manifest[2].label is A
    assert repr(review) == (
        "Review(3 images at threshold 0.5: 1 missed, 0 false alarms; 1 label changed, in labels.jsonl)"
    )
    again = Review(Told([0.9, 0.2, 0.4]), manifest_of([A, N, N]), file=file, annotator="ann")
    assert again.changed == ("2.png",)
    assert again.to_frame()["flagged"].tolist() == [False, True, False]
    again.undo()
    again.undo()
    again.undo()
    assert again.changed == ()
    with pytest.raises(NotFound, match="nothing left to undo"):
        again.undo()
    assert Review(Told([0.9]), manifest_of([A]), file=file, annotator="bob").changed == ()


def test_a_labeler_and_a_review_share_a_file(tmp_path: Path) -> None:
    file, images = tmp_path / "labels.jsonl", manifest_of([U, U])
    labeler = vt.Labeler(images, {"good": "normal", "scratch": "anomaly"}, file=file)
    labeler.label("scratch")
    review = Review(Told([0.1, 0.2]), images, file=file)
    assert review.sources() == ("0.png",)
    review.label("normal", "1.png")
    labeler.label_log.refresh()
    assert labeler.opinions["1.png"].label is N


def test_what_makes_no_sense_is_said(small: Review) -> None:
    with pytest.raises(NotFound, match=r"no image '9\.png'"):
        small.flip("9.png")
    with pytest.raises(Invalid, match="has no label yet"):
        small.flip("4.png")
    with pytest.raises(Invalid, match="has no label yet"):
        small.accept("4.png")
    with pytest.raises(Invalid, match="'normal' or 'anomaly'; 'dent'"):
        small.label("dent", "4.png")
    small.label("anomaly", "4.png")
    assert small.sources("unlabelled") == ()


def test_the_corrected_manifest_goes_to_a_new_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    original = manifest_of([A, N]).write(tmp_path / "given.manifest")
    before = original.read_bytes()
    review = Review(Told([0.9, 0.9]), Manifest.read(original), file=tmp_path / "labels.jsonl")
    review.flip("1.png")
    written = review.export()
    assert written.name == "labels-corrected.manifest"
    assert [entry.label for entry in Manifest.read(written)] == [A, A]
    review.undo()
    review.export()
    assert [entry.label for entry in Manifest.read(written)] == [A, N]
    assert original.read_bytes() == before
    another = Review(Told([0.9, 0.9]), Manifest.read(original), file=tmp_path / "labels.jsonl")
    with pytest.raises(Conflict, match="exists"):
        another.export()
    another.export(tmp_path / "mine.manifest")
    assert Review(Told([0.9]), manifest_of([A])).export().name == "corrected.manifest"


# ---------------------------------------------------------------------------------------------------- the threshold


def test_a_threshold_is_kept_in_the_model_and_its_folder(parts: Any, model: vt.Model, tmp_path: Path) -> None:
    folder = model.save(tmp_path / "model")
    review = vt.Review(folder, parts[1], progress=False)
    review.threshold = 0.3217
    kept = review.keep_threshold()
    assert kept is review.model
    assert kept.threshold == pytest.approx(0.3217)
    assert vt.load(folder).threshold == pytest.approx(0.3217)
    assert vt.load(folder).info["threshold_rule"] == "set by hand"
    assert vt.load(folder).evaluate(parts[1]).counts == review.counts
    beside = vt.Review(model, parts[1], progress=False)
    beside.threshold = 0.9
    assert beside.keep_threshold().threshold == 0.9
    assert model.threshold != 0.9, "the model that was given stays as it was"


# ---------------------------------------------------------------------------------------------------- broken things


def test_an_image_that_cannot_be_read_ends_only_itself(parts: Any, model: vt.Model, tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"no image")
    broken = [
        Entry("gone.png", A, at=str(tmp_path / "gone.png")),
        Entry("broken.png", N, at=str(tmp_path / "broken.png")),
    ]
    images = Manifest([*parts[1][:5], broken[0], *parts[1][5:30], broken[1], *parts[1][30:]])
    review = vt.Review(model, images, progress=False)
    assert review.counts == model.evaluate(parts[1]).counts
    assert set(review.errors) == {"gone.png", "broken.png"}
    assert review.sources("all")[-2:] == ("gone.png", "broken.png")
    assert "broken.png" not in review.sources()
    assert review.evaluation.n == len(parts[1])
    ((answer, _),) = say(review, type="want", items=[5], large=True)
    assert "gone.png" in answer["error"]


def test_what_is_no_model_or_no_manifest_is_refused(tmp_path: Path) -> None:
    images = manifest_of([A, N])
    for model in (None, 3, Manifest):
        with pytest.raises(Invalid, match="Review takes a model"):
            Review(model, images)  # type: ignore[arg-type]
    with pytest.raises(NotFound, match="no model folder"):
        Review(tmp_path / "nowhere", images)
    with pytest.raises(Invalid, match="takes a Manifest"):
        Review(Told([0.1]), list(images))  # type: ignore[arg-type]
    with pytest.raises(Invalid, match="no images"):
        Review(Told([0.1]), Manifest([]))
    for wrong in (
        {"miss": -1},
        {"reject": math.inf},
        {"prevalence": 1.0},
        {"side": 9},
        {"annotator": ""},
        {"miss": "1"},
        {"types": "scratch"},
    ):
        with pytest.raises(Invalid, match=r"given"):
            Review(Told([0.1, 0.2]), images, **wrong)


def test_a_model_without_verdicts_is_told(parts: Any) -> None:
    class Silent(Told):
        def predict_all(self, sources: Iterable[Any], *, batch: int = 32) -> Iterator[Prediction]:
            assert batch
            return (Prediction(Task.CLASSIFICATION) for _ in sources)

    with pytest.raises(Unsupported, match="nothing to review"):
        Review(Silent([]), parts[1])
    Silent.predict_all = lambda self, sources, *, batch=32: iter(())  # type: ignore[method-assign]
    with pytest.raises(vt.Failed, match="answered 0 of"):
        Review(Silent([]), parts[1])


# ---------------------------------------------------------------------------------------------------- the wire


def test_a_page_gets_every_number_and_what_is_kept(small: Review) -> None:
    (board, buffers), (news, none) = say(small, type="hello", page="page")
    assert (board["type"], board["start"], board["total"], board["types"]) == ("board", 0, 6, [])
    assert np.frombuffer(buffers[0], "<u2").tolist() == [9000, 2000, 4000, 6000, 5500, 1000]
    assert list(buffers[1]) == [2, 1, 2, 1, 0, 2]
    assert (news["at"], news["own"], news["acked"], none) == (5000, 5000, 0, [])
    assert news["scores"]["counts"] == [1, 1, 2, 1]
    low, high = news["scores"]["recall"]
    assert low < 1 / 3 < high


def test_acts_count_once_and_gaps_are_asked_for(small: Review) -> None:
    ((news, _),) = say(small, **act(1, "label", 2, name="normal"))
    assert (news["acked"], news["items"], news["state"]) == (1, [2], [1 | 8 | 16])
    ((news, _),) = say(small, **act(1, "label", 2, name="anomaly"))
    assert (news["acked"], len(small.label_log)) == (1, 1)
    ((gap, _),) = say(small, **act(3, "flag", 0, on=True))
    assert (gap["type"], gap["acked"]) == ("gap", 1)
    ((news, _),) = say(small, **act(2, "undo"))
    assert (news["items"], news["state"]) == ([2], [2])
    assert small.n_changed == 0


def test_what_a_page_asks_for_in_vain_is_refused_and_told_once(small: Review, tmp_path: Path) -> None:
    for seq, message in enumerate(
        [act(1, "undo"), act(2, "label", 77, name="normal"), act(3, "label", 0, name="dent"), act(4, "skip", 0),
         act(5, "note", 0, text="x"), act(6, "go", 0)], 1,
    ):  # fmt: skip
        ((news, _),) = say(small, **message)
        assert news["acked"] == seq
        assert len(news["refused"]) == 1, message
    assert len(small.label_log) == 0
    (tmp_path / "labels-corrected.manifest").write_text("mine")
    review = Review(Told([0.9]), manifest_of([A]), file=tmp_path / "labels.jsonl")
    ((news, _),) = say(review, **act(1, "export"))
    assert "exists" in news["refused"][0]
    assert (tmp_path / "labels-corrected.manifest").read_text() == "mine"


BAD: list[dict[str, Any]] = [
    {"type": "at"}, {"type": "at", "tick": -1}, {"type": "at", "tick": 10_001}, {"type": "at", "tick": 0.5},
    {"type": "rule"}, {"type": "rule", "rule": "x" * 999}, {"type": "rule", "rule": "best_f1", "prevalence": "7"},
    {"type": "want", "items": [6]}, {"type": "want", "items": "0"}, act(1, "keep"), act(1, "keep", tick=99_999),
]  # fmt: skip


@pytest.mark.parametrize("message", BAD)
def test_a_bad_message_is_answered_and_changes_nothing(small: Review, message: dict[str, Any]) -> None:
    ((answer, _),) = say(small, **message)
    assert answer["type"] in ("error", "image")
    assert answer.get("text") or answer["error"]
    assert small.threshold == 0.5


def test_the_slider_and_its_rules(small: Review) -> None:
    ((news, _),) = say(small, type="at", tick=6500)
    assert (news["at"], small.threshold, news["scores"]["counts"]) == (6500, 0.65, [1, 0, 2, 2])
    ((news, _),) = say(small, type="rule", rule="at_recall(1.0)", prevalence=None)
    assert small.counts.fn == 0
    ((said, _),) = say(small, type="rule", rule="os.remove()", prevalence=None)
    assert said["type"] == "said"


def test_pictures_come_small_and_large_with_what_is_laid_over_them(tmp_path: Path) -> None:
    for number in range(2):
        Image.fromarray(np.full((900, 1200, 3), 90, np.uint8)).save(tmp_path / f"{number}.png")
    ids = np.zeros((900, 1200), np.uint8)
    ids[100, 200:900] = 1  # a line of one pixel
    (tmp_path / "true.png").write_bytes(encode_png(np.where(ids[..., None] > 0, np.uint8([200, 0, 0]), np.uint8(255))))
    mask = Mask(ids, ("background", "scratch"), ("#FFFFFF", "#C80000"))
    model = Told([0.9, 0.1], mask=mask, map=np.eye(40, dtype=np.float32))
    reference = vt.MaskRef(str(tmp_path / "true.png"), {"scratch": "#C80000"})
    entries = [Entry(f"{n}.png", label, at=str(tmp_path / f"{n}.png")) for n, label in enumerate((A, N))]
    images = Manifest([Entry("0.png", A, mask=reference, at=entries[0].location), entries[1]])
    review = Review(model, images)
    (board, buffers), _ = say(review, type="hello", page="page")
    assert board["types"] == ["scratch"]
    assert list(buffers[2]) == [3, 1]
    ((shown, pictures),) = say(review, type="want", items=[0])
    assert (shown["kinds"], shown["title"]) == (["heat", "mask"], "0.png")
    thumb, heat, painted = (Image.open(io.BytesIO(bytes(one))) for one in pictures)
    assert max(thumb.size) == 192
    assert (heat.mode, painted.mode, painted.size) == ("RGBA", "RGBA", (96, 72))
    assert np.asarray(painted)[..., 3].any(), "a line of one pixel is still seen"
    ((large, pictures),) = say(review, type="want", items=[0], large=True)
    assert large["kinds"] == ["heat", "mask", "truth"]
    assert large["areas"]["scratch"] == pytest.approx([700 / ids.size, 700 / ids.size])
    assert max(Image.open(io.BytesIO(bytes(pictures[0]))).size) == 1024


def test_many_images_go_in_parts_below_ten_megabytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vision_toolkit.widgets.review._PART", 300)
    review = Review(Told(np.linspace(0, 1, 250)), manifest_of([A, N] * 125))
    sent = say(review, type="hello", page="page")
    assert [content["start"] for content, _ in sent[:-1]] == [0, 100, 200]
    ticks = np.concatenate([np.frombuffer(buffers[0], "<u2") for _, buffers in sent[:-1]])
    assert ticks.tolist() == [tick_of(score) for score in np.linspace(0, 1, 250)]


def test_a_picture_remains_and_nothing_foreign_is_asked_for(parts: Any, model: vt.Model) -> None:
    review = vt.Review(model, parts[1], progress=False)
    bundle, _ = review._repr_mimebundle_()
    assert {"image/png", "text/plain", "application/vnd.jupyter.widget-view+json"} <= set(bundle)
    assert len(bundle["image/png"]) < 150_000
    assert bundle["text/plain"] == repr(review)
    state = review.get_state()
    assert "http" not in state["_esm"] + state["_css"]


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 70))
def test_a_smaller_array_keeps_every_peak(height: int, width: int, side: int) -> None:
    values = np.random.default_rng(height * 61 + width).random((height, width))
    small = shrunk(values, side)
    assert max(small.shape) == min(side, max(height, width))
    assert small.max() == values.max()
    assert set(small.ravel()) <= set(values.ravel())


def test_numbers_of_the_state_are_those_of_labels() -> None:
    assert TRUTH == {U: 0, N: 1, A: 2}
    verdicts = from_model(Told([0.3]), [Entry("0.png", N)], lambda share, text: None)
    assert verdicts.outcomes(np.array([1], np.uint8), 3000).tolist() == ["fp"]


# ---------------------------------------------------------------------------------------------------- mending


@pytest.fixture
def seen(tmp_path: Path) -> Manifest:
    """Six images: an anomaly, a normal one and so on; the third has a mask already."""
    entries = []
    for number, label in enumerate([A, N, A, N, U, A]):
        Image.fromarray(np.full((40, 60, 3), 40 * number, np.uint8)).save(tmp_path / f"{number}.png")
        entries.append(Entry(f"{number}.png", label, at=str(tmp_path / f"{number}.png")))
    ids = np.zeros((40, 60), np.uint8)
    ids[5:9, 5:9] = 1
    (tmp_path / "mask.png").write_bytes(encode_mask(Mask(ids, ("background", "dent"), ("#FFFFFF", "#1F77B4"))))
    mask = MaskRef("mask.png", {"dent": "#1F77B4"}, at=str(tmp_path / "mask.png"))
    entries[2] = replace(entries[2], mask=mask)
    return Manifest(entries)


def scratched() -> Told:
    ids = np.zeros((40, 60), np.uint8)
    ids[10:20, 15:45] = 1
    return Told([0.9, 0.2, 0.4, 0.6, 0.55, 0.1], mask=Mask(ids, ("background", "scratch")))


def test_what_is_painted_is_in_the_manifest_and_the_given_one_stays(seen: Manifest, tmp_path: Path) -> None:
    review = Review(scratched(), seen, file=tmp_path / "labels.jsonl", progress=False)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    assert set(review.painter.colours) == {"dent", "scratch"}
    review.painter.start(source="4.png")
    review.painter.stroke([(30, 30)], "dent", source="4.png")
    review.box_labeler.add("1.png", "scratch", left=0.1, top=0.1, width=0.2, height=0.2)
    assert review.changed == ("4.png",), "who paints has seen an anomaly; a box says nothing of the image"
    assert review.counts == Review(scratched(), seen.relabel({"4.png": "anomaly"}), progress=False).counts
    assert "4.png" in review.sources("all", type="dent")
    assert review.to_frame().set_index("source").loc["4.png", ["given", "label"]].tolist() == ["unlabelled", "anomaly"]
    mended = review.manifest
    assert [str(entry.label) for entry in mended] == ["anomaly", "normal", "anomaly", "normal", "anomaly", "anomaly"]
    assert set(mended[4].types) == {"dent", "scratch"}
    assert [region.name for region in mended[1].regions] == ["scratch"]
    assert mended[2] == seen[2]
    written = Manifest.read(review.export())
    assert np.array_equal(read_mask(written[4].mask, size=(60, 40)).ids > 0, review.painter.mask("4.png").ids > 0)
    assert {path: path.read_bytes() for path in before} == before
    again = Review(scratched(), seen, file=tmp_path / "labels.jsonl", progress=False)
    assert again.manifest == mended
    assert again.changed == ("4.png",)


def test_the_last_word_on_an_image_counts(seen: Manifest, tmp_path: Path) -> None:
    review = Review(scratched(), seen, file=tmp_path / "labels.jsonl", progress=False)
    review.label("normal", "4.png")
    review.painter.stroke([(30, 30)], "dent", source="4.png")
    assert str(review.manifest[4].label) == "anomaly"
    review.label("normal", "4.png")
    assert (str(review.manifest[4].label), review.manifest[4].mask) == ("normal", None)
    review.undo()
    assert review.manifest[4].types == ("dent",)
    review.painter.undo(source="4.png")
    assert review.manifest[4].mask is None


def test_files_of_other_images_are_left_alone(seen: Manifest, tmp_path: Path) -> None:
    Review(scratched(), seen, file=tmp_path / "labels.jsonl", progress=False).painter.stroke([(9, 9)], "dent")
    before = (tmp_path / "labels-mended.manifest").read_bytes()
    part = Review(scratched(), seen[:2], file=tmp_path / "labels.jsonl", progress=False)
    part.painter.stroke([(20, 20)], "scratch", source="1.png")
    assert (tmp_path / "labels-mended.manifest").read_bytes() == before
    assert [entry.types for entry in Manifest.read(tmp_path / "labels-mended-2.manifest")] == [(), ("scratch",)]


def test_a_page_opens_tools_and_what_they_say_goes_through_the_review(seen: Manifest) -> None:
    review = Review(scratched(), seen, types={"hole": "#FF00FF"}, progress=False)
    say(review, type="hello", page="page")
    found = say(review, **act(1, "open", 4, tool="paint"))
    tool = next(content for content, _ in found if content["type"] == "tool")
    assert (tool["page"], tool["item"]) == ("page", 4)
    assert {"name": "hole", "colour": "#FF00FF"} in tool["setup"]["types"]
    assert "export default widget(Doc, View);" in tool["esm"]
    hello = {"type": "inner", "tool": "paint", "content": {"v": 1, "type": "hello", "page": "inner"}}
    ((answer, _),) = say(review, **hello)
    assert (answer["type"], answer["tool"], answer["content"]["type"]) == ("inner", "paint", "plan")
    acts = {"v": 1, "type": "acts", "page": "inner"}
    start = acts | {"acts": [{"seq": 1, "action": "start", "item": 4, "type": "scratch"}]}
    kinds = [content["type"] for content, _ in say(review, type="inner", tool="paint", content=start)]
    assert kinds == ["inner", "inner", "mended", "news", "inner"]
    assert review.painter.mask("4.png").areas()["scratch"] == pytest.approx(300 / 2400)
    assert review.changed == ("4.png",)
    for broken in ({"type": "inner", "tool": "boxes", "content": hello}, act(2, "open", 4, tool="saw")):
        ((answer, _),) = say(review, **broken)
        assert answer["type"] == "error" or answer["refused"]


def test_boxes_to_begin_with_stand_round_what_the_model_painted(seen: Manifest) -> None:
    review = Review(scratched(), seen, progress=False)
    (box,) = review.box_labeler.suggestions("0.png")
    assert (box.name, box.bounds) == ("scratch", (0.25, 0.25, 0.75, 0.5))
    review.box_labeler.accept("0.png")
    assert review.manifest[0].regions == (box,)
