"""What may differ between machines, read once and passed down."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from vision_toolkit.core.errors import Invalid

__all__ = ["Settings"]


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
    s3
        what ``s3://BUCKET/KEY`` names: ``"folders"``, files of the workspace, or ``"s3"``, objects of a real S3.

    Examples
    --------
    >>> Settings.read({"VISION_TOOLKIT_THREADS": "2"}).threads
    2
    """

    threads: int | None = None
    weights: str = "auto"
    cache: Path = Path("~/.cache/vision_toolkit")
    s3: Literal["folders", "s3"] = "folders"

    @classmethod
    def read(cls, environment: Mapping[str, str] | None = None) -> Settings:
        """Read ``VISION_TOOLKIT_THREADS``, ``_WEIGHTS``, ``_CACHE`` and ``_S3`` from the environment.

        Raises
        ------
        Invalid
            if a value is not what it must be.
        """
        env = os.environ if environment is None else environment
        threads = env.get("VISION_TOOLKIT_THREADS") or None
        if threads is not None and (not threads.isdigit() or int(threads) < 1):
            raise Invalid(f"VISION_TOOLKIT_THREADS must be a whole number from 1; {threads!r} was given.")
        s3 = env.get("VISION_TOOLKIT_S3") or "folders"
        if s3 not in ("folders", "s3"):
            raise Invalid(f"VISION_TOOLKIT_S3 must be 'folders' or 's3'; {s3!r} was given.")
        base = env.get("VISION_TOOLKIT_CACHE")
        if not base:
            base = os.path.join(env.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "vision_toolkit")
        return cls(
            threads=int(threads) if threads else None,
            weights=env.get("VISION_TOOLKIT_WEIGHTS") or "auto",
            cache=Path(base).expanduser(),
            s3="s3" if s3 == "s3" else "folders",
        )

    def usable_threads(self) -> int:
        """Return how many threads to use: the setting, else the CPUs that this process may run on."""
        if self.threads:
            return self.threads
        affinity = getattr(os, "sched_getaffinity", None)
        return max(1, len(affinity(0)) if affinity else os.cpu_count() or 1)
