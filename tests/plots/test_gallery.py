"""Contact sheets: sizes, places, titles, frames."""

from __future__ import annotations

from collections.abc import Iterator

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest

from vision_toolkit.core import Invalid
from vision_toolkit.plots import contact_sheet


@pytest.fixture(autouse=True)
def _no_figure_left() -> Iterator[None]:
    yield
    plt.close("all")


def flat(height: int, width: int, value: int = 90) -> np.ndarray:
    return np.full((height, width, 3), value, np.uint8)


def places(sheet: plt.Figure) -> list[tuple[float, float, float, float]]:
    """Return left, right, top, bottom of every image in inches."""
    extents = (picture.get_extent() for picture in sheet.axes[0].images)
    return [(left, right, top, bottom) for left, right, bottom, top in extents]


@pytest.mark.parametrize("count", [1, 2, 7, 65, 200])
def test_every_image_has_its_own_place_within_the_sheet(count: int) -> None:
    sheet = contact_sheet([flat(30, 40, i) for i in range(count)], width=8)
    width, height = sheet.get_size_inches()
    assert width == 8
    boxes = places(sheet)
    assert len(boxes) == count
    for left, right, top, bottom in boxes:
        assert 0 <= left < right <= width
        assert 0 <= top < bottom <= height + 1e-6
    corners = {(round(left, 3), round(top, 3)) for left, _, top, _ in boxes}
    assert len(corners) == count
    assert sheet.axes[0].get_xlim() == (0, 8)


def test_images_keep_their_proportions_whatever_their_sizes() -> None:
    sizes = [(10, 10), (400, 100), (100, 400), (1000, 2000), (3, 1), (1, 300)]
    sheet = contact_sheet([flat(*size) for size in sizes], columns=3)
    for (height, width), (left, right, top, bottom) in zip(sizes, places(sheet), strict=True):
        if min(height, width) > 5:
            assert (right - left) / (bottom - top) == pytest.approx(width / height, rel=0.05)
        assert right > left
        assert bottom > top


def test_large_images_are_shrunk_to_the_dots_of_their_place() -> None:
    sheet = contact_sheet([flat(1500, 2000)] * 4, columns=4, width=8)
    assert all(max(picture.get_array().shape[:2]) <= 2 * 150 for picture in sheet.axes[0].images)


def test_grey_images_are_shown_in_grey() -> None:
    picture = contact_sheet([np.full((20, 20), 77, np.uint8)]).axes[0].images[0].get_array()
    assert picture.shape[2] == 3
    assert (np.asarray(picture) == 77).all()


def test_titles_frames_and_columns_are_as_asked() -> None:
    titles = ["a.png\nnormal", "b_$5$.png", "c" * 200]
    sheet = contact_sheet([flat(20, 20)] * 3, titles=titles, colours=["#D55E00", None, "#0072B2"], columns=2, width=6)
    ax = sheet.axes[0]
    texts = [text.get_text() for text in ax.texts]
    assert texts[0] == "a.png\nnormal"
    assert texts[1] == r"b_\$5\$.png"
    assert texts[2].endswith("…")
    assert len(texts[2]) < 60
    assert [mpl.colors.to_hex(patch.get_edgecolor()).upper() for patch in ax.patches] == ["#D55E00", "#0072B2"]
    tops = [round(top, 3) for _, _, top, _ in places(sheet)]
    assert tops[0] == tops[1] < tops[2]
    sheet.canvas.draw()


def test_sheet_is_white_and_leaves_the_settings_alone() -> None:
    with plt.style.context("dark_background"):
        before = dict(plt.rcParams)
        sheet = contact_sheet([flat(9, 9)], titles=["one"])
        assert sheet.get_facecolor() == (1.0, 1.0, 1.0, 1.0)
        assert sheet.axes[0].texts[0].get_color() == "#1F2933"
        assert dict(plt.rcParams) == before


@pytest.mark.parametrize(
    ("images", "arguments", "words"),
    [
        ([], {}, "1 to 200 images; 0 were given"),
        ([flat(2, 2)] * 201, {}, "201"),
        ([flat(2, 2)], {"titles": ["a", "b"]}, "titles .* 1; 2"),
        ([flat(2, 2)], {"colours": []}, "colours"),
        ([flat(2, 2)], {"colours": ["red"]}, "#rrggbb"),
        ([flat(2, 2)], {"columns": 0}, "columns"),
        ([flat(2, 2)], {"width": 0.0}, "inches"),
        ([np.zeros((2, 2, 3))], {}, "uint8"),
        ([np.zeros(5, np.uint8)], {}, r"\(5,\)"),
    ],
)
def test_bad_input_is_told(images: list[np.ndarray], arguments: dict[str, object], words: str) -> None:
    with pytest.raises(Invalid, match=words):
        contact_sheet(images, **arguments)  # type: ignore[arg-type]
