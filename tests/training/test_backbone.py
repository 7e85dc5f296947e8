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

    monkeypatch.setattr(distil, "BATCH", 4)
    monkeypatch.setattr(distil, "HELD_OUT", 2)
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


def test_a_training_that_was_killed_goes_on_with_the_same_numbers(distil, tmp_path):
    import torch

    torch.set_num_threads(1)
    images = np.stack([distil.draw(number, distil.SIDE) for number in range(6)])
    whole = distil.Distillation(*networks(distil), images, 4, tmp_path / "whole")
    losses = [whole.advance() for _ in range(4)]
    assert losses[-1] != losses[0] and all(np.isfinite(losses))

    (tmp_path / "cut").mkdir()
    cut = distil.Distillation(*networks(distil), images, 4, tmp_path / "cut")
    assert [cut.advance() for _ in range(2)] == losses[:2]
    cut.save()
    again = distil.Distillation(*networks(distil), images, 4, tmp_path / "cut")
    again.restore()
    assert again.step == 2 and [again.advance() for _ in range(2)] == losses[2:]
    for name, value in whole.average.items():
        assert torch.equal(value, again.average[name]), name


def test_the_packed_file_says_what_the_student_says(distil, tmp_path, monkeypatch):
    from pack import pack

    from vision_toolkit.models import backbone

    images = np.stack([distil.draw(number, distil.SIDE) for number in range(4)])
    work = distil.Distillation(*networks(distil), images, 1, tmp_path)
    work.run()
    assert (tmp_path / "curve.csv").read_text().count("\n") == 3  # the header, the first step and the end
    data = pack(tmp_path / "student.safetensors")
    assert len(data) < 5_000_000
    monkeypatch.setattr(backbone, "OURS", tmp_path / "backbone.onnx")
    (tmp_path / "backbone.onnx").write_bytes(data)
    student, facts = backbone.load_network(tmp_path / "student.safetensors")
    backbone.without_head(student)
    plain = backbone.export_extractor(student, facts["mean"], facts["std"])
    image = {"image": np.stack([images[0][:64, :96]])}
    from vision_toolkit.models.runtime import session

    for name in ("patches", "wide", "vector", "fine"):
        (one,), (other,) = (session(graph, 1).run([name], image) for graph in (plain, data))
        assert np.allclose(one, other, atol=0.02 * np.abs(one).max()), name  # half precision
