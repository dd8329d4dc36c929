"""A suspended machine: the fence of its host has passed when it resumes."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from supervisor.cluster.agent_settings import AgentSettings
from supervisor.cluster.local_host import LocalHost
from supervisor.cluster.membership import Membership
from supervisor.core.config_model import Cluster
from tests.edge.test_cluster_exchange import db

__all__ = ["db"]

_SAID = "from supervisor.cluster.server_clock import boottime; import time; print(boottime(), {})"
_UNSHARE = ("unshare", "--time", "--boottime")


def can_unshare() -> bool:
    """Return whether a process may have its own time since boot."""
    if shutil.which("unshare") is None:
        return False
    return not subprocess.run([*_UNSHARE, "1", "true"], capture_output=True).returncode


def clocks(*before: str) -> tuple[float, float]:
    """Return the clock of the fence, and the monotonic one, as a new process reads them."""
    code = _SAID.format("time.monotonic()")
    said = subprocess.run(
        [*before, sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    since_boot, monotonic = map(float, said.stdout.split())
    return since_boot, monotonic


def test_a_suspension_longer_than_the_fence_leaves_no_time(db, tmp_path: Path):
    settings = AgentSettings("", str(tmp_path), "", 1, Cluster("", "test", "a", fence_s=30.0))
    settings.folder.mkdir()
    now = [1000.0]
    member = Membership(settings, LocalHost(tmp_path / "none"), lambda: False, lambda: now[0])
    member.join(db, 1)

    before = member.left_s
    now[0] += 31.0

    assert before == 30.0
    assert member.left_s == -1.0


@pytest.mark.root
@pytest.mark.skipif(not can_unshare(), reason="the kernel gives no time namespace here")
def test_the_clock_of_the_fence_counts_what_the_monotonic_one_does_not():
    since_boot, monotonic = clocks()

    suspended = clocks(*_UNSHARE, "100000")

    assert suspended[0] - since_boot >= 100_000
    assert suspended[1] - monotonic < 50_000
