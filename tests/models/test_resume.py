"""A training goes on from where another one was: after a second call, after a kill, and at Ctrl-C."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest

import vision_toolkit as vt
from vision_toolkit.core import Entry, Label
from vision_toolkit.models import decoder, features, search, segment_training, segmenter
from vision_toolkit.models.model import Model
from vision_toolkit.models.plan import Preset

STEPS = 12


def learn(manifest: Any, cache: Path, *, weights: Path | None = None, **options: Any) -> tuple[Model, int, list[str]]:
    """Train at two small sizes; return the model, how many images the network saw, and what was told."""
    images: list[int] = []
    told: list[str] = []
    real = features.session

    class Counted:
        def __init__(self, *arguments: Any) -> None:
            self.opened = real(*arguments)
            self.get_outputs = self.opened.get_outputs

        def run(self, names: list[str], feeds: dict[str, np.ndarray]) -> Any:
            images.append(len(feeds["image"]))
            return self.opened.run(names, feeds)

    def tell(share: float, text: str) -> None:
        told.append(f"{share:.6f} {text}")
        if "progress" in options:
            options["progress"](share, text)

    known = {"preset": "balanced", "threads": 1, "seed": 3} | options
    with ExitStack() as stack:
        for place, name, value in [
            (features, "session", Counted),
            (search, "PRESETS", {"fast": Preset((64,)), "balanced": Preset((64, 96))}),
            (search, "PAINTED_SIDE", 96),
            (search, "REPEATS", 1),
            (decoder, "STEPS", 100),
            (segmenter, "default_steps", lambda count: STEPS),
            (segment_training, "SAVED_EVERY", 0.0),
        ]:
            stack.enter_context(patch.object(place, name, value))
        stack.enter_context(patch.dict(os.environ, {"VISION_TOOLKIT_CACHE": str(cache)}))
        model = vt.train(manifest, weights=weights, **(known | {"progress": tell}))
    return model, sum(images), told


def rises(told: list[str]) -> bool:
    """Say whether what was told only rose, from 0 to 1."""
    shares = [float(line.split()[0]) for line in told]
    return shares == sorted(shares) and shares[0] == 0.0 and shares[-1] == 1.0 and "looking at 96x96" in " ".join(told)


def numbers(model: Model, images: list[Entry]) -> list[Any]:
    """Return everything that a model says, and what it said of images that it had not seen."""
    info = {key: value for key, value in model.info.items() if key not in ("seconds", "metrics")}
    assert model.evaluation is not None
    info["metrics"] = model.info["metrics"] | {"created": None}
    said = [(p.score, None if p.mask is None else p.mask.ids.tobytes()) for p in model.predict_all(images)]
    return [info, [row.score for row in model.evaluation.rows], said]


@pytest.fixture(scope="module")
def some(parts):
    """Twenty images: twelve normal, eight with masks."""
    return parts[:12] + parts[20:28]


# A second training


def test_a_second_training_computes_no_features_and_gives_the_same_numbers(some, tmp_path):
    first, computed, told = learn(some, tmp_path, task="classification")
    again, more, told_again = learn(some, tmp_path, task="classification")
    assert computed == 2 * len(some) and more == 0 and rises(told) and rises(told_again)
    assert [any("remembering" in line for line in lines) for lines in (told, told_again)] == [True, False]
    assert numbers(first, some) == numbers(again, some)


def test_other_labels_and_other_options_use_the_same_features(some, tmp_path):
    from dataclasses import replace

    first, _, _ = learn(some, tmp_path, task="classification")
    turned = vt.Manifest([*some[:11], replace(some[11], label=Label.ANOMALY, mask=None), *some[12:]])
    other, more, _ = learn(turned, tmp_path, task="classification")
    assert more == 0 and other.info["training"]["anomaly"] == first.info["training"]["anomaly"] + 1
    assert learn(some, tmp_path, task="classification", metric="recall", seed=4)[1] == 0
    fresh, _, _ = learn(turned, tmp_path / "empty", task="classification")
    assert numbers(other, some) == numbers(fresh, some)  # nothing of the other labels was taken over


# After a kill

PROGRAM = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import test_resume as tests
import vision_toolkit as vt
manifest, cache, weights, task = sys.argv[2:]
tests.learn(
    vt.Manifest.read(manifest), Path(cache), weights=Path(weights) if weights else None, task=task,
    progress=lambda share, text: print(text, flush=True),
)
"""


def kill(manifest: Path, cache: Path, weights: Path | None, task: str, *, at: str, count: int) -> None:
    """Start a training in a process of its own, and kill it when it has said something so many times."""
    arguments = [str(Path(__file__).parent), str(manifest), str(cache), str(weights or ""), task]
    with subprocess.Popen([sys.executable, "-c", PROGRAM, *arguments], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            count -= at in line
            if count == 0:
                process.send_signal(signal.SIGKILL)
                break
    assert process.returncode == -signal.SIGKILL


@pytest.fixture(scope="module")
def listed(some, tmp_path_factory) -> Path:
    """Write the manifest of these images where another process can read it."""
    entries = vt.Manifest([Entry(e.location, e.label, mask=e.mask) for e in some])
    return Path(entries.write(tmp_path_factory.mktemp("listed") / "some.manifest"))


def test_killed_while_it_looks_at_images_it_goes_on_to_the_same_numbers(listed, tmp_path):
    manifest = vt.Manifest.read(listed)
    kill(listed, tmp_path, None, "classification", at="looking at", count=3)  # told before the first batch too
    again, more, _ = learn(manifest, tmp_path, task="classification")
    fresh, whole, _ = learn(manifest, tmp_path / "empty", task="classification")
    assert 0 < more <= whole - 16
    assert numbers(again, manifest) == numbers(fresh, manifest)


@pytest.mark.slow
def test_killed_while_it_learns_to_paint_it_goes_on_to_the_same_numbers(listed, tmp_path, weights):
    manifest = vt.Manifest.read(listed)
    kill(listed, tmp_path, weights, "segmentation", at="painting types", count=8)
    again, more, told = learn(manifest, tmp_path, weights=weights, task="segmentation")
    fresh, whole, all_told = learn(manifest, tmp_path / "empty", weights=weights, task="segmentation")
    assert more == 0 < whole and rises(told) and rises(all_told)
    steps = [sum("painting types" in line for line in lines) for lines in (told, all_told)]
    assert steps[1] == STEPS and 0 < steps[0] <= STEPS - 7
    assert again.info["painting"]["held_out_iou"] == fresh.info["painting"]["held_out_iou"]
    assert numbers(again, manifest) == numbers(fresh, manifest)
    assert list((tmp_path / "training").iterdir()) == []  # nothing is left of what was resumed


# Ctrl-C, and the budget


def stopped(when: str, text: str) -> Any:
    def progress(share: float, said: str) -> None:
        if said.startswith(when):
            raise KeyboardInterrupt(text)

    return progress


def test_ctrl_c_ends_the_search_and_the_best_so_far_becomes_the_model(some, tmp_path):
    model, _, told = learn(some, tmp_path, task="classification", progress=stopped("looking at 96x96", "second size"))
    assert any("interrupted" in note for note in model.info["notes"])
    assert [f"{one['width']}x{one['height']}" for one in model.info["inputs"]] == ["64x64"]
    assert told[-1] == "1.000000 done" and model.evaluation.n == len(some)
    calm, _, _ = learn(some, tmp_path / "empty", task="classification", preset="fast")
    assert [p.score for p in model.predict_all(some)] == [p.score for p in calm.predict_all(some)]


@pytest.mark.parametrize("when", ["loading", "looking for near", "looking at 64x64", "remembering"])
def test_ctrl_c_before_there_is_a_model_ends_the_training(some, tmp_path, when):
    with pytest.raises(KeyboardInterrupt):
        learn(some, tmp_path, task="classification", progress=stopped(when, "first size"))


def test_ctrl_c_while_painting_keeps_what_was_learned(some, tmp_path, weights):
    model, _, _ = learn(some, tmp_path, weights=weights, progress=stopped("painting types", "painting"))
    assert model.task == "segmentation" and model.predict(some[-1]).mask is not None


def test_without_time_only_the_first_size_is_tried_and_that_is_told(some, tmp_path):
    model, computed, _ = learn(some, tmp_path, task="classification", budget="0.001s")
    assert computed == len(some) and len(model.info["inputs"]) == 1
    assert model.info["notes"] == ["The budget ended before 96x96 was tried."]
    plenty, _, _ = learn(some, tmp_path, task="classification", budget="10min")
    assert plenty.info["notes"] == []


def test_near_duplicates_are_sought_once(parts, tmp_path, monkeypatch):
    """They are kept by what the images are; another set of images is looked through anew."""
    sought: list[int] = []
    real = search.group_numbers

    def counted(entries: Any, **options: Any) -> Any:
        sought.append(len(entries))
        return real(entries, **options)

    monkeypatch.setattr(search, "group_numbers", counted)
    for manifest in (parts[:20], parts[:20], parts[:19]):
        learn(manifest, tmp_path)
    assert sought == [20, 19]
