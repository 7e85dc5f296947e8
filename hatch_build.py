"""Compile what the edge agent speaks: part of every build of the package, and ``python hatch_build.py`` in a checkout.

What comes of it is a description of the messages (a ``FileDescriptorSet``), which any version of protobuf reads at run
time; Python code as protoc writes it would need its own version or a newer one. It is made with the standard library
alone, so that building the package needs no gRPC, which most who build it never use. To the last byte it is what
``protoc --descriptor_set_out`` makes of the same file: a test compares the two. Of the language of .proto files this
reads what that file uses, and refuses the rest.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

SOURCE = Path("vision_toolkit", "services", "edge", "edge_agent.proto")
TARGET = SOURCE.with_suffix(".binpb")

SCALARS = {"float": 2, "uint64": 4, "int32": 5, "bool": 8, "string": 9, "bytes": 12}
MESSAGE, ENUM = 11, 14
OPTIONAL, REPEATED = 1, 3
TOKEN = re.compile(r'\s+|//[^\n]*|(?P<token>[\w.]+|"[^"\n]*"|[{}()=;])|(?P<strange>.)')


def record(*fields: tuple[int, int | str | bytes]) -> bytes:
    """Return fields, each a number and a value, in protobuf's binary form."""
    made = bytearray()
    for number, value in fields:
        if isinstance(value, int):
            made += varint(number << 3) + varint(value)
        else:
            data = value.encode() if isinstance(value, str) else value
            made += varint(number << 3 | 2) + varint(len(data)) + data
    return bytes(made)


def varint(value: int) -> bytes:
    """Return a whole number from 0, seven bits a byte."""
    made = bytearray()
    while value > 0x7F:
        made.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*made, value])


class Compiler:
    """Read a .proto file and describe it.

    Raises
    ------
    ValueError
        at what this does not read, with the line.
    """

    def __init__(self, text: str, name: str) -> None:
        self._name, self._text = name, text
        self._places: list[tuple[str, int]] = []
        for found in TOKEN.finditer(text):
            if found["strange"]:
                self._refuse(found.start(), found["strange"])
            if found["token"]:
                self._places.append((found["token"], found.start()))
        self._next = 0
        self._enums = set(re.findall(r"^enum (\w+)", text, re.MULTILINE))

    def _refuse(self, place: int, what: str) -> None:
        line = self._text.count("\n", 0, place) + 1
        raise ValueError(f"{self._name}:{line}: {what!r} is not understood here.")

    def _take(self, pattern: str) -> str:
        token, place = self._places[self._next] if self._next < len(self._places) else ("", len(self._text))
        if not re.fullmatch(pattern, token):
            self._refuse(place, token)
        self._next += 1
        return token

    def _see(self, *tokens: str) -> bool:
        return self._next < len(self._places) and self._places[self._next][0] in tokens

    def _words(self, *patterns: str) -> list[str]:
        return [self._take(pattern) for pattern in patterns]

    def describe(self) -> bytes:
        """Return the description of the file."""
        self._words("syntax", "=", '"proto3"', ";")
        self._package = self._words("package", r"[\w.]+", ";")[1]
        parts: dict[str, list[bytes]] = {"message": [], "enum": [], "service": []}
        readers: dict[str, Callable[[], bytes]] = {
            "message": self._message, "enum": self._enum, "service": self._service,
        }  # fmt: skip
        options = []
        while self._next < len(self._places):
            kind = self._take("option|message|enum|service")
            if kind == "option":
                options.append((1, self._words("java_package", "=", '".*"', ";")[2].strip('"')))
            else:
                parts[kind].append(readers[kind]())
        lists = [(number, one) for number, kind in ((4, "message"), (5, "enum"), (6, "service")) for one in parts[kind]]
        file = record((1, self._name), (2, self._package), *lists, (8, record(*options)), (12, "proto3"))
        return record((1, file))

    def _block(self) -> Iterator[None]:
        self._take("{")
        while not self._see("}"):
            yield
        self._take("}")

    def _message(self) -> bytes:
        name, fields, choices = self._take(r"\w+"), [], []
        for _ in self._block():
            if not self._see("oneof"):
                fields.append((2, self._field()))
                continue
            choices.append((8, record((1, self._words("oneof", r"\w+")[1]))))
            fields += [(2, self._field(len(choices) - 1)) for _ in self._block()]
        return record((1, name), *fields, *choices)

    def _field(self, choice: int | None = None) -> bytes:
        label = REPEATED if self._see("repeated") and self._take("repeated") else OPTIONAL
        kind, name, _, number, _ = self._words(r"\w+", r"\w+", "=", r"\d+", ";")
        made: list[tuple[int, int | str | bytes]] = [(1, name), (3, int(number)), (4, label)]
        if kind in SCALARS:
            made.append((5, SCALARS[kind]))
        else:
            made += [(5, ENUM if kind in self._enums else MESSAGE), (6, f".{self._package}.{kind}")]
        made += [] if choice is None else [(9, choice)]
        camel = re.sub("_(.)", lambda found: found[1].upper(), name)
        return record(*made, (10, camel))

    def _enum(self) -> bytes:
        name, values = self._take(r"\w+"), []
        for _ in self._block():
            value, _, number, _ = self._words(r"\w+", "=", r"\d+", ";")
            values.append((2, record((1, value), (2, int(number)))))
        return record((1, name), *values)

    def _service(self) -> bytes:
        name, methods = self._take(r"\w+"), []
        for _ in self._block():
            words = self._words("rpc", r"\w+", r"\(", r"\w+", r"\)", "returns", r"\(", r"\w+", r"\)", ";")
            kinds = [f".{self._package}.{kind}" for kind in (words[3], words[7])]
            methods.append((2, record((1, words[1]), (2, kinds[0]), (3, kinds[1]))))
        return record((1, name), *methods)


def compile_protocol(root: Path) -> Path:
    """Write the description of the messages beside their source."""
    text = (root / SOURCE).read_text("utf-8")
    (root / TARGET).write_bytes(Compiler(text, SOURCE.name).describe())
    return root / TARGET


try:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
except ImportError:  # run by hand
    pass
else:

    class CustomBuildHook(BuildHookInterface):  # type: ignore[type-arg]
        """Compile before a wheel is made, an editable one too."""

        def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002
            """Compile, and put the result into the wheel although git does not know it."""
            compile_protocol(Path(self.root))
            build_data["artifacts"].append(TARGET.as_posix())


if __name__ == "__main__":
    sys.stdout.write(f"Wrote {compile_protocol(Path(__file__).parent)}\n")
