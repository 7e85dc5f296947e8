"""Images as they come: odd modes, sizes, orientations, and files that are none."""

from __future__ import annotations

import inspect
import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from vision_toolkit.core import Entry, Invalid, Mask, MaskRef, NotFound
from vision_toolkit.data import images
from vision_toolkit.data.images import coverage, encode_jpeg, encode_mask, encode_png, probe, read_image, read_mask
from vision_toolkit.models import runtime

GRADIENT = np.add.outer(np.arange(6), np.arange(8)).astype(np.uint8) * 18


def saved(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def test_the_runtime_decodes_exactly_as_the_library_does():
    assert inspect.getsource(runtime.pixels) == inspect.getsource(images.pixels)
    assert runtime.MAX_PIXELS == images.MAX_PIXELS


def test_grey_palette_alpha_and_sixteen_bits_become_rgb():
    grey = read_image(saved(Image.fromarray(GRADIENT)))
    assert grey.shape == (6, 8, 3) and grey.dtype == np.uint8 and np.array_equal(grey[..., 0], GRADIENT)
    colour = np.dstack([GRADIENT, 255 - GRADIENT, GRADIENT // 2])
    few = Image.fromarray(colour).quantize(8)
    assert np.array_equal(read_image(saved(few)), np.asarray(few.convert("RGB")))
    clear = np.dstack([colour, np.full((6, 8), 7, np.uint8)])
    assert np.array_equal(read_image(saved(Image.fromarray(clear))), colour)
    deep = GRADIENT.astype(np.uint16) * 257
    assert np.array_equal(read_image(saved(Image.fromarray(deep)))[..., 1], GRADIENT)
    assert np.array_equal(read_image(saved(Image.fromarray(deep), "TIFF"))[..., 1], GRADIENT)
    assert read_image(saved(Image.fromarray(GRADIENT > 50))).max() == 255
    assert read_image(saved(Image.new("CMYK", (8, 6)), "JPEG")).shape == (6, 8, 3)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_images_are_turned_upright_by_exif(orientation):
    colour = np.zeros((64, 96, 3), np.uint8)
    colour[:32, :48] = 200
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = saved(Image.fromarray(colour), "JPEG", exif=exif, quality=95)
    image = read_image(data)
    facts = probe(data)
    assert (
        (facts.width, facts.height) == (image.shape[1], image.shape[0]) == ((96, 64) if orientation < 5 else (64, 96))
    )
    # the bright corner after the turn, as EXIF 2.32 defines the eight orientations
    corner = {1: "tl", 2: "tr", 3: "br", 4: "bl", 5: "tl", 6: "tr", 7: "br", 8: "bl"}[orientation]
    y, x = (5 if corner[0] == "t" else -6), (5 if corner[1] == "l" else -6)
    assert image[y, x].mean() > 150 and image[-y - 1, -x - 1].mean() < 50


def test_arrays_of_every_usual_kind():
    for array in (GRADIENT, GRADIENT[..., None], GRADIENT.astype(np.uint16) * 257, (GRADIENT / 255.0).astype("f4")):
        assert np.array_equal(read_image(array)[..., 2], GRADIENT)
    rgba = np.dstack([GRADIENT] * 4)
    assert read_image(rgba).shape == (6, 8, 3) and read_image(Image.fromarray(rgba)).shape == (6, 8, 3)


@pytest.mark.parametrize(
    "bad",
    [
        np.zeros((0, 4), np.uint8), np.zeros((2, 2, 2), np.uint8), np.zeros((1, 2, 3, 3), np.uint8),
        np.zeros(4, np.uint8),
        np.zeros((2, 2), np.int32), np.full((2, 2), 2.0), np.full((3, 2), np.nan), 17, None, b"", b"no image",
    ],
    ids=lambda bad: f"{getattr(bad, 'shape', bad)} {getattr(bad, 'dtype', '')}",
)  # fmt: skip
def test_what_is_no_image_is_refused_in_words(bad):
    with pytest.raises(Invalid):
        read_image(bad)


def test_a_truncated_file_is_refused_not_half_read(tmp_path):
    whole = encode_jpeg(np.random.default_rng(0).integers(0, 255, (200, 200, 3), dtype=np.uint8))
    cut = tmp_path / "cut ü.jpg"
    cut.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(Invalid, match=r"cut ü\.jpg cannot be read"):
        read_image(cut)
    assert probe(cut).width == 200  # its header is there


def test_a_thin_coloured_mark_keeps_its_hue_as_jpeg():
    marked = np.full((32, 32, 3), 128, np.uint8)
    marked[:, 15] = (35, 164, 54)
    again = read_image(encode_jpeg(marked)).astype(int)
    assert np.abs(again - marked).max() < 25
    assert (again[:, 15, 1] - again[:, 15, 0]).min() > 100  # as green as it was: 129


def test_a_decompression_bomb_is_refused_unread():
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    for side in (10_000, 60_000):  # the first Pillow only warns of, the second it refuses itself
        header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
        bomb = (
            b"\x89PNG\r\n\x1a\n"
            + chunk(b"IHDR", header)
            + chunk(b"IDAT", zlib.compress(b"\0" * 99))
            + chunk(b"IEND", b"")
        )
        with pytest.raises(Invalid, match="pixels that are decoded"):
            read_image(bomb)
        with pytest.raises(ValueError, match=r"pixels|bomb"):
            runtime.read(bomb)


def test_paths_with_spaces_and_umlauts_and_file_uris(tmp_path):
    path = tmp_path / "Prüf teile" / "größe 1.png"
    path.parent.mkdir()
    path.write_bytes(encode_png(GRADIENT))
    for source in (path, str(path), path.as_uri(), Entry("x.png", at=str(path))):
        assert np.array_equal(read_image(source)[..., 0], GRADIENT)
    with pytest.raises(NotFound, match=r"größe 2\.png"):
        read_image(path.with_name("größe 2.png"))


def test_masks_keep_their_ids_exactly(tmp_path):
    ids = np.random.default_rng(0).integers(0, 4, (40, 30)).astype(np.uint8)
    mask = Mask(ids, ("background", "a", "b", "c"))
    ref = MaskRef("m.png", dict(zip("abc", mask.colours[1:], strict=True)))
    again = read_mask(ref, data=encode_mask(mask))
    assert np.array_equal(again.ids, ids) and again.colours == mask.colours
    other = read_mask(ref, data=encode_mask(mask), names=("c", "a"))
    assert np.array_equal(other.ids == 1, ids == 3) and np.array_equal(other.ids == 2, ids == 1)


@pytest.mark.parametrize("background", [(255, 255, 255, 255), (0, 0, 0, 255), (0, 0, 0, 0), (9, 9, 9, 255)])
def test_a_background_may_be_white_black_transparent_or_anything_else(background):
    pixels = np.tile(np.array(background, np.uint8), (4, 4, 1))
    pixels[0, 0] = (0x23, 0xA4, 0x36, 90)  # an anti-aliased edge still counts as its type
    mask = read_mask(MaskRef("m.png", {"cracked": "#23A436"}), data=saved(Image.fromarray(pixels)))
    assert mask.ids.sum() == 1 and mask.ids[0, 0] == 1


def test_a_dummy_mask_of_another_size_is_background_and_a_painted_one_is_refused():
    dummy = encode_mask(Mask(np.zeros((16, 16), np.uint8)))
    ref = MaskRef("m.png", {"a": "#23A436"})
    assert read_mask(ref, data=dummy, size=(300, 200)).ids.shape == (200, 300)
    painted = encode_mask(Mask(np.ones((16, 16), np.uint8), ("background", "a")))
    with pytest.raises(Invalid, match="16x16, its image 300x200"):
        read_mask(ref, data=painted, size=(300, 200))
    assert read_mask(MaskRef("not there.png", {}), size=(3, 2)).ids.shape == (2, 3)


def test_coverage_is_the_mean_of_the_pixels_in_a_cell():
    ids = np.random.default_rng(1).integers(0, 3, (12, 20)).astype(np.uint8)
    shares = coverage(Mask(ids, ("background", "a", "b")), 5, 4)
    slow = np.stack([(ids == k).reshape(4, 3, 5, 4).mean(axis=(1, 3)) for k in range(3)], axis=2)
    assert np.allclose(shares, slow, atol=1e-6)
