"""Load a model folder and predict, with nothing but the standard library, numpy, onnxruntime and Pillow.

This one file is the whole of what runs at prediction time: the library, the server and a package on the line use
it, and a package carries a copy to the letter. It imports nothing of ours on purpose.

A model folder holds ``model.json`` (what the numbers mean) and ``model.onnx`` (the whole model: pixels to score,
heat map and anomaly types).

    python runtime.py IMAGE...      one JSON line an image: source, is_anomalous, confidence, score
"""

from __future__ import annotations

import io
import json
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

__all__ = ["ENGINES", "FORMAT", "Answer", "Runtime", "judge", "largest", "main", "pixels", "read", "resize"]

FORMAT = 2
"""Of the model folders that this program reads."""
MAX_PIXELS = 89_000_000
PIXELS_AT_ONCE = 600_000
"""Pixels of the largest input that go through the graph at once, at most (but one image always does)."""

Answer = dict[str, Any]
"""What is said of one image: score (float), map ((h, w) float32, 0 to 1), ids ((H, W) uint8 or None), size (w, h)."""


class Runtime:
    """Predict with a trained model.

    Parameters
    ----------
    info
        what ``model.json`` says.
    graph
        the ONNX graph as bytes: for each size in ``info["inputs"]`` an input ``image_WxH`` (n, H, W, 3) uint8; outputs
        ``score`` (n,), ``map`` (n, h, w) and, where types are painted, ``types`` (n, h, w, classes), float32.
    threads
        threads of one computation; None = what the engine takes.
    engine
        ``"onnxruntime"`` or ``"openvino"`` (which must be installed).
    """

    def __init__(
        self, info: Mapping[str, Any], graph: bytes, threads: int | None = None, engine: str = "onnxruntime"
    ) -> None:
        if info.get("format") != FORMAT:
            raise ValueError(f"The model has format {info.get('format')!r}; this program reads format {FORMAT}.")
        if engine not in ENGINES:
            raise ValueError(f"There is no engine {engine!r}; there are: {', '.join(ENGINES)}.")
        self.info = dict(info)
        self.graph = graph
        self.sizes = [(int(one["width"]), int(one["height"])) for one in info["inputs"]]
        self.names = ["score", "map", *(["types"] if info["types"] else [])]
        self.run = ENGINES[engine](graph, threads)
        # Activations of a batch are what takes memory: large images go through one by one.
        self.at_once = max(1, PIXELS_AT_ONCE // max(w * h for w, h in self.sizes))

    @classmethod
    def load(cls, folder: str | os.PathLike[str], threads: int | None = None, engine: str = "onnxruntime") -> Runtime:
        """Load a model folder; raise ValueError where it is not one that this program reads."""
        root = Path(folder)
        info = json.loads((root / "model.json").read_text("utf-8"))
        return cls(info, (root / "model.onnx").read_bytes(), threads, engine)

    def predict(self, images: Sequence[NDArray[np.uint8]]) -> list[Answer]:
        """Answer for each image, (H, W, 3) uint8 RGB of any size; see :data:`Answer`."""
        answers: list[Answer] = []
        for start in range(0, len(images), self.at_once):
            part = images[start : start + self.at_once]
            feeds = {
                f"image_{width}x{height}": np.stack([resize(image, width, height) for image in part])
                for width, height in self.sizes
            }
            answers += [
                self._answer(image, *said) for image, *said in zip(part, *self.run(self.names, feeds), strict=True)
            ]
        return answers

    def _answer(
        self, image: NDArray[np.uint8], score: np.float32, heat: NDArray[np.float32], types: Any = None
    ) -> Answer:
        height, width = image.shape[:2]
        ids = None if types is None else largest(types, width, height)
        return {"score": float(score), "map": heat, "ids": ids, "size": (width, height)}


def resize(image: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """Resize (H, W, 3) uint8; every pixel of the original counts where it shrinks."""
    if image.shape[:2] == (height, width):
        return image
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR))


def largest(scores: NDArray[np.float32], width: int, height: int) -> NDArray[np.uint8]:
    """Resize (h, w, c) scores to (height, width); return the largest class of each pixel. Memory is bounded."""
    ids = np.zeros((height, width), np.uint8)
    for start in range(0, height, 256):
        rows = slice(start, min(start + 256, height))
        part = resize_scores(scores, width, height, rows)
        most = part[..., 0].copy()
        for number in range(1, part.shape[2]):  # over few classes several times as quick as argmax
            ids[rows][part[..., number] > most] = number
            np.maximum(most, part[..., number], out=most)
    return ids


def resize_scores(
    scores: NDArray[np.float32], width: int, height: int, part: slice = slice(None)
) -> NDArray[np.float32]:
    """Resize (h, w, c) float32 bilinearly, the outermost values held at the border; ``part`` names some rows."""
    rows, row_weights = (values[part] for values in _neighbours(scores.shape[0], height))
    columns, column_weights = _neighbours(scores.shape[1], width)
    above, below = scores[rows], scores[np.minimum(rows + 1, scores.shape[0] - 1)]
    tall = above + (below - above) * row_weights[:, None, None]
    left, right = tall[:, columns], tall[:, np.minimum(columns + 1, scores.shape[1] - 1)]
    return np.asarray(left + (right - left) * column_weights[None, :, None], np.float32)


def _neighbours(before: int, after: int) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    places = np.clip((np.arange(after) + 0.5) * before / after - 0.5, 0, before - 1)
    left = np.floor(places).astype(np.intp)
    return left, (places - left).astype(np.float32)


Run = Callable[[Sequence[str], Mapping[str, NDArray[np.uint8]]], list[NDArray[Any]]]


def session(graph: bytes, threads: int | None = None) -> onnxruntime.InferenceSession:
    """Open an ONNX graph on the CPU; waiting threads sleep, so that other pools in the process are not slowed."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or 0
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def _with_onnxruntime(graph: bytes, threads: int | None) -> Run:
    opened = session(graph, threads)
    return lambda names, feeds: list(opened.run(names, dict(feeds)))


def _with_openvino(graph: bytes, threads: int | None) -> Run:
    import openvino

    settings: dict[str, Any] = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
    if threads:
        settings["INFERENCE_NUM_THREADS"] = threads
    core = openvino.Core()
    compiled = core.compile_model(core.read_model(graph), "CPU", settings)
    request = compiled.create_infer_request()

    def run(names: Sequence[str], feeds: Mapping[str, NDArray[np.uint8]]) -> list[NDArray[Any]]:
        request.infer(dict(feeds))
        return [np.array(request.get_tensor(name).data) for name in names]

    return run


ENGINES: dict[str, Callable[[bytes, int | None], Run]] = {
    "onnxruntime": _with_onnxruntime,
    "openvino": _with_openvino,
}
"""What can run a graph: each gives a function that takes the names of outputs and the inputs."""


def pixels(image: Image.Image) -> NDArray[np.uint8]:
    """Return an opened image as (H, W, 3) uint8 RGB: upright by EXIF, 16 bits scaled to 8, alpha dropped."""
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I") or image.mode == "F":
        deep = np.asarray(image).astype(np.float64)
        grey = np.clip(np.nan_to_num(deep) * (255.0 if image.mode == "F" else 1.0 / 257.0), 0, 255).round()
        return np.repeat(grey.astype(np.uint8)[..., None], 3, axis=2)
    if image.mode in ("P", "PA"):
        image = image.convert("RGBA")
    return np.asarray(image.convert("RGB"))


def read(data: bytes, formats: Sequence[str] | None = None, size: Sequence[int] | None = None) -> NDArray[np.uint8]:
    """Decode an image file's bytes to (H, W, 3) uint8 RGB; raise ValueError where that cannot be, or may not.

    ``formats`` are those that may be, by Pillow's names; ``size`` is the (width, height) that the image must have,
    upright: that of the training. What its head tells is looked at before a pixel is decoded.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(data))
        if image.size[0] * image.size[1] > MAX_PIXELS:
            raise ValueError(f"{image.size[0]}x{image.size[1]} is more than {MAX_PIXELS:,} pixels")
        kind = "JPEG" if image.format == "MPO" else image.format  # several JPEG in one file, as some phones write
        if formats is not None and kind not in formats:
            raise ValueError(f"it is {kind}; {' and '.join(formats)} are allowed")
        if size is not None and sorted(image.size) != sorted(size):  # it may be turned, which is not yet known
            raise ValueError(_other_size(image.size, size))
        upright = pixels(image)
        if size is not None and upright.shape[1::-1] != tuple(size):
            raise ValueError(_other_size(upright.shape[1::-1], size))
        return upright
    except ValueError:
        raise
    except UnidentifiedImageError:
        raise ValueError(f"no image that can be read ({len(data):,} bytes)") from None
    except Exception as error:  # noqa: BLE001 - a damaged file can end any of Pillow's readers in any error
        raise ValueError(f"no image that can be read: {error}") from None


def _other_size(given: Sequence[int], wanted: Sequence[int]) -> str:
    return f"it is {given[0]} x {given[1]} pixels; the model was trained with images of {wanted[0]} x {wanted[1]}"


def judge(score: float, threshold: float) -> tuple[bool, float]:
    """Return verdict and confidence of a score; both are rounded to four digits before they are compared."""
    anomalous = round(score, 4) >= round(threshold, 4)
    return anomalous, round(score if anomalous else 1.0 - score, 6)


def lines(runtime: Runtime, paths: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield the answer for each image file: source, is_anomalous, confidence, score; or source and error."""
    for path in paths:
        try:
            score = runtime.predict([read(Path(path).read_bytes())])[0]["score"]
            anomalous, confidence = judge(score, runtime.info["threshold"])
        except Exception as error:  # noqa: BLE001 - a line that stands still for one bad image is worse than any error
            yield {"source": path, "error": _said(error)}
            continue
        yield {"source": path, "is_anomalous": anomalous, "confidence": confidence, "score": round(score, 6)}


def _said(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Predict the images named on the command line with the model in this file's folder."""
    paths = list(sys.argv[1:] if arguments is None else arguments)
    if not paths or paths[0] in ("-h", "--help"):
        print(__doc__)
        return 0 if paths else 2
    folder = Path(__file__).parent
    try:
        threads = int(os.environ.get("VISION_TOOLKIT_THREADS") or 0) or None
        runtime = Runtime.load(folder, threads, os.environ.get("VISION_TOOLKIT_ENGINE") or "onnxruntime")
    except Exception as error:  # noqa: BLE001 - onnxruntime's errors have no common class
        print(json.dumps({"source": str(folder), "error": f"The model cannot be loaded: {_said(error)}"}))
        return 1
    failed = False
    for answer in lines(runtime, paths):
        failed |= "error" in answer
        print(json.dumps(answer), flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
