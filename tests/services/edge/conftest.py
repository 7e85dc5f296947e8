"""Two packages, agents that serve them, and clients: of our contract, and of both that were published."""

from __future__ import annotations

import importlib.util
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker, shared_memory
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import numpy as np
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

import vision_toolkit as vt
from vision_toolkit.data.images import read_image
from vision_toolkit.services.edge import messages
from vision_toolkit.services.edge.agent import Agent
from vision_toolkit.services.edge.messages import message

ROOT = Path(__file__).parents[3]
LARGE = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
CALLS = ("DetectAnomalies", "StartModel", "StopModel", "ListModels", "DescribeModel")
STATES = ("STOPPED", "STARTING", "RUNNING", "FAILED", "STOPPING")


@pytest.fixture(scope="session")
def hook() -> Any:
    """Give hatch_build.py."""
    spec = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session", autouse=True)
def compiled(hook) -> None:
    """Compile the contract where nobody has: in a checkout that was never installed."""
    if not (ROOT / hook.TARGET).exists():
        hook.compile_protocol(ROOT)
        messages._pool.cache_clear()


@pytest.fixture(scope="session")
def parts() -> Any:
    found = vt.load_dataset("biscuit")
    return found.filter(label="normal")[:6] + found.filter(label="anomaly")[:4]


@pytest.fixture(scope="session")
def made(parts, tmp_path_factory) -> dict[str, Path]:
    """Make two packages: ``masked`` with anomaly types, ``plain`` of normal images alone."""
    folder = tmp_path_factory.mktemp("packages")
    for name, images in (("masked", parts), ("plain", parts.filter(label="normal"))):
        model = vt.train(images, weights=None, preset="fast", progress=False, threads=1)
        model.export(folder / name, golden=parts[-2:])
    return {name: folder / name for name in ("masked", "plain")}


@pytest.fixture(scope="session")
def zipped(made, tmp_path_factory) -> Path:
    """Give ``masked`` as a zip file."""
    return Path(shutil.make_archive(str(tmp_path_factory.mktemp("zip") / "masked"), "zip", made["masked"]))


@pytest.fixture(scope="session")
def models(made) -> dict[str, Any]:
    """Give the models themselves, with as many threads as a process of the agent's has."""
    return {name: vt.load(path, threads=1) for name, path in made.items()}


@pytest.fixture(scope="session")
def images(parts) -> list[np.ndarray]:
    return [read_image(entry) for entry in parts]


# ---------------------------------------------------------------- clients


class Client:
    """Methods named as the calls; they take fields of requests and return answers."""

    def __init__(self, address: str, kinds: Callable[[str], Any] = message) -> None:
        self.kind, self.channel = kinds, grpc.insecure_channel(address, options=LARGE)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name not in CALLS:
            raise AttributeError(name)
        response = self.kind(f"{name}Response").FromString
        call = self.channel.unary_unary(f"/AWS.LookoutVision.EdgeAgent/{name}", response_deserializer=response)

        def ask(*, timeout: float = 60, **fields: Any) -> Any:
            return call(self.kind(f"{name}Request")(**fields).SerializeToString(), timeout=timeout)

        return ask

    def status(self, name: str) -> str:
        said = self.DescribeModel(model_component=name).model_description
        return STATES[said.status]

    def until(self, name: str, state: str, *, seconds: float = 60) -> None:
        end = time.monotonic() + seconds
        while (now := self.status(name)) != state:
            assert time.monotonic() < end, f"{name} is {now}, not {state}"
            time.sleep(0.05)

    def run(self, *names: str) -> None:
        """Start models and wait until they run."""
        for name in names:
            assert STATES[self.StartModel(model_component=name).status] == "STARTING"
        for name in names:
            self.until(name, "RUNNING")

    def detect(self, name: str, image: np.ndarray, **more: Any) -> Any:
        height, width = image.shape[:2]
        bitmap = {"width": width, "height": height, "byte_data": image.tobytes()}
        return self.DetectAnomalies(model_component=name, bitmap=bitmap, **more).detect_anomaly_result


def failure(call: Callable[[], Any]) -> tuple[str, str]:
    """Return the code and the words with which a call fails."""
    with pytest.raises(grpc.RpcError) as caught:
        call()
    return caught.value.code().name, caught.value.details()


@pytest.fixture
def client() -> Iterator[Callable[..., Client]]:
    made: list[Client] = []

    def make(address: str, **more: Any) -> Client:
        made.append(Client(address, **more))
        return made[-1]

    yield make
    for one in made:
        one.channel.close()


# The contract as it was published, written down a second time: each message's fields in order, which is also their
# numbers, but for the mask's place.
PUBLISHED = {
    "SharedMemoryHandle": "string name, uint64 size, uint64 offset",
    "Bitmap": "int32 width, int32 height, bytes byte_data, SharedMemoryHandle shared_memory_handle",
    "AnomalyMaskParams": "SharedMemoryHandle shared_memory_handle",
    "DetectAnomaliesRequest": "string model_component, Bitmap bitmap, AnomalyMaskParams anomaly_mask_params",
    "PixelAnomaly": "float total_percentage_area, string hex_color",
    "Anomaly": "string name, PixelAnomaly pixel_anomaly",
    "DetectAnomalyResult": "bool is_anomalous, float confidence, Bitmap anomaly_mask, *Anomaly anomalies",
    "DetectAnomaliesResponse": "DetectAnomalyResult detect_anomaly_result",
    "ModelDescription": "string model_component, string lookout_vision_model_arn, ModelStatus status, "
    "string status_message",
    "ModelMetadata": "string model_component, string lookout_vision_model_arn, ModelStatus status, "
    "string status_message",
    "StartModelRequest": "string model_component",
    "StartModelResponse": "ModelStatus status",
    "StopModelRequest": "string model_component",
    "StopModelResponse": "ModelStatus status",
    "ListModelsRequest": "",
    "ListModelsResponse": "*ModelMetadata models",
    "DescribeModelRequest": "string model_component",
    "DescribeModelResponse": "ModelDescription model_description",
}


def published(mask_field: int) -> Callable[[str], Any]:
    """Return what gives the classes of a published contract, whose mask's place has that number."""
    field = descriptor_pb2.FieldDescriptorProto
    scalars = {"string": 9, "uint64": 4, "int32": 5, "bytes": 12, "float": 2, "bool": 8}
    file = descriptor_pb2.FileDescriptorProto(name="published.proto", package="AWS.LookoutVision", syntax="proto3")
    status = file.enum_type.add(name="ModelStatus")
    for number, name in enumerate(STATES):
        status.value.add(name=name, number=number)
    for name, fields in PUBLISHED.items():
        one = file.message_type.add(name=name)
        for number, words in enumerate(filter(None, fields.split(", ")), 1):
            kind, called = words.split()
            many, kind = kind.startswith("*"), kind.lstrip("*")
            made = one.field.add(name=called, number=number, label=field.LABEL_REPEATED if many else 1)
            if kind in scalars:
                made.type = scalars[kind]
            else:
                made.type = field.TYPE_ENUM if kind == "ModelStatus" else field.TYPE_MESSAGE
                made.type_name = f".AWS.LookoutVision.{kind}"
            if name == "AnomalyMaskParams":
                made.number = mask_field
            if name == "Bitmap" and number >= 3:
                if not one.oneof_decl:
                    one.oneof_decl.add(name="data")
                made.oneof_index = 0
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return lambda name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"AWS.LookoutVision.{name}"))


@contextmanager
def shared(size: int, data: bytes = b"") -> Iterator[Any]:
    """Make shared memory as a client does; ``name`` and ``read()``."""
    segment = shared_memory.SharedMemory(create=True, size=size)
    segment.buf[: len(data)] = data
    try:
        yield SimpleNamespace(
            name=segment.name, read=lambda start, end: bytes(segment.buf[start:end]), path=f"/dev/shm/{segment.name}"
        )
    finally:
        segment.close()
        try:
            segment.unlink()
        except FileNotFoundError:
            resource_tracker.unregister(segment._name, "shared_memory")


# ---------------------------------------------------------------- agents


@pytest.fixture(scope="module")
def running(made, tmp_path_factory) -> Iterator[Agent]:
    """Give an agent on a port with both models running; tests leave it so."""
    packages = [made["masked"], made["plain"]]
    with Agent(packages, folder=tmp_path_factory.mktemp("edge"), address="127.0.0.1:0") as agent:
        one = Client(agent.address)
        one.run("masked", "plain")
        one.channel.close()
        yield agent


@pytest.fixture
def ask(running, client) -> Client:
    """Give a client of the agent with both models running."""
    return client(running.address)
