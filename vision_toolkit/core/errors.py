"""The only errors that the toolkit raises on purpose.

Each message says what was given, what is allowed and what to do next. Every error is also the
built-in error that a Python programmer would expect, so ``except ValueError`` works too.
"""

from __future__ import annotations

from typing import Self

__all__ = ["Busy", "Conflict", "Denied", "Exceeded", "Failed", "Invalid", "NotFound", "Unsupported", "VisionError"]


class VisionError(Exception):
    """Stand for every error that this toolkit raises on purpose.

    Examples
    --------
    >>> from vision_toolkit.core import Invalid, VisionError
    >>> issubclass(Invalid, VisionError) and issubclass(Invalid, ValueError)
    True
    """

    kind: str = ""
    """What kind of thing the error is about, in one word of this toolkit ("project"); empty if nobody said."""
    name: str = ""
    """Which one."""

    def about(self, kind: str, name: str) -> Self:
        """Say what the error is about, for those who answer in another service's words; returns the error.

        Examples
        --------
        >>> NotFound("There is no project 'cookies'.").about("project", "cookies").kind
        'project'
        """
        self.kind, self.name = kind, name
        return self


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


class Exceeded(VisionError):
    """Say that a quota does not allow one more: of a service that has quotas, while they are switched on."""


class Busy(VisionError):
    """Say that what was asked for is allowed and would work, but not now: a queue is full.

    Parameters
    ----------
    message
        what is busy.
    seconds
        after how many seconds to ask again.
    """

    def __init__(self, message: str, *, seconds: float = 1.0) -> None:
        super().__init__(message)
        self.seconds = seconds


class Denied(VisionError, PermissionError):
    """Say that whoever asks is known, and may not do this."""
