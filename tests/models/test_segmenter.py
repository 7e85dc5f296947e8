"""The network that paints anomaly types: it learns, it repeats itself, it survives a kill, it is what it exports."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from vision_toolkit.core import Failed, Invalid, NotFound, Unsupported
from vision_toolkit.models import segment_network
from vision_toolkit.models.segment_batches import Recipe
from vision_toolkit.models.segmenter import default_steps, fit_segmenter, paint_types

HEIGHT, WIDTH, COUNT = 64, 96, 16


def draw(position: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw a noisy plate; two of four have a dark stain, one of four a bright bar, painted as 1 and 2."""
    rng = np.random.default_rng([3, position])
    image = 120 + rng.normal(0, 6, (HEIGHT, WIDTH, 3))
    ids = np.zeros((HEIGHT, WIDTH), np.uint8)
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    cy, cx = rng.integers(16, HEIGHT - 16), rng.integers(16, WIDTH - 16)
    if position % 4 < 2:
        ids[(y - cy) ** 2 + (x - cx) ** 2 < rng.integers(7, 12) ** 2] = 1
    elif position % 4 == 2:
        ids[(np.abs(y - cy) < 4) & (np.abs(x - cx) < 14)] = 2
    image[ids == 1] -= 60
    image[ids == 2] += 60
    return image.clip(0, 255).astype(np.uint8), ids


IMAGES, TRUTHS = (np.stack(parts) for parts in zip(*map(draw, range(COUNT)), strict=True))


def fit(weights: Path, **changed):
    keywords = {"count": COUNT, "classes": 3, "height": HEIGHT, "width": WIDTH, "steps": 60, "seed": 1}
    return fit_segmenter(IMAGES, TRUTHS, **(keywords | {"weights": weights} | changed))


@pytest.fixture(scope="module")
def trained(weights):
    return fit(weights, steps=100)


def iou(painted, drawn) -> float:
    """Return the mean IoU of the two types, pixels pooled, of probabilities at half the size."""
    hits, union = np.zeros(3), np.zeros(3)
    for said, (_, true) in zip(painted, drawn, strict=True):
        ids = said.argmax(axis=2).repeat(2, 0).repeat(2, 1)
        for kind in (1, 2):
            hits[kind] += ((ids == kind) & (true == kind)).sum()
            union[kind] += ((ids == kind) | (true == kind)).sum()
    return float((hits[1:] / union[1:]).mean())


def test_it_learns_drawn_stains_that_it_has_not_seen(trained, weights):
    drawn = [draw(position) for position in range(100, 116)]

    def unseen(graph: bytes) -> float:
        return iou(paint_types(graph, [image for image, _ in drawn], range(16), threads=1), drawn)

    assert unseen(trained.graph) > 0.6
    assert unseen(fit(weights, steps=1).graph) < 0.2
    assert trained.finished and trained.steps == 100 and trained.stride == 2


def test_its_trial_has_not_seen_some_of_each_type_and_tells_how_good_it_is(trained):
    (trial,) = trained.trials
    kinds = {int(TRUTHS[position].max()) for position in trial.positions}
    assert kinds == {0, 1, 2} and len(trial.positions) == 4
    assert trial.graph != trained.graph
    painted = paint_types(trial.graph, IMAGES, trial.positions, threads=1)
    assert iou(painted, [(IMAGES[position], TRUTHS[position]) for position in trial.positions]) > 0.4


def test_probabilities_are_probabilities_and_a_batch_is_like_its_images(trained):
    import onnxruntime

    running = onnxruntime.InferenceSession(trained.graph, providers=["CPUExecutionProvider"])
    (together,) = running.run(["types"], {"image": IMAGES[:3]})
    assert together.shape == (3, HEIGHT // 2, WIDTH // 2, 3) and together.dtype == np.float32
    assert np.allclose(together.sum(axis=3), 1, atol=1e-5)
    assert np.allclose(together, np.stack(list(paint_types(trained.graph, IMAGES, [0, 1, 2]))), atol=1e-5)


def test_the_same_seed_gives_the_same_numbers_and_leaves_torchs_own_state_alone(weights):
    import torch

    torch.manual_seed(5)
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    one = fit(weights, steps=6)
    assert torch.equal(before, torch.get_rng_state()) and threads == torch.get_num_threads()
    torch.manual_seed(6)
    two = fit_segmenter(
        lambda position: IMAGES[position], lambda position: TRUTHS[position], count=COUNT, classes=3, weights=weights,
        height=HEIGHT, width=WIDTH, steps=6, seed=1,
    )  # fmt: skip
    assert one.graph == two.graph and one == two
    assert fit(weights, steps=6, seed=2).graph != one.graph


PROGRAM = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
import test_segmenter as tests
from vision_toolkit.models import segment_training
segment_training.SAVED_EVERY = 0.0
tests.fit(Path(sys.argv[1]), steps=10, checkpoint=Path(sys.argv[2]), tell=lambda share, text: print(share, flush=True))
"""


def killed(weights: Path, checkpoint: Path, share: str) -> None:
    """Start the training in a process of its own, and kill it when it has come so far."""
    arguments = [sys.executable, "-c", PROGRAM, str(weights), str(checkpoint), str(Path(__file__).parent)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, env=os.environ.copy()) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.strip() == share:
                process.send_signal(signal.SIGKILL)
                break
    assert process.returncode == -signal.SIGKILL


@pytest.mark.parametrize("share", ["0.4", "0.9"], ids=["in the trial", "at the end"])
def test_after_a_kill_it_goes_on_to_the_same_numbers(tmp_path, weights, share):
    checkpoint = tmp_path / "state"
    killed(weights, checkpoint, share)
    assert checkpoint.is_file()
    told: list[float] = []
    again = fit(weights, steps=10, checkpoint=checkpoint, tell=lambda share, text: told.append(share))
    assert 0 < len(told) <= 10 - 10 * float(share) + 1  # it did go on, and did not begin again
    assert again == fit(weights, steps=10)
    assert not checkpoint.exists()


@pytest.mark.parametrize("spoiled", [b"", b"nothing that it wrote", "other"], ids=["empty", "rubbish", "other seed"])
def test_a_checkpoint_of_something_else_is_passed_over(tmp_path, weights, spoiled, monkeypatch):
    checkpoint = tmp_path / "state"
    if spoiled == "other":
        monkeypatch.setattr("vision_toolkit.models.segment_training.SAVED_EVERY", 0.0)
        held: list[bytes] = []
        fit(weights, steps=4, seed=9, checkpoint=checkpoint,
            tell=lambda share, text: held.append(checkpoint.read_bytes() if checkpoint.exists() else b""))  # fmt: skip
        spoiled = held[-1]
        assert spoiled
    checkpoint.write_bytes(spoiled)
    told: list[float] = []
    fit(weights, steps=4, checkpoint=checkpoint, tell=lambda share, text: told.append(share))
    assert len(told) == 4


@pytest.mark.parametrize("how", ["enough", "interrupt"])
def test_it_can_be_cut_short_and_gives_what_it_has(weights, how):
    told: list[float] = []

    def tell(share: float, text: str) -> None:
        told.append(share)
        if how == "interrupt" and len(told) == 8:
            raise KeyboardInterrupt

    found = fit(weights, steps=10, tell=tell, enough=lambda: how == "enough" and len(told) == 8)
    assert len(told) == 8 and found.steps == 8 and not found.finished and len(found.trials) == 1


def test_a_type_without_pixels_is_never_predicted(weights):
    found = fit(weights, classes=5, steps=4)
    for said in paint_types(found.graph, IMAGES, range(COUNT)):
        assert said[..., 3:].max() < 1e-9


def test_the_backbone_in_the_package_can_be_trained_further():
    found = fit("auto", steps=2)
    assert "in the package" in found.facts["weights"] and found.stride == 2
    (said,) = paint_types(found.graph, IMAGES, [0])
    assert np.allclose(said.sum(axis=2), 1, atol=1e-5)


def test_the_caller_may_choose_what_is_held_out(weights):
    found = fit(weights, steps=4, held_out=[[0, 3], [1, 2]])
    assert [trial.positions for trial in found.trials] == [(0, 3), (1, 2)]
    assert fit(weights, steps=4, held_out=[]).trials == ()


def test_too_few_painted_images_are_not_held_out(weights):
    few = fit_segmenter(IMAGES[:6], TRUTHS[:6], count=6, classes=3, weights=weights, height=64, width=96, steps=2)
    assert all(TRUTHS[position].max() != 2 for trial in few.trials for position in trial.positions)


def test_more_images_are_worth_more_steps():
    assert default_steps(4) <= default_steps(36) < default_steps(352) <= default_steps(100_000) == default_steps(10**6)


def test_a_graph_that_is_not_the_network_is_not_handed_out(weights, monkeypatch):
    monkeypatch.setattr(segment_network, "CLOSE", -1.0)
    with pytest.raises(Failed, match="differs"):
        fit(weights, steps=1)


def test_thin_lines_do_not_vanish_from_the_truth(weights):
    from vision_toolkit.models.segment_batches import Batches, Pictures

    ids = np.zeros((2, 64, 96), np.uint8)
    ids[:, :, 48] = 1  # a line of one pixel
    pictures = Pictures.gather(np.zeros((2, 64, 96, 3), np.uint8), ids, count=2, height=64, width=96, classes=2)
    still = Recipe(scale=1, stretch=1, turn=0)
    batches = Batches(pictures, np.arange(2), classes=2, stride=2, seed=0, recipe=still)
    _, shares = batches.draw(0)
    assert shares.sum(dim=1).numpy() == pytest.approx(1)
    assert np.count_nonzero(shares[0, 1].numpy() == 0.5) >= 32 - 2


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"count": 0}, "0 were given"),
        ({"classes": 1}, "classes counts"),
        ({"height": 60}, "multiples of 32"),
        ({"threads": 0}, "numbers from 1"),
        ({"steps": 0}, "numbers from 1"),
        ({"height": 96}, r"Image 0 is \(64, 96, 3\) uint8"),
        ({"classes": 2}, "the id 2"),
        ({"held_out": [[99]]}, "position 99"),
        ({"held_out": [range(COUNT)]}, "no image to learn from"),
    ],
)
def test_bad_input_is_told(weights, changed, said):
    with pytest.raises(Invalid, match=said):
        fit(weights, **({"steps": 1} | changed))


def test_weights_that_are_not_there_are_told(tmp_path):
    with pytest.raises(NotFound, match=r"none\.safetensors"):
        fit(tmp_path / "none.safetensors")


def test_fixed_filters_cannot_be_trained():
    with pytest.raises(Unsupported, match="Fixed filters cannot be trained"):
        fit(None)
