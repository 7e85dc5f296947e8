"""A workspace that only remembers calls, and one that works by writing down what it was asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from vision_toolkit.core.errors import Conflict


class Memory:
    """Remembers the answer of every token, as a workspace does."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str | None, dict[str, Any]]] = []
        self.kept: dict[tuple[str, str], tuple[dict[str, Any], Any]] = {}

    def once(self, scope: str, token: str | None, request: Mapping[str, Any], do: Callable[[], Any]) -> Any:
        self.calls.append((scope, token, dict(request)))
        if token is None:
            return do()
        if (scope, token) not in self.kept:
            self.kept[scope, token] = (dict(request), do())
        first, answer = self.kept[scope, token]
        if first != request:
            raise Conflict(f"The token {token} was used for another request.")
        return answer


class Recorder:
    """Does nothing of the work, and writes down what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []
        self.answers: dict[str, Any] = {}

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("_"):
            raise AttributeError(name)

        def work(*args: Any, **kwargs: Any) -> Any:
            self.asked.append((name, args, kwargs))
            answer = self.answers.get(name, {})
            if isinstance(answer, Exception):
                raise answer
            return answer(*args, **kwargs) if callable(answer) else answer

        return work


@pytest.fixture
def memory() -> Memory:
    return Memory()


@pytest.fixture
def work() -> Recorder:
    return Recorder()
