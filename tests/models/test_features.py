"""Features are computed once for each image, kept on disk, and never believed when they are spoiled."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import vision_toolkit as vt
from vision_toolkit.core import Entry, Label
from vision_toolkit.models import features as module
from vision_toolkit.models.features import compute_features, identify, keep, recall, trim
from vision_toolkit.models.filters import filter_graph
from vision_toolkit.models.view import View

VIEW = View(64, 96)


@pytest.fixture
def few(parts, tmp_path):
    """Six images of its own, which a test may change."""
    entries = []
    for entry in [*parts[:3], *parts[20:23]]:
        place = Path(shutil.copy(entry.location, tmp_path))
        entries.append(Entry(place.name, entry.label, at=str(place)))
    return vt.Manifest(entries)


@pytest.fixture
def seen(monkeypatch):
    """Count the images that go through the network."""
    counts: list[int] = []
    real = module.session

    class Counted:
        def __init__(self, *arguments):
            self.opened = real(*arguments)
            self.get_outputs = self.opened.get_outputs

        def run(self, names, feeds):
            counts.append(len(feeds["image"]))
            return self.opened.run(names, feeds)

    monkeypatch.setattr(module, "session", Counted)
    return counts


def compute(entries, cache: Path, *, view: View = VIEW, fine: bool = False):
    return compute_features(
        entries, filter_graph(), view, identities=identify(entries), fine=fine, threads=1, cache=cache
    )


def files(cache: Path) -> list[Path]:
    return sorted((cache / "features").iterdir())


def test_features_are_those_of_the_network_alone(few, tmp_path):
    found = compute(few, tmp_path / "cache", fine=True)
    assert found.levels == ("patches",) and found.sizes == ((128, 96),) * 6
    network = module.session(filter_graph(), 1)
    for position, entry in enumerate(few):
        image = module.resize(vt.data.read_image(entry), VIEW.width, VIEW.height)
        patches, vector, fine = network.run(["patches", "vector", "fine"], {"image": image[None]})
        assert np.allclose(found.level("patches")(position), patches[0], atol=2e-3)
        assert np.allclose(found.vectors[position], vector[0], atol=1e-5)
        assert np.allclose(found.level("fine")(position), fine[0], atol=2e-3)
        assert found.of(position)["patches"].dtype == np.float16


def test_the_second_time_nothing_is_computed(few, tmp_path, seen):
    first = compute(few, tmp_path)
    assert sum(seen) == 6
    again = compute(few, tmp_path)
    assert sum(seen) == 6 and np.array_equal(first.vectors, again.vectors) and first.sizes == again.sizes
    assert np.array_equal(first.of(4)["patches"], again.of(4)["patches"])
    compute(few[:3], tmp_path)
    compute(vt.Manifest([replace(entry, label=Label.NORMAL) for entry in few]), tmp_path)  # another label, same image
    assert sum(seen) == 6
    compute(few, tmp_path, view=View(64, 64))
    compute(few, tmp_path, fine=True)
    assert sum(seen) == 18  # another size, and a level that was not kept


def test_an_image_that_changed_under_its_name_is_computed_anew(few, tmp_path, seen):
    first = compute(few, tmp_path)
    place = few[1].location
    Image.fromarray(255 - np.asarray(Image.open(place))).save(place)
    again = compute(few, tmp_path)
    assert sum(seen) == 7 and not np.allclose(first.vectors[1], again.vectors[1])
    assert np.array_equal(np.delete(first.vectors, 1, axis=0), np.delete(again.vectors, 1, axis=0))


@pytest.mark.parametrize("spoil", ["empty", "cut", "longer", "rubbish", "no numbers"])
def test_a_spoiled_file_is_made_again(few, tmp_path, seen, spoil):
    first = compute(few, tmp_path)
    spoiled = files(tmp_path)[2]
    data = spoiled.read_bytes()
    other = {"empty": b"", "cut": data[:-7], "longer": data + b"x", "rubbish": b"\xff" * len(data)}
    spoiled.write_bytes(other.get(spoil, b"\x02\0\0\0\0\0\0\0{}"))
    again = compute(few, tmp_path)
    assert sum(seen) == 7 and np.array_equal(first.vectors, again.vectors)
    assert spoiled.read_bytes() == data


def test_half_of_a_file_is_never_seen_under_its_name(few, tmp_path, monkeypatch):
    def die(one, two):
        raise KeyboardInterrupt

    monkeypatch.setattr(module.os, "replace", die)
    with pytest.raises(KeyboardInterrupt):
        compute(few, tmp_path)
    assert all(file.name.startswith(".part-") for file in files(tmp_path))


def test_a_cache_that_cannot_be_written_costs_only_time(few, tmp_path, seen):
    (tmp_path / "cache").write_text("a file where the folder should be")
    first = compute(few, tmp_path / "cache")
    place = first.files[0]
    assert place.is_file() and first.vectors.shape[0] == 6 and sum(seen) == 6
    keep(tmp_path / "cache", "key", {"a": np.ones(2, "f4")})
    assert recall(tmp_path / "cache", "key") is None
    del first
    assert not place.exists()  # it goes with the features


def test_more_features_than_the_memory_holds_are_read_from_disk(few, tmp_path):
    found = compute(few, tmp_path)
    size = files(tmp_path)[0].stat().st_size
    found.held, found.room = {}, 2 * size
    before = [found.of(position)["patches"].copy() for position in range(6)]
    assert len(found.held) == 2
    assert all(np.array_equal(before[position], found.of(position)["patches"]) for position in range(6))


def test_arrays_are_kept_under_a_key(tmp_path):
    arrays = {"a": np.arange(6, dtype="f4").reshape(2, 3), "b": np.ones(3, np.int64)}
    assert recall(tmp_path, "key") is None
    keep(tmp_path, "key", arrays)
    found = recall(tmp_path, "key")
    assert found is not None and all(np.array_equal(found[name], arrays[name]) for name in arrays)
    files(tmp_path)[0].write_bytes(b"spoiled")
    assert recall(tmp_path, "key") is None


def test_trimming_keeps_what_was_used_last(tmp_path):
    for number in range(4):
        keep(tmp_path, f"k{number}", {"a": np.full(1000, number, "f4")})
    size = files(tmp_path)[0].stat().st_size
    for number, age in enumerate([100, 400, 300, 200]):
        os.utime(tmp_path / "features" / f"k{number}.safetensors", (1e9 - age, 1e9 - age))
    trim(tmp_path, most=4 * size)
    assert len(files(tmp_path)) == 4
    assert recall(tmp_path, "k1") is not None  # the oldest is used again
    trim(tmp_path, most=2 * size + 10)
    assert [file.stem for file in files(tmp_path)] == ["k0", "k1"]
    trim(tmp_path / "nowhere")


def test_trimming_removes_what_a_kill_left_but_not_what_is_being_written(tmp_path):
    (tmp_path / "features").mkdir()
    old, new = (tmp_path / "features" / f".part-{name}" for name in ("old", "new"))
    for file in (old, new):
        file.write_bytes(b"half")
    os.utime(old, (1e9, 1e9))
    trim(tmp_path, most=0)
    assert files(tmp_path) == [new]


def test_what_is_read_is_used_and_not_trimmed(few, tmp_path):
    compute(few, tmp_path)
    for file in files(tmp_path):
        os.utime(file, (1e9, 1e9))
    compute(few[:2], tmp_path)
    trim(tmp_path, most=2 * files(tmp_path)[0].stat().st_size)
    used = {f"{key}.safetensors" for key in compute(few[:2], tmp_path).keys}
    assert {file.name for file in files(tmp_path)} == used
