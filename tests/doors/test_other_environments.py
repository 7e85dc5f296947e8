"""Unmodified clients in environments of their own: the last boto3 that knew the service, command lines, JavaScript.

They are made with pip or npm once and kept between runs, in the folder that VISION_TOOLKIT_TEST_ENVIRONMENTS names.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.conftest import IN_CI
from tests.doors import scenario
from tests.doors.command_line import CommandLine
from tests.doors.conftest import written

pytestmark = pytest.mark.slow

LAST = ("boto3==1.40.60", "botocore==1.40.60")  # boto3's own pin would take a botocore that has forgotten
LAST_COMMAND_LINE = ("awscli==1.42.60",)
NEW_COMMAND_LINE = ("awscli>=1.46",)
JAVASCRIPT = "@aws-sdk/client-lookoutvision@3.918.0"
SCENARIO = Path(scenario.__file__)
UNREACHED = re.compile(
    "NewConnectionError|ConnectTimeout|ReadTimeout|ProxyError|NameResolutionError|SSLError"
    "|ENOTFOUND|ECONNREFUSED|ETIMEDOUT|EAI_AGAIN|E40[34]"
)


def kept(name: str) -> Path:
    """Return the folder of an environment."""
    given = os.environ.get("VISION_TOOLKIT_TEST_ENVIRONMENTS")
    return Path(given or Path(tempfile.gettempdir()) / f"vision-toolkit-tests-{os.getuid()}") / name


def install(folder: Path, packages: tuple[str, ...], *commands: list[str | Path]) -> None:
    """Run what makes an environment, once; skip where it cannot be made."""
    if (folder / "made").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    for command in commands:
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=400, check=False, cwd=folder)
        except subprocess.TimeoutExpired:
            pytest.skip(f"needs a package index that answers in time, with {' '.join(packages)}")
        if done.returncode:
            assert UNREACHED.search(done.stderr) or not IN_CI, done.stderr
            pytest.skip(f"needs a package index with {' '.join(packages)}")
    (folder / "made").write_text(" ".join(packages), encoding="utf-8")


def environment(name: str, *packages: str) -> Path:
    """Return the folder of programs of an environment of Python's with some packages."""
    folder = kept(name)
    pip: list[str | Path] = [folder / "bin" / "python", "-m", "pip", "install", "-q", *packages]
    install(folder, packages, [sys.executable, "-m", "venv", folder], pip)
    return folder / "bin"


def keyed(server, facts):
    """Make a key, so that every request must be signed."""
    key = server.keys.create(note="a door")
    facts |= {"key": key.id, "secret": key.secret}
    return {
        "AWS_ACCESS_KEY_ID": key.id, "AWS_SECRET_ACCESS_KEY": key.secret, "AWS_DEFAULT_REGION": "eu-west-1",
    }  # fmt: skip


def test_the_last_boto3_that_knew_the_service(server, facts, tmp_path):
    keyed(server, facts)
    program = environment("boto3", *LAST) / "python"
    done = subprocess.run(
        [program, SCENARIO, server.url, written(tmp_path, facts)], capture_output=True, text=True, timeout=300,
        check=False, env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 0 and done.stdout == "done\n", done.stderr


def test_the_last_command_line_that_knew_the_service(server, facts, tmp_path):
    keys = keyed(server, facts)
    program = environment("awscli", *LAST_COMMAND_LINE) / "aws"
    scenario.run(CommandLine(program, server.url, tmp_path, keys), facts)


def test_todays_command_line_after_the_script_of_the_server(server, facts, tmp_path):
    """What a client machine types: curl SERVER/aws-model | python3. It needs nothing of ours."""
    import urllib.request

    keys = keyed(server, facts)
    programs = environment("awscli-new", *NEW_COMMAND_LINE)
    with urllib.request.urlopen(f"{server.url}/aws-model") as answer:
        script = answer.read()
    home = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    taught = subprocess.run(
        [programs / "python", "-"], input=script, capture_output=True, check=True, env=home, timeout=60
    )
    assert b"lookoutvision" in taught.stdout
    scenario.run(CommandLine(programs / "aws", server.url, tmp_path, keys), facts)


def test_the_sdk_for_javascript(server, facts, tmp_path):
    """Buffers and streams, errors by name, pages; the four variables, of which it knows the region by another name."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("needs node and npm")
    keys = keyed(server, facts)
    folder = kept("javascript")
    install(folder, (JAVASCRIPT,), [npm, "install", "--no-audit", "--no-fund", "--prefix", folder, JAVASCRIPT])
    program = shutil.copy(SCENARIO.with_suffix(".mjs"), folder)
    variables = {"AWS_ENDPOINT_URL_LOOKOUTVISION": server.url, "AWS_REGION": keys.pop("AWS_DEFAULT_REGION")}
    done = subprocess.run(
        [node, program, written(tmp_path, facts)], capture_output=True, text=True, timeout=300, check=False,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), **variables, **keys},
    )  # fmt: skip
    assert done.returncode == 0 and done.stdout == "done\n", done.stderr
