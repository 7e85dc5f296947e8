"""Working with manifests: choose, replace and add, merge, relabel, remove; and what a notebook shows."""

from __future__ import annotations

import json
import socket
import time
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vision_toolkit.core import Conflict, Entry, Invalid, Label, Mask, MaskRef, NotFound, Region, Tag
from vision_toolkit.data import Manifest
from vision_toolkit.data.images import encode_jpeg, encode_mask, encode_png
from vision_toolkit.data.storage import inline

LABELS = st.sampled_from(Label)
ONE = st.builds(Entry, source=st.sampled_from("abcdefg"), label=LABELS)
ENTRIES = st.lists(ONE, max_size=10)
UNIQUE = st.lists(ONE, max_size=7, unique_by=lambda entry: entry.source)
LINES = st.lists(ONE | st.sampled_from(["", "junk", " \r", "[1]"]), max_size=12)


def manifest(*sources: str, label: Label = Label.NORMAL) -> Manifest:
    return Manifest([Entry(source, label) for source in sources])


def line(source: str = "1.png", **metadata: object) -> str:
    said = {"class-name": "normal", "type": "groundtruth/image-classification"} | metadata
    return json.dumps({"who": "Ann", "source-ref": source, "l": 0, "l-metadata": said})


def read(folder: Path, *lines: str) -> Manifest:
    path = folder / "read.manifest"
    path.write_text("\n".join(lines) + "\n")
    return Manifest.read(path)


def written(made: Manifest, folder: Path) -> list[str]:
    return made.write(folder / "written.manifest", overwrite=True).read_text().split("\n")[:-1]


class TestAgainstADict:
    """Each operation does what a plain dict of source and label would."""

    @given(UNIQUE, ENTRIES)
    def test_upsert(self, there, given):
        model = {e.source: e.label for e in there}
        model.update({e.source: e.label for e in given})
        made = Manifest(there).upsert(given)
        assert [(e.source, e.label) for e in made] == list(model.items())
        assert Manifest(there).upsert(Manifest(given)) == made == made.upsert(made)

    @given(st.lists(UNIQUE, min_size=1, max_size=3))
    def test_merge(self, parts):
        manifests = [Manifest(part) for part in parts]
        said: dict[str, list[Label]] = {}
        for entry in (entry for part in parts for entry in part):
            said.setdefault(entry.source, []).append(entry.label)
        for choice, position in (("first", 0), ("last", -1)):
            made = manifests[0].merge(*manifests[1:], on_conflict=choice)
            assert [(e.source, e.label) for e in made] == [(s, labels[position]) for s, labels in said.items()]
        if any(len(set(labels)) > 1 for labels in said.values()):
            with pytest.raises(Conflict):
                manifests[0].merge(*manifests[1:])
        else:
            assert manifests[0].merge(*manifests[1:]) == made

    @given(ENTRIES, st.sets(st.sampled_from("abcdefgh")))
    def test_remove(self, there, gone):
        if gone <= {e.source for e in there}:
            left = [e for e in there if e.source not in gone]
            assert list(Manifest(there).remove(gone)) == left
            assert list(Manifest(there).remove(lambda e: e.source in gone)) == left
            assert list(Manifest(there).remove([e for e in there if e.source in gone])) == left
        else:
            with pytest.raises(NotFound):
                Manifest(there).remove(gone)

    @given(ENTRIES, st.dictionaries(st.sampled_from("abc"), LABELS))
    def test_relabel(self, there, labels):
        if labels.keys() <= {e.source for e in there}:
            expected = [(e.source, labels.get(e.source, e.label)) for e in there]
            assert [(e.source, e.label) for e in Manifest(there).relabel(labels)] == expected
            made = Manifest(there).relabel(lambda e: labels.get(e.source))
            assert [(e.source, e.label) for e in made] == expected
        else:
            with pytest.raises(NotFound):
                Manifest(there).relabel(labels)

    @given(ENTRIES, st.none() | LABELS, st.none() | st.booleans(), st.none() | st.sampled_from("abc"))
    def test_filter(self, there, label, labelled, contains):
        kept = Manifest(there).filter(
            lambda e: e.source != "b", label=label, labelled=labelled, contains=contains
        )  # fmt: skip
        assert list(kept) == [
            e
            for e in there
            if e.source != "b"
            and (label is None or e.label == label)
            and (labelled is None or (e.label != "unlabelled") == labelled)
            and (contains is None or contains in e.source)
        ]

    @given(LINES)
    def test_lines(self, lines):
        made = Manifest.from_lines(lines)
        assert list(made.lines()) == lines and list(made) == [one for one in lines if isinstance(one, Entry)]

    @given(LINES, UNIQUE)
    def test_what_is_no_entry_stays_in_its_place(self, lines, given):
        made = Manifest.from_lines(lines)
        labels = {e.source: Label.NORMAL for e in made}
        assert [isinstance(one, str) and one for one in made.relabel(labels).lines()] == [
            isinstance(one, str) and one for one in lines
        ]
        removed = list(made.remove(lambda e: e.source < "d").lines())
        assert removed == [one for one in lines if isinstance(one, str) or one.source >= "d"]
        if len(set(labels)) == len(made):  # no duplicates, so every line keeps its number
            upserted = list(made.upsert(given).lines())
            assert len(upserted) == len(lines) + len({e.source for e in given} - labels.keys())
            assert [one if isinstance(one, str) else one.source for one in upserted[: len(lines)]] == [
                one if isinstance(one, str) else one.source for one in lines
            ]
        if not any(isinstance(one, str) for one in given):
            strays = {one for one in made.merge(Manifest(given), on_conflict="first").lines() if isinstance(one, str)}
            assert strays == {one for one in lines if isinstance(one, str)}


class TestFiles:
    """What no operation touched is written to the letter, with everything that could not be read."""

    def test_an_edit_changes_one_line(self, tmp_path):
        lines = [line("1.png"), "junk", "", '{ "source-ref" : "2.png", "odd" :1}', "{}"]
        there = read(tmp_path, *lines)
        told = written(there.relabel({"1.png": "anomaly"}), tmp_path)
        assert told[1:] == lines[1:] and json.loads(told[0])["l-metadata"]["class-name"] == "anomaly"
        assert list(json.loads(told[0])) == ["who", "source-ref", "l", "l-metadata"]
        assert written(there.relabel({"1.png": "normal"}), tmp_path) == lines
        assert written(there.remove("1.png"), tmp_path) == lines[1:]
        assert written(there.upsert([Entry("3.png")]), tmp_path) == [*lines, '{"source-ref": "3.png"}']
        assert written(there.merge(there), tmp_path) == lines
        assert written(there, tmp_path) == lines  # the manifest itself never changed

    def test_a_missing_last_newline_stays_missing(self, tmp_path):
        path = tmp_path / "m"
        path.write_text(f"{line()}\njunk")
        made = Manifest.read(path).relabel(lambda e: "normal")
        assert made.write(tmp_path / "n").read_text() == path.read_text()

    def test_choosing_gives_entries_alone(self, tmp_path):
        there = read(tmp_path, "junk", line("1.png"), "", line("2.png"))
        for made in (there.filter(label="normal"), there.sample(2, seed=1), there[:], there.select([0, 1])):
            assert written(made, tmp_path) == [line("1.png"), line("2.png")]

    def test_the_new_entry_replaces_the_whole_line_but_the_image_stays_where_it_is(self, tmp_path):
        ref = MaskRef("m.png", {"crack": "#23A436"}, at="/masks/m.png")
        there = Manifest([Entry("1.png", Label.ANOMALY, (Tag("x"),), mask=ref, raw=line(), at="/images/1.png")])
        made = there.upsert([Entry("1.png", Label.NORMAL, mask=MaskRef("m.png", {}))])[0]
        assert made == Entry("1.png", Label.NORMAL, mask=MaskRef("m.png", {})) and made.raw is None
        assert made.location == "/images/1.png" and made.mask is not None and made.mask.location == "/masks/m.png"
        assert there.upsert([Entry("1.png", at="/new/1.png")])[0].location == "/new/1.png"
        other = there.upsert([Entry("1.png", mask=MaskRef("other.png", {}))])[0].mask
        assert other is not None and other.location == "other.png"

    def test_a_source_that_stood_twice_is_replaced_by_one_line(self):
        there = Manifest([Entry("a"), Entry("b"), Entry("a", Label.NORMAL)])
        assert there.upsert([Entry("a", Label.ANOMALY)]) == Manifest([Entry("a", Label.ANOMALY), Entry("b")])


class TestMerge:
    def test_a_conflict_names_source_labels_and_manifests(self):
        one, two = manifest("x/1.png", "2.png"), manifest("x/1.png", label=Label.ANOMALY)
        two.name = "second.manifest"
        with pytest.raises(Conflict, match=r"'x/1.png' is normal in manifest 1, but anomaly in second.manifest"):
            one.merge(two)
        many = [str(i) for i in range(9)]
        with pytest.raises(Conflict, match=r"So do 6 more.*on_conflict"):
            manifest(*many).merge(manifest(*many, label=Label.ANOMALY))

    def test_another_mask_is_a_conflict_too(self):
        ref = MaskRef("m.png", {"crack": "#23A436"})
        with pytest.raises(Conflict, match="not with the same mask and tags"):
            manifest("1.png").merge(Manifest([Entry("1.png", Label.NORMAL, (Tag("a"),), mask=ref)]))

    def test_a_relative_name_in_two_folders_is_two_images(self):
        here, there = (Manifest([Entry("1.png", at=f"/{place}/1.png")]) for place in ("a", "b"))
        with pytest.raises(Conflict, match=r"'1.png' is /a/1.png in .*, but /b/1.png in"):
            here.merge(there)
        assert here.merge(there, on_conflict="last")[0].location == "/b/1.png"
        cloud = [Manifest([Entry("s3://b/1.png", at=f"/{place}/1.png")]) for place in ("a", "b")]
        assert len(cloud[0].merge(cloud[1])) == 1

    def test_what_says_the_same_keeps_the_first_line(self):
        one, two = (Manifest([Entry("1.png", Label.NORMAL, raw=raw)]) for raw in (line(), line() + " "))
        assert one.merge(two)[0].raw == line()

    def test_unreadable_lines_of_all_are_kept_once(self):
        one = Manifest.from_lines(["junk", "", Entry("1"), ""])
        two = Manifest.from_lines(["junk", Entry("2"), "other", ""])
        assert list(one.merge(two).lines()) == ["junk", "", Entry("1"), "", Entry("2"), "other"]

    def test_bad_arguments(self):
        with pytest.raises(Invalid, match="'first'"):
            manifest("1").merge(on_conflict="ours")  # type: ignore[arg-type]
        with pytest.raises(Invalid, match="a list was given"):
            manifest("1").merge([Entry("2")])  # type: ignore[arg-type]


class TestErrors:
    def test_unknown_sources_are_named_with_what_was_meant(self):
        there = manifest("s3://b/x/1.png", "s3://b/x/2.png")
        with pytest.raises(NotFound, match=r"'1.png'; did you mean 's3://b/x/1.png'"):
            there.remove("1.png")
        with pytest.raises(NotFound, match=r"'p', 'q', 'r' and 1 more; they are spelled as in 's3://b/x/1.png'"):
            there.relabel(dict.fromkeys("pqrs", "normal"))
        with pytest.raises(NotFound, match="empty"):
            Manifest().remove("1.png")

    @pytest.mark.parametrize("given", [Entry("1"), "1.png", None, 3, {"1.png": "normal"}, ["1.png"]], ids=repr)
    def test_what_cannot_be_upserted(self, given):
        with pytest.raises(Invalid, match="given"):
            manifest("1").upsert(given)

    def test_labels(self):
        with pytest.raises(Invalid, match=r"1.png: A label is one of 'normal'.*'good' was given"):
            manifest("1.png").relabel({"1.png": "good"})
        with pytest.raises(Invalid, match="mapping"):
            manifest("1.png").relabel([("1.png", "normal")])  # type: ignore[arg-type]
        with pytest.raises(Invalid, match="given"):
            manifest("1.png").remove([1])  # type: ignore[list-item]
        with pytest.raises(Invalid, match="given"):
            manifest("1.png").remove(1)  # type: ignore[arg-type]


class TestFilter:
    def test_a_class_is_a_tag_a_type_or_a_region(self):
        entries = [
            Entry("tag", tags=(Tag("crack", 0.5),)),
            Entry("type", mask=MaskRef("m.png", {"crack": "#23A436"})),
            Entry("region", regions=(Region.box("crack", left=0, top=0, width=1, height=1),)),
            Entry("crack"),
        ]
        assert [e.source for e in Manifest(entries).filter(tag="crack")] == ["tag", "type", "region"]
        assert not Manifest(entries).filter(tag="Crack")

    def test_dates(self, tmp_path):
        days = ["2022-08-21T23:59:59Z", "2022-08-22", "2022-08-22T23:59:59.9Z", "2022-08-22T22:00:00-02:00", "soon"]
        there = read(tmp_path, *(line(f"{i}.png", **{"creation-date": day}) for i, day in enumerate(days)))

        def chosen(**conditions: object) -> str:
            return "".join(e.source[0] for e in there.filter(**conditions))  # type: ignore[arg-type]

        assert chosen(created_after="2022-08-22", created_before=date(2022, 8, 23)) == "12"  # that very day
        assert chosen(created_after=datetime(2022, 8, 23, tzinfo=UTC)) == "3"
        assert chosen(created_before="2022-08-22") == "0" and chosen() == "01234"
        assert chosen(created_before="2022-08-23T00:00:01", label="normal", contains="3") == "3"
        with pytest.raises(Invalid, match=r"created_after must be a date.*'soon' was given"):
            chosen(created_after="soon")


class TestSample:
    @given(ENTRIES, st.data())
    def test_each_label_has_its_share(self, there, data):
        n = data.draw(st.integers(0, len(there)))
        there = [Entry(str(i), e.label) for i, e in enumerate(there)]
        made = Manifest(there).sample(n, seed=data.draw(st.integers(0, 9)), by="label")
        positions = [int(e.source) for e in made]
        assert len(made) == n and positions == sorted(set(positions))
        for label in Label:
            exact = sum(e.label is label for e in there) * n / max(1, len(there))
            assert abs(sum(e.label is label for e in made) - exact) < 1

    def test_chance_is_the_seed_s(self):
        there = manifest(*map(str, range(100)))
        assert there.sample(10, seed=3) == there.sample(10, seed=3) != there.sample(10, seed=4)
        seen = np.zeros(100)
        for seed in range(400):
            seen[[int(e.source) for e in there.sample(10, seed=seed)]] += 1
        assert seen.min() > 15 and seen.max() < 75  # 40 expected, with a deviation of 6

    def test_bad_arguments(self):
        for n in (-1, 3):
            with pytest.raises(Invalid, match=f"from 0 to 2, the number of images; {n}"):
                manifest("1", "2").sample(n, seed=0)
        with pytest.raises(Invalid, match="'label' or None"):
            manifest("1").sample(1, seed=0, by="tag")  # type: ignore[arg-type]


class TestNotebook:
    def pictures(self, folder: Path, n: int = 20, *, size: tuple[int, int] = (120, 160)) -> Manifest:
        noise = np.random.default_rng(0)
        entries = []
        for i in range(n):
            path = folder / f"<{i}>.png"
            path.write_bytes(encode_png(noise.integers(0, 255, (*size, 3), np.uint8)))
            entries.append(Entry(path.name, Label.ANOMALY if i % 5 == 4 else Label.NORMAL, at=str(path)))
        return Manifest(entries)

    def test_thumbnails_are_few_small_and_stable(self, tmp_path):
        text = self.pictures(tmp_path)._repr_html_()
        assert text.count("<img") == 8 and len(text) < 40_000 and "<td>16</td>" in text
        assert text == self.pictures(tmp_path)._repr_html_() and "title='&lt;4&gt;.png'" in text
        assert str(tmp_path) not in text and "#" not in text.replace("&#x27;", "")  # no place, no fixed colour
        assert text.index("anomaly</div>") < text.index("normal</div>")

    def test_the_mask_is_painted(self, tmp_path):
        there = self.pictures(tmp_path, 1)
        ids = np.zeros((120, 160), np.uint8)
        ids[40:80, 40:80] = 1
        where = inline(encode_mask(Mask(ids, ("background", "crack"))))
        plain, painted = (
            Manifest([Entry("1.png", Label.ANOMALY, mask=mask, at=there[0].at)])._repr_html_()
            for mask in (None, MaskRef(where, {"crack": "#23A436"}))
        )
        assert painted.count("<img") == 1 and ">crack</div>" in painted
        assert plain.split("base64,")[1].split("'")[0] != painted.split("base64,")[1].split("'")[0]

    def test_nothing_stops_it_and_nothing_is_dialled(self, tmp_path, monkeypatch):
        monkeypatch.setattr(socket.socket, "connect", lambda *a: pytest.fail("dialled"))
        good = self.pictures(tmp_path, 1)[0].at
        (tmp_path / "junk.png").write_bytes(b"\x89PNG\r\n\x1a\n junk")
        (tmp_path / "half.jpg").write_bytes(encode_jpeg(np.full((500, 500, 3), 9, np.uint8))[:900])
        bad_mask = MaskRef(str(tmp_path / "junk.png"), {"crack": "#23A436"})
        entries = [
            Entry("s3://bucket/1.png"), Entry("http://host/1.png"), Entry(str(tmp_path)), Entry("/dev/zero"),
            Entry("junk.png", at=str(tmp_path / "junk.png")), Entry("half.jpg", at=str(tmp_path / "half.jpg")),
            Entry("data:image/png;base64,$$$$"), Entry("x\0y\udc80.png"),
        ]  # fmt: skip
        text = Manifest(entries)._repr_html_()
        assert text.count("dashed") == 8 and "<img" not in text and text.encode()
        masked = Manifest([Entry("1.png", Label.ANOMALY, mask=bad_mask, at=good)])._repr_html_()
        assert masked.count("<img") == 1

    def test_large_files_take_no_longer(self, tmp_path):
        path = tmp_path / "large.png"
        path.write_bytes(encode_png(np.zeros((3000, 4000), np.uint8)))
        start = time.perf_counter()
        text = Manifest([Entry(f"{i}.png", at=str(path)) for i in range(8)])._repr_html_()
        assert "dashed" in text and time.perf_counter() - start < 2

    def test_many_types_long_names_and_no_images(self):
        colours = {f"type {i} {'x' * 90}": "#23A436" for i in range(50)}
        made = Manifest([Entry("y" * 5000, mask=MaskRef("m.png", colours))], name="z" * 5000)
        text = made._repr_html_()
        assert "<th style='text-align:left'>more types</th><td>38</td>" in text and len(text) < 5000
        assert "<table>" in Manifest()._repr_html_() and "<img" not in Manifest()._repr_html_()
