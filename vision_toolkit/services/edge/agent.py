"""The server: every call of the contract, over a unix socket or a port."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import os
import re
import shutil
import signal
import socket
import stat
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import grpc
from google.protobuf.message import DecodeError

from vision_toolkit.core.errors import Busy, Conflict, Exceeded, Failed, Invalid, NotFound, Unsupported, VisionError
from vision_toolkit.core.prediction import Prediction
from vision_toolkit.services.edge.bitmaps import MaskPlace, mask_place, pieces
from vision_toolkit.services.edge.component import Component, Described, Wishes
from vision_toolkit.services.edge.messages import SERVICE, Call, calls, message
from vision_toolkit.services.edge.packages import GivenPackage
from vision_toolkit.services.http import is_loopback
from vision_toolkit.workspace.units import QUEUE

__all__ = ["GRACE", "MOST_MESSAGE", "SOCKET", "Agent"]

_LOG = logging.getLogger(__name__)
SOCKET = "unix:///tmp/aws.iot.lookoutvision.EdgeAgent.sock"
"""Where clients of the service's own agent look for it."""
MOST_MESSAGE = 64 * 1024 * 1024
"""Bytes of a message: a bitmap of 4096 x 4096 pixels has 48 MiB, and a somewhat larger one is told what is wrong."""
GRACE = 30.0
"""Seconds that calls have to end when the agent is stopped."""
_LOOKED_EVERY = 2.0
_SPARE_CALLS = 16
"""Calls beside the images that wait, so that a full queue keeps nobody from asking how a model is."""
_MOST_DETAILS = 1000
"""Characters of an error; all headers of an answer together may have 8 KiB."""
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.ENOMEM)

_CODES = {
    Invalid: grpc.StatusCode.INVALID_ARGUMENT,
    Unsupported: grpc.StatusCode.INVALID_ARGUMENT,
    NotFound: grpc.StatusCode.NOT_FOUND,
    Conflict: grpc.StatusCode.FAILED_PRECONDITION,
    Busy: grpc.StatusCode.RESOURCE_EXHAUSTED,
    Exceeded: grpc.StatusCode.RESOURCE_EXHAUSTED,
}
"""Every other error of ours is INTERNAL."""


class Agent:
    """Serve packages over gRPC; in a ``with`` block, for as long as that lasts.

    Every model is judged with by processes of its own. One that is running when the agent ends, however that comes,
    runs again when an agent on the same folder is started.

    Parameters
    ----------
    packages
        folders or zip files, each as a path or ``NAME=PATH``. One that is damaged is listed as FAILED.
    folder
        the agent's own: what zip files hold, and which models are to run. One agent at a time uses it.
    address
        ``unix:///PATH``, or ``HOST:PORT``; port 0 is one that is free.
    workers
        processes for each model that runs; each judges one image at a time.
    threads
        of one computation.

    Raises
    ------
    Invalid
        if there is no package, two have one name, or the address is none.
    Conflict
        if another agent uses the folder or the socket.
    Failed
        if the address is taken, or the disk refuses.

    Examples
    --------
    >>> import tempfile, grpc, vision_toolkit as vt
    >>> folder, parts = tempfile.mkdtemp(), vt.load_dataset("biscuit").filter(label="normal")[:8]
    >>> export = vt.train(parts, weights=None, preset="fast", progress=False).export(f"{folder}/plates")
    >>> with Agent([export.path], folder=f"{folder}/edge", address="127.0.0.1:0") as agent:
    ...     with grpc.insecure_channel(agent.address) as channel:
    ...         call = calls()["ListModels"]
    ...         ask = channel.unary_unary(call.path, call.request.SerializeToString, call.response.FromString)
    ...         print(ask(call.request()).models[0].status_message)
    The model is not running.
    """

    def __init__(
        self,
        packages: Sequence[str | os.PathLike[str]],
        *,
        folder: str | os.PathLike[str] = "edge",
        address: str = SOCKET,
        workers: int = 1,
        threads: int = 1,
    ) -> None:
        self.folder, self._wanted_address = Path(folder), address
        unpacked = self.folder / "packages"
        given = [GivenPackage(os.fspath(word), unpacked) for word in packages]
        _check_names([one.name for one in given])
        self._lock = _lock(self.folder)
        self._wishes = Wishes(self.folder / "running.json")
        made = [Component(one, wishes=self._wishes, workers=workers, threads=threads) for one in given]
        self.components = {one.name: one for one in made}
        for one in made:
            one.check()
        _sweep(unpacked, {one.unpacked for one in given if one.unpacked is not None})
        self.address = ""
        """Where clients reach it, as gRPC writes it; empty before it serves."""
        self.is_local = True
        """Whether nobody on another machine can reach it; only then memory can be shared."""
        self._most = len(made) * workers * (QUEUE + 1) + _SPARE_CALLS
        self._server: grpc.Server | None = None
        self._ending = threading.Event()
        self._keeper = threading.Thread(target=self._keep, name="edge agent", daemon=True)

    # ---------------------------------------------------------------- from start to end

    def start(self, *, all_models: bool = False) -> Self:
        """Serve, and start the models that are wished running, or all.

        Parameters
        ----------
        all_models
            start those too that were stopped, and keep that as a wish.
        """
        self._server = server = grpc.server(
            ThreadPoolExecutor(self._most, thread_name_prefix="edge call"),
            handlers=[grpc.method_handlers_generic_handler(SERVICE, {n: self._handler(c) for n, c in calls().items()})],
            options=[
                ("grpc.max_receive_message_length", MOST_MESSAGE),
                ("grpc.max_send_message_length", MOST_MESSAGE),
                ("grpc.so_reuseport", 0),  # two agents on one port would share the calls between them
            ],
            maximum_concurrent_rpcs=self._most,
        )
        try:
            self.address = self._bind(server)
        except BaseException:
            self._release()
            raise
        server.start()
        self._keeper.start()
        for one in self.components.values():
            if all_models or one.name in self._wishes:
                one.start()
        _LOG.info("Serving %s at %s.", ", ".join(self.components), self.address)
        return self

    def _bind(self, server: grpc.Server) -> str:
        address = self._wanted_address
        if address.startswith("unix:") or "/" in address:
            path = Path(address.removeprefix("unix:").removeprefix("//"))
            _free(path)
            bound = f"unix:{path}"
            with _clear_failure(bound):
                server.add_insecure_port(bound)
            return bound
        host, colon, port = address.rpartition(":")
        if not colon or not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > 65535 or not host:
            raise Invalid(f"{address!r} is no address; give unix:///PATH or HOST:PORT, 127.0.0.1:0 say.")
        self.is_local = is_loopback(host)
        with _clear_failure(address):
            return f"{host}:{server.add_insecure_port(address)}"

    def stop(self, *, grace: float = GRACE) -> None:
        """Stop accepting calls, answer those that are being answered, and end all processes."""
        if self._lock < 0:
            return
        if self._server is not None:
            self._server.stop(grace).wait()
            self._server = None
        self._ending.set()
        for one in self.components.values():
            one.close(drain=grace)
        if self.address.startswith("unix:"):
            Path(self.address.removeprefix("unix:")).unlink(missing_ok=True)
        self._release()

    def _release(self) -> None:
        """Let another agent have the folder."""
        os.close(self._lock)
        self._lock = -1

    def run(self) -> None:
        """Wait in this thread, which must be the main one, until SIGTERM or Ctrl-C ends the agent."""
        ending = threading.Event()
        before = {kind: signal.signal(kind, lambda *_: ending.set()) for kind in (signal.SIGTERM, signal.SIGINT)}
        try:
            ending.wait()
            self.stop()
        finally:
            for kind, handler in before.items():
                signal.signal(kind, handler)

    def __enter__(self) -> Self:
        return self.start() if self._server is None else self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _keep(self) -> None:
        while not self._ending.wait(_LOOKED_EVERY):
            for one in self.components.values():
                try:
                    one.look()
                except Exception:  # noqa: BLE001 - the others need looking after too
                    _LOG.exception("Model %s cannot be looked after.", one.name)

    # ---------------------------------------------------------------- the calls

    def _handler(self, call: Call) -> grpc.RpcMethodHandler:
        """Return what answers one call; requests are read here, so that what is none is told as such."""
        do: Callable[[Any, grpc.ServicerContext], Any] = getattr(self, _snake(call.name))

        def answer(data: bytes, context: grpc.ServicerContext) -> bytes:
            began = time.perf_counter()
            code, details, said, name = grpc.StatusCode.OK, "", b"", ""
            try:
                request = call.request.FromString(data)
                name = getattr(request, "model_component", "")[:128]
                said = do(request, context).SerializeToString()
            except DecodeError:
                code, details = grpc.StatusCode.INVALID_ARGUMENT, f"The request is no {call.request.DESCRIPTOR.name}."
            except VisionError as error:
                code, details = _code(error), str(error)
            except Exception as error:  # noqa: BLE001 - a client is told, and never with UNKNOWN
                _LOG.exception("%s failed", call.name)
                code, details = grpc.StatusCode.INTERNAL, f"{type(error).__name__}; the agent's log tells more."
            facts = {
                "call": call.name, "model": name, "status": code.name, "error": details[:_MOST_DETAILS],
                "milliseconds": round((time.perf_counter() - began) * 1000, 1), "bytes_in": len(data),
                "bytes_out": len(said), "client": context.peer(),
            }  # fmt: skip
            _LOG.info("%s %s", call.name, code.name, extra={"facts": facts})
            if code is not grpc.StatusCode.OK:
                context.abort(code, details[:_MOST_DETAILS])
            return said

        return grpc.unary_unary_rpc_method_handler(answer)

    def _component(self, request: Any) -> Component:
        found = self.components.get(request.model_component)
        if found is None:
            raise NotFound(
                f"There is no model {request.model_component[:128]!r}; there are: {', '.join(self.components)}."
            )
        return found

    def _detect_anomalies(self, request: Any, context: grpc.ServicerContext) -> Any:
        component = self._component(request)
        if not self.is_local and _shared(request):
            raise Invalid("This agent answers other machines, with which it shares no memory; send byte_data.")
        image = pieces(request.bitmap)
        with mask_place(request) as place:
            prediction = component.judge(image, wanted=context.is_active)
            return message("DetectAnomaliesResponse")(detect_anomaly_result=_result(prediction, place))

    def _start_model(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: ARG002
        return message("StartModelResponse")(status=self._component(request).start().value)

    def _stop_model(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: ARG002
        return message("StopModelResponse")(status=self._component(request).stop().value)

    def _list_models(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: ARG002
        models = [message("ModelMetadata")(**_told(one.describe())) for one in self.components.values()]
        return message("ListModelsResponse")(models=models)

    def _describe_model(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: ARG002
        described = message("ModelDescription")(**_told(self._component(request).describe()))
        return message("DescribeModelResponse")(model_description=described)

    def __repr__(self) -> str:
        return f"Agent({self.address!r}, {', '.join(self.components)})"


def _snake(name: str) -> str:
    return re.sub(r"(?=[A-Z])", "_", name).lower()


def _told(described: Described) -> dict[str, Any]:
    return {
        "model_component": described.name,
        "lookout_vision_model_arn": described.arn,
        "status": described.state.value,
        "status_message": described.message,
    }


def _shared(request: Any) -> bool:
    parameters = request.anomaly_mask_params
    return bool(request.bitmap.WhichOneof("data") == "shared_memory_handle" or parameters.ListFields())


def _result(prediction: Prediction, place: MaskPlace) -> Any:
    """Return a prediction in the contract's words: a classification model says nothing of types."""
    result = message("DetectAnomalyResult")(
        is_anomalous=prediction.is_anomalous,
        confidence=prediction.confidence,
        anomaly_score=prediction.score,
        anomaly_threshold=prediction.threshold,
    )
    mask = prediction.mask
    if mask is None:
        return result
    colours = dict(zip(mask.names, mask.colours, strict=True))
    for name, area in mask.areas().items():
        pixels = {"total_percentage_area": area, "hex_color": colours[name].upper()}
        result.anomalies.add(name=name, pixel_anomaly=pixels)
    place.put(mask, result.anomaly_mask)
    return result


def _code(error: VisionError) -> grpc.StatusCode:
    cause = error.__cause__
    if isinstance(cause, OSError) and cause.errno in _NO_ROOM:
        return grpc.StatusCode.RESOURCE_EXHAUSTED
    return next((code for kind, code in _CODES.items() if isinstance(error, kind)), grpc.StatusCode.INTERNAL)


# ---------------------------------------------------------------- what must be free


def _check_names(names: Sequence[str]) -> None:
    if not names:
        raise Invalid("There is no package to serve; name at least one: a folder or a zip file.")
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise Invalid(f"Two packages are named {twice[0]!r}; give one of them another name: NAME=PATH.")


def _lock(folder: Path) -> int:
    """Take an agent's folder; the system gives it back when this process ends, however that comes."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise Failed(f"{folder} cannot be used: {error.strerror}. Name another folder for the agent.") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise Conflict(f"Another agent uses {folder}; stop it, or name another folder.") from None
    return lock


def _sweep(folder: Path, used: set[Path]) -> None:
    """Remove what earlier packages left, so that the disk does not fill with them."""
    if folder.is_dir():
        for child in folder.iterdir():
            if child not in used:
                shutil.rmtree(child, ignore_errors=True)


def _free(path: Path) -> None:
    """Remove the socket of an agent that was killed; raise where one still answers."""
    if len(os.fsencode(path)) > 107:
        raise Invalid(f"A socket's path has at most 107 bytes; {path} is longer.")
    if not path.parent.is_dir():
        raise Invalid(f"There is no folder {path.parent} for the socket; make it, or name another path.")
    try:
        kind = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(kind):
        raise Conflict(f"{path} is no socket, and is left alone; name another path.")
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(5)
        try:
            probe.connect(os.fspath(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise Conflict(f"Who listens at {path} cannot be seen: {error.strerror}. Name another path.") from None
        else:
            raise Conflict(f"Another agent answers at {path}; stop it, or name another path.")


@contextlib.contextmanager
def _clear_failure(address: str) -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        if isinstance(error, VisionError):
            raise
        raise Failed(f"Cannot listen at {address}: it is taken, or not of this machine. Name another one.") from None
