"""What is lost on the way into another format, as data, and a notebook that groups it.

A million images that lose the same thing are one Finding, with their number and the first of them.
"""

from __future__ import annotations

from vision_toolkit.core.entry import Finding
from vision_toolkit.data.rules import Rule, collected

__all__ = ["LOSSES", "Losses"]

# fmt: off
LOSSES = collected([
    Rule("lost-image", "warning", "set", "Images are not in what was written.",
         "The format has no place for them."),
    Rule("lost-label", "warning", "label", "Labels are lost.",
         "The format cannot say normal, anomaly or unlabelled of such an image."),
    Rule("lost-mask", "warning", "mask", "Masks are lost.", "The format has none, or none for such an image."),
    Rule("lost-types", "warning", "mask", "Masks lose the types of their pixels.",
         "The format says what is a defect, but not which, or one type an image only."),
    Rule("lost-colours", "info", "mask", "Masks are painted in other colours.",
         "The format fixes them. Types and pixels stay."),
    Rule("lost-regions", "warning", "mask", "Boxes or polygons are lost.", "The format has no place for them.",
         "draw them into masks before: read_dataset(..., paint=True)"),
    Rule("lost-shape", "warning", "mask", "Polygons become boxes, or masks become polygons or boxes.",
         "The format has simpler shapes only."),
    Rule("lost-precision", "info", "mask", "Places are rounded.", "The format has whole pixels, or fewer digits."),
    Rule("lost-tags", "warning", "label", "Classes of the whole image are lost.",
         "The format has none, or one an image only."),
    Rule("lost-confidence", "warning", "label", "Confidences are lost.", "The format has no place for them."),
    Rule("lost-id", "warning", "mask", "The ids of regions are lost.", "The format has no place for them."),
    Rule("lost-name", "warning", "file", "Images or classes get another name.",
         "The name was taken already, leads out of the folder, or has characters that the format or a disk refuses."),
    Rule("lost-split", "warning", "set", "Images come under another split, or under none.",
         "The format has fixed splits, or none."),
    Rule("lost-keys", "info", "line", "Other keys of the JSON lines are lost.",
         "The format has no place for job names, dates and what a team keeps beside them."),
])
# fmt: on
"""Every rule by which writing a format tells what it could not say, by id."""


class Losses:
    """Collect what writing loses: one Finding a rule, with the number of images and the first of them.

    Examples
    --------
    >>> losses = Losses()
    >>> for image in ("a.png", "b.png"):
    ...     losses.add("lost-tags", image, "one class an image; 'wet' is left out")
    >>> print(losses.findings()[0])
    warning: Classes of the whole image are lost: 2 images, the first is a.png (one class an image; 'wet' is left
    out). [lost-tags]
    """

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._first: dict[str, tuple[str, str]] = {}
        self._last: dict[str, str] = {}

    def add(self, rule: str, image: str = "", detail: str = "") -> None:
        """Note that ``image`` loses something.

        Parameters
        ----------
        rule
            an id of :data:`LOSSES`.
        image
            the image's source, or "" where it concerns the whole set. What one image loses several times under
            one rule counts once, if it is told in one go.
        detail
            in a few words what exactly; that of the first image is told.
        """
        assert rule in LOSSES, rule
        if image and self._last.get(rule) == image:
            return
        self._last[rule] = image
        self._counts[rule] = self._counts.get(rule, 0) + bool(image)
        self._first.setdefault(rule, (image, detail))

    def findings(self) -> tuple[Finding, ...]:
        """Return one Finding a rule, in the order of :data:`LOSSES`."""
        found = []
        for rule in LOSSES.values():
            if rule.id not in self._first:
                continue
            image, detail = self._first[rule.id]
            count = self._counts[rule.id]
            if count == 1:
                which = f": {image}"
            else:
                which = f": {count:,} images, the first is {image}" if image else ""
            found.append(rule.finding(None, f"{rule.text.rstrip('.')}{which}{f' ({detail})' if detail else ''}."))
        return tuple(found)

    def __bool__(self) -> bool:
        return bool(self._first)
