"""Copies of one shot are found; different parts under a fixed camera are not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from vision_toolkit.core import Entry, Invalid, NotFound
from vision_toolkit.curation import near_duplicates, perceptual_hash
from vision_toolkit.data.images import encode_jpeg, encode_png, read_image
from vision_toolkit.data.synthetic import draw_image

Image = NDArray[np.uint8]
HEIGHT, WIDTH = 150, 200


def smooth_noise(rng: np.random.Generator, height: int, width: int, cells: int) -> NDArray[np.float64]:
    """Draw noise with about ``cells`` spots across, deviation 1."""
    coarse = rng.normal(size=(cells + 1, cells + 1))

    def along(length: int) -> NDArray[np.float64]:
        at = np.linspace(0, cells, length)
        return np.asarray(np.clip(1 - np.abs(at[:, None] - np.arange(cells + 1)), 0, None))

    drawn = along(height) @ coarse @ along(width).T
    return np.asarray(drawn / drawn.std())


def disc(seed: int) -> Image:
    """Draw a round part under a fixed camera: silhouette and pose are shared, the surface is its own."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    surface = 150 + 7 * smooth_noise(rng, HEIGHT, WIDTH, 12) + 5 * smooth_noise(rng, HEIGHT, WIDTH, 30)
    light = 1 + rng.normal(0, 0.03) + rng.normal(0, 0.03) * (x / WIDTH - 0.5)
    grey = np.where(np.hypot(y - 75, x - 100) < 60, surface, 60) * light + rng.normal(0, 2, (HEIGHT, WIDTH))
    return np.asarray(np.clip(grey[..., None] * np.array([1.0, 0.8, 0.6]), 0, 255), np.uint8)


def board(seed: int) -> Image:
    """Draw a board: the same components at the same places, each moved by a pixel or so."""
    rng, plan = np.random.default_rng(seed), np.random.default_rng(5)
    grey = np.full((HEIGHT, WIDTH), 70.0)
    for _ in range(25):
        top, left, height, width = plan.integers([5, 5, 5, 5], [HEIGHT - 30, WIDTH - 30, 25, 25])
        down, right = rng.integers(-1, 2, 2)
        grey[top + down : top + down + height, left + right : left + right + width] = plan.integers(30, 220)
    grey = grey + 2 * smooth_noise(rng, HEIGHT, WIDTH, 40) + rng.normal(0, 2, grey.shape)
    return np.repeat(np.asarray(np.clip(grey, 0, 255), np.uint8)[..., None], 3, axis=2)


def saved_again(image: Image) -> Image:
    return read_image(encode_jpeg(image, quality=70))


def resized(image: Image) -> Image:
    rows, columns = (np.linspace(0, n - 1, round(n * 0.9)).round().astype(int) for n in image.shape[:2])
    return np.asarray(image[rows][:, columns])


def brightened(image: Image) -> Image:
    return np.asarray(np.clip(image * 1.05, 0, 255), np.uint8)


def shifted(image: Image) -> Image:
    return np.pad(image, ((2, 0), (2, 0), (0, 0)), mode="edge")[:-2, :-2]


def cropped(image: Image) -> Image:
    return image[2:-2, 3:-3]


def cropped_at_one_corner(image: Image) -> Image:
    return image[4:, 6:]


COPIES = [saved_again, resized, brightened, shifted, cropped, cropped_at_one_corner]


def entries(count: int) -> list[Entry]:
    return [Entry(f"{i}.png") for i in range(count)]


@pytest.fixture(scope="module", params=[disc, board])
def parts(request: pytest.FixtureRequest) -> list[Image]:
    return [request.param(seed) for seed in range(30)]


class TestNearDuplicates:
    def test_different_parts_under_one_camera_stay_apart(self, parts: list[Image]) -> None:
        assert near_duplicates(entries(30), images=parts) == ()

    @pytest.mark.parametrize("change", COPIES)
    def test_copies_are_grouped_with_their_original_and_nothing_else(
        self, parts: list[Image], change: Callable[[Image], Image]
    ) -> None:
        images = [*parts, *(change(part) for part in parts[:8])]
        assert near_duplicates(entries(38), images=images) == tuple((i, 30 + i) for i in range(8))

    def test_all_copies_of_one_shot_are_one_group(self, parts: list[Image]) -> None:
        images = [*parts, *(change(parts[4]) for change in COPIES)]
        assert near_duplicates(entries(36), images=images) == ((4, *range(30, 36)),)

    def test_two_kinds_of_part_in_one_set_stay_apart_too(self) -> None:
        images = [make(seed) for seed in range(15) for make in (disc, board)]
        assert near_duplicates(entries(30), images=images) == ()
        assert near_duplicates(entries(31), images=[*images, cropped(images[7])]) == ((7, 30),)

    def test_order_of_the_images_does_not_matter(self, parts: list[Image]) -> None:
        images = [*parts, *(cropped(part) for part in parts[:5])]
        order = np.random.default_rng(1).permutation(35).tolist()
        found = near_duplicates(entries(35), images=[images[i] for i in order])
        assert sorted(sorted(order[i] for i in group) for group in found) == [[i, 30 + i] for i in range(5)]

    def test_few_images(self, parts: list[Image]) -> None:
        assert near_duplicates([]) == ()
        assert near_duplicates(entries(1), images=parts[:1]) == ()
        assert near_duplicates(entries(2), images=parts[:2]) == ()
        assert near_duplicates(entries(2), images=[parts[0], saved_again(parts[0])]) == ((0, 1),)
        assert near_duplicates(entries(4), images=[*parts[:3], cropped(parts[1])]) == ((1, 3),)

    def test_flat_images_are_alike_only_as_equal_pixels(self) -> None:
        flat = [np.full((40, 40, 3), level, np.uint8) for level in (0, 90, 90, 255)]
        assert near_duplicates(entries(4), images=flat) == ((1, 2),)

    def test_images_of_all_sizes_down_to_one_pixel(self) -> None:
        rng = np.random.default_rng(2)
        sizes = [(1, 1), (3, 500), (64, 64), (65, 63), (2, 2), (700, 2)]
        images = [rng.integers(0, 256, (*size, 3), dtype=np.uint8) for size in sizes]
        assert near_duplicates(entries(6), images=images) == ()

    @pytest.mark.slow
    def test_castings_that_lie_turned_alike_stay_apart(self) -> None:
        # 7 and 12 share everything but the grain of the surface.
        images = [draw_image("casting", i)[0] for i in (7, 12, *range(20, 30))]
        assert near_duplicates(entries(12), images=images) == ()
        assert near_duplicates(entries(13), images=[*images, cropped(saved_again(images[1]))]) == ((1, 12),)


class TestRealImages:
    def test_cookies(self, shared: Path) -> None:
        """Files 1 and 2 of the normal ones are the same cookie in the same place."""
        folder = shared / "data" / "cookies" / "training-images"
        images = [read_image(folder / f"normal-{i}.jpg") for i in range(1, 25)]
        copies = [change(images[4 + i]) for i, change in enumerate(COPIES)]
        assert near_duplicates(entries(30), images=[*images, *copies]) == ((0, 1), *((4 + i, 24 + i) for i in range(6)))


class TestFiles:
    def write(self, folder: Path, contents: dict[str, bytes]) -> list[Entry]:
        for name, data in contents.items():
            (folder / name).write_bytes(data)
        return [Entry(name, at=str(folder / name)) for name in contents]

    def test_copies_among_files_are_found(self, tmp_path: Path) -> None:
        found = self.write(
            tmp_path,
            {f"{i}.png": encode_png(disc(i)) for i in range(8)}
            | {"equal.png": encode_png(disc(3)), "again.jpg": encode_jpeg(disc(5), quality=70)},
        )
        assert near_duplicates(found) == ((3, 8), (5, 9))
        assert near_duplicates(found, threads=1) == near_duplicates(found, threads=4)

    def test_unreadable_images_have_no_duplicates(self, tmp_path: Path) -> None:
        same = encode_png(disc(0))
        found = self.write(tmp_path, {"a.png": same, "broken.png": b"no image", "empty.png": b"", "b.png": same})
        found += [Entry("missing.png", at=str(tmp_path / "missing.png"))] * 2
        assert near_duplicates(found) == ((0, 3),)
        with pytest.raises(Invalid, match=r"broken\.png"):
            near_duplicates(found, unreadable="raise")
        with pytest.raises(NotFound, match=r"missing\.png"):
            near_duplicates(found[4:], unreadable="raise")

    def test_progress_counts_to_the_end(self, tmp_path: Path) -> None:
        found = self.write(tmp_path, {f"{i}.png": encode_png(disc(i)) for i in range(3)})
        seen: list[tuple[int, int]] = []
        near_duplicates(found, progress=lambda done, of: seen.append((done, of)))
        assert seen == [(1, 3), (2, 3), (3, 3)]


def test_bad_input_is_told() -> None:
    with pytest.raises(Invalid, match="one image an entry: 2; 1"):
        near_duplicates(entries(2), images=[disc(0)])
    with pytest.raises(Invalid, match="'skip' or 'raise'; 'ignore'"):
        near_duplicates(entries(2), unreadable="ignore")  # type: ignore[arg-type]
    with pytest.raises(Invalid, match="threads is at least 1"):
        near_duplicates(entries(2), threads=0)


class TestPerceptualHash:
    def bits_apart(self, one: Image, other: Image) -> int:
        both = np.frombuffer(perceptual_hash(one), np.uint8) ^ np.frombuffer(perceptual_hash(other), np.uint8)
        return int(np.unpackbits(both).sum())

    @pytest.mark.parametrize("change", [saved_again, resized, brightened])
    def test_copies_are_near_and_other_pictures_far(self, change: Callable[[Image], Image]) -> None:
        # Two unrelated pictures differ in 128 of 256 bits on average.
        assert self.bits_apart(disc(0), change(disc(0))) <= 12
        assert self.bits_apart(disc(0), change(board(0))) >= 80

    def test_flat_images_hash_alike(self) -> None:
        flat = [perceptual_hash(np.full((50, 70, 3), level, np.uint8)) for level in (0, 77, 255)]
        assert len(set(flat)) == 1

    @pytest.mark.parametrize(
        "image", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8)], ids=str
    )
    def test_other_shapes_and_dtypes_are_refused(self, image: NDArray[np.uint8]) -> None:
        with pytest.raises(Invalid, match=r"\(H, W, 3\) uint8"):
            perceptual_hash(image)
