"""Whether more images would help: what is held out, what is trained with, and what is told."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

import vision_toolkit as vt
from vision_toolkit.core import Invalid
from vision_toolkit.models import learning


@pytest.fixture(scope="module")
def told():
    return []


@pytest.fixture(scope="module")
def trained_with():
    return []


@pytest.fixture(scope="module")
def curve(parts, told, trained_with):
    """Two repeats of two sizes over 28 normal parts and 24 bad ones."""
    patch = pytest.MonkeyPatch()

    def noted(entries, **options):
        trained_with.append(entries)
        return vt.train(entries, **options)

    patch.setattr(learning, "train", noted)
    found = vt.learning_curve(
        parts, weights=None, sizes=[0.5], repeats=2, threads=2, progress=lambda *now: told.append(now)
    )
    patch.undo()
    return found


def test_one_kind_varies_while_the_other_stays_and_repeats_have_equal_counts(curve):
    plan = Counter((trial.normals, trial.anomalies) for trial in curve.trials)
    assert set(plan.values()) == {2}
    most = max(n for n, _ in plan), max(a for _, a in plan)
    assert set(plan) == {most, (round(most[0] / 2), most[1]), (most[0], round(most[1] / 2))}


def test_no_model_is_judged_on_what_it_learned(curve, trained_with, parts):
    for trial, entries in zip(curve.trials, trained_with, strict=True):
        sources = [entry.source for entry in entries]
        assert len(set(sources)) == trial.normals + trial.anomalies
        assert not set(sources) & set(trial.images)
        label = {entry.source: entry.label == "anomaly" for entry in parts}
        assert [label[name] for name in trial.images] == np.asarray(trial.truth).tolist()


def test_parts_of_a_repeat_hold_one_another_and_repeats_differ(curve, trained_with):
    by_repeat = {0: [], 1: []}
    for trial, entries in zip(curve.trials, trained_with, strict=True):
        by_repeat[trial.repeat].append({entry.source for entry in entries})
    for parts in by_repeat.values():
        largest = max(parts, key=len)
        assert all(part <= largest for part in parts)
    assert by_repeat[0] != by_repeat[1]


def test_each_part_has_its_share_of_each_type_that_is_painted(curve):
    most = max(trial.anomalies for trial in curve.trials)
    whole = {trial.repeat: trial.trained_types for trial in curve.trials if trial.anomalies == most}
    for trial in curve.trials:
        # Every colour map names both types; what counts is what is painted, and that is one on each part.
        assert set(trial.types) == {None, "stain", "scratch"}
        assert sum(trial.trained_types.values()) == trial.anomalies
        for name, count in trial.trained_types.items():
            assert abs(count - whole[trial.repeat][name] * trial.anomalies / most) <= 1


def test_scores_are_those_of_the_model_alone(curve, trained_with, parts):
    trial, entries = curve.trials[-1], trained_with[-1]
    model = vt.train(entries, task="classification", weights=None, preset="fast", threads=2, progress=False)
    held_out = {entry.source: entry for entry in parts}
    scores = [model.predict(held_out[name]).score for name in trial.images]
    assert trial.scores == pytest.approx(scores, abs=1e-4)
    assert trial.threshold == pytest.approx(model.threshold, abs=1e-6)


def test_progress_only_goes_on(told):
    shares = [share for share, _ in told]
    assert shares == sorted(shares) and shares[-1] == 1.0
    assert any(text.startswith("model 6 of 6: ") for _, text in told)


def test_near_duplicates_are_never_on_both_sides(parts, monkeypatch):
    pairs = [(0, 1), (2, 3, 4), (20, 21)]
    monkeypatch.setattr("vision_toolkit.curation.duplicates.near_duplicates", lambda entries, **options: pairs)
    for draw in learning._draws(parts, {entry.source: () for entry in parts}, 6, 0, 1):
        held_out = {entry.source for entry in draw.held_out}
        for pair in pairs:
            assert len({parts[position].source in held_out for position in pair}) == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"sizes": []}, "sizes are shares"),
        ({"sizes": [0.5, 1.5]}, "sizes are shares"),
        ({"sizes": [0.0]}, "sizes are shares"),
        ({"repeats": 0}, "repeats is a whole number from 1; 0 was given"),
        ({"repeats": 2.5}, "repeats is a whole number"),
    ],
)
def test_what_is_out_of_range_is_told(parts, options, said):
    with pytest.raises(Invalid, match=said):
        vt.learning_curve(parts, weights=None, progress=False, **options)


def test_too_few_images_are_told(parts):
    with pytest.raises(Invalid, match="there are 20 normal and 2 anomaly"):
        vt.learning_curve(parts[:22], weights=None, progress=False)
