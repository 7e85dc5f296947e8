"""An operation is a method, and its signature is the specification.

``@operation`` reads a method's signature once and learns what a wire needs: which argument travels in the path, the
query, a header or the body, under which name, and what it must look like. The method stays an ordinary typed method,
and :meth:`Service.call` is the one way to it, for a notebook and for a network alike: check, do it once, translate the
errors. What differs between services is told by a handful of methods of :class:`Service`.
"""

from __future__ import annotations

import functools
import inspect
import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import (
    Any,
    ClassVar,
    Generic,
    Literal,
    ParamSpec,
    Protocol,
    TypeVar,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)
from urllib.parse import quote

from vision_toolkit.core.errors import Invalid, VisionError
from vision_toolkit.services import shapes
from vision_toolkit.services.shapes import Form, Violation, told

__all__ = ["In", "Once", "Operation", "Parameter", "Place", "Reply", "Service", "camel", "operation"]

P = ParamSpec("P")
R = TypeVar("R")
Place = Literal["path", "query", "header", "member", "body", "raw"]
"""Where an argument travels; member: one of the JSON body, body: the whole JSON body, raw: the body as bytes."""

_AS_TEXT = ("path", "query", "header")


@dataclass(frozen=True, slots=True)
class In:
    """Say where an argument travels, and under which name.

    Marks one that does not follow its service's convention: ``Annotated[str, In("query", "createdBefore")]``.
    """

    place: Place
    name: str


@dataclass(frozen=True, slots=True)
class Parameter:
    """Be one argument of an operation: its name in Python, where and how it travels, and its shape."""

    name: str
    place: Place
    wire: str
    hint: Any
    required: bool

    def form(self, *, text: bool) -> Form:
        """Return the form in which it comes: over a wire (``text``), or from a Python program."""
        if not text or self.place == "raw":
            return "python"
        return "text" if self.place in _AS_TEXT else "json"


@dataclass(frozen=True, slots=True)
class Reply(Generic[R]):
    """Return data together with headers, from the methods of a service whose answers have headers of their own."""

    data: R
    headers: Mapping[str, str] = field(default_factory=dict)


class Once(Protocol):
    """What a service asks of a workspace."""

    def once(self, scope: str, token: str | None, request: Mapping[str, Any], do: Callable[[], R]) -> R:
        """Do something, unless it was done before with the same token: then give the first answer again.

        Raises
        ------
        Conflict
            if the token was used for another request.
        """


@dataclass(frozen=True, eq=False)
class Operation:
    """Be what one method of a service promises.

    Parameters
    ----------
    function
        the method as written.
    method, path, status
        verb, path below the service's prefix, and status of success.
    token
        the parameter that makes it safe to repeat the call, if there is one.
    errors
        names of the errors that it may answer with.
    pages
        the member of the answer that is a list and comes in pages, if there is one.
    service
        whose operation it is.
    """

    function: Callable[..., Any]
    method: str
    path: str
    status: int
    token: str | None
    errors: tuple[str, ...]
    pages: str | None
    service: type[Service] | None = None

    @property
    def python_name(self) -> str:
        """The name of the method, ``create_project``."""
        return self.function.__name__

    @property
    def name(self) -> str:
        """The name in the service's documentation, ``CreateProject``."""
        return "".join(word.capitalize() for word in self.python_name.split("_"))

    @functools.cached_property
    def parameters(self) -> dict[str, Parameter]:
        """Its arguments by name, in the order written."""
        assert self.service is not None, f"{self.python_name} is not a method of a Service"
        hints = get_type_hints(self.function, include_extras=True)
        found = {}
        for one in list(inspect.signature(self.function).parameters.values())[1:]:
            _, marks = shapes.plain(hints[one.name])
            mark = next((mark for mark in marks if isinstance(mark, In)), None)
            at = mark or self.service.place(one.name, self.method, self.path)
            found[one.name] = Parameter(one.name, at.place, at.name, hints[one.name], one.default is one.empty)
        return found

    @functools.cached_property
    def returns(self) -> Any:
        """The shape of the answer, None where there is none."""
        hint = get_type_hints(self.function, include_extras=True)["return"]
        hint = get_args(hint)[0] if get_origin(hint) is Reply else hint
        return None if hint is type(None) else hint

    @functools.cached_property
    def _positional(self) -> list[str]:
        every = list(inspect.signature(self.function).parameters.values())[1:]
        return [one.name for one in every if one.kind is not one.KEYWORD_ONLY]

    def bind(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments of a Python call by name; which are right is the business of :meth:`check`.

        Raises
        ------
        TypeError
            if there are positional arguments that the signature does not have.
        """
        places = self._positional
        if args and not places:
            raise TypeError(f"{self.python_name}() only accepts keyword arguments.")
        if len(args) > len(places):
            raise TypeError(f"{self.python_name}() takes {len(places)} positional arguments; {len(args)} were given.")
        if twice := set(places[: len(args)]) & set(kwargs):
            raise TypeError(f"{self.python_name}() got multiple values for argument {min(twice)!r}")
        return dict(zip(places, args, strict=False)) | dict(kwargs)

    def check(self, arguments: Mapping[str, Any], *, text: bool = False) -> tuple[dict[str, Any], list[Violation]]:
        """Convert arguments to what the signature says, and tell everything that is wrong with them.

        Parameters
        ----------
        arguments
            by their Python names; None counts as not given.
        text
            they came over a wire: see :meth:`Parameter.form`.
        """
        assert self.service is not None, f"{self.python_name} is not a method of a Service"
        ignore = self.service.ignores_unknown
        found: list[Violation] = []
        given = {}
        for name, one in self.parameters.items():
            value = arguments.get(name)
            where = () if one.place == "body" and value is not None else (name,)
            if value is not None:
                given[name], violations = shapes.check(
                    one.hint, value, where, form=one.form(text=text), ignore_unknown=ignore
                )
                found += violations
            elif one.required:
                found.append(Violation(where, None, "Member must not be null"))
        for name in arguments if not (text and ignore) else ():
            if name not in self.parameters:
                rule = f"Member must be one of: [{', '.join(self.parameters)}]"
                found.append(Violation((name,), arguments[name], rule))
        return given, found

    def scope(self, arguments: Mapping[str, Any]) -> str:
        """Return the operation and the resource it is about, within which a token means one thing."""
        paths = {one.wire: name for name, one in self.parameters.items() if one.place == "path"}
        path = re.sub(r"\{(\w+)\}", lambda found: quote(str(arguments[paths[found[1]]]), safe=""), self.path)
        return f"{self.name} {path}"


class Service:
    """Be a class whose ``@operation`` methods are offered in process and over a wire alike.

    A service says where its arguments travel (:meth:`place`) and what its errors look like (:meth:`fault`), and may say
    how an answer looks to a Python program (:meth:`answer`).

    Parameters
    ----------
    workspace
        what remembers which calls were made already.
    """

    prefix: ClassVar[str] = ""
    """What every path begins with."""
    ignores_unknown: ClassVar[bool] = False
    """Leave out what no shape names, instead of refusing it."""
    incidental: ClassVar[frozenset[str]] = frozenset()
    """Parameters that differ when the same request is repeated."""
    _operations: ClassVar[dict[str, Operation]] = {}

    def __init__(self, workspace: Once) -> None:
        self._workspace = workspace

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        own = {name: getattr(value, "operation", None) for name, value in vars(cls).items()}
        declared = {name: one for name, one in own.items() if isinstance(one, Operation)}
        inherited = {name: one for base in cls.__bases__ for name, one in getattr(base, "_operations", {}).items()}
        every = inherited | declared
        cls._operations = {name: replace(one, service=cls) for name, one in every.items()}
        for name in declared:
            _sign(vars(cls)[name])

    @classmethod
    def operations(cls) -> dict[str, Operation]:
        """Return every operation by the name of its method, in the order written."""
        return dict(cls._operations)

    @classmethod
    def place(cls, name: str, method: str, path: str) -> In:
        """Say where an argument without a mark travels: the service's convention."""
        raise NotImplementedError

    def refusal(self, violations: list[Violation]) -> VisionError:
        """Return the error that tells what is wrong with a request."""
        return Invalid(told(violations))

    def fault(self, error: Exception, operation: Operation, arguments: Mapping[str, Any], request_id: str) -> Exception:
        """Return the service's own exception for an error."""
        raise NotImplementedError

    def answer(self, answer: Any, operation: Operation, request_id: str) -> Any:  # noqa: ARG002 for those who override
        """Return what a Python program gets for an answer."""
        return answer

    def encode(self, answer: Any) -> Any:
        """Return an answer as plain JSON."""
        return shapes.encode(answer, date=self.date)

    @staticmethod
    def date(moment: datetime) -> Any:
        """Return a date as this service writes it in JSON."""
        return shapes.epoch(moment)

    @staticmethod
    def new_request_id() -> str:
        """Return a name for one request, as the service makes them."""
        return str(uuid.uuid4())

    def call(
        self, operation: Operation, arguments: Mapping[str, Any], *, text: bool = False, request_id: str = ""
    ) -> Any:
        """Do what an operation promises: check, do it once, translate the errors.

        Parameters
        ----------
        operation
            one of :meth:`operations`.
        arguments
            by their Python names; None counts as not given.
        text
            they came over a wire: path, query and headers as text, members as JSON has them.
        request_id
            the name under which errors of ours are logged; empty = a new one.

        Returns
        -------
        Any
            what the method returned.

        Raises
        ------
        Exception
            the service's own.
        """
        request_id = request_id or self.new_request_id()
        try:
            given, violations = operation.check(arguments, text=text)
            if violations:
                raise self.refusal(violations)
            return self._once(operation, given)
        except Exception as error:
            fault = self.fault(error, operation, arguments, request_id)
            if fault is error:
                raise
            # What was told on purpose says all by itself; of what was not, the way there is worth knowing.
            raise fault from (None if isinstance(error, VisionError) else error)

    def _once(self, operation: Operation, given: dict[str, Any]) -> Any:
        def do() -> Any:
            return operation.function(self, **given)

        if operation.token is None:
            return do()
        request = {name: value for name, value in given.items() if name not in {operation.token, *self.incidental}}
        return self._workspace.once(operation.scope(given), given.get(operation.token), request, do)


def operation(
    method: str,
    path: str,
    *,
    status: int = 200,
    token: str | None = None,
    errors: tuple[str, ...] = (),
    pages: str | None = None,
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Declare a method of a :class:`Service` as an operation.

    Parameters
    ----------
    method, path
        verb, and path below the service's prefix; ``{names}`` in it are arguments.
    status
        of success.
    token
        the parameter that makes it safe to repeat the call.
    errors
        names of the errors that it may answer with.
    pages
        the member of the answer that comes in pages.
    """

    def declare(function: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            service = cast(Service, args[0])
            one = service.operations()[function.__name__]
            request_id = service.new_request_id()
            answer = service.call(one, one.bind(args[1:], kwargs), request_id=request_id)
            return cast(R, service.answer(answer, one, request_id))

        call.operation = Operation(function, method, path, status, token, errors, pages)  # type: ignore[attr-defined]
        return call

    return declare


def _sign(method: Any) -> None:
    """Let a method show the plain types of its arguments (``str``, not the name of a shape) where one asks for help."""
    hints = get_type_hints(method)
    signature = inspect.signature(method)
    parameters = [one.replace(annotation=hints.get(one.name, one.empty)) for one in signature.parameters.values()]
    method.__signature__ = signature.replace(parameters=parameters, return_annotation=hints["return"])


def camel(name: str) -> str:
    """Return a name with a small first letter and no underscores.

    Examples
    --------
    >>> camel("model_id"), camel("ModelId")
    ('modelId', 'modelId')
    """
    return re.sub(r"_([a-z0-9])", lambda found: found[1].upper(), name[:1].lower() + name[1:])
