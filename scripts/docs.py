"""Write the pages in docs/ that follow from the code: the rules, and what each format holds and loses.

``docs/rules.md`` is made whole. In ``docs/formats.md`` only what stands between the marks is; the rest is written by
hand. Each format is shown with the files that it really wrote, of a sample set that has a little of everything.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np

import vision_toolkit as vt
from vision_toolkit.core.entry import MaskRef, Region, Tag
from vision_toolkit.core.mask import BACKGROUND, Mask
from vision_toolkit.curation import RULES as PICTURE_RULES
from vision_toolkit.data.formats import FORMATS, load_format
from vision_toolkit.data.formats.losses import LOSSES
from vision_toolkit.data.images import encode_mask, encode_png
from vision_toolkit.data.rules import RULES, Rule
from vision_toolkit.data.storage import inline, write_file

FOLDER = Path(__file__).parents[1] / "docs"

RULES_HEAD = """\
# Rules

Made by `make docs` from `vision_toolkit.data.rules`, `vision_toolkit.curation` and
`vision_toolkit.data.formats.losses`.

A finding names one of these rules, with the line, what exactly is odd there, and what repairs it. *error*: training
would stop, or learn something wrong. *warning*: it works, and probably not as it was meant. *info*: good to know; other
programs may stumble, we do not.

| repaired | by whom |
|---|---|
| always | `vision-toolkit repair` and `plan_repair` do it, unless `--skip RULE` says otherwise: the meaning stays |
| if named | they do it with `--rule RULE` (`rules=["RULE"]`), for it decides something |
| by hand | only a person can |

A repair shows its plan first, writes a new file, and never touches the old one. `vision-toolkit check --rules` lists
the rules of manifests in the terminal.
"""

ABOUT = {
    "file": "The file",
    "line": "A line",
    "label": "A label",
    "mask": "A mask",
    "image": "An image",
    "set": "The set",
}
PICTURES_HEAD = """\
## Pictures: what `curate` tells

Files that are sound, but bad data. `vision-toolkit curate` and `curate` compare each image with the others of its set.
Here *always* means that `--apply` and `Curation.apply` leave such images out of the manifest unless told otherwise, and
*if named* that they do with `--drop RULE` (`rules=[..., "RULE"]`). No file is deleted.
"""
LOSSES_HEAD = """\
## Losses: what `convert` tells

Writing another format gives one finding for each kind of thing that the format cannot hold. The old data stay as they
are. [Formats](formats.md) shows which format loses what.
"""


def rules_page() -> str:
    """Return docs/rules.md."""
    parts = [RULES_HEAD]
    for about, title in ABOUT.items():
        parts.append(f"## {title}\n\n" + _table(rule for rule in RULES.values() if rule.about == about))
    parts.append(f"{PICTURES_HEAD}\n{_table(PICTURE_RULES.values())}")
    rows = [f"| `{rule.id}` | {rule.severity} | {_cell(rule.text)} | {_cell(rule.why)} |\n" for rule in LOSSES.values()]
    parts.append(f"{LOSSES_HEAD}\n| rule | severity | what | why |\n|---|---|---|---|\n{''.join(rows)}")
    return "\n".join(parts)


def _table(rules: Iterable[Rule]) -> str:
    when = {"always": "always", "asked": "if named", "by hand": "by hand"}
    rows = [
        f"| `{rule.id}` | {rule.severity} | {_cell(rule.text)} | {_cell(rule.why)} | {_cell(rule.repair)} "
        f"| {when[rule.repaired] if rule.repair else ''} |\n"
        for rule in rules
    ]
    head = "| rule | severity | what | why it matters | repair | repaired |\n|---|---|---|---|---|---|\n"
    return head + "".join(rows)


def _cell(text: str) -> str:
    """Return text that Markdown shows as it is, in one cell."""
    return re.sub(r"([|*<`\\])", r"\\\1", text)


# ---------------------------------------------------------------- formats

_DATED = re.compile(r"_\d{4}-\d{2}-\d{2}T[\d.]+(?=\.png)")  # Ground Truth names masks after the moment


def format_blocks() -> dict[str, str]:
    """Return what stands between the marks of docs/formats.md, by the marks' names."""
    blocks = {}
    overview = ["| format | in words | of the sample are lost |\n|---|---|---|\n"]
    with tempfile.TemporaryDirectory() as place:
        parts = sample(Path(place))
        for name in FORMATS:
            target = Path(place, name)
            losses = vt.write_dataset(parts, target, format=name).losses
            files = sorted(file.relative_to(target).as_posix() for file in target.rglob("*") if file.is_file())
            shown = [_DATED.sub("_TIME", file) for file in files if not file.startswith(".")]
            blocks[name] = _block(shown, losses)
            lost = ", ".join(one.rule.removeprefix("lost-") for one in losses) or "nothing"
            overview.append(f"| [`{name}`](#{name}) | {_cell(load_format(name).TITLE)} | {lost} |\n")
    return {"overview": "".join(overview)} | blocks


def sample(folder: Path) -> dict[str, vt.Manifest]:
    """Return a small set with a little of everything, as it is read from manifests.

    To train with: a normal image, and an anomaly with a painted mask, a box with a confidence, and a class. To test
    with: a normal image, and one without a label. Each line has a key ``shift`` of the team's own.
    """
    ids = np.zeros((12, 16), np.uint8)
    ids[3:6, 4:9] = 1
    mask = Mask(ids, (BACKGROUND, "scratch"), ("#ffffff", "#23A436"))
    box = Region.box("scratch", left=0.25, top=0.25, width=0.3125, height=0.25, confidence=0.9)
    ref = MaskRef(inline(encode_mask(mask)), {"scratch": "#23A436"})
    entries = {
        "train": [
            vt.Entry("part-1.png", vt.Label.NORMAL),
            vt.Entry("part-2.png", vt.Label.ANOMALY, (Tag("wet", 0.8),), (box,), ref),
        ],
        "test": [vt.Entry("part-3.png", vt.Label.NORMAL), vt.Entry("part-4.png")],
    }
    for split, listed in entries.items():
        for entry in listed:
            write_file(folder / "sample" / entry.source, encode_png(np.full((12, 16), 90, np.uint8)))
        manifest = vt.Manifest(listed).write(folder / "sample" / f"{split}.manifest")
        lines = manifest.read_text(encoding="utf-8").replace('{"source-ref"', '{"shift": "night", "source-ref"')
        manifest.write_text(lines, encoding="utf-8")
    return vt.read_splits(folder / "sample", format="lookout")


def _block(files: Iterable[str], losses: Iterable[vt.Finding]) -> str:
    told = "".join(f"- {one.text} `{one.rule}`\n" for one in losses) or "- nothing.\n"
    return "Written of the sample:\n\n```text\n" + "".join(f"{file}\n" for file in files) + f"```\n\nLost:\n\n{told}"


def filled(page: str, blocks: Mapping[str, str]) -> str:
    """Return a page with each block between its marks."""
    left = dict(blocks)

    def block(match: re.Match[str]) -> str:
        return f"{match[1]}\n{left.pop(match[2])}\n{match[3]}"

    text = re.sub(r"(<!-- made: ([a-z-]+) -->\n).*?(<!-- end -->)", block, page, flags=re.DOTALL)
    assert not left, f"the page has no place for {', '.join(left)}"
    return text


def pages() -> Iterator[tuple[Path, str]]:
    """Yield each page and what should stand in it."""
    yield FOLDER / "rules.md", rules_page()
    formats = FOLDER / "formats.md"
    yield formats, filled(formats.read_text(encoding="utf-8"), format_blocks())


def main() -> None:
    """Write the pages."""
    for path, text in pages():
        path.write_text(text, encoding="utf-8")
        sys.stdout.write(f"docs/{path.name}\n")


if __name__ == "__main__":
    main()
