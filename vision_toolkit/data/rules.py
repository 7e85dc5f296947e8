"""The rules of the manifest doctor, as data: what is odd, why it matters, what repairs it.

Every :class:`~vision_toolkit.core.Finding` names one of these rules. ``docs/rules.md`` is generated from them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from vision_toolkit.core.entry import Finding, Severity

__all__ = ["RULES", "About", "Rule", "collected"]

About = Literal["file", "line", "label", "mask", "image", "set"]
"""What a rule looks at."""


@dataclass(frozen=True, slots=True)
class Rule:
    """Hold one rule: its id, how bad it is to break it, and what can be done.

    Parameters
    ----------
    id
        what a Finding calls it, ``not-json`` for example.
    severity
        as of :class:`~vision_toolkit.core.Finding`.
    about
        what it looks at: the file, a line, a label, a mask, an image, the set.
    text
        what is odd, in one sentence.
    why
        what follows from it, and how it is read all the same.
    repair
        what a person can do, or what :attr:`repaired` does; empty if nothing need be done.
    repaired
        ``"always"``: a repair does it unless told otherwise; ``"asked"``: only when the rule is named, for it
        decides something; ``"by hand"``: only a person can.

    Examples
    --------
    >>> rule = Rule("odd", "info", "line", "It is odd.", "Nothing follows.")
    >>> rule.finding(3, "This one is odd.")
    Finding(line=3, severity='info', rule='odd', text='This one is odd.', repair=None)
    """

    id: str
    severity: Severity
    about: About
    text: str
    why: str
    repair: str = ""
    repaired: Literal["always", "asked", "by hand"] = "by hand"

    @property
    def does(self) -> str:
        """Return what a repair does, in words; empty where it can do nothing.

        Examples
        --------
        >>> RULES["missing-image"].does, RULES["blank-line"].does, RULES["too-long"].does
        ('the line is rejected', 'remove it', '')
        """
        if self.repaired == "by hand":
            return ""
        return re.split("a repair |if asked, ", self.repair)[-1]

    def finding(self, line: int | None, text: str, repair: str | None = None) -> Finding:
        """Return a Finding of this rule; ``repair`` replaces the rule's own words."""
        return Finding(line, self.severity, self.id, text, repair or self.repair or None)


def collected(rules: Iterable[Rule]) -> dict[str, Rule]:
    """Return rules by id, in order; two of one id are a mistake of ours.

    Examples
    --------
    >>> list(collected([Rule("a", "info", "set", "A.", "B.")]))
    ['a']
    """
    table: dict[str, Rule] = {}
    for rule in rules:
        assert rule.id not in table, rule.id
        table[rule.id] = rule
    return table


# fmt: off
RULES = collected([
    Rule("byte-order-mark", "info", "file", "The file begins with a byte order mark.",
         "Other tools take it for part of the first line. It is passed over.", "remove it", "always"),
    Rule("crlf", "info", "file", "Lines end with carriage return and newline, as on Windows.",
         "Harmless to JSON. Such lines are kept as they are.", "end lines with a newline alone", "always"),
    Rule("no-final-newline", "info", "file", "The last line has no newline at its end.",
         "A program that appends a line would write it onto the last one.", "add it", "always"),
    Rule("blank-line", "info", "file", "A line is blank.", "It is passed over, and kept.", "remove it", "always"),
    Rule("utf-16", "warning", "file", "The file is UTF-16 or UTF-32, not UTF-8.",
         "Lookout took UTF-8 only. It is read all the same.", "write it as UTF-8", "always"),
    Rule("gzip", "warning", "file", "The file is compressed.",
         "Lookout took plain text only. It is read all the same.", "write it uncompressed", "always"),
    Rule("large-manifest", "warning", "file", "The file is larger than Lookout took.", "It is read all the same.",
         "divide it"),
    Rule("not-utf8", "error", "line", "The line is not UTF-8.", "It cannot be read, and is kept as it is.",
         "save the file as UTF-8; a repair moves the line to the rejected ones", "always"),
    Rule("nul-bytes", "error", "line", "The line holds NUL bytes: a write that was cut off, or a binary file.",
         "It cannot be read, and is kept as it is.", "remove them, if JSON is left; else reject the line", "always"),
    Rule("not-json", "error", "line", "The line is not JSON.", "It cannot be read, and is kept as it is.",
         "write it again; a repair moves it to the rejected ones", "always"),
    Rule("not-object", "error", "line", "The line is JSON, but no object {...}.",
         "It cannot be read, and is kept as it is.", "write it again; a repair moves it to the rejected ones",
         "always"),
    Rule("huge-line", "error", "line", "The line is so long that it is not read at all.", "It is kept as it is.",
         "look whether newlines are missing; a repair moves it to the rejected ones", "always"),
    Rule("no-source", "error", "line", "The line has no 'source-ref', the place of its image.",
         "It is no entry, and is kept as it is.", "add it; a repair moves the line to the rejected ones", "always"),
    Rule("loose-json", "warning", "line", "The line is JSON as Python writes it, with NaN or half characters.",
         "Strict readers refuse it. It is read all the same.", "write null for NaN and Infinity", "asked"),
    Rule("too-long", "warning", "line", "The line has more characters than Lookout took.",
         "UpdateDatasetEntries would have refused it. It is read all the same.", "shorten keys that nobody needs"),
    Rule("f03a-in-key", "warning", "line", "A place has the private character U+F03A, which Windows writes for ':'.",
         "No such object is in S3. Files on this machine are looked for under both spellings.", "write ':'", "always"),
    Rule("odd-key", "info", "line", "The place of the image has characters that Lookout's keys did not allow.",
         "Lookout allowed letters, digits and /!_.*'()-. It is read all the same.", "rename the object"),
    Rule("source-twice", "warning", "set", "An image stands on several lines that say the same.",
         "It counts twice, in training and in scores.", "keep the first of the lines", "always"),
    Rule("source-conflict", "error", "set", "An image stands on several lines that say different things.",
         "Both are used: a model cannot learn that.",
         "decide which is right; if asked, the last line stays, as in UpdateDatasetEntries", "asked"),
    Rule("labels-disagree", "warning", "label", "Two classifications of the image disagree.",
         "The first in the line decides.", "remove the wrong one; if asked, the first stays", "asked"),
    Rule("other-class", "info", "label", "A class is neither normal nor anomaly.",
         "Lookout imported such images as unlabelled, and so do we; the class is kept as a tag.",
         "say what it means: classes={'good': 'normal'}"),
    Rule("no-class-name", "warning", "label", "A classification has no class-name.", "The image is unlabelled.",
         "label it"),
    Rule("no-metadata", "warning", "label", "A label has no '-metadata' beside it.",
         "Lookout reads the class there, not in the value: the image is unlabelled.", "label it"),
    Rule("class-case", "info", "label", "The class-name is not in lower case.",
         "It is read all the same; other readers may not.", "write it in lower case", "always"),
    Rule("value-ignored", "info", "label", "The value of a label does not go with its class-name.",
         "class-name decides. Amazon's own samples write normal as 1; its service wrote 1 for anomaly.",
         "write 1 for anomaly and 0 for normal", "always"),
    Rule("value-is-place", "warning", "label", "The value of a label is a place, not a number.",
         "A known fault of a converter, which put the mask there. class-name decides.",
         "write 1 for anomaly and 0 for normal", "always"),
    Rule("no-value", "info", "label", "A label's metadata stands without the label itself.",
         "class-name decides all the same; Lookout required the value.", "add it", "always"),
    Rule("no-type", "info", "label", "A label's metadata does not say its type.",
         "It is told from what else is there; Lookout required it.", "add it", "always"),
    Rule("no-human-annotated", "info", "label", "A label's metadata does not say whether a person made it.",
         "Lookout required it.", "write \"yes\"", "asked"),
    Rule("odd-date", "info", "label", "A creation-date is not written as ISO 8601.",
         "The cookie sample has dates as JavaScript prints them.", "write it as ISO 8601, in UTC", "always"),
    Rule("mask-without-uri", "error", "mask", "A mask is described, but not where it lies.", "There is no mask.",
         "add its place"),
    Rule("no-colour-map", "error", "mask", "A mask has no internal-color-map.", "Its colours mean nothing.",
         "add the map"),
    Rule("bad-colour-map", "error", "mask", "An entry of a colour map has no name or no colour #rrggbb.",
         "The entry is passed over.", "correct it"),
    Rule("type-twice", "warning", "mask", "A type stands twice in a colour map.", "The first counts.", "remove one"),
    Rule("colour-shared", "error", "mask", "Two types of a colour map have one colour.",
         "Their pixels cannot be told apart.", "paint one of them in another colour"),
    Rule("no-background", "info", "mask", "The colour map does not begin with BACKGROUND.",
         "Amazon's cookie sample has none either: colours that are not listed are background.", "add it as entry 0",
         "always"),
    Rule("background-colour", "info", "mask", "BACKGROUND has another colour than #ffffff.",
         "Lookout asked for white. Colours that are not listed are background anyway.", "change it by hand"),
    Rule("no-confidence", "info", "mask", "Entries of a colour map have no confidence.",
         "Unused, but Lookout required a number.", "write 0.0", "always"),
    Rule("mask-key", "info", "mask", "The key of a mask does not end with '-ref'.",
         "Lookout required it. It is read all the same.", "rename it and its metadata", "always"),
    Rule("several-masks", "warning", "mask", "A line names several masks.", "The first is used.", "remove the others"),
    Rule("mask-without-label", "warning", "mask", "A mask with types, but neither normal nor anomaly.",
         "Lookout wanted both; the image is not used in training.", "label it; if asked, it is an anomaly", "asked"),
    Rule("mask-on-normal", "info", "mask", "A normal image has a colour map of types.",
         "If the mask is painted, one of the two is wrong.", "look at it"),
    Rule("no-mask", "warning", "mask", "An anomaly without a mask in a set that has masks.",
         "It teaches the verdict, but no type.", "paint it"),
    Rule("type-name", "info", "mask", "A type's name has other characters than letters and digits.",
         "The service's answers declared only those. It is kept as it is.", "rename it"),
    Rule("types-per-mask", "warning", "mask", "A colour map has more types than Lookout took in one image.",
         "It is read all the same.", "divide the types"),
    Rule("bad-regions", "error", "mask", "The boxes of a line cannot be read.", "They are passed over.",
         "correct them"),
    Rule("missing-mask", "error", "mask", "A mask is not where the line says.", "Training would stop.",
         "say where it is: images='folder/'"),
    Rule("mask-no-png", "error", "mask", "A mask is no PNG, whatever its name says.",
         "Training failed at Lookout. Lossy formats change the colours.", "write it as PNG", "asked"),
    Rule("bad-mask", "error", "mask", "A mask cannot be read.", "Training would stop.", "paint it again"),
    Rule("mask-size", "error", "mask", "A painted mask has another size than its image.", "Training would stop.",
         "paint it again"),
    Rule("mask-colours", "warning", "mask", "A mask is painted in colours that its map does not list.",
         "Training failed at Lookout. Such pixels are background here.",
         "correct hex-color or the mask; if asked, pixels take the nearest colour of the map", "asked"),
    Rule("empty-mask", "warning", "mask", "No pixel of a mask has one of its map's colours.",
         "The image teaches no type.", "correct hex-color or the mask"),
    Rule("not-local", "warning", "image", "Images lie on another machine.",
         "They were not looked at: nothing is dialled unasked.", "say where they are on this machine"),
    Rule("missing-image", "error", "image", "An image is not where the line says.", "Training would stop.",
         "say where it is: images='folder/'; if asked, the line is rejected", "asked"),
    Rule("unreadable-image", "error", "image", "An image cannot be read to its end.", "Training would stop.",
         "replace the file; if asked, the line is rejected", "asked"),
    Rule("other-format", "info", "image", "An image is neither JPEG nor PNG.", "Lookout took only those; we read it.",
         "save it as PNG"),
    Rule("wrong-suffix", "info", "image", "A file's name says another format than its bytes.",
         "The bytes decide here; other readers may stumble.", "rename it"),
    Rule("odd-size", "warning", "image", "A side of an image is outside Lookout's limits.",
         "It is read all the same.", "scale or cut it"),
    Rule("large-file", "info", "image", "An image's file is larger than Lookout took.", "It is read all the same.",
         "compress it"),
    Rule("sizes-differ", "info", "image", "Images of one set have different sizes.",
         "Lookout wanted one size. They are scaled here.", "look whether the odd ones belong here"),
    Rule("empty", "error", "set", "There is no image in it.", "Nothing can be trained."),
    Rule("unlabelled", "info", "set", "Images have no label.", "They are not used to train.", "label them"),
    Rule("no-normal", "error", "set", "There is no normal image.", "A model needs some.", "label normal images"),
    Rule("few-images", "info", "set", "There are fewer images than Lookout asked for.",
         "Training works, but its scores have wide intervals.", "take more pictures"),
    Rule("few-of-type", "info", "set", "There are fewer images of a type than Lookout asked for.",
         "Images with exactly one type count.", "paint more"),
    Rule("many-images", "info", "set", "There are more images than Lookout took.", "They are used all the same."),
    Rule("many-types", "info", "set", "There are more types than Lookout took.", "They are used all the same."),
    Rule("names-differ", "info", "set", "Lines call their label, or their mask, by different names.",
         "Read all the same; tools that are told one name miss the others.",
         "rename to anomaly-label and anomaly-mask-ref", "asked"),
    Rule("several-buckets", "info", "set", "Images lie in several buckets.", "Lookout wanted one bucket a dataset.",
         "move them"),
    Rule("places-mixed", "info", "set", "Some images lie in a bucket, some are local files.",
         "Lookout took s3:// only."),
])
# fmt: on
"""Every rule of manifests and their images by id; ``curation`` has those of pictures that can be read, but are bad."""
