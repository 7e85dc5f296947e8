"""What is said of an image comes from memories that did not have it, and is kept."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vision_toolkit.models import heat
from vision_toolkit.models.features import Features
from vision_toolkit.models.heat import describe_view
from vision_toolkit.models.view import View

VIEW = View(64, 64)
FOLDS = np.arange(20) % 4
BAD = np.arange(20) >= 12


def features(changed: int | None = None) -> Features:
    """Hold drawn patches of twenty images, one of them changed."""
    rng = np.random.default_rng(0)
    patches = rng.normal(size=(20, 8, 8, 12)).astype("f4")
    patches[BAD, 2:4, 2:4] += 3.0
    if changed is not None:
        patches[changed] = rng.normal(size=(8, 8, 12)) * 2 + 1
    keys = tuple(f"{position} {changed == position}" for position in range(20))
    found = Features(("patches",), np.zeros((20, 3), "f4"), ((64, 64),) * 20, keys, (Path("none"),) * 20)
    found.held = {position: {"patches": one} for position, one in enumerate(patches)}
    return found


def described(cache: Path, changed: int | None = None, *, patches: int = 60):
    return describe_view(VIEW, features(changed), BAD, FOLDS, patches=patches, seed=0, threads=2, cache=cache)


@pytest.mark.parametrize("changed", [5, 17])
def test_the_memories_that_judge_a_fold_know_nothing_of_it(tmp_path, changed):
    """What one image is changes nothing in how the others of its fold are seen, be it normal or not."""
    before, after = described(tmp_path), described(tmp_path, changed)
    mates = (FOLDS[changed] == FOLDS) & (np.arange(20) != changed)
    contrast = [one.groups[VIEW, "contrast"] for one in (before, after)]
    assert mates.sum() == 4
    assert np.array_equal(before.distances[mates], after.distances[mates])
    assert np.array_equal(contrast[0][mates], contrast[1][mates])
    others = FOLDS[changed] != FOLDS
    changes = contrast[0][others] != contrast[1][others]
    assert changes.any()
    assert (before.distances[others] != after.distances[others]).any() == (not BAD[changed])


def test_an_image_is_never_its_own_neighbour(tmp_path):
    """Its memory does not have it: with every patch remembered, none is nearer than others of its kind."""
    found = described(tmp_path, patches=10_000)
    assert found.distances.min() > 0.5
    memory = found.heat.memories[0]
    assert memory.distances(features().level("patches")(3)).max() < 1e-2  # the model's own has every training image


def test_bad_places_are_hot(tmp_path):
    maps = described(tmp_path).maps.astype("f4")
    hot = maps[BAD, 2:4, 2:4].mean()
    assert hot > 4.0 and abs(maps[~BAD].mean()) < 0.5


def test_the_second_time_nothing_is_computed(tmp_path, monkeypatch):
    first = described(tmp_path)
    monkeypatch.setattr(heat, "build_memory", lambda *arguments, **options: pytest.fail("computed again"))
    again = described(tmp_path)
    assert np.array_equal(first.maps, again.maps)
    assert all(np.array_equal(first.groups[key], again.groups[key]) for key in first.groups)
    with pytest.raises(pytest.fail.Exception, match="computed again"):
        described(tmp_path, patches=50)


def test_with_few_anomalies_none_is_remembered(tmp_path):
    bad = np.arange(20) >= 18
    found = describe_view(VIEW, features(), bad, FOLDS, patches=60, seed=0, threads=1, cache=tmp_path)
    assert found.heat.anomalies is None and (VIEW, "contrast") not in found.groups
