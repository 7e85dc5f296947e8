"""How the backbone in the package is made: drawn images, a training that a kill does not disturb, one packed file."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

FOLDER = Path(__file__).parents[2] / "training" / "backbone"


@pytest.fixture
def distil(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    import distil

    monkeypatch.setattr(distil, "GROUPS", 2)
    monkeypatch.setattr(distil, "HELD_OUT", 2)
    monkeypatch.setattr(distil, "PIECE", 4)
    yield distil
    for name in ("distil", "draw", "pack"):
        sys.modules.pop(name, None)


def test_an_image_depends_on_its_number_alone_and_no_two_are_alike(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    from draw import draw

    images = [draw(number, 64) for number in range(12)]
    assert all(image.shape == (64, 64, 3) and image.dtype == np.uint8 for image in images)
    assert np.array_equal(draw(5, 64), images[5])
    assert len({image.tobytes() for image in images}) == 12
    assert np.mean([image.std() for image in images]) > 10


def networks(distil):
    import timm
    import torch

    torch.manual_seed(0)
    teacher, student = (timm.create_model(distil.NETWORK, pad_type=distil.PADDING) for _ in range(2))
    return teacher, student


def drawn(distil, count):
    """Return drawn images as the program holds them."""
    import torch

    return torch.from_numpy(np.stack([distil.draw(n, distil.SIDE).transpose(2, 0, 1) for n in range(count)]))


def test_a_batch_depends_on_its_step_alone_and_holds_what_a_network_takes(distil):
    images = drawn(distil, 3)
    one, again, other = (distil.batch(images, 6, step) for step in (5, 5, 6))
    assert one.shape == (6, 3, distil.CROP, distil.CROP) and float(one.abs().max()) <= 1
    assert np.array_equal(one.numpy(), again.numpy()) and not np.array_equal(one.numpy(), other.numpy())
    assert len({crop.numpy().tobytes() for crop in one}) == 6


def test_images_are_drawn_once_and_those_held_out_stand_first(distil, tmp_path):
    first = distil.draw_all(tmp_path, 3, 1)
    assert first.shape == (5, 3, distil.SIDE, distil.SIDE)
    files = sorted((tmp_path / "images").iterdir())
    assert [file.name for file in files] == ["000000.npy", "000004.npy"]
    stamps = [file.stat().st_mtime_ns for file in files]
    assert np.array_equal(distil.draw_all(tmp_path, 3, 1), first)
    assert [file.stat().st_mtime_ns for file in files] == stamps


def test_a_training_that_was_killed_goes_on_with_the_same_numbers(distil, tmp_path):
    import torch

    torch.set_num_threads(1)
    images = drawn(distil, 6)
    whole = distil.Distillation(*networks(distil), images, steps=4, size=4, folder=tmp_path / "whole")
    losses = [whole.advance() for _ in range(4)]
    assert losses[-1] != losses[0] and all(np.isfinite(losses))

    (tmp_path / "cut").mkdir()
    cut = distil.Distillation(*networks(distil), images, steps=4, size=4, folder=tmp_path / "cut")
    assert [cut.advance() for _ in range(2)] == losses[:2]
    cut.save()
    again = distil.Distillation(*networks(distil), images, steps=4, size=4, folder=tmp_path / "cut")
    again.restore()
    assert again.step == 2 and [again.advance() for _ in range(2)] == losses[2:]
    for name, value in whole.average.items():
        assert torch.equal(value, again.average[name]), name


def test_the_packed_file_says_what_the_student_says(distil, tmp_path, monkeypatch):
    from pack import pack

    from vision_toolkit.models import backbone

    images = drawn(distil, 4)
    work = distil.Distillation(*networks(distil), images, steps=1, size=4, folder=tmp_path)
    work.run()
    assert (tmp_path / "curve.csv").read_text().count("\n") == 3  # the header, the first step and the end
    data = pack(tmp_path / "student.safetensors")
    assert len(data) < 5_000_000
    monkeypatch.setattr(backbone, "OURS", tmp_path / "backbone.onnx")
    (tmp_path / "backbone.onnx").write_bytes(data)
    student, facts = backbone.load_network(tmp_path / "student.safetensors")
    backbone.without_head(student)
    plain = backbone.export_extractor(student, facts["mean"], facts["std"])
    image = {"image": images[:1, :, :64, :96].permute(0, 2, 3, 1).numpy()}
    from vision_toolkit.models.runtime import session

    for name in ("patches", "wide", "vector", "fine"):
        (one,), (other,) = (session(graph, 1).run([name], image) for graph in (plain, data))
        assert np.allclose(one, other, atol=0.02 * np.abs(one).max()), name  # half precision
