"""Tell how far a long work is: a bar where somebody watches, the caller's function, or nothing."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tqdm import tqdm

__all__ = ["Progress", "told"]

FORM = "{desc:<28} {percentage:3.0f} % |{bar}| {elapsed}, {remaining} left"

Progress = Callable[[float, str], None]
"""Told how far the work is, 0 to 1, and what is being done."""


@contextmanager
def told(progress: Progress | bool | None, *, delay: float = 0.0) -> Iterator[Progress]:
    """Yield what to tell progress to.

    Parameters
    ----------
    progress
        None: a bar where somebody watches (a terminal or a notebook); True: a bar; False: nothing; or a function told
        ``(share, what)``.
    delay
        seconds before a bar appears: shorter work shows none.

    Examples
    --------
    >>> with told(print) as tell:
    ...     tell(0.5, "looking")
    0.5 looking
    """
    if callable(progress):
        yield progress
        return
    watched = sys.stderr.isatty() or "ipykernel" in sys.modules
    if progress is False or (progress is None and not watched):
        yield lambda share, text: None
        return
    from tqdm.auto import tqdm

    started = time.monotonic()
    bars: list[tqdm[None]] = []

    def tell(share: float, text: str) -> None:
        if not bars:
            if time.monotonic() - started < delay:
                return
            bars.append(tqdm(total=100, bar_format=FORM))
        bars[0].set_description_str(text, refresh=False)
        bars[0].update(max(0, round(100 * share) - bars[0].n))
        bars[0].refresh()

    try:
        yield tell
    finally:
        for bar in bars:
            bar.close()
