"""What may differ between machines, read once and passed down."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from vision_toolkit.core.errors import Invalid

__all__ = ["Settings"]

_CHOICES = {"limits": ("on", "off"), "s3": ("folders", "s3"), "preset": ("fast", "balanced", "best")}
_WORDS = {"region": r"[a-z0-9-]{1,64}", "account": r"[0-9]{12}"}


@dataclass(frozen=True, slots=True)
class Settings:
    """Hold what may differ between machines.

    Parameters
    ----------
    threads
        threads of one computation; None = as many as this process may use.
    weights
        default of ``train(weights=...)``.
    cache
        folder of what can be made again: backbones, drawn datasets.
    limits
        whether services enforce the quotas that the old services published (counts, sizes, one bucket).
    s3
        ``"folders"``: ``s3://BUCKET/KEY`` is a file of the workspace; ``"s3"``: it is Amazon's or a compatible store,
        found as AWS's own variables say.
    database
        where a workspace keeps its records, as a URL; None = a file in its folder.
    region, account
        parts of the names that services give.
    preset
        of trainings that a service begins.

    Examples
    --------
    >>> Settings.read({"VISION_TOOLKIT_THREADS": "2"}).threads
    2
    """

    threads: int | None = None
    weights: str = "auto"
    cache: Path = Path("~/.cache/vision_toolkit")
    limits: bool = True
    s3: Literal["folders", "s3"] = "folders"
    database: str | None = None
    region: str = "us-east-1"
    account: str = "000000000000"
    preset: str = "balanced"

    @classmethod
    def read(cls, environment: Mapping[str, str] | None = None) -> Settings:
        """Read ``VISION_TOOLKIT_THREADS`` and the other fields' names from the environment.

        Raises
        ------
        Invalid
            if a value is not what it must be.
        """
        env = os.environ if environment is None else environment
        threads = env.get("VISION_TOOLKIT_THREADS") or None
        if threads is not None and (not threads.isdigit() or int(threads) < 1):
            raise Invalid(f"VISION_TOOLKIT_THREADS must be a whole number from 1; {threads!r} was given.")
        base = env.get("VISION_TOOLKIT_CACHE")
        if not base:
            base = os.path.join(env.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "vision_toolkit")
        texts = {
            name: env.get(f"VISION_TOOLKIT_{name.upper()}") for name in ("weights", "database", *_CHOICES, *_WORDS)
        }
        for name, allowed in _CHOICES.items():
            if texts[name] and texts[name] not in allowed:
                raise Invalid(
                    f"VISION_TOOLKIT_{name.upper()} must be {' or '.join(allowed)}; {texts[name]!r} was given."
                )
        for name, pattern in _WORDS.items():
            if texts[name] and not re.fullmatch(pattern, texts[name] or ""):
                raise Invalid(f"VISION_TOOLKIT_{name.upper()} must look like {pattern}; {texts[name]!r} was given.")
        given: dict[str, Any] = {name: text for name, text in texts.items() if text}
        if "limits" in given:
            given["limits"] = given["limits"] == "on"
        return cls(threads=int(threads) if threads else None, cache=Path(base).expanduser(), **given)

    def usable_threads(self) -> int:
        """Return how many threads to use: the setting, else the CPUs that this process may run on."""
        if self.threads:
            return self.threads
        affinity = getattr(os, "sched_getaffinity", None)
        return max(1, len(affinity(0)) if affinity else os.cpu_count() or 1)
