"""Keep named arrays as bytes, in the safetensors form."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Arrays", "pack_arrays", "unpack_arrays"]

Arrays = dict[str, NDArray[Any]]


def pack_arrays(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Write named arrays in the safetensors form (float32, float16, uint8 and int64)."""
    kinds = {"float32": "F32", "float16": "F16", "uint8": "U8", "int64": "I64"}
    header: dict[str, Any] = {}
    parts, offset = [], 0
    for name, array in sorted(arrays.items()):
        data = np.ascontiguousarray(array).tobytes()
        header[name] = {
            "dtype": kinds[str(array.dtype)],
            "shape": list(array.shape),
            "data_offsets": [offset, offset + len(data)],
        }
        parts.append(data)
        offset += len(data)
    head = json.dumps(header, separators=(",", ":")).encode()
    head += b" " * (-len(head) % 8)
    return struct.pack("<Q", len(head)) + head + b"".join(parts)


def unpack_arrays(data: bytes) -> Arrays:
    """Read named arrays in the safetensors form; raise ValueError where it is damaged."""
    kinds = {"F32": np.float32, "F16": np.float16, "U8": np.uint8, "I64": np.int64}
    try:
        (length,) = struct.unpack("<Q", data[:8])
        header = json.loads(data[8 : 8 + length])
        header.pop("__metadata__", None)
        body = memoryview(data)[8 + length :]
        found = {}
        for name, fact in header.items():
            start, end = fact["data_offsets"]
            found[name] = np.frombuffer(body[start:end], kinds[fact["dtype"]]).reshape(fact["shape"])
        return found
    except (KeyError, TypeError, ValueError, struct.error) as error:
        raise ValueError(f"The arrays are damaged: {error}") from None
