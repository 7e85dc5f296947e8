"""The messages of ``edge_agent.proto`` as Python classes, made at run time from what the build compiled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from vision_toolkit.core.errors import Failed

__all__ = ["SERVICE", "Call", "calls", "message"]

PACKAGE = "AWS.LookoutVision"
SERVICE = f"{PACKAGE}.EdgeAgent"
"""The full name of the service."""
_COMPILED = Path(__file__).with_name("edge_agent.binpb")


@dataclass(frozen=True, slots=True)
class Call:
    """Be one call of the service: the classes of its request and of its answer."""

    name: str
    request: Any
    response: Any

    @property
    def path(self) -> str:
        """Return where it is called: the path of the HTTP/2 request."""
        return f"/{SERVICE}/{self.name}"


@cache
def _pool() -> Any:
    """Return the descriptions in a pool of their own: others in the process may know messages of these names."""
    try:
        compiled = descriptor_pb2.FileDescriptorSet.FromString(_COMPILED.read_bytes())
    except FileNotFoundError:
        raise Failed(
            f"{_COMPILED.name} is missing beside {__file__}: it is made when the package is built. In a checkout make "
            "it with: python hatch_build.py"
        ) from None
    pool = descriptor_pool.DescriptorPool()
    for file in compiled.file:
        pool.Add(file)
    return pool


@cache
def message(name: str) -> Any:
    r"""Return the class of a message.

    Raises
    ------
    Failed
        if the contract was not compiled.

    Examples
    --------
    >>> request = message("StartModelRequest")(model_component="plates")
    >>> request.SerializeToString()
    b'\n\x06plates'
    """
    return message_factory.GetMessageClass(_pool().FindMessageTypeByName(f"{PACKAGE}.{name}"))


@cache
def calls() -> Mapping[str, Call]:
    """Return all calls of the service by their names.

    Examples
    --------
    >>> calls()["ListModels"].path
    '/AWS.LookoutVision.EdgeAgent/ListModels'
    """
    methods = _pool().FindServiceByName(SERVICE).methods
    return {one.name: Call(one.name, message(one.input_type.name), message(one.output_type.name)) for one in methods}
