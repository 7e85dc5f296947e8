"""Overlays, checked pixel by pixel against what they promise."""

from __future__ import annotations

from collections.abc import Iterator

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vision_toolkit.core import Invalid, Mask
from vision_toolkit.plots import overlay, show_overlay, trace
from vision_toolkit.plots.overlay import heat_colours

NAMES = ("background", "scratch", "pore")
COLOURS = ("#FFFFFF", "#C80000", "#0000C8")
RED, BLUE = (200, 0, 0), (0, 0, 200)


@pytest.fixture(autouse=True)
def _no_figure_left() -> Iterator[None]:
    yield
    plt.close("all")


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)


def square_mask() -> Mask:
    ids = np.zeros((12, 16), np.uint8)
    ids[3:9, 4:10] = 1
    ids[0:2, 14:16] = 2
    return Mask(ids, NAMES, COLOURS)


def test_nothing_to_lay_returns_the_image_as_a_new_array() -> None:
    image = noise(12, 16)
    empty = Mask(np.zeros((12, 16), np.uint8), NAMES, COLOURS)
    for result in (overlay(image), overlay(image, mask=empty), overlay(image, map=np.zeros((3, 4), np.float32))):
        assert np.array_equal(result, image)
        assert not np.shares_memory(result, image)
    assert np.array_equal(overlay(image, mask=square_mask(), map=np.ones((3, 4)), opacity=0.0), image)


def test_opaque_mask_returns_its_colours_and_leaves_the_background() -> None:
    image, mask = noise(12, 16), square_mask()
    result = overlay(image, mask=mask, opacity=1.0)
    assert np.array_equal(result[mask.ids == 1], np.tile(RED, (36, 1)))
    assert np.array_equal(result[mask.ids == 2], np.tile(BLUE, (4, 1)))
    assert np.array_equal(result[mask.ids == 0], image[mask.ids == 0])


def test_outline_is_the_innermost_ring_of_the_type_in_its_full_colour() -> None:
    image, mask = noise(12, 16), square_mask()
    result = overlay(image, mask=mask, opacity=0.25)
    ring = np.zeros((12, 16), bool)
    ring[3:9, 4:10] = True
    ring[4:8, 5:9] = False
    assert np.array_equal(result[ring], np.tile(RED, (20, 1)))
    inner = np.rint(image[4:8, 5:9] * 0.75 + np.array(RED) * 0.25).astype(np.uint8)
    assert np.array_equal(result[4:8, 5:9], inner)
    without = overlay(image, mask=mask, opacity=0.25, outline=False)
    assert np.array_equal(without[3:9, 4:10], np.rint(image[3:9, 4:10] * 0.75 + np.array(RED) * 0.25).astype(np.uint8))


def test_the_border_of_the_image_is_no_edge_of_a_type() -> None:
    whole = Mask(np.ones((8, 8), np.uint8), NAMES, COLOURS)
    image = np.full((8, 8, 3), 100, np.uint8)
    assert np.array_equal(overlay(image, mask=whole, opacity=0.5), np.tile([150, 50, 50], (8, 8, 1)))


def test_two_types_that_touch_are_outlined_each_in_its_colour() -> None:
    ids = np.repeat(np.array([[1, 1, 1, 2, 2, 2]], np.uint8), 3, axis=0)
    result = overlay(np.zeros((3, 6, 3), np.uint8), mask=Mask(ids, NAMES, COLOURS), opacity=0.5)
    assert result[1].tolist() == [[100, 0, 0], [100, 0, 0], [*RED], [*BLUE], [0, 0, 100], [0, 0, 100]]


def test_wide_images_get_wider_lines() -> None:
    ids = np.zeros((40, 1200), np.uint8)
    ids[:, 600:] = 1
    result = overlay(np.zeros((40, 1200, 3), np.uint8), mask=Mask(ids, NAMES, COLOURS), opacity=0.5)
    assert [tuple(pixel) for pixel in result[20, 598:605].tolist()] == [(0, 0, 0)] * 2 + [RED] * 3 + [(100, 0, 0)] * 2


def test_map_leaves_normal_heights_alone_and_shows_what_is_above() -> None:
    image = noise(20, 20)
    low = overlay(image, map=np.full((5, 5), 0.4, np.float32), opacity=1.0)
    assert np.array_equal(low, image)
    high = overlay(image, map=np.ones((5, 5), np.float32), opacity=1.0)
    assert np.array_equal(high, np.tile([240, 249, 33], (20, 20, 1)))
    differences = [
        np.abs(overlay(image, map=np.full((2, 2), height), opacity=0.7).astype(int) - image).sum()
        for height in (0.45, 0.5, 0.6, 0.75)
    ]
    assert differences == sorted(differences)
    assert differences[0] > 0
    assert differences[1] < differences[3] / 3


def test_map_is_resized_bilinearly() -> None:
    ramp = np.array([[0.0, 1.0]], np.float32)
    image = np.zeros((8, 64, 3), np.uint8)
    result = overlay(image, map=ramp, opacity=1.0, outline=False)
    centres = np.clip((np.arange(64) + 0.5) * 2 / 64 - 0.5, 0, 1)
    colours, weights = heat_colours(centres)
    assert np.abs(result[3].astype(float) - colours * weights[:, None]).max() <= 1.0


def test_map_is_outlined_where_it_reaches_the_level() -> None:
    heights = np.zeros((10, 10), np.float32)
    heights[3:7, 3:7] = 0.6
    result = overlay(np.zeros((10, 10, 3), np.uint8), map=heights)
    ring = np.zeros((10, 10), bool)
    ring[3:7, 3:7] = True
    ring[4:6, 4:6] = False
    assert np.array_equal((result == 255).all(axis=2), ring)
    assert not (overlay(np.zeros((10, 10, 3), np.uint8), map=heights, level=0.7) == 255).any()


def test_heat_colours_agree_with_the_published_table_and_grow_lighter() -> None:
    level = 0.5
    heights = np.linspace(0.8 * level, 1.0, 256)
    colours, weights = heat_colours(heights, level=level)
    reference = mpl.colormaps["plasma"](np.linspace(0.25, 1, 256))[:, :3] * 255
    assert np.abs(colours - reference).max() < 6.5
    lightness = (colours / 255) ** 2.2 @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(lightness) > -1e-3).all()
    assert (np.diff(weights) >= 0).all()
    assert weights[0] == 0
    assert weights[-1] == 1


@given(st.integers(1, 9), st.integers(1, 9), st.floats(0, 1), st.integers(0, 999))
def test_overlay_stays_between_image_and_paint(height: int, width: int, opacity: float, seed: int) -> None:
    image = noise(height, width, seed)
    ids = np.random.default_rng(seed).integers(0, 3, (height, width)).astype(np.uint8)
    mask = Mask(ids, NAMES, COLOURS)
    result = overlay(image, mask=mask, opacity=opacity, outline=False).astype(int)
    paint = mask.to_rgb().astype(int)
    assert (result >= np.minimum(image, paint)).all()
    assert (result <= np.maximum(image, paint)).all()
    assert np.array_equal(result[ids == 0], image[ids == 0])


def test_grey_images_become_colour() -> None:
    grey = np.arange(12, dtype=np.uint8).reshape(3, 4)
    assert np.array_equal(overlay(grey), np.stack([grey] * 3, axis=2))


def test_trace_draws_the_type_inside_and_white_outside_only() -> None:
    image, mask = np.zeros((12, 16, 3), np.uint8), square_mask()
    result = trace(image, mask, width=1)
    assert (result[2, 3:11] == 255).all()
    assert tuple(result[3, 4]) == RED
    assert (result[4:8, 5:9] == 0).all()
    assert (result[11] == 0).all()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"image": np.zeros((4, 4, 3))}, "uint8"),
        ({"image": np.zeros((4, 4, 4), np.uint8)}, r"\(4, 4, 4\)"),
        ({"image": np.zeros((0, 4, 3), np.uint8)}, r"\(0, 4, 3\)"),
        ({"mask": Mask(np.zeros((4, 5), np.uint8))}, r"4 x 4; 5 x 4 .* mask.resized\(4, 4\)"),
        ({"map": np.zeros((2, 2, 1))}, "heat map"),
        ({"map": np.zeros((0, 2))}, "heat map"),
        ({"map": np.full((2, 2), np.nan)}, "nan"),
        ({"map": np.full((2, 2), 1.5)}, "1.5"),
        ({"map": np.array([["a"]])}, "heat map"),
        ({"opacity": 1.1}, "1.1"),
        ({"map": np.zeros((2, 2)), "level": 1.0}, "level"),
    ],
)
def test_bad_input_is_told(arguments: dict[str, object], words: str) -> None:
    given_ = {"image": np.zeros((4, 4, 3), np.uint8), **arguments}
    with pytest.raises(Invalid, match=words):
        overlay(given_.pop("image"), **given_)  # type: ignore[arg-type]


def test_trace_and_truth_of_another_size_are_told() -> None:
    image, mask = np.zeros((4, 4, 3), np.uint8), Mask(np.zeros((4, 5), np.uint8))
    with pytest.raises(Invalid, match="5 x 4"):
        trace(image, mask)
    with pytest.raises(Invalid, match=r"truth.resized\(4, 4\)"):
        show_overlay(image, truth=mask)
    with pytest.raises(Invalid, match="width"):
        trace(image, Mask(np.zeros((4, 4), np.uint8)), width=0)


def test_show_overlay_tells_types_areas_and_heights() -> None:
    image, mask = noise(12, 16), square_mask()
    ax = show_overlay(image, mask=mask, title="part 7")
    legend = ax.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["scratch 18.8 %", "pore 2.1 %"]
    assert ax.get_title(loc="left") == "part 7"
    assert np.array_equal(ax.images[0].get_array(), overlay(image, mask=mask))
    heat = show_overlay(image, map=np.ones((3, 4), np.float32))
    assert heat.get_legend() is None
    ticks = [label.get_text() for label in heat.child_axes[0].get_yticklabels()]
    assert ticks == ["0", "0.5 normal\nreaches this", "1"]


def test_show_overlay_traces_the_truth_and_names_both() -> None:
    image = noise(12, 16)
    nothing = Mask(np.zeros((12, 16), np.uint8), NAMES, COLOURS)
    ax = show_overlay(image, mask=nothing, truth=square_mask())
    legend = ax.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == [
        "found: nothing",
        "truth: scratch 18.8 %",
        "truth: pore 2.1 %",
    ]
    assert np.array_equal(ax.images[0].get_array(), trace(image, square_mask()))


def test_axes_are_reused_and_new_ones_are_white_under_a_dark_theme() -> None:
    with plt.style.context("dark_background"):
        _, given_axes = plt.subplots()
        before = dict(plt.rcParams)
        assert show_overlay(noise(4, 4), ax=given_axes) is given_axes
        ax = show_overlay(noise(4, 4), title="white")
        assert ax.figure.get_facecolor() == (1.0, 1.0, 1.0, 1.0)
        assert ax.title.get_color() != "white"
        assert dict(plt.rcParams) == before
