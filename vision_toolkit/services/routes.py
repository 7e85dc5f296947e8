"""Find the operation that a path means, before anything in it is decoded."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from vision_toolkit.services.operation import Operation, Service

__all__ = ["Found", "Routes", "decode", "pairs"]


@dataclass(frozen=True, slots=True)
class Found:
    """Be what a path means: an operation and the arguments in the path, still encoded.

    ``operation`` is None where no operation has this path and method; ``methods`` are those that the path has.
    """

    operation: Operation | None
    arguments: dict[str, str]
    methods: tuple[str, ...] = ()


class Routes:
    """Hold the paths of a service's operations.

    Parameters
    ----------
    service
        whose.

    Examples
    --------
    >>> from vision_toolkit.services.lookout import LookoutVision
    >>> Routes(LookoutVision).find("GET", "/2020-11-20/tags/arn%3Aaws%3Ax%2F1").arguments
    {'resourceArn': 'arn%3Aaws%3Ax%2F1'}
    """

    def __init__(self, service: type[Service]) -> None:
        every = [(_parts(service.prefix + one.path), one) for one in service.operations().values()]
        # What is written out counts before what is an argument.
        self._every = sorted(every, key=lambda pair: [part.startswith("{") for part in pair[0]])
        self.prefix = service.prefix

    def find(self, method: str, path: str) -> Found:
        """Return what a raw path means; a last argument that came with bare slashes takes them all."""
        given = _parts(path)
        methods: list[str] = []
        arguments: dict[str, str] = {}
        if not {".", ".."} & set(given):
            for parts, operation in self._every:
                found = _match(parts, given)
                if found is None:
                    continue
                if operation.method == method:
                    return Found(operation, found)
                methods.append(operation.method)
        return Found(None, arguments, tuple(sorted(set(methods))))


def _parts(path: str) -> list[str]:
    return path.removeprefix("/").split("/")


def _match(parts: list[str], given: list[str]) -> dict[str, str] | None:
    last = parts[-1]
    if last.endswith("Arn}") and len(given) > len(parts):  # a proxy has decoded %2F
        given = [*given[: len(parts) - 1], "/".join(given[len(parts) - 1 :])]
    if len(parts) != len(given):
        return None
    found = {}
    for part, text in zip(parts, given, strict=True):
        if part.startswith("{"):
            found[part[1:-1]] = text
        elif part != text:
            return None
    return found


def decode(text: str, *, plus: bool = False) -> str:
    """Return what a percent-encoded text means.

    Parameters
    ----------
    text
        a segment of a path, a name or a value of a query.
    plus
        whether ``+`` is a space.

    Raises
    ------
    ValueError
        if it is not UTF-8, or has the character NUL, which no text here may have.

    Examples
    --------
    >>> decode("a%2Fb+c")
    'a/b+c'
    """
    raw = unquote_to_bytes(text.replace("+", " ") if plus else text)
    if b"\0" in raw:
        raise ValueError("there is a NUL character in it")
    return raw.decode("utf-8")


def pairs(query: str, *, plus: bool = False) -> Iterable[tuple[str, str]]:
    """Yield the names and values of a query, decoded; raises as :func:`decode` does.

    Examples
    --------
    >>> list(pairs("tagKeys=a&tagKeys=b%20c&labeled"))
    [('tagKeys', 'a'), ('tagKeys', 'b c'), ('labeled', '')]
    """
    for part in query.split("&") if query else ():
        name, _, value = part.partition("=")
        if part:
            yield decode(name, plus=plus), decode(value, plus=plus)
