"""The only errors that the toolkit raises on purpose.

Each message says what was given, what is allowed and what to do next. Every error is also the
built-in error that a Python programmer would expect, so ``except ValueError`` works too.
"""

from __future__ import annotations

__all__ = ["Conflict", "Failed", "Invalid", "NotFound", "Unsupported", "VisionError"]


class VisionError(Exception):
    """Stand for every error that this toolkit raises on purpose.

    Examples
    --------
    >>> from vision_toolkit.core import Invalid, VisionError
    >>> issubclass(Invalid, VisionError) and issubclass(Invalid, ValueError)
    True
    """


class Invalid(VisionError, ValueError):
    """Say that what was given breaks a rule: a value, a line, an image, a combination."""


class NotFound(VisionError, LookupError):
    """Say that something named does not exist: a file, a dataset, a model."""


class Conflict(VisionError):
    """Say that the state of something forbids the wish: a file that would be overwritten."""


class Unsupported(VisionError, NotImplementedError):
    """Say that something exists but cannot do this, or needs a part that is not installed."""


class Failed(VisionError, RuntimeError):
    """Say that something allowed was tried and did not succeed: a disk, a download, a training."""
