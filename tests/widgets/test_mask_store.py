"""What is painted is kept: by several pages at once, and when the kernel is killed in the middle of it."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vision_toolkit.core import Entry
from vision_toolkit.data import Manifest
from vision_toolkit.data.images import read_mask
from vision_toolkit.data.working_copy import WorkingCopy
from vision_toolkit.widgets.mask_store import LEAVE, MaskStore

COLOURS = {"scratch": "#23A436", "dent": "#1F77B4"}
# A kernel that paints one block after another, as a page would, and tells what it has confirmed.
PAINTER = """
import sys, zlib
import numpy as np
import vision_toolkit as vt
painter = vt.MaskPainter(vt.Manifest.read(sys.argv[1]), ["scratch", "dent"], file=sys.argv[2])
painter.carried(lambda said, _: said["type"] == "plan" and print(said["acked"], flush=True))
for number in range(10_000):
    packer = zlib.compressobj(1, zlib.DEFLATED, -15)
    data = packer.compress(np.full((8, 8), 1 + number % 2, np.uint8).tobytes()) + packer.flush()
    box = [8 * (number % 64), 8 * (number // 64 % 64), 8, 8]
    act = {"seq": number + 1, "action": "stroke", "item": 0, "op": "paint", "box": box, "buffer": 0}
    painter.hear({"v": 1, "type": "acts", "page": "page", "acts": [act]}, [data])
"""


@pytest.fixture
def images(tmp_path: Path) -> Manifest:
    Image.new("RGB", (512, 512), "grey").save(tmp_path / "1.png")
    Manifest([Entry("1.png")]).write(tmp_path / "given.manifest")
    return Manifest.read(tmp_path / "given.manifest")


@pytest.mark.parametrize("confirmed", [1, 40, 130])
def test_a_kernel_that_is_killed_has_kept_what_it_confirmed(images: Manifest, tmp_path: Path, confirmed: int) -> None:
    file = tmp_path / "painted.manifest"
    command = [sys.executable, "-c", PAINTER, str(tmp_path / "given.manifest"), str(file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as painter:
        assert painter.stdout is not None
        last = 0
        for line in painter.stdout:
            last = int(line)
            if last >= confirmed + random.Random(confirmed).randrange(9):
                break
        os.kill(painter.pid, signal.SIGKILL)
        last = max([last, *(int(line) for line in painter.stdout.read().split("\n")[:-1])])
    ids = read_mask(Manifest.read(file)[0].mask, size=(512, 512)).ids
    want = np.zeros((512, 512), np.uint8)
    states = []
    for number in range(last + 1):
        x, y = 8 * (number % 64), 8 * (number // 64)
        want[y : y + 8, x : x + 8] = 1 + number % 2
        states.append(want.copy())
    # What was on its way when it was killed may be there or not, but whole.
    assert any(np.array_equal(ids, state) for state in states[-2:])
    painter_again = MaskStore(WorkingCopy(images, file), COLOURS)
    assert np.array_equal(painter_again.ids(0), ids)


def test_several_pages_change_only_the_pixels_that_they_paint(images: Manifest) -> None:
    store = MaskStore(WorkingCopy(images), COLOURS)
    one = np.full((10, 10), LEAVE, np.uint8)
    one[:5] = 1
    other = np.full((10, 10), LEAVE, np.uint8)
    other[:, :5] = 2
    box = (20, 30, 10, 10)
    store.put(0, box, one, "paint")
    store.put(0, box, other, "paint")  # by a page that has not seen the first stroke
    part = store.ids(0)[30:40, 20:30]
    assert (part[:, :5] == 2).all()
    assert (part[:5, 5:] == 1).all()
    assert not part[5:, 5:].any()
    back = np.where(one == LEAVE, LEAVE, 0).astype(np.uint8)
    store.put(0, box, back, "undo")  # of the first page: that was not the last stroke
    assert (part[5:, :5] == 2).all()
    assert not part[:5].any()
    for state in (2, 1, 0):
        store.step(0, "undo")
        assert len(np.unique(part)) == {2: 3, 1: 2, 0: 1}[state]
    assert not store.ids(0).any()


def test_an_undo_of_the_last_stroke_is_no_stroke(images: Manifest) -> None:
    store = MaskStore(WorkingCopy(images), COLOURS)
    box = (0, 0, 2, 2)
    store.put(0, box, np.ones((2, 2), np.uint8), "paint")
    store.put(0, box, np.zeros((2, 2), np.uint8), "undo")
    store.step(0, "redo")
    assert store.ids(0)[:2, :2].all()
