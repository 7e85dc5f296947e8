"""Compile what the edge agent speaks: part of every build of the package, and ``python hatch_build.py`` in a checkout.

What comes of it is a description of the messages, which any version of protobuf reads at run time: Python code that
protoc writes would work with its own version and newer ones alone.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

SOURCE = Path("vision_toolkit", "services", "edge", "edge_agent.proto")
TARGET = SOURCE.with_suffix(".binpb")


def compile_protocol(root: Path, target: Path | None = None) -> Path:
    """Write the description of the messages beside their source, or where ``target`` says.

    Raises
    ------
    RuntimeError
        if the source is wrong, or grpcio-tools is missing; it says what to do.
    """
    try:
        from grpc_tools import protoc
    except ImportError:
        raise RuntimeError(
            "To compile the edge agent's messages, install grpcio-tools: pip install grpcio-tools"
        ) from None
    source, made = root / SOURCE, target or root / TARGET
    if protoc.main(["protoc", f"--proto_path={source.parent}", f"--descriptor_set_out={made}", source.name]):
        raise RuntimeError(f"{source} cannot be compiled; the lines above say why.")
    return made


try:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
except ImportError:  # run by hand
    pass
else:

    class CustomBuildHook(BuildHookInterface):  # type: ignore[type-arg]
        """Compile before a wheel is made, an editable one too."""

        def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002
            """Compile, and put the result into the wheel although git does not know it."""
            compile_protocol(Path(self.root))
            build_data["artifacts"].append(TARGET.as_posix())


if __name__ == "__main__":
    sys.stdout.write(f"Wrote {compile_protocol(Path(__file__).parent)}\n")
