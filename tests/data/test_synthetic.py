"""The drawn datasets: repeatable pixels, exact masks, and what is bundled under datasets/."""

from __future__ import annotations

import io
import json
import os
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from vision_toolkit.core import Conflict, Invalid, NotFound
from vision_toolkit.core.limits import LOOKOUT
from vision_toolkit.core.mask import PALETTE, hex_to_rgb
from vision_toolkit.data.images import read_image, read_mask
from vision_toolkit.data.manifest import Manifest
from vision_toolkit.data.synthetic import DATASETS, VERSION, draw_dataset, draw_image, folder, load_dataset

BUNDLED = Path(__file__).parents[2] / "datasets"
NAMES = list(DATASETS)
KINDS = [(name, kind) for name, facts in DATASETS.items() for kind in facts.types]


@pytest.fixture(scope="module")
def clean() -> dict[str, np.ndarray]:
    return {name: draw_image(name, 5)[0] for name in NAMES}


@pytest.fixture(scope="module", params=NAMES)
def bundled(request: pytest.FixtureRequest) -> tuple[str, Manifest]:
    return request.param, Manifest.read(BUNDLED / request.param / f"{request.param}.manifest")


@pytest.mark.parametrize("name", NAMES)
def test_a_normal_image_has_the_set_size_and_an_empty_mask(name: str, clean: dict[str, np.ndarray]) -> None:
    image, mask = draw_image(name, 5)
    assert image.dtype == np.uint8 and image.shape == (*DATASETS[name].size[::-1], 3)
    assert mask.size == DATASETS[name].size and mask.types == ()
    np.testing.assert_array_equal(image, clean[name])


@pytest.mark.parametrize("name", NAMES)
def test_another_index_or_seed_draws_another_image(name: str, clean: dict[str, np.ndarray]) -> None:
    for other in (draw_image(name, 6)[0], draw_image(name, 5, seed=1)[0]):
        assert np.abs(other.astype(int) - clean[name]).mean() > 1


@pytest.mark.parametrize(("name", "kind"), KINDS)
def test_a_defect_changes_the_pixels_of_its_mask_and_few_others(
    name: str, kind: str, clean: dict[str, np.ndarray]
) -> None:
    image, mask = draw_image(name, 5, types=[kind])
    assert mask.names == ("background", *DATASETS[name].types)
    assert mask.colours == PALETTE[: len(mask.names)]
    assert mask.types == (kind,)
    assert 0.00005 < mask.areas()[kind] < 0.12
    change = np.abs(image.astype(int) - clean[name]).max(2)
    inside = mask.ids > 0
    far = ~ndimage.binary_dilation(inside, iterations=40)
    assert change[inside].mean() > 6
    assert change[inside].mean() > 10 * change[far].mean()


@pytest.mark.parametrize("name", NAMES)
def test_two_types_at_once_both_show(name: str) -> None:
    for pair in list(combinations(DATASETS[name].types, 2))[:2]:
        assert draw_image(name, 2, types=pair)[1].types == pair


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"name": "boards", "index": 0}, NotFound, "board, casting, biscuit"),
        ({"name": "board", "index": -1}, Invalid, "index is a whole number"),
        ({"name": "board", "index": True}, Invalid, "index is a whole number"),
        ({"name": "board", "index": 0, "seed": 1.5}, Invalid, "seed is a whole number"),
        ({"name": "board", "index": 0, "types": ["dent"]}, Invalid, "missing_part, solder_bridge, scratch"),
    ],
)
def test_bad_wishes_are_refused_in_words(arguments: dict[str, object], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        draw_image(**arguments)  # type: ignore[arg-type]


def test_a_small_folder_is_whole_and_repeats(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    manifest = draw_dataset(
        "biscuit", tmp_path / "one", normal=1, anomaly=2, seed=4, progress=lambda done, of: seen.append((done, of))
    )
    assert manifest.counts()["normal"] == 1 and manifest.counts()["anomaly"] == 2
    assert seen == [(1, 3), (2, 3), (3, 3)]
    assert [f for f in manifest.check() if f.severity == "error"] == []
    assert sorted(p.name for p in (tmp_path / "one").iterdir()) == ["README.md", "biscuit.manifest", "images", "masks"]
    assert [p.name for p in tmp_path.iterdir()] == ["one"]  # the temporary sibling is gone
    for index, entry in enumerate(manifest):
        drawn, mask = draw_image("biscuit", index, seed=4, types=entry.types)
        assert np.abs(read_image(entry).astype(int) - drawn).mean() < 4
        if entry.mask:
            np.testing.assert_array_equal(read_mask(entry.mask, names=DATASETS["biscuit"].types).ids, mask.ids)


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("kept")
    with pytest.raises(Conflict):
        draw_dataset("biscuit", tmp_path, normal=1, anomaly=0)
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize("counts", [{"normal": 0, "anomaly": 0}, {"normal": -1}, {"anomaly": 2.0}])
def test_impossible_counts_are_refused(counts: dict[str, int], tmp_path: Path) -> None:
    with pytest.raises(Invalid):
        draw_dataset("board", tmp_path / "new", **counts)
    assert not (tmp_path / "new").exists()


def test_nothing_is_left_of_a_drawing_that_stops_half_way(tmp_path: Path) -> None:
    def stop(done: int, of: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        draw_dataset("biscuit", tmp_path / "new", normal=2, anomaly=0, progress=stop)
    assert list(tmp_path.iterdir()) == []


def test_load_takes_the_clone_then_the_cache_then_draws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bundled = Manifest.read(BUNDLED / "board" / "board.manifest")
    assert load_dataset("board", cache=tmp_path) == bundled and not list(tmp_path.iterdir())
    monkeypatch.setattr(folder, "_BESIDE", tmp_path / "nowhere")
    monkeypatch.setitem(DATASETS, "biscuit", replace(DATASETS["biscuit"], normal=1, anomaly=1))
    first = load_dataset("biscuit", cache=tmp_path)
    place = tmp_path / "datasets" / f"biscuit-v{VERSION}"
    assert len(first) == 2 and place.is_dir() and all(os.path.exists(e.location) for e in first)
    stamp = (place / "biscuit.manifest").stat().st_mtime_ns
    assert load_dataset("biscuit", cache=tmp_path) == first
    assert (place / "biscuit.manifest").stat().st_mtime_ns == stamp  # found, not drawn again
    monkeypatch.setenv("VISION_TOOLKIT_CACHE", str(tmp_path))
    assert load_dataset("biscuit") == first


def test_an_unknown_dataset_is_answered_with_the_known_ones() -> None:
    with pytest.raises(NotFound, match="'cookies'; there are: board, casting, biscuit"):
        load_dataset("cookies")


def test_the_bundled_counts_and_labels(bundled: tuple[str, Manifest]) -> None:
    name, manifest = bundled
    facts = DATASETS[name]
    counts = manifest.counts()
    assert (counts["normal"], counts["anomaly"]) == (facts.normal, facts.anomaly)
    assert facts.normal >= LOOKOUT.single_normal
    for kind in facts.types:
        assert sum(entry.types == (kind,) for entry in manifest) >= 20
    assert all((entry.mask is not None) == (entry.label == "anomaly") for entry in manifest)
    # Labels must not be told by the order: neither half of the files holds nearly all the anomalies.
    first = sum(entry.label == "anomaly" for entry in list(manifest)[: len(manifest) // 2])
    assert 0.3 < first / facts.anomaly < 0.7
    assert [f for f in manifest.check() if f.severity == "error"] == []


def test_the_bundled_lines_have_the_documented_form(bundled: tuple[str, Manifest]) -> None:
    name, _ = bundled
    for line in (BUNDLED / name / f"{name}.manifest").read_text(encoding="utf-8").splitlines():
        data = json.loads(line)
        meta = data["anomaly-label-metadata"]
        assert {"class-name", "human-annotated", "type", "confidence", "job-name", "creation-date"} <= set(meta)
        assert data["anomaly-label"] == (meta["class-name"] == "anomaly")
        if meta["class-name"] == "anomaly":
            shown = data["anomaly-mask-ref-metadata"]["internal-color-map"]
            assert shown["0"] == {"class-name": "BACKGROUND", "hex-color": "#ffffff", "confidence": 0.0}
            for number, item in list(shown.items())[1:]:
                assert item["class-name"] == DATASETS[name].types[int(number) - 1]
                assert item["hex-color"] == PALETTE[int(number)]


def test_the_bundled_masks_hold_exactly_the_named_colours(bundled: tuple[str, Manifest]) -> None:
    name, manifest = bundled
    for entry in manifest:
        if entry.mask is None:
            continue
        with Image.open(io.BytesIO(Path(entry.mask.location).read_bytes())) as picture:
            assert picture.format == "PNG" and picture.mode == "P" and picture.size == DATASETS[name].size
            found = {colour for _, colour in picture.convert("RGB").getcolors()}  # type: ignore[union-attr]
        assert found == {(255, 255, 255), *(hex_to_rgb(c) for c in entry.mask.colours.values())}
        areas = read_mask(entry.mask).areas()
        assert all(0.00005 < areas[kind] < 0.12 for kind in entry.types)


def test_the_bundled_images_are_what_the_generator_draws(bundled: tuple[str, Manifest]) -> None:
    name, manifest = bundled
    painted = next(i for i, entry in enumerate(manifest) if entry.mask)
    for index in (0, painted, len(manifest) - 1):
        entry = manifest[index]
        image, mask = draw_image(name, index, types=entry.types)
        assert np.abs(read_image(entry).astype(int) - image).mean() < 4
        if entry.mask:
            stored = read_mask(entry.mask, names=DATASETS[name].types).ids
            assert (stored != mask.ids).mean() < 0.0005


def test_the_bundled_sets_stay_small_and_have_their_cards() -> None:
    files = [path for path in BUNDLED.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 15_000_000
    for name in NAMES:
        assert "Apache-2.0" in (BUNDLED / name / "README.md").read_text(encoding="utf-8")
        assert name in (BUNDLED / "README.md").read_text(encoding="utf-8")
