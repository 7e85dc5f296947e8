"""Ask a program in a process of its own, watch its memory and its time, and end it where it takes too much."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

BENCHMARKS = Path(__file__).parents[1]
PEER_VERSION = "2.7.0"
# glibc may leave holes where the peer's coreset selection frees 20 MB and more a step; memory then grows by as much a
# step: to 7.7 and 8.9 GB in two of three fits of cookies' 31 normal images at a ratio of 0.02. With blocks of their own
# for large arrays it stays at 1.1 GB, and with huge pages for these a fit takes less than half the CPU seconds. The
# peer gets both, so that it is measured at its best. Other C libraries than glibc 2.35 and later pass this over.
PEER_MALLOC = "glibc.malloc.hugetlb=1:glibc.malloc.mmap_threshold=1000000"
TICK = 0.1


class Worker:
    """Hold a child process that answers JSON with JSON.

    Parameters
    ----------
    python
        the interpreter.
    module
        what it runs: ``rig.ours`` or ``rig.peer``.
    threads
        that it may use.
    log
        where its standard error goes.
    cap_mb
        resident memory above which it is killed.
    limit_s
        seconds of one request after which it is killed.
    more
        further variables of its environment.
    """

    def __init__(
        self,
        python: Path,
        module: str,
        *,
        threads: int,
        log: Path,
        cap_mb: float,
        limit_s: float,
        more: Mapping[str, str],
    ) -> None:
        environment = os.environ | {
            "HF_HUB_OFFLINE": "1",
            "OMP_WAIT_POLICY": "PASSIVE",
            "OMP_NUM_THREADS": str(threads),
        }
        self.log, self.cap_mb, self.limit_s = log, cap_mb, limit_s
        self._rest = b""
        self._file = log.open("w", encoding="utf-8")
        self._child = subprocess.Popen(
            [str(python), "-m", module, str(threads)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._file, env=environment | dict(more),
        )  # fmt: skip
        self.ready = self._answer()
        if "stopped" in self.ready:
            raise RuntimeError(f"{module} does not start: {self.ready['stopped']}; see {log}.")

    def ask(self, do: str, **request: Any) -> dict[str, Any]:
        """Return the answer; ``{"stopped": why}`` where the process was ended over it.

        Raises
        ------
        RuntimeError
            if the program answers with an error of its own.
        """
        assert self._child.stdin is not None
        self._child.stdin.write(json.dumps({"do": do} | request).encode() + b"\n")
        self._child.stdin.flush()
        found = self._answer()
        if "error" in found:
            raise RuntimeError(f"{do}: {found['error']}; see {self.log}.")
        return found

    def _answer(self) -> dict[str, Any]:
        assert self._child.stdout is not None
        started, highest = time.monotonic(), 0.0
        while b"\n" not in self._rest:
            if select.select([self._child.stdout], [], [], TICK)[0]:
                part = os.read(self._child.stdout.fileno(), 1 << 20)
                if not part:
                    code = self._child.wait()
                    return {"stopped": f"ended by itself or by the system (code {code}) at {highest / 1000:.1f} GB"}
                self._rest += part
            used = resident_mb(self._child.pid)
            highest = max(highest, used)
            if used > self.cap_mb:
                return self._end(f"killed at {used / 1000:.1f} GB")
            if time.monotonic() - started > self.limit_s:
                return self._end(f"stopped after {self.limit_s:.0f} s at {highest / 1000:.1f} GB")
        line, self._rest = self._rest.split(b"\n", 1)
        found: dict[str, Any] = json.loads(line)
        return found

    def _end(self, why: str) -> dict[str, Any]:
        self._child.kill()
        self._child.wait()
        return {"stopped": why}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        if kind is not None:
            self._child.kill()
        self._child.stdin.close()
        self._child.wait()
        self._child.stdout.close()
        self._file.close()


def resident_mb(pid: int) -> float:
    """Return the resident memory of a process in MB; 0 where it is gone."""
    try:
        if sys.platform == "linux":
            pages = int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[1])
            return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
        said = subprocess.run(["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
        return int(said or 0) / 1000
    except (OSError, IndexError, ValueError):
        return 0.0


def ours(log: Path, *, threads: int, cap_mb: float, limit_s: float) -> Worker:
    """Start ours, from the checkout that this file lies in."""
    places = [str(BENCHMARKS), str(BENCHMARKS.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    more = {"PYTHONPATH": os.pathsep.join(places), "VISION_TOOLKIT_CACHE": str(log.parent / "cache")}
    return Worker(Path(sys.executable), "rig.ours", threads=threads, log=log, cap_mb=cap_mb, limit_s=limit_s, more=more)


def peer(folder: Path, log: Path, *, threads: int, cap_mb: float, limit_s: float) -> Worker:
    """Start the peer from its own environment."""
    more = {"PYTHONPATH": str(BENCHMARKS), "GLIBC_TUNABLES": PEER_MALLOC}
    return Worker(python_of(folder), "rig.peer", threads=threads, log=log, cap_mb=cap_mb, limit_s=limit_s, more=more)


def python_of(folder: Path) -> Path:
    """Return the interpreter of an environment."""
    return folder.absolute() / "bin" / "python"  # not resolved: the link's place is what makes it an environment


def install_peer(folder: Path) -> None:
    """Make the peer's environment, once: about 6 GB and some minutes."""
    if installed(folder) == PEER_VERSION:
        return
    print(f"Installing anomalib {PEER_VERSION} in {folder} (about 6 GB, once) ...", file=sys.stderr)
    steps: list[Sequence[str]] = [
        [sys.executable, "-m", "venv", str(folder)],
        [str(python_of(folder)), "-m", "pip", "install", "--quiet", f"anomalib=={PEER_VERSION}"],
    ]
    for step in steps:
        subprocess.run(step, check=True)
    if installed(folder) != PEER_VERSION:
        raise RuntimeError(f"anomalib {PEER_VERSION} is not in {folder}; remove the folder and try again.")


def installed(folder: Path) -> str | None:
    """Return the version of anomalib in an environment, or None."""
    if not python_of(folder).exists():
        return None
    asked = "from importlib.metadata import version; print(version('anomalib'))"
    done = subprocess.run([str(python_of(folder)), "-c", asked], capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else None
