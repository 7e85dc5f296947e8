"""What the stand-alone runtime makes of the bytes of an image, and what it refuses before it decodes one."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from vision_toolkit.models import runtime

ALLOWED = {"formats": ("JPEG", "PNG")}
RED_LEFT = np.zeros((20, 40, 3), np.uint8)
RED_LEFT[:, :20, 0] = 255


def encoded(kind: str, *, turned: int = 1, **options) -> bytes:
    data, exif = io.BytesIO(), Image.Exif()
    exif[0x0112] = turned
    Image.fromarray(RED_LEFT).save(data, kind, exif=exif, **options)
    return data.getvalue()


def told_late(png: bytes) -> bytes:
    """Move the chunk that says how a PNG is turned behind its pixels."""
    chunks, at = [], 8
    while at < len(png):
        end = at + 12 + int.from_bytes(png[at : at + 4])
        chunks.append(png[at:end])
        at = end
    chunks.sort(key=lambda chunk: {b"eXIf": 1, b"IEND": 2}.get(chunk[4:8], 0))
    return png[:8] + b"".join(chunks)


@pytest.mark.parametrize("data", [
    encoded("JPEG", turned=6, quality=95), encoded("PNG", turned=6), told_late(encoded("PNG", turned=6)),
], ids=["jpeg", "png", "png that tells it after its pixels"])  # fmt: skip
def test_the_size_that_counts_is_that_of_the_upright_image(data):
    upright = runtime.read(data, **ALLOWED, size=[20, 40])
    assert upright.shape == (40, 20, 3)
    assert upright[:15, :, 0].min() > 200 and upright[25:, :, 0].max() < 50  # what was left is at the top
    with pytest.raises(ValueError, match="it is 20 x 40 pixels; the model was trained with images of 40 x 20"):
        runtime.read(data, **ALLOWED, size=[40, 20])


def test_what_is_refused_is_refused_before_a_pixel_is_decoded(monkeypatch):
    given = [
        (encoded("PNG"), {"size": (40, 21)}, "40 x 20 pixels; the model was trained with images of 40 x 21"),
        (encoded("GIF"), {}, "it is GIF; JPEG and PNG are allowed"),
        (encoded("BMP"), {"size": (40, 20)}, "it is BMP; JPEG and PNG are allowed"),
        (b"", {}, "no image"),
        (b"GIF89a and nothing more", {}, "no image|it is GIF"),
    ]
    monkeypatch.setattr(runtime, "pixels", lambda image: pytest.fail("it was decoded"))
    for data, more, words in given:
        with pytest.raises(ValueError, match=words):
            runtime.read(data, **ALLOWED, **more)


def test_several_jpegs_in_one_file_are_a_jpeg():
    data = encoded("MPO", save_all=True, append_images=[Image.fromarray(RED_LEFT)])
    assert runtime.read(data, **ALLOWED, size=(40, 20)).shape == (20, 40, 3)


def test_whoever_names_no_formats_may_read_all_that_pillow_can():
    text = PngImagePlugin.PngInfo()
    text.add_text("note", "x" * 1000)
    for data in (encoded("GIF"), encoded("BMP"), encoded("PNG", pnginfo=text)):
        assert runtime.read(data).shape == (20, 40, 3)
