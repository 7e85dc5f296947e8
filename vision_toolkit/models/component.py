"""A package as a component of AWS IoT Greengrass v2: what its recipe says."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import yaml

from vision_toolkit.core.errors import Invalid

__all__ = ["ARCHITECTURES", "MOST_RECIPE", "Component"]

ARCHITECTURES = ("amd64", "aarch64")
"""What a component may be made for, in Greengrass's words."""
MOST_RECIPE = 16_000
"""Bytes that a recipe may have."""

INSTALL = """set -eu
python3 -m venv "{work:path}/venv"
"{work:path}/venv/bin/python" -m pip install {configuration:/PipOptions} -r "FOLDER/{configuration:/Requirements}"
VISION_TOOLKIT_ENGINE="{configuration:/Engine}" "{work:path}/venv/bin/python" -B "FOLDER" check"""
RUN = """cd "{work:path}"
export VISION_TOOLKIT_ENGINE="{configuration:/Engine}" VISION_TOOLKIT_THREADS="{configuration:/Threads}"
exec "{work:path}/venv/bin/python" -B "FOLDER" {configuration:/Command} {configuration:/Arguments}"""


@dataclass(frozen=True, slots=True)
class Component:
    """Hold what a package is called and made for, where it is delivered as a component.

    Parameters
    ----------
    name
        of the component, unique with its version: 1 to 128 letters, digits, ``-``, ``_`` and ``.``.
    version
        three numbers with dots.
    place
        URI of the zip file in which devices find it; the file's name is the name of the folder that they unpack.
    architecture
        one of :data:`ARCHITECTURES`; the system is Linux.
    gpu
        whether it computes on an NVIDIA card.
    description
        in words.
    tags
        kept in the recipe, under ``ComponentConfiguration``.

    Raises
    ------
    Invalid
        if the name or the architecture is not one of these, or the recipe would be longer than :data:`MOST_RECIPE`.

    Examples
    --------
    >>> part = Component("line7.Part", "1.0.0", "s3://factory/edge/line7.Part-1.0.0.zip", architecture="aarch64")
    >>> yaml.safe_load(part.recipe())["Manifests"][0]["Platform"]
    {'os': 'linux', 'architecture': 'aarch64'}
    """

    name: str
    version: str
    place: str
    architecture: str = ARCHITECTURES[0]
    gpu: bool = False
    description: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-zA-Z0-9-_.]{1,128}", self.name):
            raise Invalid(f"A component's name has 1 to 128 letters, digits, -, _ and .; {self.name!r} was given.")
        if self.architecture not in ARCHITECTURES:
            raise Invalid(f"An architecture is {' or '.join(ARCHITECTURES)}; {self.architecture!r} was given.")
        size = len(self.recipe().encode())
        if size > MOST_RECIPE:
            raise Invalid(
                f"The recipe would have {size:,} bytes; at most {MOST_RECIPE:,} are allowed. Give fewer tags."
            )

    def recipe(self) -> str:
        """Return the recipe, YAML of format 2020-01-25.

        Installed are three packages (``requirements.txt`` or ``requirements-gpu.txt``), in an environment of the
        component's own; before it runs, the golden answers are given again on the device. The command is chosen by
        configuration.
        """
        unpacked = self.place.rpartition("/")[2].removesuffix(".zip")
        folder = f"{{artifacts:decompressedPath}}/{unpacked}"
        configuration: dict[str, Any] = {
            "Command": "serve", "Arguments": "--host 127.0.0.1 --port 8080", "Threads": "0",
            "Engine": "cuda" if self.gpu else "onnxruntime", "PipOptions": "",
            "Requirements": "requirements-gpu.txt" if self.gpu else "requirements.txt",
        }  # fmt: skip
        if self.tags:
            configuration["Tags"] = dict(self.tags)
        facts = {
            "RecipeFormatVersion": "2020-01-25",
            "ComponentName": self.name,
            "ComponentVersion": self.version,
            "ComponentDescription": self.description or "Visual inspection: a model, and what answers with it.",
            "ComponentPublisher": "vision_toolkit",
            "ComponentConfiguration": {"DefaultConfiguration": configuration},
            "ComponentDependencies": {
                "aws.greengrass.Nucleus": {"VersionRequirement": ">=2.0.4 <3.0.0", "DependencyType": "SOFT"}
            },
            "Manifests": [
                {
                    "Name": f"Linux on {self.architecture}",
                    "Platform": {"os": "linux", "architecture": self.architecture},
                    "Lifecycle": {
                        "Install": {"Timeout": 900, "Script": INSTALL.replace("FOLDER", folder)},
                        "Run": {"Script": RUN.replace("FOLDER", folder)},
                    },
                    "Artifacts": [{"URI": self.place, "Unarchive": "ZIP"}],
                }
            ],
        }
        return yaml.safe_dump(facts, sort_keys=False, allow_unicode=True, width=120)

    def to_dict(self) -> dict[str, Any]:
        """Return the plain facts, which make it again: ``Component(**facts)``."""
        return asdict(self) | {"tags": dict(self.tags)}
