"""Count requests, and tell the counts as Prometheus reads them."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping

__all__ = ["CONTENT_TYPE", "Metrics"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""What the text is, in HTTP's words."""
_EDGES = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_NAME = "vision_toolkit"


class Metrics:
    """Count requests by service, operation and status, and how long they took.

    Examples
    --------
    >>> metrics = Metrics()
    >>> metrics.add("lookoutvision", "ListProjects", 200, 0.004)
    >>> print(metrics.text().splitlines()[2])
    vision_toolkit_requests_total{service="lookoutvision",operation="ListProjects",status="200"} 1
    """

    def __init__(self) -> None:
        self.in_flight = 0
        self._lock = threading.Lock()
        self._requests: Counter[tuple[str, str, int]] = Counter()
        self._seconds: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0] * (len(_EDGES) + 1))
        self._sums: Counter[tuple[str, str]] = Counter()
        self._gauges: dict[str, tuple[str, Callable[[], Mapping[str, float]]]] = {}

    def add(self, service: str, operation: str, status: int, seconds: float) -> None:
        """Count a request that was answered."""
        with self._lock:
            self._requests[service, operation, status] += 1
            self._seconds[service, operation][bisect_left(_EDGES, seconds)] += 1
            self._sums[service, operation] += seconds  # type: ignore[assignment]

    def gauge(self, name: str, help: str, read: Callable[[], Mapping[str, float]]) -> None:
        """Tell something that goes up and down: ``read`` gives numbers by their labels, ``'state="open"'``."""
        self._gauges[name] = (help, read)

    def text(self) -> str:
        """Return everything as one text."""
        return "".join(f"{line}\n" for line in self._lines())

    def _lines(self) -> Iterator[str]:
        with self._lock:
            requests = sorted(self._requests.items())
            seconds = [(key, list(counts), self._sums[key]) for key, counts in sorted(self._seconds.items())]
        yield from _head("requests_total", "counter", "Requests that were answered.")
        for (service, operation, status), count in requests:
            yield f'{_NAME}_requests_total{{{_labels(service, operation)},status="{status}"}} {count}'
        yield from _head("request_seconds", "histogram", "How long requests took, from their first line to the answer.")
        for (service, operation), counts, total in seconds:
            labels, so_far = _labels(service, operation), 0
            for edge, count in zip([*map(str, _EDGES), "+Inf"], counts, strict=True):
                so_far += count
                yield f'{_NAME}_request_seconds_bucket{{{labels},le="{edge}"}} {so_far}'
            yield f"{_NAME}_request_seconds_sum{{{labels}}} {total:.6f}"
            yield f"{_NAME}_request_seconds_count{{{labels}}} {so_far}"
        yield from _head("requests_in_flight", "gauge", "Requests that are being answered.")
        yield f"{_NAME}_requests_in_flight {self.in_flight}"
        for name, (text, read) in self._gauges.items():
            yield from _head(name, "gauge", text)
            for said, value in read().items():
                yield f"{_NAME}_{name}{{{said}}} {value:g}" if said else f"{_NAME}_{name} {value:g}"


def _head(name: str, kind: str, text: str) -> Iterator[str]:
    yield f"# HELP {_NAME}_{name} {text}"
    yield f"# TYPE {_NAME}_{name} {kind}"


def _labels(service: str, operation: str) -> str:
    return f'service="{service}",operation="{operation}"'
