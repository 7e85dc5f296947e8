"""A prediction shows itself: beside its image in a figure, and as a small table in a notebook."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest

from vision_toolkit.core import Entry, Invalid, Label, Mask, MaskRef, NotFound, Prediction, Region, Tag, Task
from vision_toolkit.data.images import encode_mask, encode_png

NAMES = ("background", "scratch")
COLOURS = ("#FFFFFF", "#C80000")


@pytest.fixture(autouse=True)
def _no_figure_left() -> Iterator[None]:
    yield
    plt.close("all")


@pytest.fixture
def image() -> np.ndarray:
    return np.full((24, 32, 3), 90, np.uint8)


def mask_at(*, left: int, right: int) -> Mask:
    ids = np.zeros((24, 32), np.uint8)
    ids[6:18, left:right] = 1
    return Mask(ids, NAMES, COLOURS)


def said(source: str | None = None, *, score: float = 0.9, **parts: object) -> Prediction:
    return Prediction(Task.SEGMENTATION, score=score, threshold=0.6, source=source, **parts)  # type: ignore[arg-type]


def hot_right() -> np.ndarray:
    return np.array([[0.0, 1.0], [0.0, 1.0]], np.float32)


@pytest.fixture
def entry(tmp_path: Path, image: np.ndarray) -> Entry:
    """An entry as a manifest gives it: its source is no path that can be opened, its location is."""
    (tmp_path / "1.png").write_bytes(encode_png(image))
    (tmp_path / "mask.png").write_bytes(encode_mask(mask_at(left=4, right=12)))
    ref = MaskRef("masks/1.png", {"scratch": "#C80000"}, at=str(tmp_path / "mask.png"))
    return Entry("s3://bucket/images/1.png", Label.ANOMALY, mask=ref, at=str(tmp_path / "1.png"))


def panels(prediction: Prediction, *args: object, **more: object) -> dict[str, np.ndarray]:
    """Return what each panel shows, by its title, as (H, W, 3) uint8."""
    figure = prediction.show(*args, **more)  # type: ignore[arg-type]
    return {ax.get_title("left"): np.asarray(ax.images[0].get_array()) for ax in figure.axes}


def test_each_part_that_is_there_has_its_panel_and_the_verdict_comes_first(image: np.ndarray) -> None:
    headline = "anomaly, score 0.90 (threshold 0.60)"
    assert list(panels(said(), image)) == [headline]
    assert list(panels(said(map=hot_right()), image)) == [headline, "heat map"]
    assert list(panels(said(mask=mask_at(left=0, right=9)), image)) == [headline, "mask"]
    assert list(panels(said(map=hot_right(), mask=mask_at(left=0, right=9)), image)) == [headline, "heat map", "mask"]
    assert list(panels(said(score=0.2), image)) == ["normal, score 0.20 (threshold 0.60)"]


def test_the_image_is_untouched_and_map_and_mask_lie_where_they_belong(image: np.ndarray) -> None:
    shown = list(panels(said(map=hot_right(), mask=mask_at(left=20, right=28)), image).values())
    assert np.array_equal(shown[0], image)
    for laid in shown[1:]:
        differs = (laid != image).any(axis=2)
        assert differs[12, 24] and not differs[:, :8].any()


def test_the_panels_stand_side_by_side_in_one_row_and_are_one_figure(image: np.ndarray) -> None:
    figure = said(map=hot_right(), mask=mask_at(left=20, right=28)).show(image)
    assert plt.get_fignums() == []  # type: ignore[attr-defined]
    figure.canvas.draw()
    places = [ax.get_position() for ax in figure.axes]
    assert all(left.x1 <= right.x0 for left, right in pairwise(places))
    width, height = figure.get_size_inches()
    assert 2 < width / height < 5


def test_the_source_is_read_where_it_is_a_path(tmp_path: Path, image: np.ndarray) -> None:
    path = tmp_path / "part.png"
    path.write_bytes(encode_png(image))
    (shown,) = panels(said(str(path))).values()
    assert np.array_equal(shown, image)


@pytest.mark.parametrize("source", ["images/1.png", "nowhere/at/all.png", __file__, None])
def test_where_no_image_can_be_read_it_asks_for_it(source: str | None) -> None:
    with pytest.raises(Invalid, match=r"[Gg]ive the image: p\.show\("):
        said(source).show()


def test_an_image_that_was_given_and_is_not_there_is_told_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="missing"):
        said("1.png").show(tmp_path / "missing.png")


def test_an_entry_brings_its_true_mask(entry: Entry) -> None:
    prediction = said(entry.source, mask=mask_at(left=20, right=28))
    axes = prediction.show(entry).axes[-1]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == [
        "found: scratch 12.5 %",
        "truth: scratch 12.5 %",
    ]
    drawn = np.asarray(axes.images[0].get_array())
    assert tuple(drawn[12, 4]) == (200, 0, 0)  # outlined where it is ...
    assert tuple(drawn[12, 8]) == (90, 90, 90)  # ... and open within
    assert tuple(drawn[12, 24]) == (145, 45, 45)  # filled where it was said to be


def test_without_a_predicted_mask_the_truth_is_outlined_over_the_image(entry: Entry, image: np.ndarray) -> None:
    shown = panels(said(entry.source, map=hot_right()), entry)
    assert tuple(shown["anomaly, score 0.90 (threshold 0.60)"][12, 4]) == (200, 0, 0)
    by_hand = panels(said(), image, truth=mask_at(left=4, right=12))
    assert np.array_equal(*(shown["anomaly, score 0.90 (threshold 0.60)"] for shown in (shown, by_hand)))


def test_another_entry_or_an_image_of_another_size_is_refused_and_nothing_is_drawn(entry: Entry) -> None:
    with pytest.raises(Invalid, match=r"is of 'images/2\.png', the entry is"):
        said("images/2.png").show(entry)
    with pytest.raises(Invalid, match="predicted mask is 32x24, the image 5x4"):
        said(mask=mask_at(left=0, right=1)).show(np.zeros((4, 5, 3), np.uint8))
    with pytest.raises(Invalid, match="truth is 32x24, the image 5x4"):
        said().show(np.zeros((4, 5, 3), np.uint8), truth=mask_at(left=0, right=1))
    assert plt.get_fignums() == []


def test_a_prediction_of_the_entry_s_own_file_is_the_entry_s(entry: Entry) -> None:
    assert panels(said(entry.location), entry)


def test_a_prediction_without_a_verdict_shows_its_image(image: np.ndarray) -> None:
    prediction = Prediction(Task.CLASSIFICATION, tags=(Tag("dog"), Tag("cat")))
    assert list(panels(prediction, image)) == ["2 tags, 0 regions"]


def test_the_table_tells_verdict_and_areas_and_not_where_the_file_lies() -> None:
    table = said("/private/place/<b>1.png", mask=mask_at(left=20, right=28))._repr_html_()
    for words in ("anomaly", "0.90", "anomaly from 0.60", "scratch", "12.50% of the image", "&lt;b&gt;1.png"):
        assert words in table
    assert "private" not in table and "<b>" not in table and "background" not in table


def test_the_table_names_tags_and_counts_regions_of_a_prediction_without_a_verdict() -> None:
    box = Region.box("dog", left=0, top=0, width=1, height=1)
    table = Prediction(Task.CLASSIFICATION, tags=(Tag("dog"), Tag("cat")), regions=(box,))._repr_html_()
    assert "dog, cat" in table and ">1<" in table and "verdict" not in table
