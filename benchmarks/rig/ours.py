"""Train and predict with vision_toolkit's public face, as asked on standard input.

The public methods of :class:`Ours` are what can be asked; see ``answering.py``.
An image is ``[path, label, mask or None, {type: colour}]``.
"""

from __future__ import annotations

import inspect
import itertools
import shutil
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rig.answering import serve, timed

Image = Sequence[Any]


class Ours:
    """Hold one trained model between two requests."""

    def __init__(self, threads: int) -> None:
        import vision_toolkit as vt

        _ = vt.load  # what training needs is imported by who trains: it would count as memory of predicting
        self.threads = threads
        self.model: Any = None
        self.kept: dict[Any, list[Any]] = {}

    def versions(self) -> dict[str, Any]:
        """Answer what is installed, and from where."""
        import vision_toolkit as vt

        names = ("numpy", "scikit-learn", "onnxruntime", "pillow")
        return {name: version(name) for name in names} | {"vision_toolkit": vt.__version__, "from": vt.__file__}

    def fit(
        self,
        *,
        images: Sequence[Image],
        weights: str | None,
        preset: str,
        task: Any = "auto",
        budget: float | None = None,
        prevalence: float | None = None,
    ) -> dict[str, Any]:
        """Train; answer ``{"exported": True}`` where the network had to be exported first.

        That is done once a machine, and takes seconds and, for torch, a gigabyte; ask again in a fresh process.
        What an earlier training kept of the images is removed before.
        """
        import vision_toolkit as vt

        manifest = vt.Manifest(entry(image) for image in images)
        more: dict[str, Any] = {}
        if prevalence is not None:
            if "prevalence" not in inspect.signature(vt.train).parameters:
                return {"unsupported": "prevalence"}
            more["prevalence"] = prevalence

        def train() -> Any:
            return vt.train(
                manifest, weights=weights, preset=preset, task=task, budget=budget, threads=self.threads,
                progress=False, **more,
            )  # fmt: skip

        _ = vt.train, vt.Evaluation  # imports are nobody's training
        before = graphs()
        for kept in ("features", "training"):
            shutil.rmtree(vt.Settings.read().cache / kept, ignore_errors=True)
        self.model, used = timed(train)
        if graphs() != before:
            return {"exported": True}
        info = self.model.info
        return used | {
            "threshold": self.model.threshold,
            "height": info["inputs"][0]["height"],
            "width": info["inputs"][0]["width"],
            "verdict": info["verdict"]["name"],
        }

    def score(self, *, images: Sequence[Image], maps: str | None = None) -> dict[str, Any]:
        """Answer score and verdict of each image; the heat maps go to ``maps`` as 00000.npy, ... float32."""
        import numpy as np

        scores, called = [], []
        for number, prediction in enumerate(self.model.predict_all([image[0] for image in images])):
            scores.append(prediction.score)
            called.append(prediction.is_anomalous)
            if maps is not None:
                np.save(Path(maps, f"{number:05}.npy"), prediction.map)
        return {"scores": scores, "called": called}

    def types(self, *, images: Sequence[Image]) -> dict[str, Any]:
        """Answer how well each type was painted: intersection over union of all pixels together, and its mean."""
        import vision_toolkit as vt

        evaluation = self.model.evaluate(vt.Manifest(entry(image) for image in images))
        return {
            "types": {
                # F1 is 2 tp / (2 tp + fp + fn), so that IoU = tp / (tp + fp + fn) follows from it.
                name: {"pooled": one.f1 / (2 - one.f1), "mean": float(one.aiou), "images": one.images}
                for name, one in evaluation.types.items()
            }
        }

    def speed(self, *, images: Sequence[str], how: str, batch: int, count: int) -> dict[str, Any]:
        """Answer how long ``count`` images take, heat maps included, as in ``peer.py``; one at once by ``predict``."""
        sources = self._sources(images, how)

        def run(given: Sequence[Any]) -> int:
            if batch == 1:
                return sum(self.model.predict(one).map is not None for one in given)
            return sum(one.map is not None for one in self.model.predict_all(given, batch=batch))

        run(sources[:batch])
        _, used = timed(lambda: run(list(itertools.islice(itertools.cycle(sources), count))))
        return used | {"count": count}

    def save(self, *, path: str) -> dict[str, Any]:
        """Write the model folder."""
        self.model.save(path)
        return {}

    def load(self, *, path: str) -> dict[str, Any]:
        """Read a model folder."""
        import vision_toolkit as vt

        self.model = vt.load(path, threads=self.threads)
        return {}

    def _sources(self, images: Sequence[str], how: str) -> list[Any]:
        import numpy as np
        from PIL import Image as Pillow

        if how == "files":
            return list(images)
        key = how, tuple(images)
        if key not in self.kept:
            size = self.model.info["inputs"][0]["width"], self.model.info["inputs"][0]["height"]
            opened = [Pillow.open(path).convert("RGB") for path in images]
            if how == "input":
                opened = [image.resize(size, Pillow.Resampling.BILINEAR) for image in opened]
            self.kept = {key: [np.asarray(image) for image in opened]}
        return self.kept[key]


def entry(image: Image) -> Any:
    """Return the entry of an image as it is asked about."""
    import vision_toolkit as vt
    from vision_toolkit.core import MaskRef

    path, label, mask, colours = image
    return vt.Entry(path, vt.Label(label), mask=MaskRef(mask, colours) if mask else None)


def graphs() -> set[Path]:
    """Return the exported networks on this machine."""
    import vision_toolkit as vt

    return set(vt.Settings.read().cache.rglob("*.onnx"))


if __name__ == "__main__":
    serve(Ours)
