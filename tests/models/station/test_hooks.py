"""Commands and servers are told of each line in order, whatever fails; the inspection never waits for them."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.models.station.conftest import Line, findings, lines, png, status, until
from vision_toolkit.models.station import hooks
from vision_toolkit.models.station.hooks import Command, Post


class Listener(ThreadingHTTPServer):
    """Take lines; ``answers`` says how the next requests are answered: a status, "close" or "slow"; then 204."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.heard: list[tuple[str, dict]] = []
        self.answers: list[int | str] = []
        self.headers: list[dict[str, str]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/lines?line=7"


class _Handler(BaseHTTPRequestHandler):
    server: Listener

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        answer = self.server.answers.pop(0) if self.server.answers else 204
        self.server.headers.append(dict(self.headers))
        if answer == "slow":
            time.sleep(1.0)
        if answer in ("close", "slow"):
            self.close_connection = True
            return
        if int(answer) < 300:
            self.server.heard.append((self.path, body))
        self.send_response(int(answer))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def listener() -> Iterator[Listener]:
    with Listener() as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try again soon."""
    monkeypatch.setattr(hooks, "FIRST_WAIT", 0.01)
    monkeypatch.setattr(hooks, "LONGEST_WAIT", 0.05)


def told(path: Path) -> list[int]:
    return [json.loads(raw)["sequence"] for raw in path.read_bytes().splitlines()] if path.is_file() else []


def drop(line: Line, first: int, last: int) -> None:
    for number in range(first, last):
        os.utime(line.drop(f"{number:03}.png", png(number)), (1e9 + number,) * 2)


def test_a_url_is_posted_each_line_in_order_through_every_failure(line: Line, listener: Listener) -> None:
    listener.answers = [500, "close", 429, 404, "slow", 302]
    drop(line, 0, 5)
    with line.running(post=listener.url, hook_timeout=0.3) as inspection:
        until(lambda: inspection.hooks[0].backlog == 0 and inspection.journal.sequence == 5)
    assert [body for _, body in listener.heard] == lines(line.out)
    assert {path for path, _ in listener.heard} == {"/lines?line=7"}
    keys = [headers["Idempotency-Key"] for headers in listener.headers]
    assert keys[:7] == [keys[0]] * 7 and len(set(keys)) == 5  # the same for each try
    assert all(key.rpartition("-")[2] == f'{number}"' for number, key in enumerate(keys[6:], 1))
    assert {headers["Content-Type"] for headers in listener.headers} == {"application/json"}


def test_a_password_comes_from_the_environment(line: Line, listener: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATION_AUTHORIZATION", "Bearer abc")
    drop(line, 0, 1)
    assert line.once("--post", listener.url) == 0
    assert listener.headers[0]["Authorization"] == "Bearer abc"


def test_a_command_is_given_each_line_on_its_input(line: Line, tmp_path: Path) -> None:
    program, heard = tmp_path / "take it.sh", tmp_path / "heard"
    program.write_text(f'#!/bin/sh\nread -r line\necho "$STATION_SEQUENCE" "$1" >> "{heard}"\n')
    program.chmod(0o755)
    drop(line, 0, 3)
    assert line.once("--run", f"'{program}' '$HOME *'") == 0  # no shell sees it
    assert heard.read_text().splitlines() == [f"{number} $HOME *" for number in (1, 2, 3)]


def test_a_command_that_fails_is_tried_again_with_the_same_line(line: Line, tmp_path: Path) -> None:
    heard = tmp_path / "heard"
    command = f"cat >> {heard}; test $(grep -c . {heard}) -gt 3 || {{ echo not yet >&2; exit 5; }}"
    drop(line, 0, 2)
    with line.running(run=command, shell=True) as inspection:
        until(lambda: "exit code 5: not yet" in str(inspection.hooks[0].trouble))
        until(lambda: inspection.journal.sequence == 2 and inspection.hooks[0].backlog == 0)
    assert told(heard) == [1, 1, 1, 1, 2]


def test_a_command_that_hangs_is_killed_with_all_that_it_started(tmp_path: Path) -> None:
    alive = tmp_path / "alive"
    command = Command(f"(while true; do touch {alive}; sleep 0.02; done) & sleep 60", shell=True, timeout=0.3)
    started = time.monotonic()
    assert command(b"{}\n", 1, threading.Event()) == "no end within 0.3 s"
    assert time.monotonic() - started < 5
    alive.unlink()
    time.sleep(0.1)
    assert not alive.exists()


def test_what_a_command_says_and_does_not_read_holds_nothing_up() -> None:
    command = Command("yes | head -c 3000000 >&2; echo the end >&2; exit 1", shell=True, timeout=20)
    assert command(b"x" * 3000, 1, threading.Event()) == "exit code 1: the end"
    line = b"x" * 3_000_000  # more than a pipe holds
    assert Command("true")(line, 1, threading.Event()) is None
    assert "cannot be started" in str(Command("/no/such/program")(line, 1, threading.Event()))


def test_a_hook_that_is_down_stops_nothing_and_hears_all_when_it_is_back(line: Line, listener: Listener) -> None:
    listener.answers = [503] * 10_000
    drop(line, 0, 20)
    with line.running(post=listener.url) as inspection:
        until(lambda: inspection.journal.sequence == 20)
        until(lambda: inspection.hooks[0].failures > 3)
        inspection._next_chores = 0.0
        until(lambda: status(line.out)["hooks"]["post"]["backlog"] == 20)
        assert "status 503" in status(line.out)["hooks"]["post"]["trouble"]
    assert listener.heard == []
    listener.answers = []
    drop(line, 20, 22)
    assert line.once("--post", listener.url) == 0  # another process would do the same
    assert [body["sequence"] for _, body in listener.heard] == list(range(1, 23))
    assert line.once("--post", listener.url) == 0
    assert len(listener.heard) == 22


def test_once_ends_at_the_first_failure_and_says_so(
    line: Line, listener: Listener, capsys: pytest.CaptureFixture[str]
) -> None:
    listener.answers = [503] * 10_000
    drop(line, 0, 3)
    assert line.once("--post", listener.url) == 1
    assert "3 lines wait for the hook post: status 503" in capsys.readouterr().err
    assert len(lines(line.out)) == 3


def test_a_new_hook_hears_what_comes_from_then_on(line: Line, listener: Listener) -> None:
    drop(line, 0, 3)
    assert line.once() == 0
    drop(line, 3, 5)
    assert line.once("--post", listener.url) == 0
    assert [body["sequence"] for _, body in listener.heard] == [4, 5]


def test_a_lost_place_means_twice_never_not_at_all(line: Line, listener: Listener) -> None:
    drop(line, 0, 3)
    assert line.once("--post", listener.url) == 0
    (line.out / "hook-post.json").write_text("{")
    assert line.once("--post", listener.url) == 0
    assert [body["sequence"] for _, body in listener.heard] == [1, 2, 3, 1, 2, 3]


def test_what_waits_is_bounded_and_what_is_passed_over_is_told(line: Line, listener: Listener) -> None:
    listener.answers = [503] * 10_000
    drop(line, 0, 30)
    with line.running(post=listener.url, max_backlog=10) as inspection:
        until(lambda: inspection.journal.sequence == 30 and inspection.hooks[0].backlog <= 10)
        listener.answers = []
        until(lambda: inspection.hooks[0].backlog == 0)
        until(lambda: findings(line.out))
    heard = [body["sequence"] for _, body in listener.heard]
    assert heard == list(range(31 - len(heard), 31)) and len(heard) in (9, 10)
    (finding,) = findings(line.out)
    assert finding["rule"] == "hook-passed-over post" and "more than 10 lines wait" in finding["text"]
    assert json.loads((line.out / "hook-post.json").read_bytes())["passed_over"] == 30 - len(heard)
    assert len(lines(line.out)) == 30


def test_a_line_may_be_given_up_after_so_many_tries(line: Line, listener: Listener) -> None:
    listener.answers = [400, 400, 400]
    drop(line, 0, 3)
    with line.running(post=listener.url, hook_attempts=3) as inspection:
        until(lambda: inspection.journal.sequence == 3 and inspection.hooks[0].backlog == 0)
        until(lambda: findings(line.out))
    assert [body["sequence"] for _, body in listener.heard] == [2, 3]
    assert "it failed 3 times: status 400" in findings(line.out)[0]["text"]


def test_a_place_that_cannot_be_written_down_does_not_mean_the_same_line_for_ever(
    line: Line, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop(line, 0, 1)
    assert line.once("--post", listener.url) == 0
    monkeypatch.setattr(hooks, "write_whole", lambda *_, **__: (_ for _ in ()).throw(OSError(28, "No space left")))
    drop(line, 1, 4)
    with line.running(post=listener.url) as inspection:
        until(lambda: inspection.journal.sequence == 4 and inspection.hooks[0].backlog == 0)
        assert inspection.hooks[0].trouble == "hook-post.json cannot be written: No space left"
    monkeypatch.undo()
    assert line.once("--post", listener.url) == 0  # it does not know better
    assert [body["sequence"] for _, body in listener.heard] == [1, 2, 3, 4, 2, 3, 4]


def test_both_hooks_are_told(line: Line, listener: Listener, tmp_path: Path) -> None:
    drop(line, 0, 2)
    assert line.once("--post", listener.url, "--run", f"tee -a {tmp_path / 'heard'}") == 0
    assert told(tmp_path / "heard") == [body["sequence"] for _, body in listener.heard] == [1, 2]


@pytest.mark.parametrize("url", ["ftp://x/", "http://", "http://u:p@x/", "x"])
def test_a_url_that_cannot_be_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="A URL is"):
        Post(url, station="a")
