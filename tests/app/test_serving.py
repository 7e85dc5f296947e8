"""``vision-toolkit serve``, ``keys`` and ``aws-model``, as people type them."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.doors.raw import Raw
from tests.services.test_keys import public_key
from vision_toolkit.app.cli import main
from vision_toolkit.services.auth.keys import Keys


def start(*words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "vision_toolkit.app.cli", "serve", "--port", "0", *words]
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def said_until(process: subprocess.Popen[str], pattern: str) -> re.Match[str]:
    assert process.stdout is not None
    text = ""
    for line in process.stdout:
        text += line
        if found := re.search(pattern, text):
            return found
    raise AssertionError(text + (process.stderr.read() if process.stderr else ""))


def ended(process: subprocess.Popen[str], how: int = signal.SIGTERM) -> tuple[int, list[dict]]:
    """End a server and return its exit code and what it logged."""
    process.send_signal(how)
    _, errors = process.communicate(timeout=40)
    return process.returncode, [json.loads(line) for line in errors.splitlines() if line.startswith("{")]


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_serve_says_what_a_client_must_set_logs_json_and_stops(tmp_path, how):
    process = start("--workspace", str(tmp_path / "w"), "--weights", "none", "--no-limits")
    found = said_until(process, r"AWS_ENDPOINT_URL_LOOKOUTVISION=(\S+)")
    endpoint = said_until(process, r'AIServiceVisionClient\(config, service_endpoint="(\S+)"\)')
    assert endpoint[1] == found[1]
    said_until(process, r"keys create")
    said_until(process, r"keys add PUBLIC.pem")
    client = Raw(found[1])
    assert client.list_projects() == {"Projects": []}
    assert client.send("GET", "/2020-11-20/nothing?a=1")[0] == 404
    text = client.send("GET", "/metrics")[2].decode()
    assert 'requests_total{service="lookoutvision",operation="ListProjects",status="200"} 1' in text
    assert 'request_seconds_bucket{service="lookoutvision",operation="ListProjects",le="+Inf"} 1' in text
    assert "\nvision_toolkit_models_hosted 0\n" in text and text.endswith("\n")
    assert all(re.fullmatch(r"# (HELP|TYPE) \S+ .+|[a-z_]+(\{[^}]*\})? [0-9.e+-]+", line) for line in text.splitlines())
    code, logged = ended(process, how)
    assert code == 0
    asked = [line for line in logged if "operation" in line]
    assert [(line["operation"], line["status"]) for line in asked] == [
        ("ListProjects", 200), ("unknown", 404), ("/metrics", 200),
    ]  # fmt: skip
    for line in asked:
        assert {
            "time",
            "request_id",
            "method",
            "path",
            "milliseconds",
            "bytes_in",
            "bytes_out",
            "key",
            "client",
        } <= set(line)
    assert asked[1]["error"] == "ValidationException"


def test_what_is_being_asked_is_answered_before_the_end(tmp_path):
    process = start("--workspace", str(tmp_path / "w"))
    url = said_until(process, r"AWS_ENDPOINT_URL_LOOKOUTVISION=(\S+)")[1]
    said_until(process, r"keys add")
    assert Raw(url).send("GET", "/health")[0] == 200  # what it says, it says before it listens
    answers: list[int] = []

    def ask() -> None:
        body = b'{"ProjectName": "late", "Extra": "' + b"x" * 200_000 + b'"}'
        answers.append(Raw(url).send("POST", "/2020-11-20/projects", body)[0])

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    time.sleep(0.02)
    assert ended(process)[0] == 0
    for thread in threads:
        thread.join(10)
    assert answers and set(answers) == {400}


def test_keys_are_made_listed_and_taken_back(tmp_path, capsys):
    place = ["--workspace", str(tmp_path)]
    assert main(["keys", "create", *place, "--note", "line 3"]) == 0
    said = capsys.readouterr().out
    (key,) = Keys(tmp_path).list()
    assert said == f"export AWS_ACCESS_KEY_ID={key.id}\nexport AWS_SECRET_ACCESS_KEY={key.secret}\n"
    assert main(["keys", "create", *place, "--read-only", "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert made["read_only"] is True
    assert main(["keys", "list", *place]) == 0
    listed = capsys.readouterr().out
    assert key.id in listed and "line 3" in listed and "read-only" in listed and key.secret not in listed
    assert main(["keys", "list", *place, "--json"]) == 0
    assert [one["id"] for one in json.loads(capsys.readouterr().out)] == [key.id, made["id"]]
    assert main(["keys", "revoke", key.id, *place]) == 0
    assert main(["keys", "revoke", key.id, *place]) == 3
    assert main(["keys", "revoke", made["id"], *place]) == 0
    assert "still every request must be signed" in capsys.readouterr().err


def test_public_keys_are_made_known_listed_and_taken_back(tmp_path, capsys):
    place = ["--workspace", str(tmp_path)]
    file = tmp_path / "public.pem"
    file.write_text(public_key())
    assert main(["keys", "add", str(file), *place, "--note", "line 3", "--read-only"]) == 0
    said = capsys.readouterr()
    (key,) = Keys(tmp_path).list()
    assert said.out == f"fingerprint={key.id}\n" and "must be signed" in said.err and key.read_only
    assert main(["keys", "add", str(file), *place, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["kind"] == "oci"
    main(["keys", "create", *place])
    capsys.readouterr()
    assert main(["keys", "list", *place]) == 0
    listed = capsys.readouterr().out.splitlines()
    assert listed[0].startswith(key.id) and " oci" in listed[0] and " aws" in listed[1]
    assert main(["keys", "revoke", key.id, *place]) == 0
    assert [one.public for one in Keys(tmp_path).list()] == [""]
    file.write_text("rubbish")
    assert main(["keys", "add", str(file), *place]) == 3
    assert main(["keys", "add", str(tmp_path / "nowhere.pem"), *place]) == 3
    assert "no public key" in (said := capsys.readouterr().err) and "no file" in said


@pytest.mark.parametrize("words", [["revoke"], ["add"], ["list", "X"], ["create", "X"], ["steal"]])
def test_a_wrong_call_of_keys(tmp_path, words):
    with pytest.raises(SystemExit) as stopped:
        main(["keys", *words, "--workspace", str(tmp_path)])
    assert stopped.value.code == 2


def test_keys_of_no_workspace(tmp_path, capsys):
    assert main(["keys", "list", "--workspace", str(tmp_path / "none")]) == 3
    assert "vision-toolkit serve" in capsys.readouterr().err


def test_the_model_is_printed_or_installed(tmp_path, capsys):
    assert main(["aws-model", "print"]) == 0
    assert json.loads(capsys.readouterr().out)["metadata"]["serviceId"] == "LookoutVision"
    assert main(["aws-model", "install", "--models", str(tmp_path), "--json"]) == 0
    where = Path(json.loads(capsys.readouterr().out)["folder"])
    assert sorted(file.name for file in where.iterdir()) == ["paginators-1.json", "service-2.json"]


def test_a_port_that_is_taken(tmp_path, capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert main(["serve", "--workspace", str(tmp_path), "--port", port]) == 3
    assert f"port {port}" in capsys.readouterr().err
