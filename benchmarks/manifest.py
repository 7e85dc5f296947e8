"""How quickly, and in how much memory, a large manifest is checked, mended and read: ours beside others', in one run.

    python benchmarks/manifest.py [LINES]

Each program runs in a process of its own, in turn, three times; the best time and the largest peak of memory count. The
lines are as Ground Truth writes them: a third are anomalies with masks of two types, every date and name differs. Ours
validates every line by every rule; the others only decode.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RUNS = 3

PROGRAMS = {
    "vision_toolkit check_file": """
from vision_toolkit.data.check import check_file
found = sum(1 for _ in check_file(path, look="none"))
""",
    "vision_toolkit plan_repair, write": """
from vision_toolkit.data.repair import plan_repair
plan_repair(path).write(path + ".new", overwrite=True)
""",
    "vision_toolkit Manifest.read": """
from vision_toolkit.data.manifest import Manifest
manifest = Manifest.read(path)
""",
    "jsonlines, each line": """
import jsonlines
with jsonlines.open(path) as reader:
    for line in reader:
        pass
""",
    "jsonlines, all lines in a list": """
import jsonlines
with jsonlines.open(path) as reader:
    lines = list(reader)
""",
    "pandas.read_json(lines=True)": """
import pandas
frame = pandas.read_json(path, lines=True)
""",
    "pandas, 10,000 lines at a time": """
import pandas
for frame in pandas.read_json(path, lines=True, chunksize=10_000):
    pass
""",
}


def write_lines(path: Path, count: int) -> None:
    """Write a manifest as Ground Truth's jobs do: classification chained into segmentation."""
    types = {"1": ("scratch", "#2ca02c"), "2": ("dent", "#1f77b4")}
    listed = {"0": {"class-name": "BACKGROUND", "hex-color": "#ffffff", "confidence": 0.0}} | {
        key: {"class-name": name, "hex-color": colour, "confidence": 0.0} for key, (name, colour) in types.items()
    }
    with path.open("w", encoding="utf-8") as file:
        for i in range(count):
            at = f"2022-08-22T13:{i % 60:02d}:{i // 60 % 60:02d}.{i % 1_000_000:06d}"
            anomaly = i % 3 == 0
            row = {
                "source-ref": f"s3://inspection-line-7/2022-08/camera-2/part-{i:07d}.png",
                "anomaly-label": int(anomaly),
                "anomaly-label-metadata": {
                    "confidence": 1, "job-name": "labeling-job/anomaly-label", "human-annotated": "yes",
                    "class-name": "anomaly" if anomaly else "normal", "creation-date": at,
                    "type": "groundtruth/image-classification",
                },
            }  # fmt: skip
            if anomaly:
                row["anomaly-mask-ref"] = f"s3://inspection-line-7/masks/part-{i:07d}.png"
                row["anomaly-mask-ref-metadata"] = {
                    "internal-color-map": listed, "type": "groundtruth/semantic-segmentation", "creation-date": at,
                    "human-annotated": "yes", "job-name": "labeling-job/anomaly-mask-ref",
                }  # fmt: skip
            file.write(json.dumps(row) + "\n")


def measure(program: str, path: Path) -> tuple[float, float, float]:
    """Return seconds, CPU seconds (both with the start of the interpreter and the imports) and peak of memory in MB."""
    tail = (
        "import resource, sys; r = resource.getrusage(resource.RUSAGE_SELF)\n"
        "sys.stderr.write(f'\\n{r.ru_utime + r.ru_stime} {r.ru_maxrss}')"
    )
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", f"path = {str(path)!r}\n{program}\n{tail}"], capture_output=True, text=True, check=True
    )
    seconds = time.perf_counter() - start
    cpu, peak = done.stderr.splitlines()[-1].split()
    return seconds, float(cpu), int(peak) / (1024 if sys.platform == "linux" else 1024**2)


def main() -> None:
    """Print the table."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "large.manifest")
        write_lines(path, count)
        print(f"{count:,} lines, {path.stat().st_size / 1e6:,.0f} MB, best of {RUNS}, one process each;")
        print("speed: jsonlines line by line = 1, memory: pandas = 1\n")
        results: dict[str, list[tuple[float, float, float]]] = {name: [] for name in PROGRAMS}
        for _ in range(RUNS):  # in turn, so that what else the machine does meets all of them
            for name, program in PROGRAMS.items():
                results[name].append(measure(program, path))
        best = {
            name: (min(run[0] for run in runs), min(run[1] for run in runs), max(run[2] for run in runs))
            for name, runs in results.items()
        }
        line_by_line = best["jsonlines, each line"][1]
        frame = best["pandas.read_json(lines=True)"][2]
        print("| program | seconds | CPU s | lines per CPU s | speed | peak memory, MB | memory |")
        print("|---|---|---|---|---|---|---|")
        for name, (seconds, cpu, megabytes) in best.items():
            print(
                f"| {name} | {seconds:.1f} | {cpu:.1f} | {count / cpu:,.0f} | {line_by_line / cpu:.2f} | "
                f"{megabytes:,.0f} | {megabytes / frame:.3f} |"
            )


if __name__ == "__main__":
    main()
