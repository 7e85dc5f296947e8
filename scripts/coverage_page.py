"""Write docs/COVERAGE.md: which operations of other services are offered here, and which of them do their work.

Everything follows from the operations' own signatures. An operation of Lookout for Vision counts as implemented when a
class in the package does its work: has the method, with more in it than a refusal. One of OCI Vision does if it has a
method; the others are in a table of their own.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

from vision_toolkit.services import lookout, oci
from vision_toolkit.services.lookout.errors import MODELLED
from vision_toolkit.services.oci.errors import STATUSES
from vision_toolkit.services.oci.later import LATER
from vision_toolkit.services.operation import Operation
from vision_toolkit.services.shapes import members

PAGE = Path(__file__).parents[1] / "docs" / "COVERAGE.md"
HEAD = """\
# Coverage

Made by `make docs` from the signatures of the operations.

## Lookout for Vision

`vision_toolkit.services.lookout.LookoutVision`, version 2020-11-20 of the service: {offered} operations under boto3's
names, {done} of them implemented. A parameter with `*` is required; behind it stands where it travels. The letters are
errors, below.

"""
OCI_HEAD = """\
## OCI Vision

`vision_toolkit.services.oci.OciVision`, version 20220125 of the service: {done} of {every} operations of Oracle's SDK
are built; the others answer 501 `MethodNotImplemented`, which the SDK does not repeat. Each one that is built takes the
header `opc-request-id`, and may answer with {always}; both are left out below.

"""
ALWAYS = ("NotAuthenticated", "NotAuthorized", "TooManyRequests", "InternalServerError")


def classes_that_work(base: type) -> list[type]:
    """Return every class of the package that does the work of operations."""
    for module in pkgutil.walk_packages(lookout.__path__, f"{lookout.__name__}."):
        importlib.import_module(module.name)
    found, left = [], list(base.__subclasses__())
    while left:
        one = left.pop()
        left += one.__subclasses__()
        found += [one] if one.__module__.partition(".")[0] == "vision_toolkit" else []
    return found


def is_implemented(name: str, base: type) -> bool:
    """Return whether any class does the work of an operation."""
    return any(
        (method := getattr(one, name)) is not getattr(base, name) and not is_refusal(method)
        for one in classes_that_work(base)
    )


def is_refusal(method: object) -> bool:
    """Return whether a method says that it does nothing: it has no body, or all it does is to raise."""
    (function,) = ast.parse(textwrap.dedent(inspect.getsource(method))).body  # type: ignore[arg-type]
    assert isinstance(function, ast.FunctionDef)
    says = [line for line in function.body if not (isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant))]
    return not says or isinstance(says[0], ast.Raise | ast.Pass)


def rows() -> Iterator[str]:
    """Yield the table of operations, line by line."""
    yield "| operation | request | parameters | answers | pages | errors | implemented |"
    yield "|---|---|---|---|---|---|---|"
    for name, one in lookout.LookoutVision.operations().items():
        parameters = "<br>".join(
            f"`{each.name}`{'*' if each.required else ''} {each.place}" for each in one.parameters.values()
        )
        answers = ", ".join(f"`{member}`" for member in members(one.returns)) or "nothing"
        done = "yes" if is_implemented(name, lookout.Work) else "no"
        pages = f"`{one.pages}`" if one.pages else ""
        yield f"| `{name}` | {_request(one)} | {parameters} | {answers} | {pages} | {_letters(one)} | {done} |"


def _request(one: Operation) -> str:
    return f"{one.method} `{one.path}` {one.status}"


def _letters(one: Operation) -> str:
    return " ".join(name[0] for name in one.errors)


def errors() -> Iterator[str]:
    """Yield the table of errors, line by line."""
    yield "| | error | status | members besides `Message` |"
    yield "|---|---|---|---|"
    for name, one in MODELLED.items():
        also = ", ".join([f"`{each}`*" for each in one.required] + [f"`{each}`" for each in one.optional])
        yield f"| {name[0]} | `{name}` | {one.status} | {also} |"


def oci_rows() -> Iterator[str]:
    """Yield the table of OCI's operations, line by line: those that are built, then the others."""
    yield "| operation | request | parameters | answers | pages | errors | implemented |"
    yield "|---|---|---|---|---|---|---|"
    for name, one in oci.OciVision.operations().items():
        given = [each for each in one.parameters.values() if each.name != "opc_request_id"]
        parameters = "<br>".join(f"`{each.name}`{'*' if each.required else ''} {each.place}" for each in given)
        answers = "nothing" if one.returns is None else f"`{one.returns.__name__}`"
        pages = f"`{one.pages}`" if one.pages else ""
        codes = ", ".join(f"`{code}`" for code in one.errors if code not in ALWAYS)
        yield f"| `{name}` | {_request(one)} | {parameters} | {answers} | {pages} | {codes} | yes |"
    for name, (method, path) in LATER.items():
        yield f"| `{name}` | {method} `{path}` 501 | | | | `MethodNotImplemented` | no |"


def oci_page() -> str:
    """Return what the page says of OCI Vision."""
    done = len(oci.OciVision.operations())
    always = ", ".join(f"`{code}` ({STATUSES[code]})" for code in ALWAYS)
    head = OCI_HEAD.format(done=done, every=done + len(LATER), always=always)
    statuses = "\n".join(f"| `{code}` | {status} |" for code, status in STATUSES.items())
    return f"{head}{chr(10).join(oci_rows())}\n\n### Codes\n\n| code | status |\n|---|---|\n{statuses}\n"


def page() -> str:
    """Return docs/COVERAGE.md."""
    assert len({name[0] for name in MODELLED}) == len(MODELLED), "two errors begin with the same letter"
    every = lookout.LookoutVision.operations()
    done = sum(is_implemented(name, lookout.Work) for name in every)
    head = HEAD.format(offered=len(every), done=done)
    return head + "\n".join(rows()) + "\n\n### Errors\n\n" + "\n".join(errors()) + "\n\n" + oci_page()


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")
    sys.stdout.write(f"docs/{PAGE.name}\n")


if __name__ == "__main__":
    main()
