"""All 22 operations are what the contract says: place, name, status, limits, errors, answers."""

from __future__ import annotations

import base64
import copy
import json
import re
import typing
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, is_typeddict

import pytest

from vision_toolkit.services.lookout import LookoutVision, answers, shapes
from vision_toolkit.services.lookout.errors import MODELLED
from vision_toolkit.services.operation import Operation
from vision_toolkit.services.shapes import members, plain

FILE = Path(__file__).parents[4] / "shared" / "spec" / "lookout_api.json"
if not FILE.is_file():
    pytest.skip("needs ../shared", allow_module_level=True)
API = json.loads(FILE.read_text(encoding="utf-8"))
SHAPES = API["shapes"]
PLACES = {"path": "path", "query": "query", "header": "header", "json_body": "member", "raw_body": "raw"}
OURS = {one.name: one for one in LookoutVision.operations().values()}
OPERATIONS = sorted(API["operations"])


def given(name: str) -> dict[str, dict[str, Any]]:
    """Return what the contract says of each parameter of an operation."""
    said = API["operations"][name]["in"]
    return {one: facts | {"place": PLACES[place]} for place, listed in said.items() for one, facts in listed.items()}


def test_there_are_the_22_operations() -> None:
    assert sorted(OURS) == OPERATIONS
    assert len(OURS) == 22


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_is_where_it_was(name: str) -> None:
    said, ours = API["operations"][name], OURS[name]
    assert (ours.method, LookoutVision.prefix + ours.path, ours.status) == (
        said["method"], said["uri"], said["success_status"],
    )  # fmt: skip
    assert {n: (p.place, p.wire, p.required) for n, p in ours.parameters.items()} == {
        n: (facts["place"], facts["wire"], facts["required"]) for n, facts in given(name).items()
    }
    assert ours.token == ("ClientToken" if "ClientToken" in given(name) else None)
    assert set(ours.errors) == set(said["errors"])
    assert ours.returns is getattr(answers, said["output_shape"])
    pages = API["paginators"].get(name)
    assert ours.pages == (pages and pages["result_key"])


def described(hint: Any) -> dict[str, Any]:
    """Return a shape of ours in the contract's words, without its name."""
    kind, marks = plain(hint)
    types = {str: "string", bool: "boolean", int: "integer", float: "float", bytes: "blob", datetime: "timestamp"}
    if get_origin(kind) is Literal:
        return {"type": "string", "enum": list(get_args(kind))}
    if is_typeddict(kind):
        found = {name: described(hint) for name, (hint, _) in members(kind).items()}
        return {"type": "structure", "required": sorted(n for n, (_, must) in members(kind).items() if must),
                "members": found}  # fmt: skip
    said: dict[str, Any] = {"type": "list", "member": described(get_args(kind)[0])} if get_origin(kind) is list else {
        "type": types[kind]
    }  # fmt: skip
    for mark in marks:
        said |= {"min": getattr(mark, "least", None), "max": getattr(mark, "most", None),
                 "pattern": getattr(mark, "pattern", None)}  # fmt: skip
    return {word: value for word, value in said.items() if value is not None}


def contracted(name: str) -> dict[str, Any]:
    """Return a shape of the contract with what it is made of in its place."""
    said = {word: SHAPES[name][word] for word in ("type", "min", "max", "pattern", "enum") if word in SHAPES[name]}
    if said["type"] == "structure":
        parts = {n: contracted(one["shape"]) for n, one in SHAPES[name]["members"].items()}
        return said | {"required": sorted(SHAPES[name].get("required", [])), "members": parts}
    return said | {"member": contracted(SHAPES[name]["member"])} if said["type"] == "list" else said


@pytest.mark.parametrize("name", OPERATIONS)
def test_parameters_and_answers_have_the_shapes_of_the_contract(name: str) -> None:
    for one, parameter in OURS[name].parameters.items():
        assert described(parameter.hint) == contracted(given(name)[one]["shape"]), one
    assert described(OURS[name].returns) == contracted(API["operations"][name]["output_shape"])


def test_every_shape_has_its_name() -> None:
    plain_types = {"Boolean", "IsLabeled", "Integer", "Float", "DateTime", "RetryAfterSeconds"}
    kept = {n for n in SHAPES if not n.endswith(("Request", "Exception"))} - plain_types
    ours = {*shapes.__all__, *answers.__all__}
    assert kept - ours == set()
    for name in ours:
        assert described(getattr(shapes, name, None) or getattr(answers, name)) == contracted(name), name


def test_errors_have_the_members_of_the_contract() -> None:
    assert set(MODELLED) == set(API["errors"])
    for name, said in API["errors"].items():
        ours = MODELLED[name]
        assert ours.status == said["httpStatusCode"]
        assert {"Message", *ours.required} == set(said["required"])
        assert {"Message", *ours.required, *ours.optional} == set(said["members"])


# ---- values that the contract allows and forbids, made from the contract alone


@cache
def matches(pattern: str, text: str) -> bool:
    """Match without our code: among the characters tried here, letters, spaces and digits are those of ASCII."""
    for category, characters in (("L", "a-zA-Z"), ("Z", " "), ("N", "0-9")):
        pattern = pattern.replace(rf"\p{{{category}}}", characters)
    return re.fullmatch(pattern, text) is not None


@cache
def text_of(length: int, pattern: str | None) -> str | None:
    """Return a text of a length that matches a pattern, if one of a few simple kinds does."""
    kinds = ["1" * length, "a" * length, "#" + "a" * (length - 1), "{" + "a" * (length - 2) + "}"]
    kinds += ["train", "test", "normal", "direct", "1.0.0", "arn:aws:greengrass:r:aws:components:c", "latest"]
    return next((t for t in kinds if len(t) == length and (pattern is None or matches(pattern, t))), None)


def good(shape: str) -> Iterator[Any]:
    """Yield values that a shape allows: the plainest first, then those at its limits."""
    said = SHAPES[shape]
    least, most = said.get("min"), said.get("max")
    if said["type"] == "structure":
        parts = {n: one["shape"] for n, one in said["members"].items()}
        yield {n: next(good(one)) for n, one in parts.items() if n in said.get("required", [])}
        yield {n: next(good(one)) for n, one in parts.items()}
    elif said["type"] == "list":
        one = next(good(said["member"]))
        yield from ([one] * count for count in (1, least, most) if count is not None)
    elif said["type"] == "string" and "enum" in said:
        yield from said["enum"]
    elif said["type"] == "string":
        lengths = [*(n for n in (least, most) if n is not None), *range(max(1, least or 0), 40)]
        found = [text for n in lengths if (text := text_of(n, said.get("pattern"))) is not None]
        yield from sorted(dict.fromkeys(found), key=len)[:: max(1, len(found) - 1)] if len(found) > 1 else found
    elif said["type"] == "integer":
        yield from (n for n in (least or 0, most or 2**31 - 1))
    else:
        yield from {"boolean": [True, False], "float": [0.5, 1], "timestamp": [datetime(2024, 1, 2, tzinfo=UTC)],
                    "blob": [b"x" * n for n in (least or 0, min(most or 9, 9))]}[said["type"]]  # fmt: skip


def bad(shape: str) -> Iterator[tuple[Any, str]]:
    """Yield values that a shape forbids, each with what AWS says of it."""
    said = SHAPES[shape]
    least, most, pattern = said.get("min"), said.get("max"), said.get("pattern")
    sized = {"string": str, "blob": bytes, "list": list}
    if said["type"] in sized and "enum" not in said:
        make = sized[said["type"]]
        unit = [next(good(said["member"]))] if make is list else b"x" if make is bytes else "1"
        if most is not None:
            yield unit * (most + 1), f"Member must have length less than or equal to {most}"
        if least:
            yield unit * (least - 1), f"Member must have length greater than or equal to {least}"
    if said["type"] == "integer":
        if most is not None:
            yield most + 1, f"Member must have value less than or equal to {most}"
        if least is not None:
            yield least - 1, f"Member must have value greater than or equal to {least}"
    if pattern is not None:
        broken = [t for t in ("a\nb", "\n", "é!", "a b\n", "{a}\n", "#aaaaaa\n") if not matches(pattern, t)]
        assert broken
        yield from ((text, f"Member must satisfy regular expression pattern: {pattern}") for text in broken)
    if "enum" in said:
        yield "other", f"Member must satisfy enum value set: [{', '.join(said['enum'])}]"
    words = {"string": "a string", "boolean": "a boolean", "integer": "an integer", "float": "a number",
             "blob": "a blob", "timestamp": "a timestamp", "structure": "a structure", "list": "a list"}  # fmt: skip
    if "enum" not in said:
        yield object(), f"Member must be {words[said['type']]}"
    if said["type"] == "structure":
        whole = list(good(shape))[-1]
        yield whole | {"Other": 1}, f"Member must be one of: [{', '.join(said['members'])}]"


Way = tuple[str | int, ...]


def inside(shape: str, way: Way) -> Iterator[tuple[Way, str, bool]]:
    """Yield the way to a value and to every value inside it, with its shape and whether it is required."""
    said = SHAPES[shape]
    for name, one in said.get("members", {}).items():
        yield (*way, name), one["shape"], name in said.get("required", [])
        yield from inside(one["shape"], (*way, name))
    if said["type"] == "list":
        yield (*way, 0), said["member"], True
        yield from inside(said["member"], (*way, 0))


def put(arguments: dict[str, Any], way: Way, value: Any) -> dict[str, Any]:
    changed = copy.deepcopy(arguments)
    at: Any = changed
    for step in way[:-1]:
        at = at[step]
    at[way[-1]] = value
    return changed


def path_of(way: Way) -> str:
    return ".".join(f"{s + 1}.member" if isinstance(s, int) else s[0].lower() + s[1:] for s in way)


def whole(name: str) -> dict[str, Any]:
    """Return every argument of an operation, with every member of each."""

    def full(shape: str) -> Any:
        said = SHAPES[shape]
        if said["type"] == "structure":
            return {n: full(one["shape"]) for n, one in said["members"].items()}
        return [full(said["member"])] if said["type"] == "list" else next(good(shape))

    return {one: full(facts["shape"]) for one, facts in given(name).items()}


def ways(name: str) -> Iterator[tuple[Way, str, bool]]:
    for one, facts in given(name).items():
        yield (one,), facts["shape"], facts["required"]
        yield from inside(facts["shape"], (one,))


@pytest.mark.parametrize("name", OPERATIONS)
def test_what_the_contract_allows_reaches_the_work(name: str, memory: Any, work: Any) -> None:
    client, one = LookoutVision(memory, work), OURS[name]
    everything = whole(name)
    required = {n: value for n, value in everything.items() if given(name)[n]["required"]}
    tried = [everything, required, everything | {n: None for n in everything if n not in required}]
    tried += [put(everything, way, value) for way, shape, _ in ways(name) for value in good(shape)]
    for number, arguments in enumerate(tried):
        if "ClientToken" in arguments and arguments["ClientToken"] is not None:
            memory.kept.clear()
        answer = getattr(client, one.python_name)(**arguments)
        assert answer["ResponseMetadata"]["HTTPStatusCode"] == one.status
        assert len(work.asked) == number + 1
        assert work.asked[-1][0] == one.python_name


@pytest.mark.parametrize("name", OPERATIONS)
def test_what_the_contract_forbids_is_told(name: str, memory: Any, work: Any) -> None:
    client, one = LookoutVision(memory, work), OURS[name]
    everything, tried = whole(name), 0
    for way, shape, must in ways(name):
        forbidden = [*bad(shape), *([(None, "Member must not be null")] if must else [])]
        for value, rule in forbidden:
            at = path_of((*way, "Other")) if "one of" in rule else path_of(way)
            with pytest.raises(client.exceptions.ValidationException) as caught:
                getattr(client, one.python_name)(**put(everything, way, value))
            message = caught.value.response["Error"]["Message"]
            assert f" at '{at}' failed to satisfy constraint: {rule}" in message, message[:300]
            tried += 1
    assert work.asked == []
    assert tried > 1


def as_wire(one: Operation, arguments: dict[str, Any]) -> dict[str, Any]:
    """Return arguments as they come over a wire: text, JSON, raw bytes."""

    def as_text(value: Any) -> Any:
        if isinstance(value, list):
            return [as_text(item) for item in value]
        if isinstance(value, bool):
            return str(value).lower()
        return value.strftime("%Y-%m-%dT%H:%M:%SZ") if isinstance(value, datetime) else str(value)

    def as_json(value: Any) -> Any:
        return json.loads(json.dumps(value, default=lambda blob: base64.b64encode(blob).decode()))

    forms: dict[str, typing.Callable[[Any], Any]] = {"raw": lambda value: value, "member": as_json}
    return {n: forms.get(one.parameters[n].place, as_text)(value) for n, value in arguments.items()}


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_wire_and_a_program_ask_for_the_same(name: str, memory: Any, work: Any) -> None:
    client, one = LookoutVision(memory, work), OURS[name]
    everything = whole(name)
    getattr(client, one.python_name)(**everything)
    memory.kept.clear()
    client.call(one, as_wire(one, everything), text=True)
    assert work.asked[0] == work.asked[1]
