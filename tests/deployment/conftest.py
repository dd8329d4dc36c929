"""The `slow` mark of these tests, and the container engine without which they are skipped."""

from pathlib import Path

import pytest

from tests.deployment.engine import Engine, MissingEngineError, found

HERE = Path(__file__).parent
# Time for builds, and for the minute in which an edit is noticed.
LIMIT_S = 900


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark these tests as slow; they run with `-m slow`, as in scripts/verify-deployment."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.slow)
            item.add_marker(pytest.mark.timeout(LIMIT_S))


@pytest.fixture(scope="session")
def engine() -> Engine:
    """Return docker or podman, with a base image to build upon."""
    try:
        return found()
    except MissingEngineError as missing:
        pytest.skip(str(missing))
