"""Answer over HTTP: one model, as many callers as wait their turn, an answer as Lookout's DetectAnomalies gives it.

    POST /detect      the bytes of a PNG or JPEG file; the answer is JSON, {"DetectAnomalyResult": {...}}
    GET /health       what is served, and what was done so far

An error is JSON too, {"Message": ...}: 400 the image cannot be judged, 413 it is too large, 429 too many wait (with
Retry-After, in seconds), 500 the model failed. Whoever reaches the port may ask: it is bound to this machine alone
unless --host names another address.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import json
import math
import signal
import socket
import sys
import threading
import time
from collections.abc import Sequence
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import ModuleType
from typing import Any

import numpy as np

from . import files

__all__ = ["Bench", "FullError", "Server", "main"]

PATIENCE = 30.0
"""Seconds that a caller may take to send the next bytes."""
DRAIN = 20.0
"""Seconds that answers in progress have when the server is told to end."""
FORMATS = ("JPEG", "PNG")
"""Of images, as where models are hosted: fewer readers that a stranger's bytes can reach."""
CALLERS = 64
"""Connections at once; one more is told to come again."""
DISCARDED, DISCARDING = 1 << 26, 5.0
"""Bytes of a body that is too large which are read and thrown away, so that its sender hears why; and for how long."""


class FullError(Exception):
    """Say that too many images wait; ``seconds`` after which to come again."""

    def __init__(self, seconds: float) -> None:
        super().__init__("Too many images wait; come again later.")
        self.seconds = seconds


class Bench:
    """Judge one image at a time; a bounded number waits, so that memory is bounded too.

    Parameters
    ----------
    runtime, model
        the package's ``runtime`` module, and what it loaded.
    queue
        images that may wait.
    most_pixels
        of one image.
    """

    def __init__(self, runtime: ModuleType, model: Any, *, queue: int, most_pixels: int) -> None:
        self.model, self.queue, self._pixels, self._runtime = model, queue, most_pixels, runtime
        self._turn, self._counting = threading.Lock(), threading.Lock()
        self._here, self._mean = 0, 0.05
        self.counts = {"images": 0, "anomalies": 0, "unreadable": 0, "turned_away": 0}

    def judge(self, data: bytes) -> dict[str, Any]:
        """Return what DetectAnomalies says of an image file's bytes.

        Raises
        ------
        FullError
            if too many wait already.
        ValueError
            if the bytes are no image that can be read.
        """
        with self._counting:
            if self._here > self.queue:
                self.counts["turned_away"] += 1
                raise FullError(self._here * self._mean)
            self._here += 1
        try:
            with self._turn:
                began = time.monotonic()
                image = self._runtime.read(data, FORMATS, most=self._pixels)
                answer = self.model.predict([image])[0]
                self._mean += 0.1 * (time.monotonic() - began - self._mean)
            said: dict[str, Any] = self._runtime.detected(answer, self.model.info)
        except ValueError:
            self._count("unreadable")
            raise
        finally:
            with self._counting:
                self._here -= 1
        self._count("images")
        if said["IsAnomalous"]:
            self._count("anomalies")
        return said

    def facts(self) -> dict[str, Any]:
        """Return what was done so far."""
        with self._counting:
            return {**self.counts, "waiting": max(0, self._here - 1), "seconds_per_image": round(self._mean, 4)}

    def _count(self, what: str) -> None:
        with self._counting:
            self.counts[what] += 1


class Server(ThreadingHTTPServer):
    """Serve a bench on an address; each connection has a thread.

    Parameters
    ----------
    address
        host and port; port 0 takes a free one.
    bench
        what judges.
    most_bytes
        of one image file.
    told
        facts about the model, for ``/health``.
    """

    daemon_threads = True  # they are waited for in close_calmly, but not for ever
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], bench: Bench, *, most_bytes: int, told: dict[str, Any]) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.bench, self.most_bytes, self.told = bench, most_bytes, told
        self.closing = False
        self._change = threading.Condition()
        self._callers: set[_Caller] = set()
        self._places = threading.Semaphore(CALLERS)
        super().__init__(address, _Caller)

    @property
    def url(self) -> str:
        """Return where it is served."""
        host, port = self.server_address[:2]
        return f"http://[{host!s}]:{port}" if ":" in str(host) else f"http://{host!s}:{port}"

    def process_request(self, request: Any, client_address: Any) -> None:
        """Give a new connection a thread, if there is one left."""
        if not self._places.acquire(blocking=False):
            said = b'{"Message": "Too many connections; come again later."}'
            head = f"HTTP/1.1 503 Busy\r\nRetry-After: 1\r\nConnection: close\r\nContent-Length: {len(said)}\r\n\r\n"
            with contextlib.suppress(OSError):
                request.sendall(head.encode() + said)
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve a connection to its end."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - the base class calls it
        """Say in one line what went wrong with a connection; one that its caller cut is nothing to speak of."""
        error = sys.exception()
        if not isinstance(error, OSError):
            print(f"{client_address[0]}: {type(error).__name__}: {error}", file=sys.stderr, flush=True)

    def enter(self, caller: _Caller) -> None:
        """Note a connection."""
        with self._change:
            self._callers.add(caller)

    def leave(self, caller: _Caller) -> None:
        """Forget a connection."""
        with self._change:
            self._callers.discard(caller)
            self._change.notify_all()

    def close_calmly(self, seconds: float = DRAIN) -> None:
        """End: nobody new, those who only hold a connection are cut off, and answers in progress are finished."""
        self.closing = True
        self.socket.close()
        end = time.monotonic() + seconds
        with self._change:
            for caller in self._callers:
                if not caller.busy:
                    with contextlib.suppress(OSError):
                        caller.connection.shutdown(socket.SHUT_RD)
            while self._callers and (left := end - time.monotonic()) > 0:
                self._change.wait(left)


class _Caller(BaseHTTPRequestHandler):
    """Answer the requests of one connection."""

    protocol_version = "HTTP/1.1"
    server_version, sys_version = "vision-station", ""
    timeout = PATIENCE
    wbufsize = -1  # head and body go out together
    disable_nagle_algorithm = True
    server: Server
    busy = False

    def setup(self) -> None:
        super().setup()
        self.server.enter(self)

    def finish(self) -> None:
        try:
            super().finish()
        finally:
            self.server.leave(self)

    def handle_one_request(self) -> None:
        self.busy = False
        super().handle_one_request()

    def parse_request(self) -> bool:
        self.busy = True
        return super().parse_request()

    def do_GET(self) -> None:
        """Say what is served."""
        if self.path.partition("?")[0] != "/health":
            self._tell(HTTPStatus.NOT_FOUND, {"Message": "GET /health, or POST an image to /detect."})
        else:
            self._tell(HTTPStatus.OK, {"status": "ok", **self.server.told, **self.server.bench.facts()})

    def do_POST(self) -> None:
        """Judge the image that is the body."""
        if self.path.partition("?")[0] != "/detect":
            self._refuse(HTTPStatus.NOT_FOUND, "POST an image to /detect.")
            return
        length = self._length()
        if length is None:
            return
        body = self.rfile.read(length)
        if len(body) < length:  # cut off
            self.close_connection = True
            return
        try:
            said = self.server.bench.judge(body)
        except FullError as error:
            after = max(1, math.ceil(error.seconds))
            self._tell(HTTPStatus.TOO_MANY_REQUESTS, {"Message": str(error)}, {"Retry-After": str(after)})
        except ValueError as error:
            self._tell(HTTPStatus.BAD_REQUEST, {"Message": f"The image cannot be judged: {error}."})
        except Exception as error:  # noqa: BLE001 - a model can fail in any way; the next image is another
            print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
            why = f"The model failed: {type(error).__name__}."
            self._tell(HTTPStatus.INTERNAL_SERVER_ERROR, {"Message": why})
        else:
            if "AnomalyMask" in said:
                said["AnomalyMask"] = base64.b64encode(said["AnomalyMask"]).decode()
            self._tell(HTTPStatus.OK, {"DetectAnomalyResult": said})

    def handle_expect_100(self) -> bool:
        """Refuse what is too large before it is sent."""
        return self._length() is not None and super().handle_expect_100()

    def _length(self) -> int | None:
        """Return how long the body is; None if it was refused."""
        given = self.headers.get("Content-Length", "")
        if not given.isascii() or not given.isdigit():
            self._refuse(HTTPStatus.LENGTH_REQUIRED, "Say how long the image is: Content-Length.")
            return None
        if len(given) > 15 or int(given) > self.server.most_bytes:
            why = f"The image has {given[:16]} bytes; at most {self.server.most_bytes} are taken."
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, why)
            return None
        return int(given)

    def _refuse(self, status: HTTPStatus, why: str) -> None:
        """Answer without having read the body, so that the connection cannot go on."""
        self.close_connection = True
        self._tell(status, {"Message": why})
        self.wfile.flush()
        with contextlib.suppress(OSError):  # a socket that is closed with bytes unread takes the answer back
            self.connection.shutdown(socket.SHUT_WR)
            self.connection.settimeout(1.0)
            left, end = DISCARDED, time.monotonic() + DISCARDING
            while left > 0 and time.monotonic() < end and (part := self.connection.recv(1 << 16)):
                left -= len(part)

    def _tell(self, status: HTTPStatus, facts: dict[str, Any], headers: dict[str, str] | None = None) -> None:
        body = json.dumps(facts).encode()
        if self.server.closing:
            self.close_connection = True
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Tell what is wrong with a request in the same words as everything else."""
        self.close_connection = True
        self.request_version = self.protocol_version  # what could not be read has none
        self._tell(HTTPStatus(code), {"Message": message or explain or HTTPStatus(code).phrase})

    def log_message(self, format: str, *values: Any) -> None:
        """Keep quiet: who asked what is the business of whoever asked."""


def read_options(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python FOLDER serve", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to bind to (127.0.0.1: this machine alone)")
    parser.add_argument("--port", type=int, default=8080, help="0 takes a free one, which is printed")
    parser.add_argument("--queue", type=int, default=16, help="images that may wait (16)")
    parser.add_argument("--max-bytes", type=int, default=8_000_000, help="of an image file (8,000,000)")
    parser.add_argument("--max-pixels", type=int, default=4096 * 4096, help="of an image (4096 x 4096)")
    options = parser.parse_args(arguments)
    if options.queue < 0 or options.max_bytes < 1 or options.max_pixels < 1 or not 0 <= options.port < 1 << 16:
        parser.error("--queue is 0 or more, --max-bytes and --max-pixels 1 or more, --port 0 to 65535")
    return options


def main(arguments: Sequence[str], *, root: files.Place, runtime: ModuleType) -> int:
    """Serve a package until SIGTERM or Ctrl-C; one JSON line says where, one at the end what was done."""
    try:
        options = read_options(arguments)
    except SystemExit as ended:
        return int(ended.code or 0)
    facts = files.read_facts(root)
    try:
        model = runtime.load_configured(root)
        bench = Bench(runtime, model, queue=options.queue, most_pixels=options.max_pixels)
        width, height = model.sizes[-1]
        model.predict([np.zeros((height, width, 3), np.uint8)])  # the first image need not wait
        told = {"model": facts["model"], "component": facts.get("component")}
        server = Server((options.host, options.port), bench, most_bytes=options.max_bytes, told=told)
    except (ValueError, OSError) as error:
        why = f"{options.host}:{options.port}: {error.strerror or error}" if isinstance(error, OSError) else str(error)
        print(json.dumps({"error": why}), flush=True)
        return 1

    def stop(*_: object) -> None:
        threading.Thread(target=server.shutdown, daemon=True).start()  # which waits for the loop that is here

    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, stop)
    print(json.dumps({"serving": server.url, **told}), flush=True)
    server.serve_forever(poll_interval=0.2)
    server.close_calmly()
    print(json.dumps({"stopped": server.url, **bench.facts()}), flush=True)
    return 0
