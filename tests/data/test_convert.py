"""Any format in, any format out: what a format can say survives, what it cannot say is told."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vision_toolkit.core import Conflict, Entry, Invalid, Label, Mask, MaskRef, NotFound, Region, Tag
from vision_toolkit.data import Manifest, formats, read_mask
from vision_toolkit.data.convert import read_dataset, read_splits, write_dataset
from vision_toolkit.data.formats import format_names, load_format
from vision_toolkit.data.formats.losses import LOSSES, Losses
from vision_toolkit.data.images import encode_mask, encode_png, read_image
from vision_toolkit.data.storage import inline, write_file

SIZE = (16, 24)
TYPES = ("crack", "hole")
ALL = format_names()


def picture(path: Path, value: int) -> str:
    return str(write_file(path, encode_png(np.full((*SIZE, 3), value, np.uint8)), overwrite=True))


def mask_of(*types: str) -> MaskRef:
    ids = np.zeros(SIZE, np.uint8)
    for number in range(1, len(types) + 1):
        ids[4 * number : 4 * number + 3, 2:9] = number
    mask = Mask(ids, ("background", *types))
    return MaskRef(inline(encode_mask(mask)), dict(zip(types, mask.colours[1:], strict=True)))


def value(entry: Entry) -> int:
    """Return the grey of an image, by which it is known again whatever it is called."""
    return int(read_image(entry)[0, 0, 0])


def pixels(entry: Entry) -> dict[str, int]:
    if entry.mask is None or not entry.mask.colours:
        return {}
    mask = read_mask(entry.mask)
    return {
        kind: int(np.sum((mask.ids == i) * np.arange(mask.ids.size).reshape(SIZE)))
        for i, kind in enumerate(mask.names)
        if i
    }


ASPECTS: dict[str, tuple[Callable[[Entry], object], set[str]]] = {
    "label": (lambda e: e.label, {"lost-label"}),
    "mask": (pixels, {"lost-mask", "lost-types", "lost-shape", "lost-precision"}),
    "tags": (lambda e: sorted(t.name for t in e.tags if t.name not in e.types), {"lost-tags"}),
    "confidences": (
        lambda e: sorted(x.confidence for x in (*e.tags, *e.regions) if x.confidence is not None),
        {"lost-confidence", "lost-tags", "lost-regions"},
    ),
    "regions": (lambda e: sorted(r.name for r in e.regions), {"lost-regions", "lost-shape"}),
    "corners": (
        lambda e: sorted(r.polygon for r in e.regions),
        {"lost-regions", "lost-shape", "lost-precision"},
    ),
    "ids": (lambda e: sorted(r.id for r in e.regions if r.id), {"lost-id", "lost-regions"}),
}
"""What can be said of an image, and the rules by which a format tells that it cannot say it."""

tags = st.sampled_from([(), (Tag("wet"),), (Tag("wet"), Tag("cold")), (Tag("wet", 0.5),)])
regions = st.sampled_from(
    [
        (),
        (Region.box("pore", left=0.25, top=0.25, width=0.5, height=0.25),),
        (Region("crack", ((0.25, 0.25), (0.75, 0.25), (0.5, 0.75))),),
        (Region("pore", ((0.25, 0.25), (0.75, 0.25), (0.75, 0.5), (0.25, 0.5)), 0.5, "7"),),
    ]
)
masks = st.sampled_from([None, (), ("crack",), TYPES])
images = st.tuples(
    st.sampled_from(["a/1.png", "b/1.png", "A/1.png", "2.PNG"]), st.sampled_from(Label), tags, regions, masks
)
listed = st.lists(images, min_size=1, max_size=4)
splits = st.fixed_dictionaries({"": listed}) | st.dictionaries(st.sampled_from(["train", "test"]), listed, min_size=1)


def made(drawn: dict[str, list[tuple]], folder: Path) -> dict[str, Manifest]:
    parts = {}
    number = 0
    for split, listed in drawn.items():
        entries = []
        for name, label, tagged, marked, types in listed:
            number += 10
            mask = None if types is None else mask_of(*types)
            at = picture(folder / f"{number}.png", number)
            entries.append(Entry(name, label, tagged, marked, mask, at=at))
        parts[split] = Manifest(entries)
    return parts


@pytest.mark.parametrize("format", ALL)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=15)
@given(drawn=splits)
def test_what_a_format_can_say_survives_and_what_it_cannot_is_told(tmp_path_factory, format, drawn):
    folder = tmp_path_factory.mktemp("x")
    parts = made(drawn, folder / "in")
    written = write_dataset(parts, folder / "out", format=format)
    told = {finding.rule for finding in written.losses}
    assert told <= set(LOSSES) and len(told) == len(written.losses)
    again = {(split, value(e)): e for split, m in read_splits(written.path, format=format).items() for e in m}
    before = {(split, value(e)): e for split, m in parts.items() for e in m}
    if set(again) != set(before):
        assert told & {"lost-split", "lost-image"}
    after = {number: entry for (_, number), entry in again.items()}
    for (_, number), entry in before.items():
        if number not in after:
            assert "lost-image" in told
            continue
        for aspect, (look, rules) in ASPECTS.items():
            if look(entry) != look(after[number]):
                assert told & rules, f"{format} changed {aspect}: {look(entry)} to {look(after[number])}; told {told}"


# ---------------------------------------------------------------- telling formats apart


@pytest.fixture(scope="module")
def samples(tmp_path_factory) -> dict[str, Path]:
    """Give what each format writes of one small set."""
    folder = tmp_path_factory.mktemp("samples")
    entries = [
        Entry(f"{number}.png", label, at=picture(folder / "in" / f"{number}.png", number), mask=mask, regions=marked)
        for number, label, mask, marked in (
            (1, Label.NORMAL, None, ()),
            (2, Label.ANOMALY, mask_of("crack"), (Region.box("crack", left=0, top=0, width=0.5, height=0.5),)),
            (3, Label.NORMAL, None, ()),
            (4, Label.ANOMALY, mask_of("hole"), (Region.box("hole", left=0, top=0, width=0.5, height=0.5),)),
        )
    ]
    parts = {"train": Manifest(entries[:2]), "test": Manifest(entries[2:])}
    return {name: write_dataset(parts, folder / name, format=name).path for name in ALL}


@pytest.mark.parametrize("name", ALL)
def test_each_format_knows_its_own_and_nobody_elses(samples, name):
    detect = load_format(name).detect
    assert {other: detect(path) for other, path in samples.items()} == {other: other == name for other in ALL}
    assert len(read_dataset(samples[name])) == 4


def test_no_format_takes_what_is_none(samples, tmp_path):
    (tmp_path / "empty").mkdir()
    strange = [
        tmp_path / "empty",
        write_file(tmp_path / "notes.txt", b"hello"),
        write_file(tmp_path / "a.json", b'{"a": 1}'),
        write_file(tmp_path / "b.csv", b"a,b\n1,2\n"),
        write_file(tmp_path / "c.xml", b"<a/>"),
        write_file(tmp_path / "d.manifest", b"\0" * 100),
        write_file(tmp_path / "e.gz", b"\x1f\x8b junk"),
        write_file(tmp_path / "f", b""),
        samples["lookout"] / "images",
    ]
    for path in strange:
        assert [name for name in ALL if load_format(name).detect(path)] == []
        with pytest.raises(Invalid, match=r"no known format.*'lookout'.*'folders'"):
            read_dataset(path)


def test_what_fits_two_formats_is_not_guessed(samples, tmp_path):
    picture(tmp_path / "normal" / "1.png", 1)
    write_file(tmp_path / "train.manifest", b'{"source-ref": "normal/1.png"}\n')
    with pytest.raises(Invalid, match="could be 'lookout' or 'folders'; say which: format='lookout'"):
        read_dataset(tmp_path)
    assert read_dataset(tmp_path, format="folders").counts()["normal"] == 1
    assert read_dataset(tmp_path, format="lookout").counts()["unlabelled"] == 1


# ---------------------------------------------------------------- reading


def test_a_split_or_all(samples):
    parts = read_splits(samples["lookout"])
    assert list(parts) == ["train", "test"]
    assert read_dataset(samples["lookout"], split="test") == parts["test"]
    assert read_dataset(samples["lookout"]) == parts["train"] + parts["test"]
    with pytest.raises(NotFound, match="no split 'val'; there are 'train', 'test'"):
        read_dataset(samples["lookout"], split="val")


def test_wrong_calls_are_told(samples, tmp_path):
    with pytest.raises(NotFound, match=r"no format 'x'; there are: lookout, folders, .*oci"):
        read_dataset(samples["lookout"], format="x")
    with pytest.raises(NotFound, match="no format 'x'"):
        write_dataset(Manifest([Entry("1.png")]), tmp_path / "x", format="x")
    with pytest.raises(NotFound, match="Nothing is at"):
        read_dataset(tmp_path / "none")
    with pytest.raises(Invalid, match="not on this machine"):
        read_dataset("s3://bucket/train.manifest")
    with pytest.raises(Invalid, match="which is not there"):
        read_dataset(samples["lookout"], images=tmp_path / "none")
    with pytest.raises(Invalid, match="only manifests have prefixes"):
        read_dataset(samples["folders"], images={"s3://b": tmp_path})
    with pytest.raises(Invalid, match="columns= is for tables"):
        read_dataset(samples["folders"], columns={"source": "x"})
    with pytest.raises(Invalid, match=r"'good' means 'fine'.*'normal', 'anomaly'"):
        read_dataset(samples["folders"], classes={"good": "fine"})
    with pytest.raises(Invalid, match="two things of 'GOOD'"):
        read_dataset(samples["folders"], classes={"good": "normal", "GOOD": "anomaly"})
    for data in (Manifest(), {}, {"train": Manifest()}):
        with pytest.raises(Invalid, match="no image"):
            write_dataset(data, tmp_path / "x", format="lookout")
    with pytest.raises(Invalid, match="list was given"):
        write_dataset({"train": [Entry("1.png")]}, tmp_path / "x", format="lookout")  # type: ignore[dict-item]
    with pytest.raises(Invalid, match="'copy', 'link' or 'refer'"):
        write_dataset(Manifest([Entry("1.png")]), tmp_path / "x", format="lookout", images="move")  # type: ignore[arg-type]
    there = write_file(tmp_path / "file", b"precious")
    with pytest.raises(Conflict):
        write_dataset(read_dataset(samples["lookout"]), there, format="folders", overwrite=True)
    assert there.read_bytes() == b"precious"


def test_classes_mean_labels_and_lines_keep_the_rest(tmp_path):
    lines = [
        '{"source-ref": "1.png", "who": "Ann", "x": 0, "x-metadata": {"class-name": "Good"}}',
        "junk",
        '{"source-ref": "2.png", "x": 0, "x-metadata": {"class-name": "BAD"}}',
        '{"source-ref": "3.png", "x": 0, "x-metadata": {"class-name": "odd"}}',
        '{"source-ref": "4.png", "x": 0, "x-metadata": {"class-name": "anomaly"}}',
    ]
    path = write_file(tmp_path / "m", "\n".join(lines).encode())
    manifest = read_dataset(path, classes={"good": "normal", "bad": "anomaly", "anomaly": "unlabelled"})
    told = [(str(e.label), [t.name for t in e.tags]) for e in manifest]
    assert told == [("normal", []), ("anomaly", []), ("unlabelled", ["odd"]), ("anomaly", [])]
    text = manifest.write(tmp_path / "again").read_text().splitlines()
    assert text[1] == "junk" and text[3:] == lines[3:] and '"who": "Ann"' in text[0] and '"normal"' in text[0]
    assert read_dataset(path).write(tmp_path / "same").read_bytes() == path.read_bytes()


def test_regions_say_labels_and_are_painted(tmp_path):
    at = picture(tmp_path / "1.png", 1)
    half = Region.box("pore", left=0, top=0, width=0.5, height=1)
    outside = Region.box("pore", left=2, top=2, width=1, height=1)
    crack = Region.box("crack", left=0.5, top=0, width=0.5, height=0.5)
    blank = MaskRef(inline(encode_mask(Mask(np.zeros(SIZE, np.uint8)))), {"crack": "#23A436"})
    entries = [
        Entry("1.png", at=at),
        Entry("2.png", regions=(half,), at=at),
        Entry("3.png", Label.NORMAL, regions=(crack,), at=at),
        Entry("4.png", mask=mask_of("hole"), at=at),
        Entry("5.png", mask=blank, regions=(half,), at=at),
        Entry("6.png", mask=blank, at=at),
        Entry("7.png", regions=(outside,), at=at),
    ]
    path = write_dataset(Manifest(entries), tmp_path / "set", format="lookout").path
    plain = read_dataset(path)
    labelled = read_dataset(path, label_from_regions=True)
    assert {str(e.label) for e in plain} == {"unlabelled", "normal"}
    assert [str(e.label)[0] for e in labelled] == ["n", "a", "n", "a", "a", "n", "a"]
    meant = read_dataset(path, classes={"PORE": "anomaly"})
    assert [str(e.label)[0] for e in meant] == ["u", "a", "n", "u", "a", "u", "a"]
    painted = read_dataset(path, paint=True)
    assert [e.types for e in painted] == [(), ("pore",), ("crack",), ("hole",), ("crack",), ("crack",), ()]
    assert painted[1].mask is not None and read_mask(painted[1].mask, size=SIZE[::-1]).areas()["pore"] == 0.5
    colours = [dict(e.mask.colours) for e in painted if e.mask]
    assert colours[0]["pore"] != colours[1]["crack"]  # a type has one colour in the whole set, and its own
    again = read_dataset(write_dataset(painted, tmp_path / "again", format="lookout").path)
    assert [pixels(e) for e in again] == [pixels(e) for e in painted]


# ---------------------------------------------------------------- losses


def test_ten_thousand_images_are_one_finding():
    losses = Losses()
    assert not losses and losses.findings() == ()
    for number in range(10_000):
        losses.add("lost-tags", f"{number}.png", f"'wet{number}'")
        losses.add("lost-mask", "same.png")
    losses.add("lost-split", detail="no splits")
    told = [str(finding) for finding in losses.findings()]
    assert told == [
        "warning: Masks are lost: same.png. [lost-mask]",
        "warning: Classes of the whole image are lost: 10,000 images, the first is 0.png ('wet0'). [lost-tags]",
        "warning: Images come under another split, or under none (no splits). [lost-split]",
    ]


def test_what_else_stood_in_the_lines_is_told(tmp_path, samples):
    line = b'{"source-ref": "1.png", "x": 0, "x-metadata": {"class-name": "normal"}, "who": "Ann"}\n'
    picture(tmp_path / "1.png", 1)
    manifest = read_dataset(write_file(tmp_path / "m", line))
    written = write_dataset(manifest, tmp_path / "out", format="csv")
    assert [str(f) for f in written.losses] == [
        "info: Other keys of the JSON lines are lost: 1.png ('who'). [lost-keys]"
    ]
    assert "with losses:\n  info: Other keys" in repr(written) and str(written) == repr(written)
    kept = write_dataset(manifest, tmp_path / "kept", format="lookout")
    assert kept.losses == () and repr(kept).endswith("written as lookout: nothing was lost.")


# ---------------------------------------------------------------- formats of other packages


@pytest.fixture
def package(monkeypatch) -> ModuleType:
    """Install a format as another package would."""
    module = ModuleType("elsewhere")
    module.TITLE = "Elsewhere"  # type: ignore[attr-defined]
    module.detect = lambda path: path.name == "elsewhere"  # type: ignore[attr-defined]
    module.read = lambda path, options: {"": [Entry("1.png", Label.NORMAL)]}  # type: ignore[attr-defined]
    module.write = lambda parts, path, options: ()  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "elsewhere", module)
    point = EntryPoint("else", "elsewhere", "vision_toolkit.formats")
    monkeypatch.setattr(formats, "entry_points", lambda group: [point] if group == "vision_toolkit.formats" else [])
    return module


def test_a_package_adds_a_format(package, tmp_path, samples):
    path = write_file(tmp_path / "elsewhere", b"")
    assert format_names()[-1] == "else" and read_dataset(path).counts()["normal"] == 1
    assert write_dataset(read_dataset(path), tmp_path / "x", format="else").losses == ()
    assert len(read_dataset(samples["folders"])) == 4
    del package.write  # type: ignore[attr-defined]
    with pytest.raises(Invalid, match=r"'else' \(elsewhere\) has no write"):
        read_dataset(path)
