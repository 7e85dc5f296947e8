"""A client that types ``aws lookoutvision ...``."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any


class Refused(Exception):
    """What the command line said of an error."""

    def __init__(self, said: str) -> None:
        super().__init__(said)
        found = re.search(
            r"An error occurred \((\w+)\) when calling the \w+ operation(?: \(reached .*?\))?: (.*)", said
        )
        assert found, said
        self.response = {"Error": {"Code": found[1], "Message": found[2]}}


class CommandLine:
    """Methods named as boto3's; each runs the program once."""

    def __init__(self, program: Path, url: str, folder: Path, keys: dict[str, str]) -> None:
        self.program, self.url, self.folder = program, url, folder
        self.environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "AWS_PAGER": "", **keys}

    def __getattr__(self, name: str) -> Any:
        def call(**arguments: Any) -> dict[str, Any]:
            words = [kebab(name), "--endpoint-url", self.url, "--output", "json", "--no-paginate"]
            for key, value in arguments.items():
                words += self.typed(name, key, value)
            done = subprocess.run(
                [self.program, "lookoutvision", *words], capture_output=True, text=True, env=self.environment,
                timeout=120, check=False,
            )  # fmt: skip
            if done.returncode:
                raise Refused(done.stderr)
            answer: dict[str, Any] = json.loads(done.stdout or "{}")
            return answer

        if name.startswith("__") or name == "get_paginator":
            raise AttributeError(name)
        return call

    def typed(self, operation: str, key: str, value: Any) -> list[str]:
        """Return how an argument is typed."""
        option = f"--{kebab(key)}"
        if isinstance(value, bool):
            return [option if value else f"--no-{kebab(key)}"]
        if isinstance(value, bytes):
            file = self.folder / "blob"
            file.write_bytes(value)
            return [option, str(file) if operation == "detect_anomalies" else f"fileb://{file}"]
        return [option, json.dumps(value) if isinstance(value, list | dict) else str(value)]


def kebab(name: str) -> str:
    """Return a name as the command line spells it."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|_", "-", name).lower()
