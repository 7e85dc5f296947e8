"""Training, through the public face."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import f1_score, precision_score, recall_score, roc_auc_score

import vision_toolkit as vt
from vision_toolkit.core import Entry, Invalid, Label, NotFound, Task
from vision_toolkit.data import Manifest


def quick(manifest, **options):
    return vt.train(manifest, **({"weights": None, "preset": "fast", "threads": 2, "progress": False} | options))


def test_it_learns_to_tell_bad_parts_and_to_paint_what_is_wrong(model, testing):
    evaluation = model.evaluate(testing)
    assert evaluation.n == 16 and evaluation.roc_auc > 0.9 and evaluation.f1 > 0.8
    assert evaluation.types["stain"].aiou > 0.3 and evaluation.types["scratch"].aiou > 0.2


def test_its_scores_are_scikit_learns(model, testing):
    evaluation = model.evaluate(testing)
    truth = [entry.label is Label.ANOMALY for entry in testing]
    said = list(model.predict_all(testing))
    verdicts = [p.is_anomalous for p in said]
    assert evaluation.f1 == pytest.approx(f1_score(truth, verdicts))
    assert evaluation.precision == pytest.approx(precision_score(truth, verdicts))
    assert evaluation.recall == pytest.approx(recall_score(truth, verdicts))
    assert evaluation.roc_auc == pytest.approx(roc_auc_score(truth, [p.score for p in said]))
    assert evaluation.f1.low <= evaluation.f1 <= evaluation.f1.high and evaluation.f1.n > 0


def test_without_test_every_image_trains_and_is_judged_held_out(model, training):
    assert model.evaluation is not None
    assert model.evaluation.kind == "cross-validation" and model.evaluation.n == len(training)
    assert model.info["training"] == {
        "images": 36, "normal": 20, "anomaly": 16, "with_mask": 16, "fingerprint": training.fingerprint(),
    }  # fmt: skip
    held_out = [row.score for row in model.evaluation.rows]
    seen = [p.score for p in model.predict_all(training)]
    assert not np.allclose(held_out, seen)  # the scores told are not those of a model that knew the images


def test_the_same_seed_gives_the_same_numbers_and_test_images_change_nothing(model, training, testing):
    again = quick(training, test=testing)
    assert again.threshold == model.threshold and again.info["verdict"] == model.info["verdict"]
    for entry in testing[:4]:
        assert again.predict(entry).score == model.predict(entry).score
        assert np.array_equal(again.predict(entry).map, model.predict(entry).map)
        assert np.array_equal(again.predict(entry).mask.ids, model.predict(entry).mask.ids)
    assert again.evaluation.kind == "test" and again.evaluation.n == len(testing)


def test_normal_images_alone_give_a_model_with_heat_maps(training, testing):
    normal = training.filter(label="normal")
    model = quick(normal)
    assert model.evaluation is None and model.task is Task.CLASSIFICATION and model.threshold == 0.5
    assert model.info["verdict"]["name"] == "memory" and "too few" in model.info["verdict"]["why"]
    evaluation = model.evaluate(testing)
    assert evaluation.roc_auc > 0.75
    prediction = model.predict(testing[-1])
    assert prediction.mask is None and prediction.map is not None
    assert prediction.map.dtype == np.float32 and 0 <= prediction.map.min() <= prediction.map.max() <= 1


def test_the_heat_map_is_hottest_where_the_stain_is(model, testing):
    from scipy.ndimage import distance_transform_edt

    far = []
    for entry in testing.filter(label="anomaly"):
        heat = model.predict(entry).map
        truth = vt.data.read_mask(entry.mask).ids > 0
        distance = distance_transform_edt(~truth)[2::4, 2::4]  # at the middle of each cell, in pixels
        assert heat.shape == distance.shape
        far.append(distance[heat >= heat.max() - 1e-3].mean())
        assert heat[distance == 0].mean() > 0.9 and np.median(heat) < 0.2
    assert np.median(far) < 8 and max(far) < 24  # as much as the filters see beyond a cell


def test_two_anomalies_are_too_few_to_learn_from_but_set_the_threshold(training):
    few = training.filter(label="normal") + training.filter(label="anomaly")[:2]
    model = quick(few, task="classification")
    assert model.info["verdict"]["name"] == "memory" and model.evaluation is not None
    assert model.evaluation.n_anomaly == 2


def test_classification_can_be_asked_for_and_segmentation_needs_masks(training, tmp_path):
    model = quick(training, task="classification")
    assert model.task is Task.CLASSIFICATION and model.types == () and model.predict(training[-1]).mask is None
    assert model.info["painting"] is None
    bare = Manifest([replace(e, mask=None) for e in training])
    with pytest.raises(Invalid, match="there are none"):
        quick(bare, task="segmentation")


def test_the_threshold_is_chosen_by_the_rule_asked_for(training):
    careful = quick(training, task="classification", threshold="at_recall(1.0)")
    strict = quick(training, task="classification", threshold="at_precision(1.0)")
    fixed = quick(training, task="classification", threshold=0.123)
    assert careful.threshold <= strict.threshold and fixed.threshold == 0.123
    assert careful.info["threshold_rule"] == "at_recall(1.0)"


def test_unlabelled_images_are_passed_over(training):
    more = training + Manifest([Entry("nowhere.png")])
    model = quick(more, task="classification", budget=0.001)
    assert model.info["training"]["images"] == len(training)


@pytest.mark.parametrize(
    ("choose", "said"),
    [
        (lambda m: m[:0], "0 normal, 0 anomaly"),
        (lambda m: m.filter(label="anomaly"), "0 normal, 16 anomaly"),
        (lambda m: m[19:21], "1 normal, 1 anomaly"),
        (lambda m: Manifest([Entry("x.png")]), "1 unlabelled"),
    ],
    ids=["empty", "one class", "two images", "unlabelled"],
)
def test_too_few_images_are_told_with_their_numbers(training, choose, said):
    with pytest.raises(Invalid, match=said):
        quick(choose(training))


def test_images_that_cannot_be_read_are_named(training, tmp_path):
    (tmp_path / "broken 1.png").write_bytes(b"no image")
    bad = [Entry("broken 1.png", Label.NORMAL, at=str(tmp_path / "broken 1.png")), Entry("gone.png", Label.NORMAL)]
    with pytest.raises(Invalid, match=r"(?s)2 of 38 images cannot be used.*broken 1\.png") as caught:
        quick(training + Manifest(bad))
    assert "gone.png" in str(caught.value)


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"preset": "turbo"}, Invalid, "fast, balanced, best"),
        ({"metric": "f2"}, Invalid, "f1, precision"),
        ({"task": "detection"}, Invalid, "classification"),
        ({"threshold": "lucky"}, Invalid, "best_f1"),
        ({"budget": "soon"}, Invalid, "60s"),
        ({"weights": "none-such.safetensors"}, NotFound, "none-such"),
        ({"weights": "no_such_network"}, Invalid, "no timm network"),
        ({"weights": "s3://b/w.safetensors"}, Invalid, "on this machine"),
    ],
    ids=str,
)
def test_a_wrong_argument_is_told_with_the_right_ones(training, options, error, said):
    with pytest.raises(error, match=said):
        quick(training, **options)


def test_weights_that_do_not_say_what_they_are_are_refused(training, tmp_path):
    from vision_toolkit.models.arrays import pack_arrays

    for name, data in {"text": b"hello", "bare": pack_arrays({"a": np.zeros(3, np.float32)})}.items():
        (tmp_path / f"{name}.safetensors").write_bytes(data)
        with pytest.raises(Invalid, match="'timm'"):
            quick(training, weights=tmp_path / f"{name}.safetensors")


def test_auto_is_the_backbone_in_the_package(training):
    model = quick(training, weights="auto", task="classification", budget=0.001)
    assert model.info["backbone"]["pretrained"] and "in the package" in model.info["backbone"]["weights"]
    assert "NOT pretrained" not in repr(model)


def test_weights_of_a_file_and_the_cache(training, shared, monkeypatch):
    file = shared / "data" / "weights" / "mobilenetv2_100.safetensors"
    model = quick(training, weights=file, task="classification", budget=0.001)
    assert model.info["backbone"]["pretrained"] and model.info["backbone"]["licence"] == "Apache-2.0"
    from vision_toolkit.models import backbone

    monkeypatch.setattr(backbone, "_network", lambda plan: pytest.fail("the cached graph was not used"))
    again = quick(training, weights=str(file), task="classification", budget=0.001)
    assert again.info["backbone"] == model.info["backbone"]


def test_progress_rises_to_one(training):
    told: list[float] = []
    quick(training, task="classification", budget=0.001, progress=lambda share, text: told.append(share))
    assert told == sorted(told) and told[0] == 0.0 and told[-1] == 1.0


def test_an_interrupt_leaves_nothing_behind(training, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    import tempfile

    monkeypatch.setattr(tempfile, "tempdir", None)

    def stop(share: float, text: str) -> None:
        if share > 0.3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        quick(training, progress=stop)
    assert list(tmp_path.iterdir()) == []


def test_odd_images_train_and_predict(tmp_path, write_parts):
    """Sizes from 64x64, grey, alpha and 16 bits in one set."""
    from PIL import Image

    manifest = write_parts(tmp_path, ["normal"] * 8 + ["stain"] * 6, masks=False)
    for number, mode in enumerate(["L", "RGBA", "P", "I;16"]):
        path = manifest[number].location
        image = Image.open(path).convert("L")
        if mode == "I;16":
            image = Image.fromarray(np.asarray(image).astype(np.uint16) * 257)
        elif mode != "L":
            image = image.convert(mode)
        image.save(path)
    small = Image.open(manifest[5].location).resize((64, 64))
    small.save(manifest[5].location)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = quick(manifest)
    assert model.predict(manifest[5]).map is not None


def test_colour_on_parts_that_never_had_any_is_an_anomaly_and_no_overflow(tmp_path, write_parts):
    """Grey parts leave features that never vary; a red stain is far beyond whatever was seen of them."""
    from PIL import Image

    manifest = write_parts(tmp_path, ["normal"] * 10 + ["stain"] * 6, masks=False)
    for entry in manifest[10:]:
        image = np.asarray(Image.open(entry.location).convert("RGB")).copy()
        image[20:40, 30:60] = (255, 0, 0)
        Image.fromarray(image).save(entry.location)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = quick(manifest)
        few = quick(manifest[:12])  # the memory judges alone
    for one in (model, few):
        assert one.evaluation.roc_auc == 1.0
        said = one.predict(manifest[-1])
        assert said.score > 0.9 and np.isfinite(said.map).all() and said.map.max() > 0.99
        assert one.predict(manifest[0]).score < 0.5
