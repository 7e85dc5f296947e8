"""Small drawn parts on the disk, as a user has them, and one model that the command line trained on them."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from vision_toolkit.app.cli import main
from vision_toolkit.core import Entry, Label, Mask, MaskRef
from vision_toolkit.data import Manifest
from vision_toolkit.data.images import encode_mask, encode_png

COLOURS = {"stain": "#23A436"}
QUICK = ("--weights", "none", "--preset", "fast", "--threads", "2")


def draw_part(seed: int, *, stained: bool) -> tuple[np.ndarray, np.ndarray]:
    """Draw a marbled plate, unlike any other one; a stain is a dark round blot."""
    rng = np.random.default_rng([11, seed])
    image = 130 + 25 * np.kron(rng.normal(size=(6, 8)), np.ones((16, 16))) + rng.normal(0, 4, (96, 128))
    ids = np.zeros((96, 128), np.uint8)
    if stained:
        y, x = np.mgrid[:96, :128]
        ids[(y - rng.integers(20, 76)) ** 2 + (x - rng.integers(20, 108)) ** 2 < 14**2] = 1
        image[ids == 1] = 5
    return np.repeat(np.clip(image, 0, 255).astype(np.uint8)[..., None], 3, axis=2), ids


def write_parts(folder: Path, start: int, normal: int, stained: int) -> Path:
    """Write a manifest with relative places, the images and masks in folders of their own beside it."""
    for name in ("pictures", "masks"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    entries = []
    for number in range(start, start + normal + stained):
        bad = number >= start + normal
        image, ids = draw_part(number, stained=bad)
        (folder / "pictures" / f"{number}.png").write_bytes(encode_png(image))
        ref = MaskRef(f"masks/{number}.png", COLOURS) if bad else None
        if bad:
            mask = Mask(ids, ("background", *COLOURS), ("#FFFFFF", *COLOURS.values()))
            (folder / "masks" / f"{number}.png").write_bytes(encode_mask(mask))
        entries.append(Entry(f"pictures/{number}.png", Label.ANOMALY if bad else Label.NORMAL, mask=ref))
    return Manifest(entries).write(folder / f"parts-{start}.manifest")


@pytest.fixture(autouse=True, scope="session")
def cache(tmp_path_factory):
    """Keep what is cached away from the user's own cache; programs that tests start share it."""
    patch = pytest.MonkeyPatch()
    patch.setenv("VISION_TOOLKIT_CACHE", str(tmp_path_factory.mktemp("cache")))
    yield
    patch.undo()


@pytest.fixture(scope="session")
def home(tmp_path_factory) -> Path:
    """Give a folder, with a space and an umlaut in its name, that holds parts to train and to test with."""
    folder = tmp_path_factory.mktemp("Prüfung 1")
    write_parts(folder, 0, 10, 8)
    write_parts(folder, 100, 4, 4)
    return folder


@pytest.fixture(scope="session")
def training(home) -> str:
    return str(home / "parts-0.manifest")


@pytest.fixture(scope="session")
def testing(home) -> str:
    return str(home / "parts-100.manifest")


@pytest.fixture(scope="session")
def trained(home, training, testing) -> Path:
    """Train once by the command line: ``model``, ``report``, and what it printed as ``said.json``."""
    import contextlib
    import io

    said = io.StringIO()
    words = ["--test", testing, "--model", str(home / "model"), "--report", str(home / "report"), "--json", *QUICK]
    with contextlib.redirect_stdout(said):
        assert main(["train", training, *words]) == 0
    json.loads(said.getvalue())
    (home / "said.json").write_text(said.getvalue(), "utf-8")
    return home


@pytest.fixture
def quick() -> tuple[str, ...]:
    return QUICK


@pytest.fixture
def run(capsys):
    """Run a command; give its exit code, standard output and standard error."""

    def run(*words: object) -> tuple[int, str, str]:
        capsys.readouterr()
        try:
            code = main([str(word) for word in words])
        except SystemExit as ended:
            code = ended.code
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


@pytest.fixture
def locked(tmp_path) -> Path:
    """Give a folder in which nothing can be written, even by root."""
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o500)
    if os.access(folder, os.W_OK):
        folder = Path("/sys")
        if not folder.is_dir():
            pytest.skip("root may write anywhere here")
    return folder


@pytest.fixture(scope="session")
def dirty(tmp_path_factory) -> Path:
    """Give a manifest with the troubles of real ones, lines and files; tests leave it as it is."""
    folder = tmp_path_factory.mktemp("dirty")
    write_parts(folder, 0, 10, 8)
    pictures = folder / "pictures"
    lines = [json.loads(line) for line in (folder / "parts-0.manifest").read_text("utf-8").splitlines()]
    classes = [line["anomaly-label-metadata"] for line in lines]
    classes[1]["class-name"] = "Normal"
    lines[2]["anomaly-label"] = "0"
    classes[3]["creation-date"] = "Mon Aug 22 2022 13:52:52 GMT-0700 (Pacific Daylight Time)"
    lines[4]["anomaly-label"], lines[12]["anomaly-label"] = 1, 0
    colours = lines[11]["anomaly-mask-ref-metadata"]["internal-color-map"]
    colours.pop("0"), colours["1"].pop("confidence")
    # Files: one that is not there, one that is cut off, one that is nearly black, and a copy under another name.
    (pictures / "5.png").unlink()
    (pictures / "6.png").write_bytes((pictures / "6.png").read_bytes()[:900])
    (pictures / "7.png").write_bytes(encode_png(np.full((96, 128, 3), 6, np.uint8)))
    shutil.copy(pictures / "8.png", pictures / "copy.png")
    lines.append(lines[8] | {"source-ref": "pictures/copy.png"})
    lines.append(lines[9])  # the same again
    lines.append({**lines[13], "anomaly-label": 0, "anomaly-label-metadata": classes[0]})  # and now it is normal
    texts = [json.dumps(line) for line in lines]
    texts[3:3] = ["", texts[0][:60], '{"anomaly-label": 0}', "\0\0\0\0"]
    path = folder / "parts.manifest"
    path.write_bytes("\ufeff".encode() + "\n".join(texts).replace("\n", "\r\n", 2).encode())
    return path


@pytest.fixture(scope="session")
def export(dirty, testing, tmp_path_factory) -> Path:
    """Give what Amazon's script left on a disk: a dirty training set, a test set, one image that it did not get."""
    root = tmp_path_factory.mktemp("aws") / "my export"
    (root / "datasets").mkdir(parents=True)
    for split, manifest, folders in (
        ("train", dirty, ("pictures", "masks")),
        ("test", Path(testing), ("pictures", "masks")),
    ):
        text = manifest.read_bytes()
        for kind, folder in zip(("images", "masks"), folders, strict=True):
            text = text.replace(f'"{folder}/'.encode(), f'"s3://factory/{split}/{folder}/'.encode())
            shutil.copytree(manifest.parent / folder, root / split / kind / split / folder)
        (root / "datasets" / f"{split}.manifest").write_bytes(text)
    return root
