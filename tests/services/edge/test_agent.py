"""What an agent answers: as the model does to the last bit, or with the code and the words that tell what is wrong."""

from __future__ import annotations

import json
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.services.edge.conftest import CALLS, failure, shared
from vision_toolkit.core.errors import Conflict, Failed, Invalid
from vision_toolkit.data.images import read_image
from vision_toolkit.services.edge import agent as agent_module
from vision_toolkit.services.edge.agent import Agent
from vision_toolkit.workspace import units


def raw(channel: grpc.Channel, name: str, data: bytes) -> str:
    """Send bytes as a request, and return the code."""
    try:
        channel.unary_unary(f"/AWS.LookoutVision.EdgeAgent/{name}")(data, timeout=60)
    except grpc.RpcError as error:
        return str(error.code().name)
    return "OK"


def noise(width: int, height: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


# ---------------------------------------------------------------- answers


@pytest.mark.parametrize("name", ["masked", "plain"])
def test_answers_are_those_of_the_model_to_the_last_bit(ask, models, images, name):
    verdicts = set()
    for image in images:
        said, prediction = ask.detect(name, image), models[name].predict(image)
        verdicts.add(said.is_anomalous)
        assert said.is_anomalous == prediction.is_anomalous
        assert said.confidence == np.float32(prediction.confidence)
        assert said.anomaly_score == np.float32(prediction.score)
        assert said.anomaly_threshold == np.float32(prediction.threshold)
        areas = {one.name: one.pixel_anomaly.total_percentage_area for one in said.anomalies}
        assert areas == {key: np.float32(area) for key, area in prediction.areas().items()}
        if prediction.mask is None:
            assert not said.HasField("anomaly_mask")
            continue
        colours = dict(zip(prediction.mask.names, prediction.mask.colours, strict=True))
        assert [(one.name, one.pixel_anomaly.hex_color) for one in said.anomalies] == [
            (key, colours[key].upper()) for key in areas
        ]
        assert next(iter(areas)) == "background"
        assert (said.anomaly_mask.width, said.anomaly_mask.height) == (image.shape[1], image.shape[0])
        assert said.anomaly_mask.byte_data == prediction.mask.to_rgb().tobytes()
    if name == "masked":
        assert verdicts == {True, False}


def test_shared_memory_says_the_same_as_bytes_and_stays_its_makers(ask, images):
    image = images[-1]
    height, width = image.shape[:2]
    plain = ask.detect("masked", image)
    with shared(image.nbytes + 7, bytes(7) + image.tobytes()) as given:
        handle = {"name": given.name, "size": image.nbytes, "offset": 7}
        bitmap = {"width": width, "height": height, "shared_memory_handle": handle}
        for _ in range(3):
            said = ask.DetectAnomalies(model_component="masked", bitmap=bitmap).detect_anomaly_result
            assert said == plain
        # The mask may lie over the image.
        place = {"shared_memory_handle": handle}
        ask.DetectAnomalies(model_component="masked", bitmap=bitmap, anomaly_mask_params=place)
        assert given.read(7, 7 + image.nbytes) == plain.anomaly_mask.byte_data
        assert os.path.exists(given.path)


@pytest.mark.parametrize("size", [(64, 64), (64, 4096), (4096, 64), (65, 131), (4096, 4096)])
def test_every_size_that_is_allowed(ask, models, size):
    image = noise(*size)
    said, prediction = ask.detect("masked", image), models["masked"].predict(image)
    assert said.anomaly_score == np.float32(prediction.score)
    assert said.anomaly_mask.byte_data == prediction.mask.to_rgb().tobytes()


def test_two_models_and_many_clients_at_once(ask, models, images):
    expected = {name: [np.float32(models[name].predict(image).score) for image in images] for name in models}
    order = [(name, number) for number in range(len(images)) for name in models]
    with ThreadPoolExecutor(8) as pool:
        said = list(pool.map(lambda one: ask.detect(one[0], images[one[1]]).anomaly_score, order))
    assert said == [expected[name][number] for name, number in order]


# ---------------------------------------------------------------- bad input

GOOD = {"width": 64, "height": 64, "byte_data": bytes(64 * 64 * 3)}


@pytest.mark.parametrize(
    ("bitmap", "words"),
    [
        ({}, "0 x 0 pixels; 64 x 64 to 4096 x 4096"),
        ({"width": 64, "height": 64}, "no pixels; give byte_data or shared_memory_handle"),
        (GOOD | {"width": 63}, "63 x 64 pixels"),
        (GOOD | {"height": -64}, "64 x -64 pixels"),
        (GOOD | {"width": 4097}, "4097 x 64 pixels"),
        (GOOD | {"width": 65}, "byte_data has 12,288 bytes; packed RGB888 of 65 x 64 pixels has 12,480"),
        (GOOD | {"byte_data": bytes(64 * 64)}, "byte_data has 4,096 bytes"),
        (GOOD | {"byte_data": b"\xff\xd8\xff\xe0 a JPEG file"}, "packed RGB888"),
        ({"width": 64, "height": 64, "shared_memory_handle": {"name": "x", "size": 12_000}}, "size is 12,000"),
        ({"width": 64, "height": 64, "shared_memory_handle": {"name": "no-such", "size": 12_288}}, "'no-such' cannot"),
        ({"width": 64, "height": 64, "shared_memory_handle": {"name": "", "size": 12_288}}, "names no shared memory"),
        ({"width": 64, "height": 64, "shared_memory_handle": {"name": "..", "size": 12_288}}, "no shared memory"),
        ({"width": 64, "height": 64, "shared_memory_handle": {"name": "/a/b", "size": 12_288}}, "names no shared"),
        ({"width": 64, "height": 64, "shared_memory_handle": {"name": "a\0b", "size": 12_288}}, "names no shared"),
        ({"width": 64, "height": 64, "shared_memory_handle": {"name": "n" * 400, "size": 12_288}}, "cannot be opened"),
    ],
)  # fmt: skip
def test_a_bad_bitmap_is_told_what_was_expected(ask, bitmap, words):
    code, said = failure(lambda: ask.DetectAnomalies(model_component="plain", bitmap=bitmap))
    assert code == "INVALID_ARGUMENT" and words in said
    assert ask.detect("plain", noise(64, 64)).confidence > 0


@pytest.mark.parametrize("offset", [1, 2**40, 2**64 - 1])
def test_shared_memory_that_is_too_short(ask, offset):
    with shared(12_288) as given:
        handle = {"name": given.name, "size": 12_288, "offset": offset}
        bitmap = {"width": 64, "height": 64, "shared_memory_handle": handle}
        code, said = failure(lambda: ask.DetectAnomalies(model_component="masked", bitmap=bitmap))
        assert code == "INVALID_ARGUMENT" and f"has 12,288 bytes, and {12_288 + offset:,} were named" in said
        place = {"shared_memory_handle": handle}
        code, said = failure(
            lambda: ask.DetectAnomalies(model_component="masked", bitmap=GOOD, anomaly_mask_params=place)
        )
        assert code == "INVALID_ARGUMENT" and "mask cannot be written" in said


def test_a_segment_that_is_cut_off_again_and_again_ends_no_process(ask, running, images):
    image = images[0]
    height, width = image.shape[:2]
    before = [one.process.pid for one in running.components["masked"]._units._all]
    with shared(image.nbytes, image.tobytes()) as given:
        handle = {"name": given.name, "size": image.nbytes}
        bitmap = {"width": width, "height": height, "shared_memory_handle": handle}
        ending = threading.Event()

        def cut() -> None:
            while not ending.is_set():
                os.truncate(given.path, 4096)
                os.truncate(given.path, image.nbytes)

        thread = threading.Thread(target=cut)
        thread.start()
        codes = set()
        for _ in range(30):
            try:
                ask.DetectAnomalies(
                    model_component="masked", bitmap=bitmap, anomaly_mask_params={"shared_memory_handle": handle}
                )
            except grpc.RpcError as error:
                codes.add(error.code().name)
        ending.set()
        thread.join()
    assert codes <= {"INVALID_ARGUMENT"}
    assert [one.process.pid for one in running.components["masked"]._units._all] == before


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ({"shared_memory_handle": {"name": "m", "size": 12_287}}, "The mask has 12,288 bytes"),
        ({"shared_memory_handle": {"name": "no-such", "size": 12_288}}, "'no-such' cannot be opened"),
        ({"shared_memory_handle": {}}, "has room for 0"),
        ({"shared_memory_handle": {"name": "a"}, "shared_memory_handle_3": {"name": "b"}}, "names two places"),
    ],
)  # fmt: skip
def test_a_bad_place_for_the_mask(ask, place, words):
    call = lambda: ask.DetectAnomalies(model_component="masked", bitmap=GOOD, anomaly_mask_params=place)  # noqa: E731
    code, said = failure(call)
    assert code == "INVALID_ARGUMENT" and words in said


def test_an_image_that_is_larger_than_any_message(ask):
    code, _ = failure(lambda: ask.detect("plain", noise(4100, 4100)))
    assert code == "INVALID_ARGUMENT"
    huge = np.zeros((5000, 5000, 3), np.uint8)
    assert failure(lambda: ask.detect("plain", huge))[0] == "RESOURCE_EXHAUSTED"
    assert ask.detect("plain", noise(64, 64)).confidence > 0


@pytest.mark.parametrize("call", ["DetectAnomalies", "StartModel", "StopModel", "DescribeModel"])
def test_a_model_that_nobody_knows(ask, call):
    for name in ("nobody", "", "n" * 100_000, "\n☃"):
        code, said = failure(lambda name=name: getattr(ask, call)(model_component=name))
        assert code == "NOT_FOUND" and "there are: masked, plain" in said


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(call=st.sampled_from(CALLS), data=st.binary(max_size=200))
def test_whatever_is_sent_no_answer_is_unknown(ask, call, data):
    codes = {"OK", "INVALID_ARGUMENT", "NOT_FOUND", "FAILED_PRECONDITION"}
    assert raw(ask.channel, call, data) in codes


_HANDLES = st.none() | st.fixed_dictionaries(
    {
        "name": st.sampled_from(["", "/", "/dev/null", "psm_none", "..", "\0"]) | st.text(max_size=8),
        "size": st.sampled_from([0, 1, 12_288, 2**63, 2**64 - 1]),
        "offset": st.sampled_from([0, 1, 12_288, 2**63, 2**64 - 1]),
    }
)


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    width=st.sampled_from([-(2**31), -1, 0, 63, 64, 65, 4096, 4097, 2**31 - 1]),
    height=st.sampled_from([-(2**31), -1, 0, 63, 64, 65, 4096, 4097, 2**31 - 1]),
    data=st.sampled_from([None, b"", b"x", bytes(12_288)]),
    handle=_HANDLES,
    place=_HANDLES,
    other=_HANDLES,
)
def test_whatever_a_request_says_it_is_answered_or_told_what_is_wrong(ask, width, height, data, handle, place, other):
    bitmap = {"width": width, "height": height, "byte_data": data, "shared_memory_handle": handle}
    parameters = {"shared_memory_handle": place, "shared_memory_handle_3": other}
    request = ask.kind("DetectAnomaliesRequest")(
        model_component="plain",
        bitmap={key: value for key, value in bitmap.items() if value is not None},
        anomaly_mask_params={key: value for key, value in parameters.items() if value is not None},
    )
    assert raw(ask.channel, "DetectAnomalies", request.SerializeToString()) in {"OK", "INVALID_ARGUMENT"}


def test_a_fault_of_ours_is_internal_and_logged(ask, running, images, monkeypatch, caplog):
    def broken(*image, wanted):
        raise ZeroDivisionError("a secret")

    monkeypatch.setattr(running.components["plain"]._units, "predict", broken)
    code, said = failure(lambda: ask.detect("plain", images[0]))
    assert code == "INTERNAL" and "ZeroDivisionError" in said and "secret" not in said
    assert "a secret" in caplog.text


# ---------------------------------------------------------------- states


@pytest.fixture
def agent(made, tmp_path):
    """An agent whose models nobody started."""
    with Agent([made["masked"], made["plain"]], folder=tmp_path / "edge", address="127.0.0.1:0") as one:
        yield one


def test_a_model_goes_from_stopped_to_running_and_back(agent, client, images):
    ask = client(agent.address)
    said = ask.DescribeModel(model_component="plain").model_description
    assert (said.model_component, said.status, said.status_message) == ("plain", 0, "The model is not running.")
    for call in (lambda: ask.StopModel(model_component="plain"), lambda: ask.detect("plain", images[0])):
        code, words = failure(call)
        assert code == "FAILED_PRECONDITION" and "STOPPED" in words
    assert ask.StartModel(model_component="plain").status == 1
    code, words = failure(lambda: ask.StartModel(model_component="plain"))
    assert code == "FAILED_PRECONDITION" and ("STARTING" in words or "RUNNING" in words)
    ask.until("plain", "RUNNING")
    assert failure(lambda: ask.StartModel(model_component="plain"))[0] == "FAILED_PRECONDITION"
    assert ask.status("masked") == "STOPPED", "one has nothing to do with the other"
    pid = agent.components["plain"]._units._all[0].process.pid
    assert ask.detect("plain", images[0]).confidence > 0
    assert ask.StopModel(model_component="plain").status == 0
    assert ask.status("plain") == "STOPPED"
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    ask.run("plain")


def test_what_is_being_judged_when_a_model_is_stopped_is_answered(agent, client, images):
    ask = client(agent.address)
    ask.run("masked")
    with ThreadPoolExecutor(9) as pool:
        calls = [pool.submit(ask.detect, "masked", image) for image in images[:8]]
        time.sleep(0.02)
        assert pool.submit(ask.StopModel, model_component="masked").result().status == 0
        errors = [call.exception() for call in calls]
    assert all(error is None or error.code().name == "FAILED_PRECONDITION" for error in errors)


def test_too_many_that_wait_are_told_to_come_again(agent, client, images, monkeypatch):
    monkeypatch.setattr(units, "QUEUE", 2)
    ask = client(agent.address)
    ask.run("masked")
    held = agent.components["masked"]._units._take()  # nobody is judged
    with ThreadPoolExecutor(4) as pool:
        calls = [pool.submit(ask.detect, "masked", image) for image in images[:2]]
        while agent.components["masked"]._units._waiting < 2:
            time.sleep(0.01)
        code, words = failure(lambda: ask.detect("masked", images[0]))
        assert code == "RESOURCE_EXHAUSTED" and "2 images wait" in words
        assert ask.status("masked") == "RUNNING", "who asks how a model is does not wait"
        agent.components["masked"]._units._give_back(held)
        assert all(call.result().confidence > 0 for call in calls)


def test_nobody_is_judged_who_has_gone(agent, client, images, monkeypatch):
    ask = client(agent.address)
    ask.run("masked")
    component, wanted = agent.components["masked"], []
    judge = component.judge
    monkeypatch.setattr(
        component, "judge", lambda image, **more: (wanted.append(more["wanted"]), judge(image, **more))[1]
    )
    some = component._units
    held = some._take()
    asked = []
    real = held.ask
    held.ask = lambda *image: (asked.append(image), real(*image))[1]
    bitmap = {"width": 64, "height": 64, "byte_data": noise(64, 64).tobytes()}
    with pytest.raises(grpc.RpcError) as late:
        ask.DetectAnomalies(model_component="masked", bitmap=bitmap, timeout=0.3)
    assert late.value.code().name == "DEADLINE_EXCEEDED"
    call = ask.channel.unary_unary("/AWS.LookoutVision.EdgeAgent/DetectAnomalies")
    request = ask.kind("DetectAnomaliesRequest")(model_component="masked", bitmap=bitmap).SerializeToString()
    gone = call.future(request)
    while some._waiting < 2:
        time.sleep(0.01)
    gone.cancel()
    while any(one() for one in wanted):  # until the agent knows of both
        time.sleep(0.01)
    some._give_back(held)
    assert ask.detect("masked", images[0]).confidence > 0
    assert len(asked) == 1


# ---------------------------------------------------------------- two agents, addresses


def test_one_folder_and_one_socket_belong_to_one_agent(made, tmp_path, client):
    address = f"unix://{tmp_path}/edge.sock"
    with Agent([made["plain"]], folder=tmp_path / "one", address=address) as first:
        assert client(first.address).status("plain") == "STOPPED"
        with pytest.raises(Conflict, match="Another agent uses"):
            Agent([made["plain"]], folder=tmp_path / "one", address="127.0.0.1:0")
        with pytest.raises(Conflict, match="Another agent answers at"):
            Agent([made["plain"]], folder=tmp_path / "two", address=address).start()
        assert client(first.address).status("plain") == "STOPPED"
    assert not (tmp_path / "edge.sock").exists()
    with Agent([made["plain"]], folder=tmp_path / "two", address=address):
        pass


def test_a_port_that_is_taken(made, tmp_path, running):
    with pytest.raises(Failed, match="taken"):
        Agent([made["plain"]], folder=tmp_path / "edge", address=running.address).start()


NOWHERE = ("nowhere", "127.0.0.1:http", "127.0.0.1:70000", ":80", "unix:/no/such/folder/s", "unix:/" + "s" * 120)


@pytest.mark.parametrize("address", NOWHERE)
def test_what_is_no_address(made, tmp_path, address):
    with pytest.raises(Invalid):
        Agent([made["plain"]], folder=tmp_path / "edge", address=address).start()


def test_a_file_that_is_no_socket_is_left_alone(made, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(Conflict, match="no socket"):
        Agent([made["plain"]], folder=tmp_path / "edge", address=str(tmp_path / "notes.txt")).start()
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_other_machines_share_no_memory(made, tmp_path, client, images, monkeypatch):
    monkeypatch.setattr(agent_module, "is_loopback", lambda host: False)
    with Agent([made["plain"]], folder=tmp_path / "edge", address="127.0.0.1:0") as agent:
        ask = client(agent.address)
        ask.run("plain")
        handle = {"name": "x", "size": 12_288}
        for more in (
            {"bitmap": {"width": 64, "height": 64, "shared_memory_handle": handle}},
            {"bitmap": GOOD, "anomaly_mask_params": {"shared_memory_handle_3": handle}},
        ):
            code, words = failure(lambda more=more: ask.DetectAnomalies(model_component="plain", **more))
            assert code == "INVALID_ARGUMENT" and "send byte_data" in words
        assert ask.detect("plain", images[0]).confidence > 0


def test_the_golden_images_of_a_package_are_answered_as_it_says(ask, made):
    for answer in json.loads((made["masked"] / "golden" / "answers.json").read_text())["answers"]:
        said = ask.detect("masked", read_image(made["masked"] / answer["image"]))
        assert said.is_anomalous == answer["is_anomalous"]
        assert said.confidence == pytest.approx(answer["confidence"], abs=1e-6)
