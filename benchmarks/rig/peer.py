"""Fit anomalib's PatchCore and predict with it, as asked on standard input; runs in the peer's own environment.

The public methods of :class:`Peer` are what can be asked; see ``answering.py``. Nothing of ours is imported here.
The peer's settings are its defaults, but for

- the backbone: PatchCore takes no weights file, so the network inside is replaced by the same timm network with the
  weights that everybody here uses, cut at the same two levels as ours (strides 8 and 16);
- the input: height and width of our model, and the scaling that the weights were trained with;
- loading: in the process itself and 8 images at a time; more would cost memory and gain nothing on two cores;
- predicting: the network inside is called directly. That leaves out Lightning's loops, which are slower; the
  normalisation, which clips scores and so makes ties; and the export's transform, which resizes without antialiasing.
"""

from __future__ import annotations

import gc
import itertools
import tempfile
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rig.answering import serve, timed

BATCH = 8
LAYERS = ("blocks.2", "blocks.4")
HELD_OUT = 5  # one in so many normal images chooses the threshold

Source = Any


class Peer:
    """Hold one fitted model between two requests."""

    def __init__(self, threads: int) -> None:
        import anomalib.models  # noqa: F401 - many seconds
        import torch

        torch.set_num_threads(threads)
        self.model: Any = None
        self.kept: dict[Any, list[Source]] = {}

    def versions(self) -> dict[str, Any]:
        """Answer what is installed."""
        return {name: version(name) for name in ("anomalib", "torch", "timm", "lightning")}

    def fit(self, *, images: Sequence[str], seed: int, **settings: Any) -> dict[str, Any]:
        """Fit on these normal images; ``settings`` as in :func:`build`."""
        import anomalib.engine  # noqa: F401 - imports are nobody's fit

        self.model = None
        gc.collect()
        self.model, used = timed(lambda: fit_one(images, [], seed=seed, **settings))
        return used | {"bank": len(self.model.model.memory_bank)}

    def threshold(
        self, *, images: Sequence[str], anomalies: Sequence[str], seed: int, **settings: Any
    ) -> dict[str, Any]:
        """Answer the threshold of the peer's own rule on images that a second model, fitted for this, has not seen.

        These are a fifth of the normal training images and every anomalous one. With both kinds the rule takes the
        best F1; with normal ones alone the highest score.
        """
        import torch

        order = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed)).tolist()
        few = max(1, len(images) // HELD_OUT)
        held = [(images[i], False) for i in order[:few]] + [(path, True) for path in anomalies]
        model, used = timed(lambda: fit_one([images[i] for i in sorted(order[few:])], held, seed=seed, **settings))
        return used | {"threshold": float(model.post_processor.image_threshold), "held_out": len(held)}

    def score(self, *, images: Sequence[str], maps: str | None = None) -> dict[str, Any]:
        """Answer the score of each image; the heat maps go to ``maps`` as 00000.npy, ... (height, width) float32."""
        import numpy as np

        scores: list[float] = []
        for number, (score, heat) in enumerate(self._predict(images, "files", BATCH)):
            scores.append(float(score))
            if maps is not None:
                np.save(Path(maps, f"{number:05}.npy"), heat.numpy().squeeze())
        return {"scores": scores}

    def speed(self, *, images: Sequence[str], how: str, batch: int, count: int) -> dict[str, Any]:
        """Answer how long ``count`` images take, heat maps included; the given ones come again and again.

        ``how``: ``"input"``, arrays of the input's size; ``"original"``, arrays as decoded; ``"files"``.
        """
        sources = self._sources(images, how)
        for _ in self._predict(sources[:batch], how, batch):
            pass
        _, used = timed(
            lambda: sum(1 for _ in self._predict(list(itertools.islice(itertools.cycle(sources), count)), how, batch))
        )
        return used | {"count": count}

    def save(self, *, path: str) -> dict[str, Any]:
        """Write the fitted numbers to a file."""
        import torch

        torch.save(self.model.state_dict(), path)
        return {}

    def load(self, *, path: str, **settings: Any) -> dict[str, Any]:
        """Read what :meth:`save` wrote; ``settings`` as in :func:`build`."""
        import torch

        self.model = build(**settings)
        self.model.load_state_dict(torch.load(path, weights_only=True))
        self.model.eval()
        return {"bank": len(self.model.model.memory_bank)}

    def _sources(self, images: Sequence[str], how: str) -> list[Source]:
        import numpy as np
        from PIL import Image

        if how == "files":
            return list(images)
        key = how, tuple(images)
        if key not in self.kept:
            height, width = self.model.pre_processor.transform.transforms[0].size
            opened = [Image.open(path).convert("RGB") for path in images]
            if how == "input":
                opened = [image.resize((width, height), Image.Resampling.BILINEAR) for image in opened]
            self.kept = {key: [np.asarray(image) for image in opened]}
        return self.kept[key]

    def _predict(self, sources: Sequence[Source], how: str, batch: int) -> Iterator[tuple[Any, Any]]:
        import torch
        from anomalib.data.utils import read_image
        from torchvision.transforms.v2.functional import to_dtype, to_image

        transform = self.model.pre_processor.transform
        for start in range(0, len(sources), batch):
            with torch.inference_mode():
                ready = []
                for source in sources[start : start + batch]:
                    if how == "files":
                        image = read_image(source, as_tensor=True)
                    else:
                        image = to_dtype(to_image(source), torch.float32, scale=True)
                    ready.append(transform(image))
                answer = self.model.model(torch.stack(ready))
            yield from zip(answer.pred_score, answer.anomaly_map, strict=True)


def build(*, weights: str, ratio: float, height: int, width: int) -> Any:
    """Return PatchCore, not fitted, with the weights in it; asks no hub.

    ``ratio`` is the share of patches to remember, ``height`` and ``width`` are the input's.
    """
    import timm
    from anomalib.models import Patchcore
    from anomalib.pre_processing import PreProcessor
    from safetensors import safe_open
    from torchvision.transforms.v2 import Compose, Normalize, Resize

    with safe_open(weights, framework="pt") as file:
        facts = file.metadata()
        state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no dict
    if facts["input"].replace(" ", "") != "x/127.5-1":
        raise ValueError(f"The peer is told to scale by x/127.5-1; {weights} says {facts['input']}.")
    scaled = Normalize(mean=[0.5, 0.5, 0.5], std=[0.5, 0.5, 0.5])
    model = Patchcore(
        backbone=facts["timm"],
        layers=list(LAYERS),
        pre_trained=False,
        coreset_sampling_ratio=ratio,
        pre_processor=PreProcessor(transform=Compose([Resize((height, width), antialias=True), scaled])),
        evaluator=False,
        visualizer=False,
    )
    inner = model.model.feature_extractor
    network = timm.create_model(
        facts["timm"], pretrained=False, features_only=True, out_indices=inner.idx, pad_type=facts["pad_type"]
    )
    missing, _ = network.load_state_dict(state, strict=False)  # the file has the head as well
    if missing:
        raise ValueError(f"{weights} lacks {missing[:3]}.")
    inner.feature_extractor = network.eval()
    return model


def fit_one(images: Sequence[str], held: Sequence[tuple[str, bool]], *, seed: int, **settings: Any) -> Any:
    """Fit on normal images with the peer's engine; with ``held`` images it chooses its threshold on them."""
    import torch
    from anomalib.data import Folder
    from anomalib.engine import Engine

    folders = {
        "normal": list(images),
        "held_normal": [path for path, bad in held if not bad],
        "held_anomaly": [path for path, bad in held if bad],
    }
    with tempfile.TemporaryDirectory() as root:
        for name, paths in folders.items():
            Path(root, name).mkdir()
            for number, path in enumerate(paths):
                Path(root, name, f"{number:04}{Path(path).suffix}").symlink_to(Path(path).resolve())
        data = Folder(
            "images",
            normal_dir="normal",
            root=root,
            normal_test_dir="held_normal" if folders["held_normal"] else None,
            abnormal_dir="held_anomaly" if folders["held_anomaly"] else None,
            train_batch_size=BATCH,
            eval_batch_size=BATCH,
            num_workers=0,
            val_split_mode="same_as_test" if held else "none",
            test_split_mode="from_dir" if held else "none",
            seed=seed,
        )
        torch.manual_seed(seed)  # the coreset starts at a random patch, in a random projection
        model = build(**settings)
        engine = Engine(
            default_root_dir=root,
            accelerator="cpu",
            enable_progress_bar=False,
            enable_model_summary=False,
            limit_val_batches=1.0 if held else 0,  # without a validation set its default loop fails
        )
        engine.fit(model=model, datamodule=data)
    return model.eval()


if __name__ == "__main__":
    serve(Peer)
