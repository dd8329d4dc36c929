"""Fixtures for tests that use real processes, the socket or the ledger."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.edge.fixtures_api import api, bridge, folder, limits, path
from tests.edge.fixtures_keepers import Runner, pids_of_instance
from tests.edge.fixtures_ledger import store

__all__ = ["api", "bridge", "folder", "limits", "path", "runner", "store"]


@pytest.fixture
def short_path() -> Iterator[Path]:
    """Yield a folder for sockets; a socket path below `tmp_path` may be too long."""
    with tempfile.TemporaryDirectory(prefix="nightshift-", dir="/tmp") as path:
        yield Path(path)


@pytest.fixture
def runner(tmp_path: Path) -> Iterator[Runner]:
    """Yield a runner with its own fork server; none of its processes may be left at the end."""
    (tmp_path / "runs").mkdir()
    runner = Runner(tmp_path / "runs")
    yield runner
    runner.close()
    assert pids_of_instance(runner.instance) == []
