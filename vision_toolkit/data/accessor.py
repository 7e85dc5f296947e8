"""The accessor ``df.vision`` of pandas tables that name images.

It is registered by the first ``Manifest.to_frame`` or ``Manifest.from_frame``; by importing this module or
:mod:`.frame`, if pandas is loaded already; and in any case by :func:`register_accessor`.
"""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, Any

from vision_toolkit.core.errors import Conflict

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

    from vision_toolkit.core.entry import Finding
    from vision_toolkit.data.check_images import Look
    from vision_toolkit.data.manifest import Manifest

__all__ = ["Vision", "register_accessor", "register_if_free"]


def register_accessor() -> None:
    """Give every pandas DataFrame the accessor ``df.vision``, see :class:`Vision`; twice does no harm.

    Raises
    ------
    Conflict
        if another package has an accessor of that name.

    Examples
    --------
    >>> import pandas as pd
    >>> register_accessor()
    >>> pd.DataFrame({"path": ["1.png"], "label": ["anomaly"]}).vision.manifest()
    Manifest(1 image: 1 anomaly)
    """
    import pandas as pd

    there = getattr(pd.DataFrame, "vision", None)
    if there is None:
        pd.api.extensions.register_dataframe_accessor("vision")(Vision)
    elif there is not Vision:
        raise Conflict("Another package has named an accessor 'vision'. Use Manifest.from_frame(df) instead.")


def register_if_free() -> None:
    """Do as :func:`register_accessor`, but leave another package's accessor alone.

    Examples
    --------
    >>> register_if_free()
    """
    with contextlib.suppress(Conflict):
        register_accessor()


class Vision:
    """Look at the images that a table names: ``df.vision``.

    Every method takes the table as it is now, as :meth:`Manifest.from_frame <vision_toolkit.data.Manifest.from_frame>`
    reads it.

    Examples
    --------
    >>> import pandas as pd
    >>> register_accessor()
    >>> df = pd.DataFrame({"source": ["1.png", "2.png"], "label": ["normal", "anomaly"], "line_speed": [3, 4]})
    >>> df.vision.counts()["anomaly"], df.vision.filter(label="anomaly")["line_speed"].tolist()
    (1, [4])
    """

    def __init__(self, frame: DataFrame) -> None:
        self._frame = frame

    def manifest(self, *, source: str | None = None, label: str | None = None) -> Manifest:
        """Return the table as a manifest; ``source`` and ``label`` name its columns if they are not ours."""
        from vision_toolkit.data.manifest import Manifest

        return Manifest.from_frame(self._frame, source=source, label=label)

    def counts(self) -> dict[str, int]:
        """Return how many images there are: total, normal, anomaly, unlabelled, with_mask."""
        return self.manifest().counts()

    def check(self, *, look: Look = "whole") -> list[Finding]:
        """Return every oddity; lines are counted as the manifest would be written."""
        return self.manifest().check(look=look)

    def filter(self, *args: Any, **conditions: Any) -> DataFrame:
        """Return the rows that :meth:`Manifest.filter <vision_toolkit.data.Manifest.filter>` would choose."""
        from vision_toolkit.data.selection import condition

        holds = condition(*args, **conditions)
        return self._frame.iloc[[i for i, entry in enumerate(self.manifest()) if holds(entry)]]

    def show(self, *, n: int = 12, seed: int | None = None) -> Figure:
        """Show ``n`` images with their labels: the first ones, or a random choice of ``seed``."""
        return self.manifest().show(n=n, seed=seed)


if "pandas" in sys.modules:
    register_if_free()
