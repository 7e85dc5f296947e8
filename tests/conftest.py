"""What every test may rely on: no network, no display, patient property tests, and no silent skips in CI."""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).parents[1]
IN_CI = os.environ.get("CI", "").lower() in {"1", "true"}

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# Not MPLBACKEND: the notebooks' kernels would inherit it and draw nothing.
os.environ.setdefault("MATPLOTLIBRC", str(Path(__file__).parent / "matplotlibrc"))

# A time limit an example says more about the machine than about the code.
settings.register_profile("local", deadline=None)
settings.register_profile(
    "ci", deadline=None, derandomize=True, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("ci" if IN_CI else "local")


@pytest.fixture(scope="session")
def shared() -> Path:
    """Give the folder of real images and contracts beside the project; skip where it is not."""
    folder = ROOT.parent / "shared"
    if not folder.is_dir():
        pytest.skip("needs ../shared")
    return folder


@pytest.fixture(scope="session")
def trained_folder(tmp_path_factory) -> Path:
    """Give the folder of a workspace with two trained models; open a copy of it."""
    import fcntl

    from tests.workspace.trained import train_two

    root = tmp_path_factory.getbasetemp()
    root = root.parent if "PYTEST_XDIST_WORKER" in os.environ else root  # one for all processes of a run
    folder = root / "trained" / "w"
    folder.parent.mkdir(exist_ok=True)
    with open(root / "trained" / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.is_dir():
            train_two(folder.with_name("half")).rename(folder)
    return folder


# What no machine can be given by installing something.
OUT_OF_REACH = ("../shared", "needs a package index", "nobody may mount")


def _forbid_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Fail what was skipped in CI, unless what it needs is out of reach there."""
    if IN_CI and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        if not any(word in reason for word in OUT_OF_REACH):
            report.outcome = "failed"
            report.longrepr = f"In CI nothing may be skipped that could be run. {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    _forbid_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _forbid_skip(report)
    return report


# Trainings in them take more than the 20 seconds that a notebook may take here.
SLOW_NOTEBOOKS = {
    "02_evaluation_and_thresholds", "04_choose_and_compare", "05_defect_masks", "07_paint_and_train",
    "09_boto3_without_aws", "10_to_the_edge",
}  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.suffix == ".ipynb" and item.path.stem in SLOW_NOTEBOOKS:
            item.add_marker(pytest.mark.slow)
