"""One scenario of OCI Vision through every door: in process, raw HTTP, and Oracle's own SDK, signed and unsigned."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from typing import Any

import oci
import pytest
from oci.ai_vision import AIServiceVisionClient, AIServiceVisionClientCompositeOperations, models
from oci.signer import AbstractBaseSigner

from tests.app.test_serving import ended, said_until, start
from tests.doors import oci_scenario
from tests.doors.oci_raw import Raw as OciRaw
from tests.doors.raw import Raw
from vision_toolkit.app.cli import main
from vision_toolkit.app.server import Server, serve
from vision_toolkit.core.errors import Conflict, Invalid, NotFound
from vision_toolkit.services.auth.oci_signature import fingerprint
from vision_toolkit.services.lookout import LookoutVision
from vision_toolkit.services.oci import OciVision
from vision_toolkit.services.oci import models as ours
from vision_toolkit.workspace import Workspace

PROJECTS = "/20220125/projects"


class Unsigned(AbstractBaseSigner):
    def __init__(self) -> None:
        pass

    def __call__(self, request: Any, enforce_content_headers: bool = True) -> Any:
        return request


@pytest.fixture(scope="session")
def pair(tmp_path_factory):
    """Give files of a private key and its public half."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    folder = tmp_path_factory.mktemp("keys")
    private, public = folder / "key.pem", folder / "public.pem"
    encoding = serialization.Encoding.PEM
    private.write_bytes(key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
    public.write_bytes(key.public_key().public_bytes(encoding, serialization.PublicFormat.SubjectPublicKeyInfo))
    return private, public


def test_in_process(opened):
    oci_scenario.run(OciVision(opened))


def test_raw_http(server):
    oci_scenario.run(OciRaw(server.url))


def test_the_sdk_signed_with_any_key(server):
    oci_scenario.run(server.oci_client())


def test_the_sdk_without_signatures(server):
    oci_scenario.run(server.oci_client(signer=Unsigned()))


def test_the_sdk_with_a_key_that_is_verified(server, pair):
    private, public = pair
    server.keys.add(public.read_text())
    oci_scenario.run(server.oci_client(key_file=private))


def test_a_configuration_file_as_people_have_it(server, pair, tmp_path):
    private, public = pair
    known = server.keys.add(public.read_text())
    file = tmp_path / "config"
    file.write_text(
        f"[DEFAULT]\nuser=ocid1.user.oc1..aaaa\nfingerprint={known.id}\ntenancy=ocid1.tenancy.oc1..bbbb\n"
        f"region=eu-frankfurt-1\nkey_file={private}\n"
    )
    client = AIServiceVisionClient(oci.config.from_file(str(file)), service_endpoint=server.url)
    assert client.list_projects().data.items == []


# ---------------------------------------------------------------- what the SDK offers around its client


@pytest.fixture(params=["in process", "server"])
def client(request, opened, server):
    """Give each client that the SDK's own functions must be able to work with."""
    return OciVision(opened) if request.param == "in process" else server.oci_client()


def test_the_sdks_models(client):
    details = models.CreateProjectDetails(display_name="a", compartment_id="c", freeform_tags={"k": "v"})
    made = client.create_project(details).data
    assert (made.display_name, made.freeform_tags) == ("a", {"k": "v"})
    client.update_project(made.id, models.UpdateProjectDetails(description="new"))
    client.change_project_compartment(made.id, models.ChangeProjectCompartmentDetails(compartment_id="d"))
    told = client.get_project(made.id).data
    assert (told.display_name, told.description, told.compartment_id) == ("a", "new", "d")


def test_the_sdks_pagination(client):
    made = [client.create_project({"displayName": str(n), "compartmentId": "c"}).data.id for n in range(7)]
    asked = {"compartment_id": "c", "limit": 3, "sort_order": "ASC"}
    whole = oci.pagination.list_call_get_all_results(client.list_projects, **asked)
    assert [one.id for one in whole.data] == made and not whole.has_next_page
    few = oci.pagination.list_call_get_up_to_limit(client.list_projects, 5, 2, compartment_id="c", sort_order="ASC")
    assert [one.id for one in few.data] == made[:5]
    each = oci.pagination.list_call_get_all_results_generator(client.list_projects, "record", **asked)
    assert [one.display_name for one in each] == [str(n) for n in range(7)]
    lines = oci.pagination.list_call_get_all_results(
        client.list_work_request_logs, client.list_work_requests().data.items[0].id, limit=1
    )
    assert len(lines.data) == 3


def test_the_sdks_composite_operations(client):
    composite = AIServiceVisionClientCompositeOperations(client)
    ended = ["SUCCEEDED", "FAILED"]
    told = composite.create_project_and_wait_for_state({"displayName": "a", "compartmentId": "c"}, ended).data
    assert (told.operation_type, told.status) == ("CREATE_PROJECT", "SUCCEEDED")
    project = told.resources[0].identifier
    assert composite.update_project_and_wait_for_state(project, {"displayName": "b"}, ended).data.status == "SUCCEEDED"
    assert composite.delete_project_and_wait_for_state(project, ended).data.operation_type == "DELETE_PROJECT"
    assert client.get_project(project).data.lifecycle_state == "DELETED"


def test_the_sdks_wait_until_sees_what_another_one_does(client, opened):
    made = client.create_project({"displayName": "a", "compartmentId": "c"}).data.id

    def delete() -> None:
        time.sleep(0.3)
        OciVision(opened).delete_project(made)

    thread = threading.Thread(target=delete)
    thread.start()
    answer = oci.wait_until(client, client.get_project(made), "lifecycle_state", "DELETED", max_interval_seconds=1)
    thread.join()
    assert answer.data.lifecycle_state == "DELETED"


def test_the_sdks_errors(client):
    with pytest.raises(oci.exceptions.ServiceError) as caught:
        client.get_project("ocid1.aivisionproject.oc1.x.0", opc_request_id="MINE")
    error = caught.value
    assert (error.status, error.code, error.request_id) == (404, "NotAuthorizedOrNotFound", "MINE")
    assert "There is no project" in error.message and error.operation_name == "get_project"


def test_a_retry_strategy_repeats_with_one_token(server, monkeypatch):
    client = server.oci_client(retry_strategy=oci.retry.DEFAULT_RETRY_STRATEGY)
    failed: list[int] = []
    record = server.workspace.ledger.record

    def once_not(*arguments: Any, **named: Any) -> str:
        if not failed:
            failed.append(1)
            raise RuntimeError("the disk is away")
        return record(*arguments, **named)

    monkeypatch.setattr(server.workspace.ledger, "record", once_not)
    made = client.create_project({"displayName": "a", "compartmentId": "c"}).data
    assert failed and [one.id for one in client.list_projects().data.items] == [made.id]


def test_twelve_at_once_with_one_token_make_one_project(server):
    client = server.oci_client()
    found: list[str] = []

    def make() -> None:
        details = {"displayName": "a", "compartmentId": "c"}
        found.append(client.create_project(details, opc_retry_token="one").data.id)

    threads = [threading.Thread(target=make) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 12 and len(set(found)) == 1 and len(client.list_projects().data.items) == 1


def test_of_many_who_change_with_one_etag_one_wins(opened):
    client = OciVision(opened)
    made = client.create_project({"displayName": "a", "compartmentId": "c"})
    said: list[str] = []

    def change(number: int) -> None:
        try:
            client.update_project(made.data.id, {"displayName": str(number)}, if_match=made.headers["etag"])
            said.append("ok")
        except oci.exceptions.ServiceError as error:
            said.append(error.code)

    threads = [threading.Thread(target=change, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(said) == ["NoEtagMatch"] * 7 + ["ok"]


# ---------------------------------------------------------------- who may ask


def test_on_loopback_without_a_key_any_signature_will_do_or_none(server):
    assert server.oci_client().list_projects().data.items == []
    assert server.oci_client(signer=Unsigned()).list_projects().data.items == []
    assert OciRaw(server.url).send("GET", PROJECTS, headers={"Authorization": "rubbish"})[0] == 200


def test_a_key_of_either_kind_closes_both_doors(server, pair):
    private, public = pair
    access = server.keys.create()
    with pytest.raises(Conflict, match="key_file"):
        server.oci_client()
    oci_scenario.refused(401, "NotAuthenticated", server.oci_client(key_file=private).list_projects)
    oci_scenario.refused(401, "NotAuthenticated", server.oci_client(key_file=private, signer=Unsigned()).list_projects)
    known = server.keys.add(public.read_text())
    assert server.oci_client(key_file=private).list_projects().data.items == []
    assert server.client().list_projects()["Projects"] == []
    assert server.environment()["AWS_ACCESS_KEY_ID"] == access.id
    server.keys.revoke(known.id)
    oci_scenario.refused(401, "NotAuthenticated", server.oci_client(key_file=private).list_projects)


def test_a_public_key_opens_no_door_of_the_other_service(server, pair):
    known = server.keys.add(pair[1].read_text())
    for secret in ("", "local"):
        client = server.client(aws_access_key_id=known.id, aws_secret_access_key=secret or " ")
        with pytest.raises(Exception, match=r"Unrecognized|Invalid|Incomplete"):
            client.list_projects()
    assert server.keys.secret_of(known.id) is None
    assert server.environment()["AWS_ACCESS_KEY_ID"] == "KEY"


def test_a_read_only_key_may_look(server, pair):
    private, public = pair
    server.keys.add(public.read_text(), read_only=True)
    client = server.oci_client(key_file=private)
    assert client.list_projects().data.items == []
    said = oci_scenario.refused(403, "NotAuthorized", client.create_project, {"compartmentId": "c"})
    assert "create_project" in said
    oci_scenario.refused(403, "NotAuthorized", client.analyze_image, {"features": []})
    oci_scenario.refused(501, "MethodNotImplemented", client.list_models)


def test_an_address_that_others_reach_asks_for_signatures(opened, pair):
    private, public = pair
    with Server(opened, host="0.0.0.0", port=0) as server:
        here = f"http://127.0.0.1:{server.port}"
        status, headers, _ = OciRaw(here).send("GET", PROJECTS)
        assert status == 401 and headers["content-type"] == "application/json"
        assert OciRaw(here).send("GET", "/20220125/models")[0] == 401, "what is built is nobody's business"
        server.keys.add(public.read_text())
        client = AIServiceVisionClient(server.oci_config(key_file=private), service_endpoint=here)
        assert client.list_projects().data.items == []


def test_over_tls(opened, pair, certified, monkeypatch):
    private, public = pair
    certificate, secret = certified
    with Server(opened, port=0, certificate=certificate, private_key=secret) as server:
        server.keys.add(public.read_text())
        client = server.oci_client(key_file=private)
        client.base_client.session.verify = certificate
        for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):  # they would win
            monkeypatch.delenv(name, raising=False)
        made = client.create_project({"displayName": "a", "compartmentId": "c"}).data
        assert [one.id for one in client.list_projects(display_name="a").data.items] == [made.id]
        ending = time.monotonic()
    assert time.monotonic() - ending < 15, "a client that keeps its connection holds up nobody"


def test_a_page_in_a_browser_cannot_ask(server):
    for headers in ({"Origin": "http://evil.example"}, {"Host": "vision.factory"}):
        status, told, body = OciRaw(server.url).send("GET", PROJECTS, headers=headers)
        assert status == 403 and told["opc-request-id"] and b'"NotAuthorized"' in body


def test_what_is_no_key_is_said_so(server, tmp_path, pair):
    with pytest.raises(NotFound):
        server.oci_config(key_file=tmp_path / "nowhere.pem")
    with pytest.raises(Invalid):
        server.oci_config(key_file=pair[1])


PROGRAM = """
import sys, oci
config = oci.config.from_file(sys.argv[1])
client = oci.ai_vision.AIServiceVisionClient(config, service_endpoint=sys.argv[2])
composite = oci.ai_vision.AIServiceVisionClientCompositeOperations(client)
details = oci.ai_vision.models.CreateProjectDetails(display_name="bolts", compartment_id=config["tenancy"])
work = composite.create_project_and_wait_for_state(details, ["SUCCEEDED"]).data
print(client.get_project(work.resources[0].identifier).data.display_name, work.status)
"""


def test_a_program_of_its_own_with_a_key_that_was_made_known_while_the_server_runs(tmp_path, pair):
    private, public = pair
    place, config = str(tmp_path / "w"), tmp_path / "config"
    process = start("--workspace", place)
    try:
        url = said_until(process, r'service_endpoint="(\S+)"')[1]
        config.write_text(
            f"[DEFAULT]\nuser=ocid1.user.oc1..aaaa\ntenancy=ocid1.tenancy.oc1..bbbb\nregion=us-ashburn-1\n"
            f"key_file={private}\nfingerprint={fingerprint(public.read_text())}\n"
        )

        def program() -> subprocess.CompletedProcess[str]:
            command = [sys.executable, "-c", PROGRAM, str(config), url]
            return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)

        assert main(["keys", "create", "--workspace", place]) == 0
        assert "NotAuthenticated" in program().stderr
        assert main(["keys", "add", str(public), "--workspace", place]) == 0
        done = program()
        assert done.stdout.split() == ["bolts", "SUCCEEDED"], done.stderr
    finally:
        code, logged = ended(process)
    assert code == 0
    asked = [(line["operation"], line["status"], line["key"]) for line in logged if "operation" in line]
    known = fingerprint(public.read_text())
    assert asked == [
        ("CreateProject", 401, ""), ("CreateProject", 200, known), ("GetWorkRequest", 200, known),
        ("GetProject", 200, known),
    ]  # fmt: skip


# ---------------------------------------------------------------- two services, one listener


def test_both_services_at_once(tmp_path):
    with serve(tmp_path / "w", preset="fast") as server:
        first, second = server.client(), server.oci_client()
        said: list[BaseException] = []

        def lookout() -> None:
            try:
                for n in range(15):
                    first.create_project(ProjectName=f"p{n}")
                    first.describe_project(ProjectName=f"p{n}")
            except BaseException as error:  # noqa: BLE001 - the test tells it
                said.append(error)

        def oracle() -> None:
            try:
                for n in range(15):
                    made = second.create_project({"displayName": f"p{n}", "compartmentId": "c"})
                    second.get_work_request(made.headers["opc-work-request-id"])
            except BaseException as error:  # noqa: BLE001 - the test tells it
                said.append(error)

        threads = [threading.Thread(target=one) for one in (lookout, oracle, oracle)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert said == []
        assert len(first.list_projects()["Projects"]) == 15
        assert len(second.list_projects().data.items) == 30
        assert len(second.list_work_requests().data.items) == 30
        text = Raw(server.url).send("GET", "/metrics")[2].decode()
        assert 'requests_total{service="ocivision",operation="CreateProject",status="200"} 30' in text
        assert 'requests_total{service="lookoutvision",operation="CreateProject",status="200"} 15' in text


def test_neither_service_sees_the_others_projects(opened):
    first, second = LookoutVision(opened), OciVision(opened)
    first.create_project(ProjectName="bolts")
    second.create_project({"displayName": "bolts", "compartmentId": "c"})
    (project,) = first.list_projects()["Projects"]
    assert project["ProjectName"] == "bolts"
    assert len(second.list_projects().data.items) == 1
    first.delete_project(ProjectName="bolts")
    assert len(second.list_projects().data.items) == 1
    hidden = opened.projects.create("hidden")
    oci_scenario.refused(
        404, "NotAuthorizedOrNotFound", second.get_project, f"ocid1.aivisionproject.oc1.us-east-1.{hidden.id}"
    )


def test_our_models_without_the_sdk(opened):
    client = OciVision(opened)
    details = ours.CreateProjectDetails(display_name="a", compartment_id="c")
    made = client.create_project(details).data
    assert isinstance(made, ours.Project) and made == client.get_project(made.id).data
    assert '"display_name": "a"' in repr(made)


def test_a_workspace_of_many_services_is_opened_again(tmp_path):
    with Workspace(tmp_path / "w") as workspace:
        made = OciVision(workspace).create_project({"displayName": "a", "compartmentId": "c"}).data
    with Workspace(tmp_path / "w") as workspace:
        assert OciVision(workspace).get_project(made.id).data == made
