"""The contract: its numbers are those that were published, and what the build compiles is what the source says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.services.edge.conftest import CALLS, PUBLISHED, ROOT, STATES, published, shared
from vision_toolkit.core.errors import Failed
from vision_toolkit.services.edge import messages
from vision_toolkit.services.edge.component import COMPONENT, State

SOURCE = ROOT / "vision_toolkit" / "services" / "edge" / "edge_agent.proto"


def test_the_build_compiles_to_the_last_byte_what_protoc_does(hook, tmp_path):
    out = tmp_path / "made.binpb"
    tools = [sys.executable, "-m", "grpc_tools.protoc", f"--proto_path={SOURCE.parent}"]
    subprocess.run([*tools, f"--descriptor_set_out={out}", SOURCE.name], check=True)
    assert hook.Compiler(SOURCE.read_text("utf-8"), SOURCE.name).describe() == out.read_bytes()
    assert (ROOT / hook.TARGET).read_bytes() == out.read_bytes(), "run: python hatch_build.py"


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("message Bitmap", "mesage Bitmap", r"edge_agent\.proto:\d+: 'mesage'"),
        ("int32 width = 1;", "map<string, int32> width = 1;", "'<'"),
        ("int32 width = 1;", "int32 width;", "';'"),
        ("int32 width = 1;", "optional int32 width = 1;", "'width'"),
        ("proto3", "proto2", "proto2"),
        ("repeated ModelMetadata models = 1;\n}", "repeated ModelMetadata models = 1;", "'{'"),
    ],
)
def test_what_the_build_does_not_understand_it_names(hook, before, after, words):
    text = SOURCE.read_text("utf-8")
    assert before in text
    with pytest.raises(ValueError, match=words):
        hook.Compiler(text.replace(before, after, 1), SOURCE.name).describe()


def test_every_published_name_and_number_is_there():
    other = published(2)
    for name in PUBLISHED:
        ours = messages.message(name).DESCRIPTOR
        for field in other(name).DESCRIPTOR.fields:
            one = ours.fields_by_name[field.name]
            assert (one.number, one.type, one.is_repeated) == (field.number, field.type, field.is_repeated), field.name
    extra = {"anomaly_score": 5, "anomaly_threshold": 6}
    result = messages.message("DetectAnomalyResult").DESCRIPTOR.fields_by_name
    assert {name: result[name].number for name in extra} == extra
    assert {call.path for call in messages.calls().values()} == {f"/AWS.LookoutVision.EdgeAgent/{n}" for n in CALLS}


def test_every_state_has_a_status_and_the_table_leads_nowhere_else():
    numbers = messages.message("ModelMetadata").DESCRIPTOR.fields_by_name["status"].enum_type.values_by_name
    assert {name: value.number for name, value in numbers.items()} == {name: n for n, name in enumerate(STATES)}
    assert {state.value for state in State} == set(STATES) and COMPONENT.states() == set(State)


def test_a_checkout_that_was_never_installed_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setattr(messages, "_COMPILED", tmp_path / "edge_agent.binpb")
    messages._pool.cache_clear()
    with pytest.raises(Failed, match=r"python hatch_build\.py"):
        messages._pool()
    monkeypatch.undo()
    assert messages._pool() is not None


@pytest.mark.parametrize("number", [2, 3])
def test_a_client_of_either_published_contract(client, running, models, images, number):
    ask = client(running.address, kinds=published(number))
    assert [one.model_component for one in ask.ListModels().models] == ["masked", "plain"]
    assert ask.status("masked") == "RUNNING"
    image = images[-1]
    prediction, size = models["masked"].predict(image), image.nbytes
    with shared(size, image.tobytes()) as given, shared(size + 10) as mask:
        said = ask.DetectAnomalies(
            model_component="masked",
            bitmap={
                "width": image.shape[1], "height": image.shape[0],
                "shared_memory_handle": {"name": given.name, "size": size},
            },
            anomaly_mask_params={"shared_memory_handle": {"name": f"/{mask.name}", "size": size, "offset": 10}},
        ).detect_anomaly_result  # fmt: skip
        assert mask.read(10, size + 10) == prediction.mask.to_rgb().tobytes() and mask.read(0, 10) == bytes(10)
        assert (said.anomaly_mask.width, said.anomaly_mask.height) == prediction.mask.size
        handle = said.anomaly_mask.shared_memory_handle
        assert (handle.name, handle.size, handle.offset) == (f"/{mask.name}", size, 10)
    assert said.is_anomalous == prediction.is_anomalous
    assert said.confidence == np.float32(prediction.confidence)


def test_a_client_that_protoc_makes_of_our_file(running, images, tmp_path):
    """As a user would: generated code in a process of its own."""
    tools = [sys.executable, "-m", "grpc_tools.protoc", "-I", str(SOURCE.parent), f"--python_out={tmp_path}"]
    subprocess.run([*tools, f"--grpc_python_out={tmp_path}", SOURCE.name], check=True)
    Path(tmp_path, "image").write_bytes(images[0].tobytes())
    program = f"""
import grpc, edge_agent_pb2 as pb2
from edge_agent_pb2_grpc import EdgeAgentStub
with grpc.insecure_channel({running.address!r}) as channel:
    stub = EdgeAgentStub(channel)
    bitmap = pb2.Bitmap(width={images[0].shape[1]}, height={images[0].shape[0]}, byte_data=open("image", "rb").read())
    request = pb2.DetectAnomaliesRequest(model_component="plain", bitmap=bitmap)
    print(stub.DetectAnomalies(request).detect_anomaly_result.confidence > 0)
    print(pb2.ModelStatus.Name(stub.DescribeModel(pb2.DescribeModelRequest(model_component="plain")).model_description.status))
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["True", "RUNNING"], done.stderr
