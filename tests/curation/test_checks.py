"""Bad pictures stand out of their set; honest sets have none."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from sklearn.neighbors import NearestNeighbors

from vision_toolkit.core import Entry, Invalid, NotFound
from vision_toolkit.curation import Measures, measure_images, odd_images, outlier_scores
from vision_toolkit.curation.checks import MANY, RULES, outliers, unreadable_images
from vision_toolkit.curation.measures import Views
from vision_toolkit.data import Manifest
from vision_toolkit.data.images import encode_jpeg, encode_png, read_image
from vision_toolkit.data.storage import inline
from vision_toolkit.data.synthetic import load_dataset

Pixels = NDArray[np.uint8]


def entry(image: Pixels | bytes) -> Entry:
    return Entry(inline(image if isinstance(image, bytes) else encode_png(image)))


def saved(image: Image.Image, form: str = "PNG") -> Entry:
    buffer = io.BytesIO()
    image.save(buffer, form)
    return entry(buffer.getvalue())


def photo(light: NDArray[np.float64], rng: np.random.Generator, quality: int = 85) -> Entry:
    noisy = np.clip(light + rng.normal(0, 2, light.shape), 0, 255).astype(np.uint8)
    return Entry(inline(encode_jpeg(noisy, quality=quality), "image/jpeg"))


def texture(seed: int, *, low: int = 60, high: int = 200, size: tuple[int, int] = (48, 64)) -> Pixels:
    """Draw a colourful texture with some soft and some hard detail."""
    rng = np.random.default_rng(seed)
    drawn = ndimage.gaussian_filter(rng.normal(size=(*size, 3)), (2, 2, 0)) * 6 + rng.normal(size=(*size, 3)) * 0.3
    return np.asarray(np.clip((low + high) / 2 + drawn * (high - low) / 6, low, high), np.uint8)


def rules(entries: list[Entry]) -> dict[str, set[int]]:
    found: dict[str, set[int]] = {}
    for one in odd_images(measure_images(entries)):
        found.setdefault(one.rule, set()).update(one.positions)
    return found


FAULTS: dict[str, Callable[[NDArray[np.float64]], NDArray[np.float64]]] = {
    "blurred": lambda image: ndimage.gaussian_filter(image, (2.6, 2.6, 0)),
    "dark": lambda image: image * 0.3,
    "overexposed": lambda image: image * 2.2 + 10,
    "low-contrast": lambda image: image.mean() + 0.3 * (image - image.mean()),
}


@pytest.fixture(scope="module", params=["biscuit", "board", "casting"])
def parts(request: pytest.FixtureRequest) -> list[Entry]:
    return list(load_dataset(request.param)[:24])


class TestPlantedFaults:
    def test_an_honest_set_has_no_odd_image(self, parts):
        assert rules(parts) == {}

    def test_each_fault_is_found_and_nothing_else(self, parts):
        rng = np.random.default_rng(3)
        spoiled = list(parts)
        for position, spoil in enumerate(FAULTS.values()):
            spoiled[position * 5] = photo(spoil(read_image(parts[position * 5]).astype(float)), rng)
        assert rules(spoiled) == {rule: {position * 5} for position, rule in enumerate(FAULTS)}

    def test_what_is_saved_again_at_a_low_quality_is_not_blurred(self, parts):
        again = [Entry(inline(encode_jpeg(read_image(one), quality=60), "image/jpeg")) for one in parts[:2]]
        assert rules([*again, *parts[2:]]) == {}


class TestTheSetDecides:
    def test_honest_dark_images_are_not_dark_but_a_black_one_is(self):
        night = [entry(texture(i, low=10, high=40)) for i in range(12)]
        assert rules(night) == {}
        assert rules([*night, entry(np.zeros((48, 64, 3), np.uint8))]) == {"dark": {12}}

    def test_a_white_background_is_not_overexposed(self):
        def part(i: int, radius: int) -> Entry:
            y, x = np.mgrid[:48, :64]
            image = np.where((np.hypot(y - 24, x - 32) < radius)[..., None], texture(i), 255)
            return entry(image.astype(np.uint8))

        assert rules([part(i, 18) for i in range(11)] + [part(99, 13)]) == {}

    def test_equal_images_flag_no_noise(self):
        images = [np.clip(texture(0).astype(int) + i % 2, 0, 255).astype(np.uint8) for i in range(20)]
        assert rules([entry(image) for image in images]) == {}

    def test_many_of_one_kind_are_one_oddity_of_all(self):
        bright = [entry(texture(i)) for i in range(14)]
        dim = [entry((texture(i) * 0.2).astype(np.uint8)) for i in range(14, 20)]
        (one,) = [one for one in odd_images(measure_images([*bright, *dim])) if one.rule == "dark"]
        assert one.positions == tuple(range(14, 20)) and len(dim) > MANY * 20
        assert "second camera" in one.text

    @pytest.mark.parametrize("count", [0, 1, 2])
    def test_one_or_two_images_have_nothing_to_be_compared_with(self, count):
        assert odd_images(measure_images([entry(texture(i)) for i in range(count)])) == ()

    def test_the_strongest_comes_first(self):
        images = [texture(i) for i in range(20)]
        images[3] = (images[3] * 0.3).astype(np.uint8)
        images[5] = (images[5] * 0.05).astype(np.uint8)
        dark = [one for one in odd_images(measure_images([entry(image) for image in images])) if one.rule == "dark"]
        assert [one.positions for one in dark] == [(5,), (3,)] and dark[0].strength > dark[1].strength


class TestSizeAndKind:
    def test_one_of_another_size_is_odd(self):
        entries = [entry(texture(i)) for i in range(9)] + [entry(texture(9, size=(64, 48)))]
        assert rules(entries) == {"odd-shape": {9}}

    def test_where_all_sizes_differ_only_a_quite_different_one_is_odd(self):
        sizes = [(40 + 3 * i, 60 - 2 * i) for i in range(10)]
        entries = [entry(texture(i, size=size)) for i, size in enumerate(sizes)]
        assert "odd-shape" not in rules(entries)
        assert rules([*entries, entry(texture(10, size=(24, 400)))])["odd-shape"] == {10}

    def test_kinds_of_pixels(self):
        colour = Image.fromarray(texture(0))
        deep = Image.fromarray(texture(0)[..., 0].astype(np.uint16) * 257)
        others = {
            "grey": saved(colour.convert("L")),
            "CMYK": saved(colour.convert("CMYK"), "JPEG"),
            "with alpha": saved(colour.convert("RGBA")),
            "16 bit": saved(deep),
            "black and white": saved(colour.convert("1")),
        }
        measures = measure_images([*others.values(), saved(colour), saved(colour.quantize(64))])
        assert measures.kind == (*others, "colour", "colour")
        usual = [entry(texture(i)) for i in range(1, 12)]
        odd = rules([*usual, *list(others.values())[:2]])["odd-mode"]
        assert odd == {11, 12}

    def test_grey_saved_as_rgb_is_grey_and_goes_with_grey_files(self):
        grey = [texture(i)[..., 0] for i in range(8)]
        as_l = [saved(Image.fromarray(one)) for one in grey[:4]]
        as_rgb = [saved(Image.fromarray(one).convert("RGB"), "JPEG") for one in grey[4:]]
        measures = measure_images([*as_l, *as_rgb])
        assert set(measures.kind) == {"grey"} and set(measures.mode) == {"L", "RGB"}
        assert "odd-mode" not in rules([*as_l, *as_rgb])
        assert rules([*as_l, *as_rgb, entry(texture(9))])["odd-mode"] == {8}


class TestMeasures:
    def test_values_of_a_known_image(self):
        image = np.full((10, 20, 3), 100, np.uint8)
        image[:, :5], image[:, 5:8] = 0, 255
        measures = measure_images([entry(image)])
        assert measures.black.tolist() == [0.25] and measures.white[0] == pytest.approx(0.15)
        assert measures.brightness[0] == pytest.approx(image.mean(), abs=1e-3) and measures.contrast.tolist() == [255]
        assert (measures.width[0], measures.height[0], measures.format) == (20, 10, ("PNG",))

    def test_sharpness_falls_with_blur_and_hardly_changes_with_light_or_noise(self):
        base = read_image(load_dataset("biscuit")[0]).astype(float)
        rng = np.random.default_rng(0)
        kinds = [base, base * 0.6, 60 + base * 0.6, base + rng.normal(0, 3, base.shape)]
        kinds += [ndimage.gaussian_filter(base, (sigma, sigma, 0)) for sigma in (1, 2, 4)]
        same, softer = np.split(
            measure_images([entry(np.clip(x, 0, 255).astype(np.uint8)) for x in kinds]).sharpness, [4]
        )
        np.testing.assert_allclose(same, same[0], rtol=0.08)
        assert same.min() > softer[0] > softer[1] > softer[2]

    @pytest.mark.parametrize("shape", [(1, 1, 3), (1, 9, 3), (2, 2, 3), (2000, 3, 3)])
    def test_tiny_and_flat_images_have_finite_measures(self, shape):
        measures = measure_images([entry(np.full(shape, 77, np.uint8))])
        assert measures.sharpness.tolist() == [0.0] and measures.brightness[0] == pytest.approx(77, abs=1e-3)

    def test_size_is_upright(self):
        exif = Image.Exif()
        exif[0x0112] = 6
        buffer = io.BytesIO()
        Image.fromarray(texture(0)).save(buffer, "JPEG", exif=exif)
        measures = measure_images([entry(buffer.getvalue())])
        assert (measures.width[0], measures.height[0]) == (48, 64)

    def test_threads_do_not_change_anything_and_progress_ends_at_the_end(self):
        entries = [entry(texture(i)) for i in range(7)]
        seen: list[tuple[int, int]] = []
        one = measure_images(entries, threads=1, progress=lambda done, total: seen.append((done, total)))
        many = measure_images(entries, threads=4)
        assert seen == [(i, 7) for i in range(1, 8)]
        np.testing.assert_array_equal(one.sharpness, many.sharpness)
        assert one.digest == many.digest and len(set(one.digest)) == 7
        with pytest.raises(Invalid, match="threads"):
            measure_images(entries, threads=0)

    def test_a_frame_has_a_row_an_image(self):
        frame = measure_images([entry(texture(0)), entry(b"no image")]).to_frame()
        assert len(frame) == 2 and frame["kind"].tolist() == ["colour", ""] and np.isnan(frame["sharpness"][1])

    def test_a_view_gives_the_pixels(self):
        views = Views([entry(texture(i)) for i in range(3)])
        assert isinstance(views.measures(), Measures)  # before anything was looked at
        np.testing.assert_array_equal(views[1], texture(1))
        np.testing.assert_array_equal(views[0:3][2], texture(2))


class TestUnreadable:
    def test_each_kind_is_told_in_its_own_way(self, tmp_path: Path):
        whole = encode_jpeg(texture(0))
        (tmp_path / "cut.jpg").write_bytes(whole[: len(whole) // 2])
        (tmp_path / "empty.png").write_bytes(b"")
        names = ["cut.jpg", "empty.png", "gone-1.png", "gone-2.png"]
        entries = [Entry(name, at=str(tmp_path / name)) for name in names] + [Entry("s3://nowhere/a.png")]
        entries.append(entry(texture(0)))
        measures = measure_images(entries)
        assert measures.readable.tolist() == [False] * 5 + [True] and sorted(measures.errors) == [0, 1, 2, 3, 4]
        told = {one.rule: one.positions for one in unreadable_images(entries, measures)}
        assert told == {"unreadable-image": (1,), "missing-image": (2, 3), "not-local": (4,)}
        assert str(tmp_path / "cut.jpg") in str(measures.errors[0])

    def test_nothing_is_dialled_unasked(self):
        with pytest.raises(NotFound, match="another machine"):
            Views([Entry("s3://nowhere/a.png")])[0]


class TestOutliers:
    def test_distances_agree_with_a_library(self):
        rng = np.random.default_rng(0)
        features = rng.normal(size=(40, 6)) + 2
        unit = features / np.linalg.norm(features, axis=1, keepdims=True)
        distance, _ = NearestNeighbors(n_neighbors=6).fit(unit).kneighbors(unit)
        mean = distance[:, 1:].mean(axis=1)
        np.testing.assert_allclose(outlier_scores(features), mean / np.median(mean), rtol=1e-5)

    def test_a_stranger_is_told_and_usual_ones_are_not(self):
        rng = np.random.default_rng(1)
        features = rng.normal(size=(50, 12)) * 0.1 + np.eye(12)[0]
        assert outliers(outlier_scores(features), range(50)) == []
        features[7] = np.eye(12)[5]
        (one,) = outliers(outlier_scores(features), range(100, 150))
        assert one.rule == "outlier" and one.positions == (107,)

    def test_copies_do_not_vouch_for_one_another(self):
        rng = np.random.default_rng(1)
        features = rng.normal(size=(40, 12)) * 0.1 + np.eye(12)[0]
        strangers = list(range(8))
        features[strangers] = np.eye(12)[5]
        assert outlier_scores(features)[strangers].max() < 0.1
        assert outlier_scores(features, groups=[strangers])[strangers].min() > 3

    @pytest.mark.parametrize("features", [np.ones(4), np.ones((2, 2, 2)), np.full((5, 2), np.nan)])
    def test_features_must_be_finite_rows(self, features):
        with pytest.raises(Invalid, match="features"):
            outlier_scores(features)

    def test_equal_and_few_rows_are_usual(self):
        assert outlier_scores(np.ones((9, 3))).tolist() == [1.0] * 9
        assert outlier_scores(np.eye(3)).tolist() == [1.0] * 3 and outliers(np.ones(3, np.float32), [0, 1, 2]) == []


def test_every_rule_is_documented():
    for rule in RULES.values():
        assert rule.text.endswith(".") and rule.why.endswith(".") and rule.repair


@pytest.mark.slow
def test_honest_photographs_are_hardly_flagged(shared: Path):
    cookies = Manifest.read(shared / "data/cookies/manifests/template.manifest", images=shared / "data/cookies")
    assert rules(list(cookies)) == {}
    assert rules(list(Manifest.from_folder(shared / "data/aliens"))) == {}
    tiles = sorted((shared / "data/magnetic_tile").glob("*/*.jpg"))
    found = rules([Entry(path.name, at=str(path)) for path in tiles])
    assert set(found) <= {"overexposed"} and len(found.get("overexposed", ())) <= 0.02 * len(tiles)
