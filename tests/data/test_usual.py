"""The quick way says what the long way says, of every line."""

from __future__ import annotations

import copy
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vision_toolkit.core import Finding
from vision_toolkit.data.jsonlines import scan_line
from vision_toolkit.data.usual import Scanner

CLASS = "groundtruth/image-classification"
MASK = "groundtruth/semantic-segmentation"


def usual(*, anomaly: bool = True, painted: bool = True) -> dict:
    data = {
        "source-ref": "s3://bucket/parts/1.png",
        "anomaly-label": int(anomaly),
        "anomaly-label-metadata": {
            "confidence": 1, "job-name": "labeling-job/x", "class-name": "anomaly" if anomaly else "normal",
            "human-annotated": "yes", "creation-date": "2022-08-22T13:52:52.123", "type": CLASS,
        },
    }  # fmt: skip
    if painted:
        colours = {"0": {"class-name": "BACKGROUND", "hex-color": "#ffffff", "confidence": 0.0}}
        colours["1"] = {"class-name": "scratch", "hex-color": "#23A436", "confidence": 0.0}
        data["anomaly-mask-ref"] = "s3://bucket/masks/1.png"
        data["anomaly-mask-ref-metadata"] = {
            "internal-color-map": colours, "type": MASK, "human-annotated": "yes",
            "creation-date": "2022-08-22T13:52:52",
        }  # fmt: skip
    return data


ODD_VALUES = st.sampled_from([
    None, 0, 1, 2, -1, 1.0, True, "", "0", "1", "normal", "Anomaly", "anomaly ", "yes", "maybe", "s3://b/a b.png",
    "x.png", "a\uf03ab.png", "s3://b/1.png", " ", CLASS, MASK, "2022-13-01", "2022-01-01", 10**30, float("nan"),
    [], {}, ["a"],
    {"0": {"class-name": "scratch", "hex-color": "#23A436"}}, {"0": 3}, {"class-name": "normal", "type": CLASS},
])  # fmt: skip


@st.composite
def lines(draw: st.DrawFn) -> bytes:
    """Give a usual line with up to three things changed, added or taken away, at any depth."""
    data = usual(anomaly=draw(st.booleans()), painted=draw(st.booleans()))
    for _ in range(draw(st.integers(0, 3))):
        place = data
        while True:
            key = draw(st.sampled_from([*place, "new", "new-metadata"]))
            inner = place.get(key)
            if isinstance(inner, dict) and inner and draw(st.booleans()):
                place = inner
                continue
            break
        if draw(st.booleans()):
            place.pop(key, None)
        else:
            place[key] = copy.deepcopy(draw(ODD_VALUES))
    text = json.dumps(data, ensure_ascii=draw(st.booleans())).encode("utf-8", "surrogatepass")
    return draw(st.sampled_from([b"", b" ", b"\xef\xbb\xbf"])) + text + draw(st.sampled_from([b"", b"\r", b"}", b"\0"]))


@given(st.lists(lines(), min_size=1, max_size=6))
def test_both_ways_read_and_tell_the_same(texts):
    scan = Scanner()
    learn = [json.dumps(usual(painted=painted)).encode() for painted in (False, True)]
    for number, text in enumerate([*learn, *texts], 1):
        quick: list[Finding] = []
        slow: list[Finding] = []
        assert scan(text, number, quick.append) == scan_line(text, number, slow.append)
        assert quick == slow


@given(st.lists(lines(), max_size=3), st.lists(st.tuples(st.booleans(), st.booleans()), max_size=4), st.randoms())
def test_many_at_once_say_what_each_says(texts, sound, shuffled):
    scan = Scanner()
    for painted in (False, True, True):
        scan(json.dumps(usual(painted=painted)).encode(), 1, pytest.fail)
    texts = [*texts, *(json.dumps(usual(anomaly=a or p, painted=p)).encode() for a, p in sound)]
    shuffled.shuffle(texts)
    bulk = scan.bulk(texts) if texts else None
    told: list[Finding] = []
    each = [scan_line(text, 1, told.append) for text in texts]
    if bulk is not None:
        assert not told
        assert [(line.source, line.mask_uri, line.colours) for line in each] == list(
            zip(bulk.sources, bulk.uris, bulk.colours, strict=True)
        )
        assert [line.label == "anomaly" for line in each] == bulk.anomalies
        assert {line.label_name for line in each} == {bulk.names[0]}
    elif texts:  # every usual line is read quickly; of a sample that is all usual, all are
        assert told or len(texts) > len(sound)


@pytest.mark.parametrize("painted", [True, False])
def test_usual_lines_do_take_the_quick_way(painted, monkeypatch):
    scan = Scanner()
    first = [usual(), usual(painted=False), usual(anomaly=False, painted=False)]
    for data in first:
        scan(json.dumps(data).encode(), 1, pytest.fail)
    monkeypatch.setattr("vision_toolkit.data.usual.scan_line", lambda *rest: pytest.fail("the long way"))
    line = scan(json.dumps(usual(painted=painted) | {"source-ref": "s3://bucket/2.png"}).encode(), 2, pytest.fail)
    assert line is not None and line.source == "s3://bucket/2.png" and bool(line.colours) == painted


def test_many_names_cost_no_more_than_the_long_way():
    scan = Scanner()
    for number in range(100):
        data = {"source-ref": "1.png", f"a{number}": 0}
        data[f"a{number}-metadata"] = {"class-name": "normal", "type": CLASS, "human-annotated": "yes"}
        line = scan(json.dumps(data).encode(), number, pytest.fail)
        assert line is not None and line.label_name == f"a{number}"
