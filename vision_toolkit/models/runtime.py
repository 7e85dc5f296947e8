"""Load a model folder and predict, with nothing but the standard library, numpy, onnxruntime and Pillow.

This one file is the whole of what runs at prediction time: the library, the server and a package on the line use
it, and a package carries a copy to the letter. It imports nothing of ours on purpose.

A model folder holds ``model.json`` (what the numbers mean), ``backbone.onnx`` (image to features) and
``arrays.safetensors`` (memory of normal patches, verdict weights, decoder weights).

    python runtime.py IMAGE...      one JSON line an image: source, is_anomalous, confidence, score
"""

from __future__ import annotations

import io
import json
import os
import struct
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

__all__ = [
    "Answer", "Runtime", "describe", "describe_types", "judge", "main", "pack_arrays", "pixels", "read",
    "unpack_arrays",
]  # fmt: skip

FORMAT = 1
MAX_PIXELS = 89_000_000

Arrays = dict[str, NDArray[Any]]
Answer = dict[str, Any]
"""What is said of one image: score (float), map ((h, w) float32, 0 to 1), ids ((H, W) uint8 or None), size (w, h)."""


class Runtime:
    """Predict with a trained model.

    Parameters
    ----------
    info
        what ``model.json`` says.
    backbone
        the ONNX graph as bytes: ``image`` (n, h, w, 3) uint8 to ``patches`` (n, gh, gw, c), ``vector`` (n, v) and
        ``fine`` (n, fh, fw, f), all float32.
    arrays
        what ``arrays.safetensors`` holds.
    threads
        threads of one computation; None = what onnxruntime takes.
    """

    def __init__(
        self, info: Mapping[str, Any], backbone: bytes, arrays: Mapping[str, NDArray[Any]], threads: int | None = None
    ) -> None:
        if info.get("format") != FORMAT:
            raise ValueError(f"The model has format {info.get('format')!r}; this program reads format {FORMAT}.")
        self.info = dict(info)
        self.backbone = backbone
        self.arrays: Arrays = dict(arrays)
        self.height, self.width = info["input"]["height"], info["input"]["width"]
        self.session = session(backbone, threads)
        self._memory = Memory(self.arrays["memory"], self.arrays["memory_scale"])

    @classmethod
    def load(cls, folder: str | os.PathLike[str], threads: int | None = None) -> Runtime:
        """Load a model folder; raise ValueError where it is not one that this program reads."""
        root = Path(folder)
        info = json.loads((root / "model.json").read_text("utf-8"))
        arrays = unpack_arrays((root / "arrays.safetensors").read_bytes())
        return cls(info, (root / "backbone.onnx").read_bytes(), arrays, threads)

    def predict(self, images: Sequence[NDArray[np.uint8]]) -> list[Answer]:
        """Answer for each image, (H, W, 3) uint8 RGB of any size; see :data:`Answer`."""
        if not images:
            return []
        patches, vectors, fine = self.features(np.stack([resize(i, self.width, self.height) for i in images]))
        return [self._answer(*parts) for parts in zip(images, patches, vectors, fine, strict=True)]

    def features(self, batch: NDArray[np.uint8]) -> tuple[NDArray[np.float32], ...]:
        """Run the backbone on (n, height, width, 3) uint8."""
        return tuple(self.session.run(["patches", "vector", "fine"], {"image": batch}))

    def _answer(
        self,
        image: NDArray[np.uint8],
        patches: NDArray[np.float32],
        vector: NDArray[np.float32],
        fine: NDArray[np.float32],
    ) -> Answer:
        distances = self._memory.distances(patches)
        facts = describe(patches, vector, distances)
        small = decode_types(fine, patches, distances, self.arrays) if "decoder_1" in self.arrays else None
        if small is not None:
            facts["painted"] = describe_types(small)
        logit = float(self.arrays["bias"][0])
        for group in self.info["verdict"]["groups"]:
            logit += float(facts[group] @ self.arrays[f"weights_{group}"])
        height, width = image.shape[:2]
        ids = largest(small, width, height) if small is not None else None
        return {
            "score": sigmoid(logit),
            "map": np.clip(distances * (0.5 / self.info["map_level"]), 0.0, 1.0).astype(np.float32),
            "ids": ids,
            "size": (width, height),
        }


class Memory:
    """Patches of normal images; how far a patch lies from the nearest of them says how odd it is.

    Parameters
    ----------
    patches
        (m, c) float32, already divided by ``scale``.
    scale
        (c,) float32, the spread of each feature on normal images.
    """

    def __init__(self, patches: NDArray[np.float32], scale: NDArray[np.float32]) -> None:
        self.scale = scale
        self.turned = np.ascontiguousarray(patches.T)
        self.squares = np.einsum("mc,mc->m", patches, patches)

    def distances(self, patches: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the distance of each patch, (..., c) float32, to the nearest of the memory: (...) float32."""
        flat = patches.reshape(-1, patches.shape[-1]).astype(np.float32) / self.scale
        found = np.empty(len(flat), np.float32)
        for start in range(0, len(flat), 2048):  # bounds the table of distances to 2048 rows
            part = flat[start : start + 2048]
            table = part @ self.turned
            table *= -2.0
            table += self.squares
            found[start : start + 2048] = table.min(axis=1) + np.einsum("nc,nc->n", part, part)
        return np.sqrt(np.maximum(found, 0.0)).reshape(patches.shape[:-1])


def describe(
    patches: NDArray[np.float32], vector: NDArray[np.float32], distances: NDArray[np.float32]
) -> dict[str, NDArray[np.float32]]:
    """Describe one image by three groups of numbers.

    ``distance``: the largest patch distance, the means of the largest 0.5, 2 and 10 %, the mean and the spread;
    ``global``: the backbone's last layer; ``patch``: mean, largest and spread of each mid-layer feature.
    """
    ordered = np.sort(distances.ravel())[::-1]
    tops = [ordered[: max(1, round(len(ordered) * share))].mean() for share in (0.005, 0.02, 0.1)]
    flat = patches.reshape(-1, patches.shape[-1])
    return {
        "distance": np.array([ordered[0], *tops, ordered.mean(), ordered.std()], np.float32),
        "global": np.asarray(vector, np.float32),
        "patch": np.concatenate([flat.mean(axis=0), flat.max(axis=0), flat.std(axis=0)]).astype(np.float32),
    }


def describe_types(probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
    """Describe one image by how surely anything is painted: log-odds of the surest cell and of the surest shares."""
    odds = np.sort((1.0 - probabilities[..., 0]).ravel())[::-1].astype(np.float64)
    shares = [odds[: max(1, round(len(odds) * share))].mean() for share in (0.0005, 0.002, 0.01, 0.05)]
    found = np.clip(np.array([odds[0], *shares]), 1e-4, 1 - 1e-4)
    return np.asarray(np.log(found / (1 - found)), np.float32)


def pixel_features(
    fine: NDArray[np.float32], patches: NDArray[np.float32], distances: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Describe each pixel of the fine grid: its own features, its patch's, and how odd the patch is."""
    height, width = fine.shape[:2]
    coarse = np.concatenate([patches, distances[..., None]], axis=2)
    return np.concatenate([fine, resize_scores(coarse, width, height)], axis=2)


def decode_types(
    fine: NDArray[np.float32], patches: NDArray[np.float32], distances: NDArray[np.float32], arrays: Arrays
) -> NDArray[np.float32]:
    """Return the probability of each class, background first, at each pixel of the fine grid."""
    hidden = pixel_features(fine, patches, distances) - arrays["decoder_mean"]
    hidden = np.maximum(hidden / arrays["decoder_scale"] @ arrays["decoder_1"] + arrays["decoder_1_bias"], 0.0)
    scores = hidden @ arrays["decoder_2"] + arrays["decoder_2_bias"]
    scores = np.exp(scores - scores.max(axis=2, keepdims=True))
    return np.asarray(scores / scores.sum(axis=2, keepdims=True), np.float32)


def resize(image: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """Resize (H, W, 3) uint8; every pixel of the original counts where it shrinks."""
    if image.shape[:2] == (height, width):
        return image
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR))


def largest(scores: NDArray[np.float32], width: int, height: int) -> NDArray[np.uint8]:
    """Resize (h, w, c) scores to (height, width) return the largest class of each pixel; memory is bounded."""
    ids = np.empty((height, width), np.uint8)
    for start in range(0, height, 256):
        rows = slice(start, min(start + 256, height))
        ids[rows] = resize_scores(scores, width, height, rows).argmax(axis=2)
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


def sigmoid(logit: float) -> float:
    """Return the probability of a logit."""
    return float(1.0 / (1.0 + np.exp(-np.clip(logit, -50.0, 50.0))))


def session(graph: bytes, threads: int | None = None) -> onnxruntime.InferenceSession:
    """Open an ONNX graph on the CPU; waiting threads sleep, so that other pools in the process are not slowed."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or 0
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


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


def read(data: bytes) -> NDArray[np.uint8]:
    """Decode an image file's bytes to (H, W, 3) uint8 RGB; raise ValueError where that cannot be."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(data))
        if image.size[0] * image.size[1] > MAX_PIXELS:
            raise ValueError(f"{image.size[0]}x{image.size[1]} is more than {MAX_PIXELS:,} pixels")
        return pixels(image)
    except ValueError:
        raise
    except UnidentifiedImageError:
        raise ValueError(f"no image that can be read ({len(data):,} bytes)") from None
    except Exception as error:  # noqa: BLE001 - a damaged file can end any of Pillow's readers in any error
        raise ValueError(f"no image that can be read: {error}") from None


def pack_arrays(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Write named arrays in the safetensors form (float32, float16, uint8 and int64)."""
    kinds = {"float32": "F32", "float16": "F16", "uint8": "U8", "int64": "I64"}
    header: dict[str, Any] = {}
    parts, offset = [], 0
    for name, array in sorted(arrays.items()):
        data = np.ascontiguousarray(array).tobytes()
        header[name] = {
            "dtype": kinds[str(array.dtype)],
            "shape": list(array.shape),
            "data_offsets": [offset, offset + len(data)],
        }
        parts.append(data)
        offset += len(data)
    head = json.dumps(header, separators=(",", ":")).encode()
    head += b" " * (-len(head) % 8)
    return struct.pack("<Q", len(head)) + head + b"".join(parts)


def unpack_arrays(data: bytes) -> Arrays:
    """Read named arrays in the safetensors form; raise ValueError where it is damaged."""
    kinds = {"F32": np.float32, "F16": np.float16, "U8": np.uint8, "I64": np.int64}
    try:
        (length,) = struct.unpack("<Q", data[:8])
        header = json.loads(data[8 : 8 + length])
        header.pop("__metadata__", None)
        body = memoryview(data)[8 + length :]
        found = {}
        for name, fact in header.items():
            start, end = fact["data_offsets"]
            found[name] = np.frombuffer(body[start:end], kinds[fact["dtype"]]).reshape(fact["shape"])
        return found
    except (KeyError, TypeError, ValueError, struct.error) as error:
        raise ValueError(f"The arrays are damaged: {error}") from None


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
        runtime = Runtime.load(folder, int(os.environ.get("VISION_TOOLKIT_THREADS") or 0) or None)
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
