"""Images for pages: made beside the kernel's own thread, kept for a while; and the picture that stays in a notebook."""

from __future__ import annotations

import base64
import io
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vision_toolkit.core.entry import Entry
from vision_toolkit.core.errors import VisionError
from vision_toolkit.data.images import encode_png, read_image, thumbnail

__all__ = ["Pictures", "Shown", "contact_png", "title_of"]

HELD = 48
"""Images that are kept encoded, for pages that are reloaded and for undo."""
_ENCODERS = 2
"""Threads that make images ready for pages."""
_SIDE = 200


@dataclass(frozen=True, slots=True)
class Shown:
    """Hold an image ready for a page: what is told of it, then its bytes and those of what is laid over it."""

    facts: dict[str, Any]
    buffers: list[bytes] = field(repr=False)


class Pictures:
    """Make images for pages in threads of their own, and post each when it is ready; the kernel answers keys meanwhile.

    Parameters
    ----------
    make
        makes the image of an item.
    post
        takes the item and its image, or the words that say why there is none; called from any thread.
    """

    def __init__(self, make: Callable[[int], Shown], post: Callable[[int, Shown | str], None]) -> None:
        self._make, self._post = make, post
        self._ready: OrderedDict[int, Shown | str] = OrderedDict()
        self.making: dict[int, Future[None]] = {}
        self._old: set[int] = set()  # forgotten while they were made
        self._lock = threading.Lock()
        self._encoders = ThreadPoolExecutor(_ENCODERS, thread_name_prefix="pictures")

    def want(self, item: int) -> None:
        """Post an image, now if it is ready."""
        with self._lock:
            made = self._ready.get(item)
            if made is None and item not in self.making:
                self.making[item] = self._encoders.submit(self._work, item)
        if made is not None:
            self._post(item, made)

    def forget(self, item: int) -> None:
        """Make an image anew when it is wanted again: it no longer looks as it did."""
        with self._lock:
            self._ready.pop(item, None)
            if item in self.making:
                self._old.add(item)

    def _work(self, item: int) -> None:
        while True:
            made = self._made(item)
            with self._lock:
                if item not in self._old:
                    self._ready[item] = made
                    break
                self._old.remove(item)
        with self._lock:
            while len(self._ready) > HELD:
                self._ready.popitem(last=False)
        self._post(item, made)
        with self._lock:
            self._old.discard(item)
            del self.making[item]

    def _made(self, item: int) -> Shown | str:
        try:
            return self._make(item)
        except VisionError as error:
            return str(error)
        except Exception as error:  # noqa: BLE001 (whatever a broken file does to a decoder, the page is answered)
            return f"The image cannot be read: {type(error).__name__}: {error}"


def title_of(source: str) -> str:
    """Return the file name of a source, its last 120 letters: where it lies is nobody's business in a notebook."""
    return source.replace("\\", "/").rstrip("/").rpartition("/")[2][-120:]


def contact_png(
    said: Iterable[tuple[Entry, str]], lay: Callable[[Entry, NDArray[np.uint8]], NDArray[np.uint8]] | None = None
) -> str:
    """Return a small contact sheet as PNG in base64: what remains in a saved notebook when the kernel is gone.

    Parameters
    ----------
    said
        images, and what to write under the name of each.
    lay
        given an entry and its pixels, (H, W, 3) uint8, returns the pixels to show.
    """
    from vision_toolkit.plots import contact_sheet

    pictures, titles = [], []
    for entry, text in said:
        try:
            pixels = read_image(entry)
            pictures.append(thumbnail(lay(entry, pixels) if lay else pixels, _SIDE))
        except VisionError:
            pictures.append(np.full((150, 200, 3), 200, np.uint8))
        titles.append(f"{title_of(entry.source)}\n{text}")
    file = io.BytesIO()
    sheet = contact_sheet(pictures, titles=titles, columns=min(3, len(pictures)), width=7.0)
    sheet.savefig(file, format="png", dpi=64, metadata={"Software": None})
    rough = read_image(file.getvalue()) & np.uint8(0xF0)  # 16 steps a colour: a notebook is to stay small
    return base64.b64encode(encode_png(rough | rough >> np.uint8(4))).decode("ascii")
