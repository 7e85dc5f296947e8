"""How long people wait: for the next image, until a label is on the disk, for the numbers under a slider, for a stroke.

    python benchmarks/widgets.py [IMAGES]

A real JupyterLab with a real kernel and a real Chromium on this machine (CHROMIUM=/path/to/it where it is not on the
PATH); needs the extras ``lab`` and ``test``. JPEG files of three sizes are labelled, two a second: quicker than
people are. Then, in Chromium without a notebook, a review of many images: the slider is moved to 200 places; *here* is
until the counts, scores, cost and order of all images are new in the page, *frame* until the browser painted it. Then
strokes of 100 pixels, 20 moves each, on masks of four sizes: what the slowest move takes; how long after the mouse is
let go the kernel has the stroke, it is in the mask, mask and manifest are on the disk, and the page knows; until an
undo is seen, and what a stroke weighs on the wire. Then ``Labeler.label`` in
Python, and what the disk itself takes for a line that is flushed and synced.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "browser"))

from harness import WidgetPage, chromium, jupyter  # the tests start them in the same way

import vision_toolkit as vt
from vision_toolkit.data.preview import preview
from vision_toolkit.widgets.mask_store import MaskStore

SIZES = {"640 x 480": (480, 640), "2,000 x 1,500": (1500, 2000), "4,000 x 3,000": (3000, 4000)}
PACE = 0.5  # seconds between keys
CURRENT = "window.jupyterapp.shell.currentWidget"
SHOW = 'import vision_toolkit as vt\nvt.Labeler(vt.Manifest.read("parts.manifest"), file="labels.jsonl")'
# A key, then: until the other image is on the canvas, until the browser painted a frame, until the kernel said that the
# label is on the disk.
PRESS = """async () => {
  const root = document.querySelector('.vt-labeler');
  const until = async (holds) => { while (!holds()) await new Promise((done) => setTimeout(done)); };
  await until(() => root.dataset.ready === '1' && root.dataset.pending === '0');
  if (root.dataset.item === 'null') return null;
  const item = root.dataset.item, start = performance.now();
  root.dispatchEvent(new KeyboardEvent('keydown', { key: 'n', bubbles: true }));
  const there = root.dataset.item !== item && root.dataset.ready === '1';
  const drawn = performance.now();
  const frame = new Promise((done) => requestAnimationFrame(() => setTimeout(() => done(performance.now()))));
  await until(() => root.dataset.ready === '1');
  const shown = there ? drawn : performance.now();
  await until(() => root.dataset.pending === '0');
  const kept = performance.now();
  return [shown - start, Math.max(await frame, shown) - start, kept - start, there];
}"""


SLIDE = """async (places) => {
  const root = document.querySelector('.vt-review');
  const slider = root.querySelector('.vt-threshold input');
  const taken = [];
  for (const place of places) {
    const start = performance.now();
    slider.value = place;
    slider.dispatchEvent(new Event('input', { bubbles: true }));
    const here = performance.now();
    await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
    taken.push([here - start, performance.now() - start]);
  }
  return taken;
}"""


class Graded:
    """A model that gives the n-th image the n-th score."""

    threshold = 0.5

    def __init__(self, scores: Any) -> None:
        self.scores = scores

    def at(self, threshold: float) -> Graded:
        """Return itself; nothing is kept here."""
        assert threshold
        return self

    def predict_all(self, sources: Any, *, batch: int = 32) -> Any:
        """Predict by number."""
        assert batch
        task = vt.Task.CLASSIFICATION
        return (vt.Prediction(task, score=float(self.scores[int(one.source)]), threshold=0.5) for one in sources)


def slide(browser: Any, images: int) -> tuple[float, float, list[list[float]]]:
    """Review so many scores; return how long making the review and filling the page takes, s, and each move, ms."""
    rng = np.random.default_rng(0)
    labels = [vt.Label.ANOMALY if rng.random() < 0.1 else vt.Label.NORMAL for _ in range(images)]
    manifest = vt.Manifest([vt.Entry(str(number), label) for number, label in enumerate(labels)])
    start = time.perf_counter()
    review = vt.Review(Graded(rng.random(images)), manifest, progress=False)
    made = time.perf_counter() - start
    start = time.perf_counter()
    page = WidgetPage(browser, review, width=1100, height=1000)
    page.page.wait_for_function("() => document.querySelector('.vt-counts').textContent.includes('images')")
    filled = time.perf_counter() - start
    moves = page.page.evaluate(SLIDE, [int(place) for place in rng.integers(0, 10_001, 200)])
    page.close()
    return made, filled, moves


STROKE = """async ([from, to]) => {
  const root = document.querySelector('.vt-painter'), stage = root.querySelector('.vt-stage');
  const box = stage.getBoundingClientRect(), [left, top] = root.dataset.rect.split(',').map(Number);
  const zoom = Number(root.dataset.zoom), taken = [];
  const more = { pointerId: 7, pointerType: 'mouse', isPrimary: true, bubbles: true, cancelable: true };
  const send = (type, [x, y], buttons) => stage.dispatchEvent(new PointerEvent(type, { ...more,
    clientX: box.left + left + x * zoom, clientY: box.top + top + y * zoom,
    button: type === 'pointermove' ? -1 : 0, buttons }));
  stage.setPointerCapture = () => {};
  const settled = async () => { while (root.dataset.pending !== '0') await new Promise((done) => setTimeout(done)); };
  await settled();
  const plain = window.model.send;
  let bytes = 0;
  window.model.send = (content, _callbacks, buffers = []) => {
    for (const one of buffers) bytes += one.byteLength;
    plain(content, undefined, buffers);
  };
  send('pointerdown', from, 1);
  for (let step = 1; step <= 20; step += 1) {
    const before = performance.now();
    send('pointermove', [0, 1].map((at) => from[at] + ((to[at] - from[at]) * step) / 20), 1);
    taken.push(performance.now() - before);
  }
  const up = performance.now(), when = performance.timeOrigin + up;
  send('pointerup', to, 0);
  await settled();
  const kept = performance.now() - up;
  window.model.send = plain;
  const undo = performance.now();
  root.dispatchEvent(new KeyboardEvent('keydown', { key: 'u', bubbles: true }));
  const back = performance.now() - undo;
  await settled();
  return [Math.max(...taken), when, kept, back, bytes];
}"""


class Timed(MaskStore):
    """Note when the kernel has a stroke, when it is in the mask, and when it is on the disk; ms since 1970."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.times: dict[str, list[float]] = {}

    def put(self, item: int, box: Any, pixels: Any, op: str) -> None:
        received = 1000 * time.time()
        super().put(item, box, pixels, op)
        self.times[op] = [received, *self.times[op], 1000 * time.time()]

    def _keep(self, item: int, box: Any, before: Any, op: str) -> None:
        self.times[op] = [1000 * time.time()]
        super()._keep(item, box, before, op)


def paint(browser: Any, folder: Path, side: int) -> tuple[float, list[list[float]]]:
    """Paint strokes of 100 pixels; return how long the first sight takes, s, and of each six times, ms, and bytes."""
    rng = np.random.default_rng(0)
    small = rng.integers(40, 215, (side // 8, side // 8, 3), np.uint8)
    Image.fromarray(small).resize((side, side), Image.Resampling.BICUBIC).save(folder / "part.jpg", quality=90)
    entry = vt.Entry("part.jpg", at=str(folder / "part.jpg"))
    painter = vt.MaskPainter(vt.Manifest([entry]), ["scratch"], file=folder / f"{side}.manifest")
    painter._store = store = Timed(painter._store.copy, painter.colours)  # noqa: SLF001 (it is what is measured)
    painter.paint((rng.random((side, side)) < 1e-4).astype(np.uint8))
    start = time.perf_counter()
    page = WidgetPage(browser, painter, width=1100, height=1000)
    page.page.wait_for_function("() => document.querySelector('.vt-painter').dataset.ready === '1'")
    seen = time.perf_counter() - start
    times = []
    for number in range(20):
        y = side * (number + 1) / 22
        move, up, kept, back, bytes_ = page.page.evaluate(STROKE, [[side / 4, y], [side / 4 + 100, y + 5]])
        received, updated, written = (at - up for at in store.times["paint"])
        times.append([move, received, updated, written, kept, back, bytes_])
    page.close()
    return seen, times


def draw(folder: Path, count: int, shape: tuple[int, int]) -> vt.Manifest:
    """Write images that compress as photographs do."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    small = rng.integers(40, 215, (shape[0] // 8, shape[1] // 8, 3), np.uint8)
    entries = []
    for number in range(count):
        picture = Image.fromarray(np.roll(small, number * 7, axis=1)).resize(shape[::-1], Image.Resampling.BICUBIC)
        picture.save(folder / f"{number}.jpg", quality=92)
        entries.append(vt.Entry(f"{number}.jpg", at=str(folder / f"{number}.jpg")))
    return vt.Manifest(entries)


def in_jupyter(browser: Any, folder: Path, manifest: vt.Manifest) -> list[list[float]]:
    """Label all images in a notebook; return for each key the three times in ms, and whether the image was there."""
    root = folder / "root"
    manifest.write(root / "parts.manifest")
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(SHOW)], metadata={"kernelspec": kernel})
    nbformat.write(notebook, root / "label.ipynb")
    with jupyter("lab", root, folder / "home") as (address, token):
        page = browser.new_page(viewport={"width": 1280, "height": 1000})
        page.goto(f"{address}/lab/tree/label.ipynb?token={token}&reset")
        ready = f"() => {CURRENT}?.context?.isReady && {CURRENT}.sessionContext?.session?.kernel?.status === 'idle'"
        page.wait_for_function(ready.replace("window.jupyterapp.shell", "window.jupyterapp?.shell?"), timeout=90_000)
        page.evaluate("() => window.jupyterapp.commands.execute('notebook:run-cell').then(() => null)")
        page.wait_for_function("() => document.querySelector('.vt-labeler')?.dataset.ready === '1'", timeout=60_000)
        times = []
        while (one := page.evaluate(PRESS)) is not None:
            times.append(one)
            page.wait_for_timeout(1000 * PACE)
        page.evaluate(f"() => {CURRENT}.context.sessionContext.shutdown()")
        page.close()
    lines = (root / "labels.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["source"] for line in lines] == [entry.source for entry in manifest]
    return times


def timed(act: Any, count: int) -> list[float]:
    """Return how long each of so many calls takes, in ms."""
    times = []
    for number in range(count):
        start = time.perf_counter()
        act(number)
        times.append(1000 * (time.perf_counter() - start))
    return times


def told(times: list[float]) -> str:
    """Return median and 95th percentile."""
    return f"{statistics.median(times):.1f} | {np.percentile(times, 95):.1f}"


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 60
    print(f"{count} images of each size; ms, median | 95th percentile\n")
    print("| image | prefetched | key to next image drawn | | to its frame | | to label on disk | | encoding | | kB |")
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    with chromium() as browser:
        for name, shape in SIZES.items():
            with tempfile.TemporaryDirectory() as place:
                manifest = draw(Path(place) / "root", count, shape)
                encoding = timed(lambda number, manifest=manifest: preview(manifest[number]), min(count, 20))
                sent = statistics.median(len(preview(entry).data) for entry in manifest[:5]) / 1000
                times = in_jupyter(browser, Path(place), manifest)
            drawn, frame, kept, there = (list(column) for column in zip(*times, strict=True))
            columns = " | ".join(told(column) for column in (drawn, frame, kept, encoding))
            print(f"| {name} | {sum(there[:-1])} of {count - 1} | {columns} | {sent:.0f} |")
        print("\n| images in a review | made, s | page filled, s | slider, here | | frame | |")
        print("|---|---|---|---|---|---|---|")
        for images in (1_000, 20_000, 200_000):
            made, filled, moves = slide(browser, images)
            here, frame = (list(column) for column in zip(*moves, strict=True))
            print(f"| {images:,} | {made:.1f} | {filled:.1f} | {told(here)} | {told(frame)} |")
        print(
            "\n| a mask to paint | seen, s | one move | | the kernel has the stroke | | it is in the mask | | "
            "it is on the disk | | the page knows | | undo seen | | bytes |"
        )
        print(f"|{15 * '---|'}")
        for side in (512, 1024, 2048, 4096):
            with tempfile.TemporaryDirectory() as place:
                seen, times = paint(browser, Path(place), side)
            *waits, sizes = (list(column) for column in zip(*times, strict=True))
            columns = " | ".join(told(wait) for wait in waits)
            print(f"| {side} x {side} | {seen:.1f} | {columns} | {statistics.median(sizes):.0f} |")
    print("\n| without a browser | ms | |\n|---|---|---|")
    with tempfile.TemporaryDirectory() as place:
        for images in (100, 20_000):
            manifest = vt.Manifest([vt.Entry(f"{number}.jpg") for number in range(images)])
            labeler = vt.Labeler(manifest, file=Path(place, f"{images}.jsonl"))
            print(
                f"| Labeler.label, {images:,} images | {told(timed(lambda _, one=labeler: one.label('normal'), 100))} |"
            )
        memory = vt.Labeler(manifest)
        print(f"| the same in memory only | {told(timed(lambda _: memory.label('normal'), 100))} |")
        with Path(place, "plain").open("ab", buffering=0) as file:

            def line(_: int) -> None:
                file.write(b"x" * 150 + b"\n")
                os.fsync(file.fileno())

            print(f"| the disk: 150 bytes and fsync | {told(timed(line, 100))} |")
        start = time.perf_counter()
        big = vt.Labeler(manifest, file=Path(place, "20000.jsonl"))
        took = 1000 * (time.perf_counter() - start)
        print(f"| Labeler made again of 20,000 images, {len(big.label_log)} acts | {took:.0f} | |")


if __name__ == "__main__":
    main()
