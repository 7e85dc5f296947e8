"""The values that every room passes around."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from vision_toolkit.core import (
    Entry,
    Invalid,
    Label,
    Mask,
    MaskRef,
    Prediction,
    Region,
    Settings,
    Tag,
    Task,
    Unsupported,
    VisionError,
    errors,
)
from vision_toolkit.core.mask import PALETTE, hex_to_rgb, palette_colour


def test_every_error_is_ours_and_a_builtin():
    for name in errors.__all__:
        kind = getattr(errors, name)
        assert issubclass(kind, VisionError) and kind.__doc__


def test_an_entry_is_equal_by_what_it_says_not_by_spelling_or_place():
    one = Entry("a.png", Label.NORMAL, raw="{...}", at="/here/a.png")
    two = Entry("a.png", Label.NORMAL)
    assert one == two and hash(one) == hash(two) and one.location != two.location
    assert one.relabelled("anomaly") != two
    assert one.relabelled("anomaly").raw == "{...}"  # the line's other keys are not forgotten


@pytest.mark.parametrize("bad", ["Normal", "good", "", None])
def test_an_unknown_label_is_refused_with_the_known_ones(bad):
    with pytest.raises(Invalid, match="'normal', 'anomaly', 'unlabelled'"):
        Entry("a.png").relabelled(bad)


def test_a_region_needs_three_corners():
    with pytest.raises(Invalid, match="three corners"):
        Region("pore", ((0, 0), (1, 1)))
    box = Region.box("pore", left=0.1, top=0.2, width=0.3, height=0.4)
    assert box.bounds == pytest.approx((0.1, 0.2, 0.4, 0.6))


def test_values_can_be_keys():
    ref = MaskRef("m.png", {"scratch": "#23A436"})
    assert len({Entry("a.png", mask=ref), Entry("a.png", mask=ref), Tag("x"), ref}) == 3


class TestMask:
    def test_colours_decide_and_everything_else_is_background(self):
        pixels = np.array(
            [[[0x23, 0xA4, 0x36, 255], [0x23, 0xA4, 0x36, 3]], [[0x23, 0xA4, 0x36, 0], [0, 0, 0, 255]]], np.uint8
        )
        mask = Mask.from_pixels(pixels, {"cracked": "#23a436"})
        assert mask.ids.tolist() == [[1, 1], [0, 0]]  # half-transparent counts, wholly transparent does not

    @given(
        hnp.arrays(
            np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=9), elements=st.integers(0, 5)
        )
    )
    def test_painting_and_reading_give_the_same_ids(self, ids):
        names = ("background", *"abcde")
        mask = Mask(ids, names)
        colours = dict(zip(names[1:], mask.colours[1:], strict=True))
        again = Mask.from_pixels(mask.to_rgb(), colours)
        assert np.array_equal(again.ids, ids) and again.names == names
        assert sum(mask.areas().values()) == pytest.approx(1.0)
        assert next(iter(mask.areas())) == "background"

    def test_resizing_takes_the_nearest_pixel(self):
        mask = Mask(np.array([[0, 1], [2, 3]], np.uint8), ("background", "a", "b", "c"))
        assert mask.resized(4, 4).ids.tolist() == [[0, 0, 1, 1], [0, 0, 1, 1], [2, 2, 3, 3], [2, 2, 3, 3]]
        assert np.array_equal(mask.resized(4, 4).resized(2, 2).ids, mask.ids)

    @pytest.mark.parametrize(
        ("ids", "names", "said"),
        [
            (np.zeros((2, 2)), ("background",), "uint8"),
            (np.zeros((2, 2, 3), np.uint8), ("background",), r"\(H, W\)"),
            (np.ones((2, 2), np.uint8), ("background",), "ids go up to 1"),
            (np.zeros((2, 2), np.uint8), ("scratch",), "background"),
            (np.zeros((2, 2), np.uint8), ("background", "a", "a"), "different"),
        ],
    )
    def test_what_breaks_its_rules_is_refused(self, ids, names, said):
        with pytest.raises(Invalid, match=said):
            Mask(ids, names)

    def test_the_palette_has_256_different_colours_in_the_console_order(self):
        colours = [palette_colour(i) for i in range(256)]
        assert len({hex_to_rgb(colour) for colour in colours}) == 256
        assert colours[: len(PALETTE)] == list(PALETTE) and colours[1] == "#23A436"

    @pytest.mark.parametrize("bad", ["23A43", "#GGGGGG", "red", "#23A4366"])
    def test_a_colour_is_rrggbb(self, bad):
        with pytest.raises(Invalid, match="#rrggbb"):
            hex_to_rgb(bad)


class TestPrediction:
    @given(st.floats(0, 1), st.floats(0, 1))
    def test_verdict_and_confidence_follow_from_score_and_threshold(self, score, threshold):
        p = Prediction(Task.CLASSIFICATION, score=score, threshold=threshold)
        assert p.is_anomalous == (round(score, 4) >= round(threshold, 4))
        assert p.confidence == pytest.approx(score if p.is_anomalous else 1 - score, abs=1e-6)
        assert 0 <= p.confidence <= 1

    def test_four_digits_decide(self):
        assert Prediction(Task.CLASSIFICATION, score=0.49996, threshold=0.5).is_anomalous
        assert not Prediction(Task.CLASSIFICATION, score=0.4999, threshold=0.5).is_anomalous

    def test_a_model_without_verdict_says_so(self):
        with pytest.raises(Unsupported, match="tags and regions"):
            _ = Prediction(Task.CLASSIFICATION, tags=(Tag("cat"),)).is_anomalous

    def test_areas_begin_with_the_background(self):
        mask = Mask(np.array([[1, 1], [1, 0]], np.uint8), ("background", "crack"))
        p = Prediction(Task.SEGMENTATION, score=0.9, threshold=0.5, mask=mask)
        assert p.areas() == {"background": 0.25, "crack": 0.75} and next(iter(p.areas())) == "background"
        assert p.to_dict()["areas"]["crack"] == 0.75
        assert "crack 75.00 %" in repr(p)

    @pytest.mark.parametrize("bad", [-0.1, 1.1, float("nan")])
    def test_a_threshold_lies_between_0_and_1(self, bad):
        with pytest.raises(Invalid, match="between 0 and 1"):
            Prediction(Task.CLASSIFICATION, score=0.5, threshold=0.5).at(bad)


class TestSettings:
    def test_are_read_from_the_environment(self, tmp_path):
        read = Settings.read({"VISION_TOOLKIT_THREADS": "3", "VISION_TOOLKIT_CACHE": str(tmp_path)})
        assert (read.threads, read.usable_threads(), read.cache, read.weights) == (3, 3, tmp_path, "auto")
        assert Settings.read({"XDG_CACHE_HOME": "/c"}).cache.as_posix() == "/c/vision_toolkit"

    @pytest.mark.parametrize("bad", ["0", "-1", "many", "1.5"])
    def test_threads_are_a_number_from_1(self, bad):
        with pytest.raises(Invalid, match="VISION_TOOLKIT_THREADS"):
            Settings.read({"VISION_TOOLKIT_THREADS": bad})
