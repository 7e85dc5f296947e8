"""The server: a workspace and everything that is offered over HTTP, put together."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
import ssl
import sys
import threading
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Self

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from vision_toolkit.app.oci_client import client_of as oci_client_of
from vision_toolkit.app.oci_client import config_of
from vision_toolkit.core.errors import Failed, Invalid
from vision_toolkit.services.auth.keys import Keys
from vision_toolkit.services.body import Limits
from vision_toolkit.services.http import Answer, Front, HttpApp, Page, is_loopback
from vision_toolkit.services.lookout.aws_model import install_script, model_files
from vision_toolkit.services.lookout.front import LookoutFront
from vision_toolkit.services.lookout.service import LookoutVision
from vision_toolkit.services.oci.front import OciFront
from vision_toolkit.services.oci.service import OciVision
from vision_toolkit.workspace import Workspace
from vision_toolkit.workspace.unit_hosts import UnitHosts

if TYPE_CHECKING:
    from vision_toolkit.core.settings import Settings
    from vision_toolkit.workspace.hosting import Hosts

__all__ = ["JsonLines", "Server", "serve"]

_LOG = logging.getLogger(__name__)
GRACE = 30
"""Seconds that requests have to end when the server is stopped."""
_HEAD_SECONDS = 20.0
_GOODBYE = 1.0
"""Seconds that a client of TLS has to end its side, when the server ends."""
_HEAD_BYTES = 256 * 1024
"""Of a request's line and headers: 200 tag keys of 128 letters that are not ASCII."""
_IMAGES = 64
_UNLIMITED_IMAGE = 64 * 1024 * 1024
_RUNNER = "process"


class Server:
    """Offer a workspace over HTTP; in a ``with`` block, for as long as that lasts.

    Parameters
    ----------
    workspace
        what is offered. Its jobs are done by whoever runs it; the server's :func:`serve` sees to that.
    host, port
        where to listen; port 0 = one that is free. On loopback, and as long as no key was made, whoever can reach it
        may ask; otherwise requests are signed with a key of the workspace.
    certificate, private_key
        files in PEM form, for TLS; both or none.
    allowed_hosts
        further names by which a server on loopback may be addressed, behind a proxy say.

    Raises
    ------
    Invalid
        if the port or the files are none.
    Failed
        if the address is taken, or not of this machine.
    """

    def __init__(
        self,
        workspace: Workspace,
        *,
        host: str = "127.0.0.1",
        port: int = 8000,
        certificate: str | None = None,
        private_key: str | None = None,
        allowed_hosts: Iterable[str] = (),
    ) -> None:
        self.workspace, self.keys = workspace, Keys(workspace.folder)
        tls = _tls(certificate, private_key)
        self._socket = _listen(host, port)
        self.host, self.port = host, int(self._socket.getsockname()[1])
        self.is_local = is_loopback(self._socket.getsockname()[0])  # whatever the name was
        self._scheme = "https" if tls else "http"
        self.app = self._app({name.lower() for name in allowed_hosts})
        config = uvicorn.Config(
            self.app, http=_Protocol, lifespan="off", ws="none", log_config=None, access_log=False,
            server_header=False, proxy_headers=False, timeout_keep_alive=15, timeout_graceful_shutdown=GRACE,
            h11_max_incomplete_event_size=_HEAD_BYTES, ssl_certfile=certificate, ssl_keyfile=private_key,
        )  # fmt: skip
        self._server = uvicorn.Server(config)
        self._thread: threading.Thread | None = None
        self._owned: Workspace | None = None
        self._hosts: UnitHosts | None = None
        self._hosts_before: Hosts | None = None

    def _app(self, names: set[str]) -> HttpApp:
        limits = Limits()
        limits.images = _IMAGES  # threads that wait for inference units, which do the work
        if not self.workspace.settings.limits:
            limits.image = _UNLIMITED_IMAGE
        sealed = self.is_local or self._scheme == "https"
        fronts: list[Front] = [
            LookoutFront(LookoutVision(self.workspace), self.keys, trusting=self.is_local, sealed=sealed),
            OciFront(OciVision(self.workspace), self.keys, trusting=self.is_local),
        ]
        app = HttpApp(fronts, pages=self._pages(), limits=limits, hosts=frozenset(names) if self.is_local else None)
        app.metrics.gauge("models_hosted", "Models that are hosted.", lambda: {"": len(self.workspace.models.hosted())})
        app.metrics.gauge("inference_units", "Processes that judge images.", lambda: {"": self._units()})
        return app

    def _units(self) -> int:
        return 0 if self._hosts is None else sum(self._hosts.counts().values())

    def _pages(self) -> Mapping[str, Page]:
        pages: dict[str, Page] = {"/health": self._health}
        for name, text in model_files().items():
            pages[f"/aws-model/{name}"] = lambda text=text: Answer(200, text.encode())  # type: ignore[misc]
        script = Answer(200, install_script().encode(), {"content-type": "text/x-python; charset=utf-8"})
        pages["/aws-model"] = lambda: script
        return pages

    def _health(self) -> Answer:
        """Say whether the records can be read."""
        try:
            self.workspace.projects.list(most=1)
        except Failed as error:
            _LOG.warning("not healthy: %s", error)
            return Answer(503, b'{"status":"failing"}', error="Failed")
        return Answer(200, b'{"status":"ok"}')

    @property
    def url(self) -> str:
        """Where programs reach it: their ``endpoint_url``."""
        name = {"0.0.0.0": socket.gethostname(), "::": socket.gethostname()}.get(self.host, self.host)  # noqa: S104
        name = name.strip("[]")
        return f"{self._scheme}://{f'[{name}]' if ':' in name else name}:{self.port}"

    def client(self, **options: Any) -> Any:
        """Return boto3's own client of this server; ``options`` are those of ``boto3.Session.client``."""
        from vision_toolkit.app.client import client_of

        given = self.environment()
        known = {
            "region_name": given["AWS_DEFAULT_REGION"],
            "aws_access_key_id": given["AWS_ACCESS_KEY_ID"],
            "aws_secret_access_key": self.keys.secret_of(given["AWS_ACCESS_KEY_ID"]) or given["AWS_SECRET_ACCESS_KEY"],
        }
        return client_of(self.url, **(known | options))

    def environment(self) -> dict[str, str]:
        """Return the variables with which an unmodified program of AWS's comes here."""
        keys = [key for key in self.keys.list() if key.secret and not key.read_only]
        needed = self.keys.are_used or not self.is_local
        return {
            "AWS_ENDPOINT_URL_LOOKOUTVISION": self.url,
            "AWS_DEFAULT_REGION": self.workspace.settings.region,
            "AWS_ACCESS_KEY_ID": (keys[0].id if keys else "KEY") if needed else "local",
            "AWS_SECRET_ACCESS_KEY": "SECRET" if needed else "local",
        }

    def oci_config(self, *, key_file: str | os.PathLike[str] | None = None) -> dict[str, str]:
        """Return a configuration for Oracle's SDK, which takes ``service_endpoint=server.url`` beside it.

        Parameters
        ----------
        key_file
            a private key that the server knows the public half of; not needed as long as whoever reaches it may ask.

        Raises
        ------
        Conflict
            if it is needed.
        """
        trusted = self.is_local and not self.keys.are_used
        return config_of(self.workspace.settings.region, key_file=key_file, trusted=trusted)

    def oci_client(self, *, key_file: str | os.PathLike[str] | None = None, **options: Any) -> Any:
        """Return Oracle's own client of this server; ``options`` are those of ``AIServiceVisionClient``."""
        return oci_client_of(self.url, self.oci_config(key_file=key_file), **options)

    def _open(self) -> None:
        """Let models be hosted by processes of their own, as long as this server runs."""
        self._hosts, self._hosts_before = UnitHosts(self.workspace), self.workspace.hosts
        self.workspace.hosts = self._hosts

    def run(self) -> None:
        """Serve in this thread until a signal (Ctrl-C, SIGTERM) ends it; what is being asked is answered."""
        self._open()
        try:
            self._server.run(sockets=[self._socket])
        except KeyboardInterrupt:
            pass
        finally:
            self._close()

    def start(self) -> Self:
        """Serve in a thread, and come back when it answers."""
        self._open()
        self._thread = threading.Thread(
            target=self._in_thread, name=f"server of {self.workspace.folder.name}", daemon=True
        )
        self._thread.start()
        while not self._server.started and self._thread.is_alive():
            self._thread.join(0.01)
        return self

    def _in_thread(self) -> None:
        asyncio.run(self._server.serve(sockets=[self._socket]))

    def stop(self) -> None:
        """Stop; what is being asked is answered before."""
        self._server.should_exit = True
        if self._thread is not None:
            self._thread.join()
            self._thread = None
            self._close()

    def own(self, workspace: Workspace) -> None:
        """Close a workspace when the server stops."""
        self._owned = workspace

    def _close(self) -> None:
        self._socket.close()
        self.app.close()
        if self._hosts is not None and self._hosts_before is not None:
            self._hosts.close()
            self.workspace.hosts = self._hosts_before
        if self._owned is not None:
            self._owned.close()
            self._owned = None

    def __enter__(self) -> Self:
        return self.start() if self._thread is None else self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"Server({self.url!r}, {str(self.workspace.folder)!r})"


def serve(
    workspace: Workspace | str | os.PathLike[str],
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    settings: Settings | None = None,
    certificate: str | None = None,
    private_key: str | None = None,
    **changed: Any,
) -> Server:
    """Serve a workspace in the background of this program, a notebook say.

    Parameters
    ----------
    workspace
        the folder of one, whose jobs then are done by processes of their own; or one that is open, which is run as it
        was opened.
    host, port
        where to listen; port 0 = one that is free.
    settings, changed
        of a folder, as :class:`~vision_toolkit.workspace.Workspace` takes them.
    certificate, private_key
        files in PEM form, for TLS.

    Returns
    -------
    Server
        with ``.url``, ``.environment()``, ``.client()`` and ``.oci_client()``, and ``.stop()``.

    Examples
    --------
    >>> import tempfile, urllib.request
    >>> with serve(tempfile.mkdtemp()) as server:
    ...     urllib.request.urlopen(f"{server.url}/health").read()
    b'{"status":"ok"}'
    """
    if isinstance(workspace, Workspace):
        if settings is not None or changed:
            raise Invalid("An open workspace has its settings; give its folder to serve it with others.")
        return Server(workspace, host=host, port=port, certificate=certificate, private_key=private_key).start()
    opened = Workspace(workspace, run=_RUNNER, settings=settings, **changed)
    try:
        server = Server(opened, host=host, port=port, certificate=certificate, private_key=private_key)
    except BaseException:
        opened.close()
        raise
    server.own(opened)
    return server.start()


class JsonLines(logging.Handler):
    """Write what is logged as JSON, one object a line.

    Parameters
    ----------
    stream
        where to; None = standard error.
    """

    def __init__(self, stream: IO[str] | None = None) -> None:
        super().__init__()
        self._stream = stream or sys.stderr

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line."""
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        facts = getattr(record, "facts", None) or {"message": record.getMessage()}
        line = {
            "time": moment.replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            **facts,
        }
        if record.exc_info:
            line["traceback"] = logging.Formatter().formatException(record.exc_info)
        try:
            self._stream.write(json.dumps(line) + "\n")
            self._stream.flush()
        except (OSError, ValueError):  # whoever read it has gone; that stops no request
            pass


class _Protocol(H11Protocol):
    """HTTP/1.1 that waits for a request's head no longer than it must, and tells what it cannot read as JSON."""

    _head: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._head = self.loop.call_later(_HEAD_SECONDS, self._give_up)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if not self._is_waiting():
            self._forget()
        elif self._head is None:  # a further request on the same connection has begun
            self._head = self.loop.call_later(_HEAD_SECONDS, self._give_up)

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        super().shutdown()
        if self.transport.is_closing():
            self.loop.call_later(_GOODBYE, self._leave)

    def _leave(self) -> None:
        """Wait no longer for a client's goodbye, which TLS has and few clients say."""
        if not self.transport.get_write_buffer_size():
            self.transport.abort()

    def _is_waiting(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _forget(self) -> None:
        if self._head is not None:
            self._head.cancel()
            self._head = None

    def _give_up(self) -> None:
        self._head = None
        if self._is_waiting() and not self.transport.is_closing():
            self.transport.close()

    def send_400_response(self, msg: str) -> None:
        text = json.dumps({"__type": "ValidationException", "Message": msg}).encode()
        head = (
            "HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\nx-amzn-errortype: ValidationException\r\n"
            f"content-length: {len(text)}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode("ascii") + text)
        self.transport.close()


def _listen(host: str, port: int) -> socket.socket:
    if not 0 <= port <= 65535:
        raise Invalid(f"A port is from 0 to 65535; {port} was given.")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        one = socket.socket(family, kind, protocol)
    except (OSError, UnicodeError) as error:
        raise Invalid(f"{host!r} is no address: {error}.") from None
    try:
        if os.name != "nt":  # there it would let two servers share a port
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        one.bind(address)
        one.listen(512)
        one.setblocking(False)
    except OSError as error:
        one.close()
        raise Failed(
            f"Cannot listen on {host}, port {port}: {error.strerror or error}; --port takes another."
        ) from error
    return one


def _tls(certificate: str | None, private_key: str | None) -> bool:
    if (certificate is None) != (private_key is None):
        raise Invalid("TLS needs both files: the certificate and its private key.")
    if certificate is None:
        return False
    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(certificate, private_key)
    except (OSError, ValueError) as error:
        raise Invalid(f"{certificate} and {private_key} are no certificate and its key in PEM form: {error}.") from None
    return True
