"""Values and rules that every other room passes around.

Read this room first: twenty minutes here and you know every word of the toolkit.

========================  ==========================================================
:mod:`.entry`             one image and what is known of it: ``Entry``, ``Label``, ``Tag``,
                          ``Region``, ``MaskRef``, and ``Finding`` for what is odd
:mod:`.mask`              ``Mask``: one class id a pixel, with names and colours
:mod:`.prediction`        ``Prediction``: what a model says of one image
:mod:`.limits`            every quota that the services published
:mod:`.settings`          ``Settings``: what may differ between machines
:mod:`.errors`            the only errors that the toolkit raises
========================  ==========================================================

Nothing here imports more than the standard library and numpy.
"""

from vision_toolkit.core.entry import Entry, Finding, Label, MaskRef, Region, Tag
from vision_toolkit.core.errors import (
    Busy,
    Conflict,
    Denied,
    Exceeded,
    Failed,
    Invalid,
    NotFound,
    Unsupported,
    VisionError,
)
from vision_toolkit.core.mask import Mask
from vision_toolkit.core.prediction import Prediction, Task
from vision_toolkit.core.settings import Settings

__all__ = [
    "Busy",
    "Conflict",
    "Denied",
    "Entry",
    "Exceeded",
    "Failed",
    "Finding",
    "Invalid",
    "Label",
    "Mask",
    "MaskRef",
    "NotFound",
    "Prediction",
    "Region",
    "Settings",
    "Tag",
    "Task",
    "Unsupported",
    "VisionError",
]
