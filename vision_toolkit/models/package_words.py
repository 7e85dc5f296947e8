"""The words of a package: how it starts, what it needs, how a service, a container and a person run it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vision_toolkit.models.component import Component
from vision_toolkit.models.gate import Parity

__all__ = ["START", "counted", "dockerfile", "readme", "requirements", "unit"]

START = '''"""Run this package: predict, serve, watch or check. ``python FOLDER --help`` says more."""

import sys
from pathlib import Path

from station.command import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], folder=Path(__file__).parent))
'''
"""The package's ``__main__.py``."""


def requirements(versions: Mapping[str, str], *, gpu: bool = False) -> str:
    """Return what pip installs: the versions with which the golden answers were given again.

    Of onnxruntime-gpu any version will do: whoever makes a device may offer one for it alone.
    """
    engine = "onnxruntime-gpu" if gpu else f"onnxruntime=={versions['onnxruntime']}"
    return f"numpy=={versions['numpy']}\n{engine}\npillow=={versions['pillow']}\n"


def dockerfile(versions: Mapping[str, str]) -> str:
    """Return how a container is made; it is only made where the golden answers come again."""
    python = ".".join(versions["python"].split(".")[:2])
    return f"""# docker build -t inspection . && docker run --rm -p 127.0.0.1:8080:8080 inspection
FROM python:{python}-slim
COPY requirements.txt /requirements.txt
RUN python -m pip install --no-cache-dir -r /requirements.txt
COPY . /package
RUN python -B /package check
USER nobody
EXPOSE 8080
ENTRYPOINT ["python", "-B", "/package"]
CMD ["serve", "--host", "0.0.0.0"]
"""


def unit() -> str:
    """Return a systemd unit; README.md says where things lie."""
    return """# Copy to /etc/systemd/system/; README.md says how the folders are made.
[Unit]
Description=Visual inspection over HTTP
After=network.target

[Service]
ExecStart=/opt/inspection/venv/bin/python -B /opt/inspection/package serve --host 127.0.0.1 --port 8080
Environment=VISION_TOOLKIT_THREADS=0
Restart=on-failure
RestartSec=2
DynamicUser=yes
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
NoNewPrivileges=yes

[Install]
WantedBy=multi-user.target
"""


def readme(facts: Mapping[str, Any], card: str, component: Component | None) -> str:
    """Return the page that a person reads first: how it is run, and what was measured."""
    versions, seconds, megabytes = facts["versions"], facts["seconds_per_image"], facts["resident_megabytes"]
    memory = f", at most {megabytes} MB of memory" if megabytes else ""
    golden = (
        "patterns that were drawn because no golden images were given" if facts["drawn"] else "images that were given"
    )
    return f"""# An inspection model, ready to run

{facts["model"]}

    python -m venv ../venv
    ../venv/bin/python -m pip install -r requirements.txt
    ../venv/bin/python . check                  # whole, and the golden answers come again on this machine
    ../venv/bin/python . predict IMAGE...       # one JSON line an image
    ../venv/bin/python . serve                  # HTTP on 127.0.0.1:8080
    ../venv/bin/python . watch IN OUT           # whatever comes into a folder

Each says more with `--help`. Nothing may be added to this folder: a file that was not exported is refused, for it might
stand in for a library. `python PACKAGE.zip predict IMAGE...` runs the zip file as it is; `python runtime.py IMAGE...`
is the program alone.

`predict` prints `source`, `is_anomalous`, `confidence`, `score`. An image that cannot be read gives `source` and
`error`, and the program ends with 1. `serve` answers an image that is posted to `/detect` as Lookout's DetectAnomalies
does; `/health` says what was done so far. From Python, with heat map and mask:

    from runtime import Runtime, read

    runtime = Runtime.load("this folder")
    answer = runtime.predict([read(open("IMAGE", "rb").read())])[0]     # score, map, ids (type of each pixel), size

`VISION_TOOLKIT_THREADS` sets how many threads one computation takes (0: the engine chooses), `VISION_TOOLKIT_ENGINE`
what computes. With vision_toolkit, `vt.load("this folder")` reads it as well.

## What was measured

A fresh process with nothing but Python {versions["python"]}, numpy, onnxruntime and Pillow gave the golden answers
again ({golden}):

- {Parity(**facts["parity"])}
- {1000 * seconds:.1f} ms an image ({1 / seconds:.0f} images/s), one at a time, decoding included{memory}
- {counted(facts["threads"], "thread")} on {facts["host"]["system"]}

`golden/` holds these images and answers. `package.json` holds the SHA-256 of each file, and which part each belongs
to; `check` compares them and gives the answers again, as `vision_toolkit.models.export.verify_package` does with
`replay=True`.

## As a service

systemd: this folder as `/opt/inspection/package`, the environment as `/opt/inspection/venv`, `inspection.service` to
`/etc/systemd/system/`, then `systemctl enable --now inspection`. It ends calmly: answers in progress are finished.

Docker: `docker build -t inspection .`, which checks the golden answers, and
`docker run --rm -p 127.0.0.1:8080:8080 inspection`.
{_greengrass(component)}
{card}"""


def _greengrass(component: Component | None) -> str:
    if component is None:
        return ""
    gpu = """
It computes with onnxruntime-gpu (`requirements-gpu.txt`, `VISION_TOOLKIT_ENGINE=cuda`). Where no index has that for the
device, `PipOptions` leads to its maker's wheels (`--find-links FOLDER`), or the CPU computes: `Engine` `onnxruntime`,
`Requirements` `requirements.txt`. The golden answers were given on a CPU here; `check` gives them on the device.
"""
    return f"""
AWS IoT Greengrass v2: component {component.name} {component.version} for Linux on {component.architecture}. The zip
file of this folder lies at `{component.place}`, where `recipe.yaml` expects it:

    aws greengrassv2 create-component-version --inline-recipe fileb://recipe.yaml

The device needs Python 3.11 or newer with venv, and once an index of packages. The deployment's configuration chooses
what it does: `Command` (`serve` or `watch`), its `Arguments`, `Threads`, `Engine`.
{gpu if component.gpu else ""}"""


def counted(number: int, word: str) -> str:
    """Return a number of things in words."""
    return f"{number} {word}" if number == 1 else f"{number} {word}s"
