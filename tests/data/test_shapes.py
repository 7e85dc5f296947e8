"""Regions to masks, masks to regions, run lengths: exact to the pixel, against the reference where there is one."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pycocotools import mask as reference

from vision_toolkit.core import Invalid, Mask, Region
from vision_toolkit.data.shapes import (
    OVERHANG,
    decode_run_string,
    decode_runs,
    encode_run_string,
    encode_runs,
    inside_image,
    is_box,
    outline_regions,
    paint_regions,
)

NAMES = ("background", "a", "b", "c")
sides = st.integers(1, 14)
pixels = hnp.arrays(np.uint8, st.tuples(sides, sides), elements=st.integers(0, 3), fill=st.sampled_from([0, 1]))
binary = hnp.arrays(np.uint8, st.tuples(sides, sides), elements=st.integers(0, 1))


def drawn(*rows: str) -> Mask:
    return Mask(np.array([[int(one) for one in row.replace(".", "0")] for row in rows], np.uint8), NAMES)


def repainted(mask: Mask) -> np.ndarray:
    return paint_regions(outline_regions(mask), mask.size, names=mask.names).ids


class TestOutline:
    @given(pixels | binary)
    def test_painting_it_again_gives_the_same_pixels(self, ids):
        mask = Mask(ids, NAMES)
        assert np.array_equal(repainted(mask), ids)

    @pytest.mark.parametrize(
        ("rows", "patches"),
        [
            (("1",), 1),
            (("...", "...", "..."), 0),
            (("111", "111"), 1),
            (("1.", ".1"), 1),
            ((".1", "1."), 1),
            (("1.1", "...", "1.1"), 4),
            (("111", "1.1", "111"), 1),
            (("11111", "1...1", "1.1.1", "1...1", "11111"), 2),
            (("1111", "1.11", "11.1", "1111"), 1),
            (("1111111", "1.....1", "1.111.1", "1.1.1.1", "1.111.1", "1.....1", "1111111"), 2),
            (("121", "212", "121"), 2),
            (("11.", "1.1", ".11"), 1),
            (("222", "212", "222"), 2),
            ((".1.", "1.1", ".1."), 1),
        ],
    )
    def test_one_polygon_a_patch_also_at_borders_corners_and_holes(self, rows, patches):
        mask = drawn(*rows)
        assert len(outline_regions(mask)) == patches
        assert np.array_equal(repainted(mask), mask.ids)

    def test_a_polygon_has_a_corner_only_where_the_border_turns(self):
        mask = drawn("....", ".11.", ".11.", "....")
        (region,) = outline_regions(mask)
        assert is_box(region) and region.name == "a" and region.bounds == (0.25, 0.25, 0.75, 0.75)

    def test_they_come_in_the_order_of_the_types_from_top_to_bottom(self):
        regions = outline_regions(drawn("2.1", "...", "1.2"))
        assert [(one.name, one.bounds[1]) for one in regions] == [("a", 0.0), ("a", 2 / 3), ("b", 0.0), ("b", 2 / 3)]

    def test_a_disc_among_noise_comes_back(self):
        y, x = np.mgrid[:200, :300]
        ids = (((x - 150) ** 2 + (y - 100) ** 2 < 80**2) & (np.random.default_rng(0).random((200, 300)) < 0.9)) * 2
        mask = Mask(ids.astype(np.uint8), NAMES)
        assert np.array_equal(repainted(mask), mask.ids)


def inside(point: tuple[float, float], polygon: list[tuple[float, float]]) -> bool:
    """Say by the winding crossings of a ray to the right, one side after the other, whether a point is inside."""
    x, y = point
    crossings = 0
    for (x0, y0), (x1, y1) in zip(polygon, polygon[1:] + polygon[:1], strict=True):
        if (y0 <= y) != (y1 <= y) and x < x0 + (y - y0) * (x1 - x0) / (y1 - y0):
            crossings += 1
    return crossings % 2 == 1


class TestPaint:
    @given(st.lists(st.tuples(st.floats(-0.3, 1.3), st.floats(-0.3, 1.3)), min_size=3, max_size=7), sides, sides)
    def test_a_pixel_belongs_to_a_polygon_when_its_centre_is_inside(self, polygon, width, height):
        ids = paint_regions([Region("a", tuple(polygon))], (width, height)).ids
        for row in range(height):
            for column in range(width):
                x, y = column + 0.5, row + 0.5
                scaled = [(px * width, py * height) for px, py in polygon]
                near = {inside((x + dx, y + dy), scaled) for dx in (-1e-9, 1e-9) for dy in (-1e-9, 1e-9)}
                if len(near) == 1:  # not on a side, where rounding decides
                    assert ids[row, column] == near.pop()

    def test_polygons_that_share_a_side_share_no_pixel_and_leave_none(self):
        rng = np.random.default_rng(1)
        for _ in range(50):
            x, y = rng.random(2)
            fans = [((0, 0), (1, 0), (x, y)), ((1, 0), (1, 1), (x, y)), ((1, 1), (0, 1), (x, y))]
            fans.append(((0, 1), (0, 0), (x, y)))
            areas = [int(paint_regions([Region("a", fan)], (37, 29)).ids.sum()) for fan in fans]
            assert sum(areas) == 37 * 29

    def test_later_regions_paint_over_earlier_and_background_erases(self):
        everything = Region.box("a", left=0, top=0, width=1, height=1)
        left = Region.box("b", left=0, top=0, width=0.5, height=1)
        top = Region.box("background", left=0, top=0, width=1, height=0.5)
        mask = paint_regions([everything, left, top], (2, 2))
        assert mask.ids.tolist() == [[0, 0], [2, 1]] and mask.names == ("background", "a", "b")
        assert paint_regions([left, everything], (2, 2)).ids.tolist() == [[2, 2], [2, 2]]

    def test_names_fix_the_ids(self):
        box = Region.box("b", left=0, top=0, width=1, height=1)
        assert paint_regions([box], (1, 1), names=("a", "b")).ids.tolist() == [[2]]
        assert paint_regions([box], (1, 1), names=("background", "a", "b")).names == ("background", "a", "b")
        assert paint_regions([], (2, 1)).ids.tolist() == [[0, 0]]
        with pytest.raises(Invalid, match="called 'b'"):
            paint_regions([box], (1, 1), names=("a",))

    @pytest.mark.parametrize("size", [(0, 4), (4, -1), (10**6, 10**6)])
    def test_an_impossible_size_is_told(self, size):
        with pytest.raises(Invalid, match="pixels"):
            paint_regions([], size)

    @pytest.mark.parametrize("bad", [math.nan, math.inf])
    def test_a_corner_that_is_no_number_is_told(self, bad):
        with pytest.raises(Invalid, match="'a'"):
            paint_regions([Region("a", ((0, 0), (1, 0), (bad, 1)))], (4, 4))

    def test_more_types_than_a_byte_can_tell(self):
        many = [Region.box(str(i), left=0, top=0, width=1, height=1) for i in range(256)]
        with pytest.raises(Invalid, match="255"):
            paint_regions(many, (4, 4))
        assert paint_regions(many[:255], (4, 4)).ids.max() == 255

    def test_far_outside_costs_nothing(self):
        giant = Region("a", ((-1e9, -1e9), (1e9, -1e9), (1e9, 1e9), (-1e9, 1e9)))
        assert paint_regions([giant], (30, 20)).ids.all()

    def test_a_large_disc_has_its_area(self):
        circle = [(0.5 + 0.4 * math.cos(t / 30), 0.5 + 0.4 * math.sin(t / 30)) for t in range(188)]
        mask = paint_regions([Region("a", tuple(circle))], (4096, 4096))
        assert mask.areas()["a"] == pytest.approx(math.pi * 0.16, rel=1e-3)


class TestInsideImage:
    def test_a_little_over_the_border_is_cut(self):
        region = inside_image(Region("a", ((-0.01, 0.5), (1 + OVERHANG, 0.5), (1, 1))))
        assert region.polygon == ((0.0, 0.5), (1.0, 0.5), (1.0, 1.0))
        within = Region("a", ((0, 0), (1, 0), (1, 1)), 0.5, "x")
        assert inside_image(within) is within

    @pytest.mark.parametrize("bad", [math.nan, -0.5, 1.5, 300.0])
    def test_far_out_is_an_error(self, bad):
        with pytest.raises(Invalid, match="'a'"):
            inside_image(Region("a", ((0, 0), (bad, 0), (1, 1))))


@pytest.mark.parametrize(
    ("corners", "answer"),
    [
        (((0, 0), (1, 0), (1, 1), (0, 1)), True),
        (((1, 1), (0, 1), (0, 0), (1, 0)), True),
        (((0, 0), (0, 1), (1, 1), (1, 0)), True),
        (((0, 0), (1, 1), (1, 0), (0, 1)), False),
        (((0, 0), (1, 0), (1, 1)), False),
        (((0.5, 0), (1, 0.5), (0.5, 1), (0, 0.5)), False),
    ],
)
def test_a_box_is_an_upright_rectangle(corners, answer):
    assert is_box(Region("a", corners)) is answer


class TestRuns:
    @given(binary)
    def test_they_are_those_of_pycocotools_both_ways(self, ids):
        theirs = reference.encode(np.asfortranarray(ids))
        counts = encode_runs(ids)
        size = (ids.shape[1], ids.shape[0])
        assert encode_run_string(counts) == theirs["counts"].decode()
        assert decode_run_string(theirs["counts"].decode()) == counts
        assert np.array_equal(decode_runs(counts, size), ids.astype(bool))
        theirs = reference.frPyObjects({"counts": counts, "size": list(ids.shape)}, *ids.shape)
        assert np.array_equal(reference.decode(theirs), ids)

    def test_a_large_picture_with_long_runs(self):
        ids = np.zeros((3000, 2000), np.uint8)
        ids[100:2900, 300:1999] = 1
        ids[::7, ::3] ^= 1
        text = encode_run_string(encode_runs(ids))
        assert text == reference.encode(np.asfortranarray(ids))["counts"].decode()
        assert np.array_equal(decode_runs(decode_run_string(text), (2000, 3000)), ids.astype(bool))

    @given(st.lists(st.integers(0, 2**40), max_size=20))
    def test_any_numbers_survive_the_string(self, counts):
        assert decode_run_string(encode_run_string(counts)) == counts

    @pytest.mark.parametrize(
        ("counts", "size", "words"),
        [
            ([1, 2], (2, 2), "add up to 4; these to 3"),
            ([-1, 5], (2, 2), "whole numbers"),
            ([1.5, 2.5], (2, 2), "whole numbers"),
            ([True, 3], (2, 2), "whole numbers"),
            (["1", 3], (2, 2), "whole numbers"),
            ([10**12], (10**6, 10**6), "at most"),
        ],
    )
    def test_counts_that_cannot_be(self, counts, size, words):
        with pytest.raises(Invalid, match=words):
            decode_runs(counts, size)

    @pytest.mark.parametrize("text", ["\x00", "ü", "22P", "p", "o" * 40, "P" * 20])
    def test_strings_that_cannot_be(self, text):
        with pytest.raises(Invalid, match="string"):
            decode_run_string(text)

    def test_a_mask_has_two_sides(self):
        with pytest.raises(Invalid, match=r"\(H, W\)"):
            encode_runs(np.zeros(4))
        assert encode_runs(np.zeros((0, 3))) == [] and decode_runs([], (3, 0)).shape == (0, 3)
