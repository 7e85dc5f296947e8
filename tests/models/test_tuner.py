"""A network that is trained for the images is judged where it did not learn, and tried where it can win."""

from __future__ import annotations

import numpy as np
import pytest

import vision_toolkit as vt
from vision_toolkit.models import search, tuner, verdict
from vision_toolkit.models.plan import Preset
from vision_toolkit.models.runtime import resize, session
from vision_toolkit.models.tuner import tune_network
from vision_toolkit.models.view import View

VIEW = View(64, 96)


@pytest.fixture(autouse=True)
def short(monkeypatch):
    monkeypatch.setattr(tuner, "tuning_steps", lambda count: 5)


@pytest.fixture(scope="module")
def images(parts) -> list[np.ndarray]:
    return [resize(vt.data.read_image(entry), VIEW.width, VIEW.height) for entry in parts[14:26]]


def tune(images, truth, weights, *, enough=lambda: False, checkpoint=None, tell=lambda share, text: None):
    parts = [[0, 3, 6, 9], [1, 4, 7, 10], [2, 5, 8, 11]]
    return tune_network(
        images, truth, VIEW, parts, weights=weights, seed=0, threads=1, checkpoint=checkpoint, tell=tell, enough=enough
    )


def test_an_image_is_judged_by_networks_that_never_saw_its_label(images, weights):
    truth = np.arange(12) >= 6
    other = truth.copy()
    other[3] = True
    one, two = (tune(images, labels, weights) for labels in (truth, other))
    assert one.held_out.shape == (12, 1) and np.isfinite(one.held_out).all() and np.ptp(one.held_out) > 0
    assert np.array_equal(one.held_out[[0, 3, 6, 9]], two.held_out[[0, 3, 6, 9]])
    assert not np.array_equal(one.held_out[[1, 2, 4, 5]], two.held_out[[1, 2, 4, 5]])


def test_a_killed_training_goes_on_to_the_same_numbers(images, weights, tmp_path, monkeypatch):
    monkeypatch.setattr("vision_toolkit.models.segment_training.SAVED_EVERY", 0.0)
    truth, told = np.arange(12) >= 6, []

    class Killed(BaseException):
        pass

    def die(share, text):
        told.append(text)
        if len(told) == 12:
            raise Killed

    whole = tune(images, truth, weights)
    place = tmp_path / "c.safetensors"
    with pytest.raises(Killed):
        tune(images, truth, weights, checkpoint=place, tell=die)
    before = len(told)
    again = tune(images, truth, weights, checkpoint=place, tell=lambda share, text: told.append(text))
    assert len(told) - before < 12 and not place.exists()
    assert np.array_equal(again.held_out, whole.held_out)
    said = [session(one.graph, 1).run(["tuned"], {"image": np.stack(images)})[0] for one in (whole, again)]
    assert said[0].shape == (12, 1) and np.array_equal(*said)


def test_cut_short_there_is_none(images, weights):
    assert tune(images, np.arange(12) >= 6, weights, enough=lambda: True) is None


@pytest.fixture
def learn(monkeypatch, weights):
    """Train with a preset that fine-tunes, though the images are few; what judges is the fine-tuned network."""
    blends = verdict._Pick._blends

    def only(self, known):
        return [one for one in blends(self, known) if one.name.startswith("fine-tuned")] or blends(self, known)

    monkeypatch.setattr(search, "PRESETS", {"best": Preset((64,), tunes=True)})
    monkeypatch.setattr(search, "FEWEST_TUNED", 8)
    monkeypatch.setattr(search.Search, "_is_right", lambda self: False)
    monkeypatch.setattr(verdict._Pick, "_blends", only)
    return lambda manifest, **options: vt.train(
        manifest, weights=weights, preset="best", task="classification", threads=1, progress=False, **options
    )


def test_the_model_says_what_the_network_says(learn, training, testing, tmp_path):
    model = learn(training)
    assert model.info["verdict"]["name"] == "fine-tuned network at 64x64"
    assert model.info["verdict"]["groups"] == ["tuned at 64x64"]
    scores = [model.predict(entry).score for entry in testing]
    assert np.ptp(scores) > 0 and model.predict(testing[0]).map.shape == (8, 8)
    export = model.export(tmp_path / "package", golden=testing[:4])
    assert export.parity.holds
    again = vt.load(model.save(tmp_path / "m"), threads=1)
    assert [again.predict(entry).score for entry in testing] == scores


def test_it_is_left_where_it_cannot_win(learn, training, monkeypatch):
    def named(model) -> str:
        return " ".join(str(one["name"]) for one in model.info["verdict"]["tried"])

    monkeypatch.setattr(search, "FEWEST_TUNED", 30)
    assert "fine-tuned" not in named(learn(training))
    monkeypatch.setattr(search, "FEWEST_TUNED", 8)
    late = learn(training, budget=1e-6)
    assert "fine-tuned" not in named(late)
    monkeypatch.setattr(search.Search, "_is_right", lambda self: True)
    assert "fine-tuned" not in named(learn(training))


def test_why_there_is_none_is_told(learn, training, monkeypatch):
    def fail(*arguments, **options):
        raise vt.Unsupported("no torch here")

    monkeypatch.setattr(search, "tune_network", fail)
    assert learn(training).info["notes"] == ["The network was not fine-tuned: no torch here"]
    monkeypatch.setattr(search, "tune_network", lambda *arguments, **options: None)
    assert learn(training).info["notes"] == ["The network was not fine-tuned: time was up."]
