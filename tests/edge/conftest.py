"""Fixtures for tests that use real processes, the socket or the ledger."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.edge.fixtures_api import api, bridge, folder, limits, path
from tests.edge.fixtures_keepers import Stage, carriers
from tests.edge.fixtures_ledger import store

__all__ = ["api", "bridge", "folder", "limits", "path", "stage", "store"]


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A folder for sockets: below `tmp_path` a long login name leaves no room for one."""
    with tempfile.TemporaryDirectory(prefix="nightshift-", dir="/tmp") as path:
        yield Path(path)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """A fork server of its own; nothing of it may be left at the end."""
    (tmp_path / "runs").mkdir()
    stage = Stage(tmp_path / "runs")
    yield stage
    stage.close()
    assert carriers(stage.instance) == []
