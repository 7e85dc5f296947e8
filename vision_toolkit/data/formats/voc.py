"""Pascal VOC: ``Annotations/*.xml``, ``JPEGImages/``, ``ImageSets/Main/*.txt``, ``SegmentationClass/*.png``.

Also read: ``images/`` for ``JPEGImages/``, and XML files beside their images, in one folder or one a split, as
Roboflow and labelImg write them. An image is the file of the XML file's name, else the one that ``filename`` says.

- VOC counts pixels from 1, and the last pixel belongs to the box: ``xmin=1``, ``xmax=640`` is the whole of a row of
  640. So ``left = (xmin - 1) / width`` and ``right = xmax / width``. An ``xmin`` of 0, which programs that count from 0
  write, is put on the border.
- ``trainval`` is passed over where ``train`` and ``val`` are there; lists of one class (``dog_train.txt``) always are.
  Images that no list names come under ``""``.
- ``SegmentationClass`` is the mask, in the colours of ``labelmap.txt`` (``name:red,green,blue::``). Without one the
  colours are those of VOC's own twenty classes, if every object is one of them.
- ``difficult``, ``truncated``, ``pose``, parts and actions are passed over.

XML is read without document types and entities: a file that has them is refused before it is parsed.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from vision_toolkit.core.entry import Entry, Finding, MaskRef, Region
from vision_toolkit.core.errors import Invalid, NotFound, Unsupported
from vision_toolkit.core.mask import BACKGROUND, Mask, hex_to_rgb, palette_colour
from vision_toolkit.data.formats import Parts, ReadOptions, WriteOptions
from vision_toolkit.data.formats.files import (
    dataset_folder,
    image_files,
    is_hidden,
    note_names,
    place_image,
    placed_facts,
    set_colours,
    shown,
    split_names,
    unique_names,
)
from vision_toolkit.data.formats.losses import Losses
from vision_toolkit.data.images import encode_mask, probe, read_mask
from vision_toolkit.data.shapes import inside_image, is_box

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

__all__ = ["TITLE", "detect", "read", "write"]

TITLE = "Pascal VOC: an XML file an image with boxes, colour-mapped masks"
"""What the format is called in words."""

_VOC_CLASSES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable", "dog",
    "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip
_LABELMAP = re.compile(r"(.+):(\d{1,3}),(\d{1,3}),(\d{1,3}):[^:]*:[^:]*")
_UNSAFE = re.compile(r"<!\s*(DOCTYPE|ENTITY)", re.IGNORECASE)
_DECLARED = re.compile(rb"<\?xml[^>]{0,200}?encoding\s*=\s*[\"']([A-Za-z0-9._-]+)")
_NOT_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


# ---------------------------------------------------------------- reading


def detect(path: Path) -> bool:
    """Return whether a folder holds VOC's XML files: in ``Annotations``, beside its images, or in folders of splits.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp())
    >>> detect(path)
    False
    >>> _ = path.joinpath("1.xml").write_text("<annotation><filename>1.png</filename></annotation>")
    >>> detect(path)
    True
    """
    files = [next(folder.glob("*.xml"), None) for folder in _folders(path).values()]
    return any(file is None or _is_annotation(file) for file in files)


def _folders(path: Path) -> dict[str, Path]:
    """Return the folders of XML files by split; ``""`` where lists say the split, or nothing does."""
    if not path.is_dir():
        return {}
    if all((path / name).is_dir() for name in ("Annotations", "ImageSets", "JPEGImages")):
        return {"": path / "Annotations"}  # even if nothing is annotated
    for folder in (path / "Annotations", path):
        if folder.is_dir() and next(folder.glob("*.xml"), None) is not None:
            return {"": folder}
    return {
        child.name: child
        for child in sorted(path.iterdir())
        if child.is_dir() and not child.name.startswith(".") and next(child.glob("*.xml"), None) is not None
    }


def _is_annotation(file: Path) -> bool:
    with file.open("rb") as stream:
        head = stream.read(4096).replace(b"\0", b"")
    return b"<annotation" in head


def read(path: Path, options: ReadOptions) -> dict[str, list[Entry]]:
    """Read the entries of each split.

    Raises
    ------
    NotFound
        if nothing is at ``path``, or a list names an image that is not there.
    Invalid
        if a file breaks the format: the message names it, and the object or line.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "1.xml")
    >>> _ = path.write_text('''<annotation><filename>1.png</filename><size><width>8</width><height>4</height></size>
    ...     <object><name>pore</name><bndbox><xmin>3</xmin><ymin>2</ymin><xmax>6</xmax><ymax>3</ymax></bndbox></object>
    ... </annotation>''')
    >>> read(path.parent, ReadOptions())[""][0].regions[0].bounds
    (0.25, 0.25, 0.75, 0.75)
    """
    if not path.exists():
        raise NotFound(f"Nothing is at {path}.")
    folders = _folders(path)
    if not folders:
        raise Invalid(f"{path} holds no XML files: not in Annotations, not beside images, not in folders of splits.")
    if [*folders] != [""]:
        return {split: list(_Reader(path, folder, options).entries().values()) for split, folder in folders.items()}
    entries = _Reader(path, folders[""], options).entries()
    splits: dict[str, list[Entry]] = {}
    listed: set[str] = set()
    for split, stems in _image_sets(path, entries).items():
        listed |= {*stems}
        splits["" if split == "default" else split] = [entries[stem] for stem in stems]
    rest = [entry for stem, entry in entries.items() if stem not in listed]
    if rest or not splits:
        splits[""] = [*splits.get("", ()), *rest]
    return splits


def _image_sets(root: Path, entries: Mapping[str, Entry]) -> dict[str, list[str]]:
    folders = [root / "ImageSets" / name for name in ("Main", "Segmentation", ".")]
    files = next((found for folder in folders if (found := sorted(folder.glob("*.txt")))), [])
    sets: dict[str, list[str]] = {}
    for file in files:
        lines = [(number, line.strip()) for number, line in enumerate(_text(file).splitlines(), 1) if line.strip()]
        unknown = [(number, line) for number, line in lines if line not in entries]
        if unknown and all(re.fullmatch(r"\S+\s+(-1|0|1)", line) for _, line in lines):
            continue  # whether each image shows one class: the XML files say it better
        if unknown:
            number, line = unknown[0]
            raise NotFound(
                f"{file}, line {number}: neither an XML file nor an image is called {line[:100]!r} "
                f"({len(unknown):,} such). Add them, or remove the line."
            )
        sets[file.stem] = list(dict.fromkeys(line for _, line in lines))
    if {"train", "val", "trainval"} <= {*sets} and {*sets["trainval"]} <= {*sets["train"], *sets["val"]}:
        del sets["trainval"]
    return sets


class _Reader:
    """Read the XML files of one folder."""

    def __init__(self, root: Path, folder: Path, options: ReadOptions) -> None:
        self.root, self.folder = root, folder
        apart = folder.name == "Annotations"
        self.home = folder.parent if apart else folder
        places = [self.home / "JPEGImages", self.home / "images"] if apart else [folder]
        if options.images is not None:
            places = [options.images, options.images / "JPEGImages"]
        self.place = places[0]
        self.images: dict[str, dict[str, Path]] = {}
        for place in places:
            for image in image_files(place, deep=False):
                self.images.setdefault(image.stem, {}).setdefault(image.name, image)

    def entries(self) -> dict[str, Entry]:
        """Return every image, annotated or not, by the name that lists call it."""
        files = [file for file in sorted(self.folder.glob("*.xml")) if not is_hidden(file)]
        entries = {file.stem: self._annotated(file) for file in files}
        used = {entry.at for entry in entries.values()}
        for stem, images in self.images.items():
            loose = [image for image in images.values() if str(image.absolute()) not in used]
            if stem not in entries and loose:
                entries[stem] = Entry(self._below(loose[0]), at=str(loose[0].absolute()))
        masks = {file.stem: file for file in sorted(self.home.glob("SegmentationClass/*.png"))}
        lost = sorted(masks.keys() - entries.keys())
        if lost:
            raise NotFound(f"{masks[lost[0]]} has no image ({len(lost):,} such). Add the images or remove the masks.")
        if masks:
            colours = self._labelmap({region.name for entry in entries.values() for region in entry.regions})
            for stem, file in masks.items():
                entries[stem] = replace(entries[stem], mask=self._mask(file, colours))
        return dict(sorted(entries.items()))

    def _annotated(self, file: Path) -> Entry:
        root = _parsed(file)
        if root.tag != "annotation":
            raise Invalid(f"{file} must hold an <annotation>; it holds <{root.tag[:40]}>.")
        said = (root.findtext("filename") or "").strip().replace("\\", "/").rpartition("/")[2]
        same = self.images.get(file.stem) or self.images.get(Path(said).stem) or {}
        image = same.get(said) or next(iter(same.values()), self.place / (said or f"{file.stem}.jpg"))
        width, height = _number(root, "size/width", file), _number(root, "size/height", file)
        objects = list(root.iterfind("object"))
        if objects and not (width and height and width >= 1 and height >= 1):
            try:
                facts = probe(image)
            except (Invalid, NotFound) as error:
                raise Invalid(f"{file} has no size in pixels, and it cannot be looked up: {error}") from None
            width, height = facts.width, facts.height
        regions = tuple(_region(item, n, file, (width or 1, height or 1)) for n, item in enumerate(objects, 1))
        return Entry(self._below(image), regions=regions, at=str(image.absolute()))

    def _labelmap(self, names: set[str]) -> dict[str, str]:
        file = self.home / "labelmap.txt"
        if not file.is_file():
            if names and names <= {*_VOC_CLASSES}:
                return {name: _voc_colour(index) for index, name in enumerate(_VOC_CLASSES, 1)}
            raise Invalid(
                f"{self.home} has masks, but no labelmap.txt that says what their colours mean: "
                "add it, with a line 'name:red,green,blue::' for each class."
            )
        colours: dict[str, str] = {}
        for number, line in enumerate(_text(file).splitlines(), 1):
            match = _LABELMAP.fullmatch(line.strip())
            if match is None and line.strip() and not line.startswith("#"):
                raise Invalid(f"{file}, line {number}: must be 'name:red,green,blue::'; it is {line.strip()[:60]!r}.")
            if match is not None:
                red, green, blue = (int(one) for one in match.groups()[1:])
                if max(red, green, blue) > 255:
                    raise Invalid(f"{file}, line {number}: a colour has three numbers from 0 to 255.")
                if match[1].casefold() != BACKGROUND:
                    colours[match[1]] = f"#{red:02X}{green:02X}{blue:02X}"
        return colours

    def _mask(self, file: Path, colours: Mapping[str, str]) -> MaskRef:
        """Name only the types that are painted: the labelmap is that of the whole set."""
        painted = read_mask(MaskRef(str(file), colours)).types
        return MaskRef(self._below(file), {name: colours[name] for name in painted}, at=str(file.absolute()))

    def _below(self, file: Path) -> str:
        return file.relative_to(self.root).as_posix() if file.is_relative_to(self.root) else str(file.absolute())


def _parsed(file: Path) -> Element:
    import xml.etree.ElementTree as ET

    text = _xml_text(file)
    if _UNSAFE.search(text):
        raise Invalid(f"{file} declares a document type or entities, which an annotation needs not; remove them.")
    try:
        return ET.fromstring(text)  # noqa: S314 - no document type, no entity: nothing can expand
    except (ET.ParseError, ValueError, RecursionError) as error:
        raise Invalid(f"{file} is no XML that can be read: {error}.") from None


def _xml_text(file: Path) -> str:
    """Decode a file before it is looked through, so that no other encoding can hide anything."""
    data = file.read_bytes()
    declared = _DECLARED.match(data.removeprefix(b"\xef\xbb\xbf").lstrip())
    codec = "utf-8-sig"
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        codec = "utf-16"
    elif declared and re.match(r"(?i)(iso-?8859|latin|windows-?125|cp125|ascii|us-ascii|gb)", declared[1].decode()):
        codec = declared[1].decode()
    try:
        return data.decode(codec).lstrip()
    except (UnicodeDecodeError, LookupError) as error:
        raise Invalid(f"{file} is no text that can be read: {error}. Save it as UTF-8.") from None


def _text(file: Path) -> str:
    try:
        return file.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Invalid(f"{file} is no text in UTF-8: {error}.") from None


def _number(element: Element, path: str, file: Path) -> float | None:
    text = (element.findtext(path) or "").strip()
    if not text:
        return None
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number) or abs(number) > 1e9:
        raise Invalid(f"{file}: <{path}> must be a number of pixels; it is {text[:40]!r}.")
    return number


def _region(item: Element, number: int, file: Path, size: tuple[float, float]) -> Region:
    name = (item.findtext("name") or "").strip()
    if not name:
        raise Invalid(f"{file}: object {number} has no <name>.")
    ends = [_number(item, f"bndbox/{side}", file) for side in ("xmin", "ymin", "xmax", "ymax")]
    known = [end for end in ends if end is not None]
    if len(known) < 4:
        raise Invalid(f"{file}: object {number}, {name!r}, has no <bndbox> with xmin, ymin, xmax, ymax.")
    left, top, right, bottom = known
    if right < left or bottom < top:
        raise Invalid(
            f"{file}: object {number}, {name!r}, ends before it begins: {left:g} {top:g} {right:g} {bottom:g}."
        )
    # 0 is written by programs that count from 0, and is no place outside the image.
    first = [end - 1 if not 0 <= end < 1 else 0.0 for end in (left, top)]
    x0, y0, x1, y1 = first[0] / size[0], first[1] / size[1], right / size[0], bottom / size[1]
    try:
        return inside_image(Region(name, ((x0, y0), (x1, y0), (x1, y1), (x0, y1))))
    except Invalid as error:
        raise Invalid(f"{file}: object {number}: {error}.") from None


def _voc_colour(index: int) -> str:
    """Return the colour of a class in VOC's own masks: its bits, dealt out to red, green and blue, high ones first."""
    channels = [0, 0, 0]
    for bit in range(8):
        for channel in range(3):
            channels[channel] |= (index >> (3 * bit + channel) & 1) << (7 - bit)
    return "#{:02X}{:02X}{:02X}".format(*channels)


# ---------------------------------------------------------------- writing


def write(parts: Parts, path: Path, options: WriteOptions) -> tuple[Finding, ...]:
    """Write ``Annotations``, ``JPEGImages``, ``ImageSets/Main`` and, with masks, ``SegmentationClass``.

    A split without a name is the list ``default``. Boxes are whole pixels, the nearest ones; each has at least one.

    Returns
    -------
    tuple of Finding
        what VOC cannot say: label, tags, polygons, confidences, ids, and fractions of a pixel.

    Raises
    ------
    NotFound
        if an image or a mask is not there.
    Invalid
        if a region lies outside its image, or two splits would have one name.
    Unsupported
        for ``images="refer"``: an annotation finds its image by its name.
    Conflict
        if the folder is there and may not be replaced.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from vision_toolkit.data.images import encode_png
    >>> folder = Path(tempfile.mkdtemp())
    >>> _ = folder.joinpath("1.png").write_bytes(encode_png(np.zeros((4, 8), np.uint8)))
    >>> box = Region.box("pore", left=0.25, top=0.25, width=0.5, height=0.5)
    >>> entry = Entry("1.png", regions=(box,), at=str(folder / "1.png"))
    >>> write({"train": [entry]}, folder / "voc", WriteOptions())
    ()
    >>> read(folder / "voc", ReadOptions()) == {"train": [replace(entry, source="JPEGImages/1.png")]}
    True
    """
    if options.images == "refer":
        raise Unsupported("VOC finds an image by its name in JPEGImages; write with images='copy' or 'link'.")
    losses = Losses()
    files = {split: folder or "default" for split, folder in split_names(parts).items()}
    if len({name.casefold() for name in files.values()}) < len(files):
        raise Invalid("A split is called 'default', as the one without a name would be; give that one a name.")
    entries = [entry for listed in parts.values() for entry in listed]
    names = unique_names(entries, stems=True, flat=True)
    note_names(losses, entries, names, flat=True)
    colours = _set_colours(entries, losses)
    with dataset_folder(path, options, format="voc") as folder:
        for name in ("Annotations", "JPEGImages", "ImageSets/Main"):
            (folder / name).mkdir(parents=True)
        if colours is not None:
            (folder / "SegmentationClass").mkdir()
            lines = ["# label:color_rgb:parts:actions"]
            lines += ["{}:{},{},{}::".format(name, *hex_to_rgb(colour)) for name, colour in colours.items()]
            (folder / "labelmap.txt").write_bytes(("\n".join(lines) + "\n").encode("utf-8", "replace"))
        for entry, name in zip(entries, names, strict=True):
            _write_entry(entry, name, folder, options, losses, colours or {})
        remaining = iter(names)
        for split, listed in parts.items():
            if files[split] not in (split, "default"):
                losses.add("lost-split", "", f"{split!r} is called {files[split]!r}")
            stems = [Path(next(remaining)).stem for _ in listed]
            text = "".join(f"{stem}\n" for stem in stems)
            (folder / "ImageSets" / "Main" / f"{files[split]}.txt").write_bytes(text.encode())
    return losses.findings()


def _set_colours(entries: Sequence[Entry], losses: Losses) -> dict[str, str] | None:
    """Return one colour a type for the whole set, background first; None without masks."""
    if not any(entry.mask for entry in entries):
        return None
    colours = {name: colour.upper() for name, colour in set_colours(entries).items()}
    for entry in entries:
        for name, colour in entry.mask.colours.items() if entry.mask else ():
            if colours[name] != colour.upper():
                losses.add("lost-colours", shown(entry.source), f"{name!r} is {colours[name]} in the whole set")
    ground = "#000000" if "#000000" not in colours.values() else palette_colour(0)
    return {BACKGROUND: ground} | {_clean(name): colour for name, colour in colours.items()}


def _clean(name: str) -> str:
    """Return a name as XML and a line of the labelmap can say it, and give it back."""
    return " ".join(_NOT_XML.sub("_", name).split()) or "_"


def _write_entry(
    entry: Entry, name: str, folder: Path, options: WriteOptions, losses: Losses, colours: Mapping[str, str]
) -> None:
    import xml.etree.ElementTree as ET

    place_image(entry, folder, f"JPEGImages/{name}", options)
    facts = placed_facts(entry, folder / "JPEGImages" / name)
    size = (facts.width, facts.height)
    _note_losses(entry, losses)
    root = ET.Element("annotation")
    for tag, text in (("folder", "JPEGImages"), ("filename", name)):
        ET.SubElement(root, tag).text = text
    sides = ET.SubElement(root, "size")
    depth = 1 if facts.mode in ("1", "L", "I", "I;16", "F") else 3
    for tag, number in (("width", size[0]), ("height", size[1]), ("depth", depth)):
        ET.SubElement(sides, tag).text = str(number)
    ET.SubElement(root, "segmented").text = str(int(entry.mask is not None))
    for region in entry.regions:
        item = ET.SubElement(root, "object")
        for tag, text in (
            ("name", _clean(region.name)),
            ("pose", "Unspecified"),
            ("truncated", "0"),
            ("difficult", "0"),
        ):
            ET.SubElement(item, tag).text = text
        box = ET.SubElement(item, "bndbox")
        for tag, number in zip(("xmin", "ymin", "xmax", "ymax"), _pixels(region, entry, size, losses), strict=True):
            ET.SubElement(box, tag).text = str(number)
    ET.indent(root)
    stem = Path(name).stem
    (folder / "Annotations" / f"{stem}.xml").write_bytes(ET.tostring(root, "utf-8") + b"\n")
    if entry.mask is not None:
        mask = read_mask(entry.mask, size=size)
        called = tuple(_clean(one) for one in mask.names)
        painted = Mask(mask.ids, called, tuple(colours[one] for one in called))
        (folder / "SegmentationClass" / f"{stem}.png").write_bytes(encode_mask(painted))


def _note_losses(entry: Entry, losses: Losses) -> None:
    source = shown(entry.source)
    if entry.is_labelled:
        losses.add("lost-label", source)
    if entry.tags:
        losses.add("lost-tags", source)
    for region in entry.regions:
        if _clean(region.name) != region.name:
            losses.add("lost-name", source, f"class {region.name!r} is called {_clean(region.name)!r}")
        if not is_box(region):
            losses.add("lost-shape", source, "a polygon becomes a box")
        if region.confidence is not None:
            losses.add("lost-confidence", source)
        if region.id is not None:
            losses.add("lost-id", source)


def _pixels(region: Region, entry: Entry, size: tuple[int, int], losses: Losses) -> tuple[int, int, int, int]:
    """Return ``xmin, ymin, xmax, ymax``: the first and the last pixel, from 1."""
    try:
        bounds = inside_image(region).bounds
    except Invalid as error:
        raise Invalid(f"{shown(entry.source)}: {error}. Correct or remove the region.") from None
    exact = [bound * side for bound, side in zip(bounds, (*size, *size), strict=True)]
    left, top, right, bottom = (round(value) for value in exact)
    if right <= left:  # thinner than a pixel: the one that it lies in
        left = min(math.floor(exact[0]), size[0] - 1)
        right = left + 1
    if bottom <= top:
        top = min(math.floor(exact[1]), size[1] - 1)
        bottom = top + 1
    if max(abs(a - b) for a, b in zip(exact, (left, top, right, bottom), strict=True)) > 1e-6:
        losses.add("lost-precision", shown(entry.source), "boxes are whole pixels")
    return left + 1, top + 1, right, bottom
