"""What a Python program gives and gets: objects with attributes in snake case, and answers, as the SDK has them.

A class for each structure in :mod:`.shapes` is made from it when it is first used: ``models.CreateProjectDetails``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, ClassVar, get_args, get_origin, is_typeddict

from vision_toolkit.services.oci import shapes
from vision_toolkit.services.oci.errors import REQUEST_ID
from vision_toolkit.services.shapes import members, plain

__all__ = ["NEXT_PAGE", "Headers", "Model", "Request", "Response", "as_json", "as_models", "model_of", "snake"]

NEXT_PAGE = "opc-next-page"
"""The header that names the next page; on the last one it is not there."""


def snake(name: str) -> str:
    """Return a name of the wire as Python has it.

    Examples
    --------
    >>> snake("displayName")
    'display_name'
    """
    return re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", name).lower()


class Model:
    """Be a structure with an attribute for each member; those that were not given are None.

    Examples
    --------
    >>> details = model_of(shapes.CreateProjectDetails)(display_name="bolts", compartment_id="ocid1.compartment.oc1..a")
    >>> as_json(details)
    {'displayName': 'bolts', 'compartmentId': 'ocid1.compartment.oc1..a'}
    """

    attribute_map: ClassVar[Mapping[str, str]] = {}
    """The name on the wire of each attribute."""

    def __init__(self, **given: Any) -> None:
        if unknown := set(given) - set(self.attribute_map):
            raise TypeError(
                f"{type(self).__name__} has no {', '.join(sorted(unknown))}; it has: {', '.join(self.attribute_map)}."
            )
        for name in self.attribute_map:
            setattr(self, name, given.get(name))

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and vars(other) == vars(self)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        shown = {name: getattr(self, name) for name in self.attribute_map}
        return json.dumps(shown, indent=2, default=lambda one: vars(one) if isinstance(one, Model) else str(one))


@cache
def model_of(structure: Any) -> type[Model]:
    """Return the class of a structure."""
    names = {snake(wire): wire for wire in members(structure)}
    return type(
        structure.__name__, (Model,), {"attribute_map": names, "__doc__": structure.__doc__, "__module__": __name__}
    )


def __getattr__(name: str) -> type[Model]:
    """Give the class of a structure by its name (PEP 562)."""
    structure = getattr(shapes, name, None) if name in shapes.__all__ else None
    if not is_typeddict(structure):
        known = ", ".join(one for one in shapes.__all__ if is_typeddict(getattr(shapes, one)))
        raise AttributeError(f"There is no model {name!r}; there are: {known}.")
    return model_of(structure)


def as_json(value: Any) -> Any:
    """Return models, ours or the SDK's, as dicts under the names of the wire, without what is None."""
    names = getattr(type(value), "attribute_map", None) or getattr(value, "attribute_map", None)
    if isinstance(names, Mapping):
        given = {wire: getattr(value, name) for name, wire in names.items()}
        return {wire: as_json(one) for wire, one in given.items() if one is not None}
    if isinstance(value, Mapping):
        return {name: as_json(one) for name, one in value.items()}
    return [as_json(one) for one in value] if isinstance(value, list | tuple) else value


def as_models(hint: Any, value: Any) -> Any:
    """Return plain data of a shape as models."""
    kind, _ = plain(hint)
    if value is None:
        return None
    if is_typeddict(kind):
        known = members(kind)
        given = {snake(wire): as_models(known[wire][0], one) for wire, one in value.items() if wire in known}
        return model_of(kind)(**given)
    return [as_models(get_args(kind)[0], one) for one in value] if get_origin(kind) is list else value


class Headers(MutableMapping[str, str]):
    """Hold headers; whether names are in small letters does not matter.

    Examples
    --------
    >>> Headers({"etag": "1"})["ETag"]
    '1'
    """

    def __init__(self, given: Mapping[str, str] | None = None) -> None:
        self._given = {name.lower(): value for name, value in (given or {}).items()}

    def __getitem__(self, name: str) -> str:
        return self._given[name.lower()]

    def __setitem__(self, name: str, value: str) -> None:
        self._given[name.lower()] = value

    def __delitem__(self, name: str) -> None:
        del self._given[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._given)

    def __len__(self) -> int:
        return len(self._given)

    def __repr__(self) -> str:
        return repr(self._given)


@dataclass(frozen=True, slots=True)
class Request:
    """Be what was asked, to be asked again: ``oci.wait_until`` does so."""

    method: str
    repeat: Callable[[], Response]


@dataclass(slots=True)
class Response:
    """Be an answer: ``data``, with its status and headers.

    Parameters
    ----------
    status
        of HTTP.
    headers
        such as ``etag`` and ``opc-work-request-id``.
    data
        a :class:`Model`, or None.
    request
        what was asked.
    """

    status: int
    headers: Headers
    data: Any
    request: Request = field(repr=False)

    @property
    def next_page(self) -> str | None:
        """What to give as ``page`` for the next one; None on the last."""
        return self.headers.get(NEXT_PAGE)

    @property
    def has_next_page(self) -> bool:
        """Whether there is a next page."""
        return self.next_page is not None

    @property
    def request_id(self) -> str | None:
        """The name of the request."""
        return self.headers.get(REQUEST_ID)
