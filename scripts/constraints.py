"""Write the versions that this environment has to constraints.txt, names and versions only."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

HEAD = """\
# The exact versions that the tests ran with; what torch itself pins (nvidia-*, cuda-*, triton) is left out.
# Written by: make constraints
"""
OURS = re.compile(r"(?!nvidia-|cuda-|triton)[A-Za-z0-9._-]+==\S+")


def main() -> None:
    """Write constraints.txt beside pyproject.toml."""
    command = [sys.executable, "-m", "pip", "freeze", "--exclude-editable"]
    frozen = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    pins = sorted((line for line in frozen.splitlines() if OURS.fullmatch(line)), key=str.lower)
    target = Path(__file__).parents[1] / "constraints.txt"
    target.write_text(HEAD + "\n".join(pins) + "\n", encoding="utf-8")
    sys.stdout.write(f"{target.name}: {len(pins)} pins\n")


if __name__ == "__main__":
    main()
