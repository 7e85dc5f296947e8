"""Pixels that come in and masks that go out: in the message, or in shared memory that the client made."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from vision_toolkit.core.errors import Failed, Invalid
from vision_toolkit.core.limits import LOOKOUT
from vision_toolkit.core.mask import Mask
from vision_toolkit.workspace.unit_worker import open_shared
from vision_toolkit.workspace.units import pixels

__all__ = ["MaskPlace", "mask_place", "pieces"]


def pieces(bitmap: Any) -> tuple[bytes, ...]:
    """Return what gives a bitmap's pixels to an inference unit; shared memory is looked at by the unit alone.

    Parameters
    ----------
    bitmap
        a ``Bitmap`` message.

    Raises
    ------
    Invalid
        if its size is not allowed, or its pixels are not as many bytes as that needs.
    """
    width, height, needed = bitmap.width, bitmap.height, _needed(bitmap)
    low, high = LOOKOUT.min_side, LOOKOUT.max_side
    if not (low <= width <= high and low <= height <= high):
        raise Invalid(
            f"The bitmap is {width} x {height} pixels; {low} x {low} to {high} x {high} are allowed. Set width and "
            "height, and resize what is larger."
        )
    words = f"packed RGB888 of {width} x {height} pixels has {needed:,}"
    kind = bitmap.WhichOneof("data")
    if kind is None:
        raise Invalid(f"The bitmap has no pixels; give byte_data or shared_memory_handle: {words} bytes.")
    if kind == "byte_data":
        packed = bitmap.byte_data  # each look at it copies it
        if len(packed) != needed:
            raise Invalid(f"byte_data has {len(packed):,} bytes; {words}.")
        return pixels(width, height, packed)
    handle = bitmap.shared_memory_handle
    if handle.size != needed:
        raise Invalid(f"shared_memory_handle.size is {handle.size:,}; {words}.")
    return pixels(width, height, shared=(handle.name, handle.offset))


@dataclass(frozen=True, slots=True)
class MaskPlace:
    """Be where the mask of an answer goes: shared memory that is open; or, with no ``handle``, the answer itself."""

    handle: Any = None
    segment: int = -1

    def put(self, mask: Mask, bitmap: Any) -> None:
        """Paint a mask there, and make a ``Bitmap`` message hold it or tell where it is.

        Raises
        ------
        Failed
            if the memory cannot be written.
        """
        painted = mask.to_rgb()
        bitmap.width, bitmap.height = mask.size
        if self.handle is None:
            bitmap.byte_data = painted.tobytes()
            return
        left, offset = painted.data.cast("B"), self.handle.offset
        try:
            while left:
                count = os.pwrite(self.segment, left, offset)
                left, offset = left[count:], offset + count
        except OSError as error:
            name = self.handle.name
            raise Failed(f"The mask cannot be written into shared memory {name!r}: {error.strerror}.") from error
        bitmap.shared_memory_handle.CopyFrom(self.handle)


@contextlib.contextmanager
def mask_place(request: Any) -> Iterator[MaskPlace]:
    """Open where the mask of a ``DetectAnomaliesRequest`` goes, before anything is computed.

    Raises
    ------
    Invalid
        if there is no such shared memory, or the mask does not fit into the part that is named.
    """
    parameters = request.anomaly_mask_params
    given = [field for field in ("shared_memory_handle", "shared_memory_handle_3") if parameters.HasField(field)]
    handles = [getattr(parameters, field) for field in given]
    if not handles:
        yield MaskPlace()
        return
    if handles[0] != handles[-1]:
        raise Invalid("anomaly_mask_params names two places for the mask; give field 2 or field 3, not both.")
    handle, needed = handles[0], _needed(request.bitmap)
    if handle.size < needed:
        raise Invalid(f"The mask has {needed:,} bytes; anomaly_mask_params has room for {handle.size:,}.")
    try:
        segment = open_shared(handle.name, handle.offset + handle.size, writing=True)
    except ValueError as error:
        raise Invalid(f"The mask cannot be written: {error}.") from None
    try:
        yield MaskPlace(handle, segment)
    finally:
        os.close(segment)


def _needed(bitmap: Any) -> int:
    return int(3 * bitmap.width * bitmap.height)
