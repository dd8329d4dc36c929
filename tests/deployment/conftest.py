"""The mark that all these tests share, and the engine that they need or are skipped."""

from pathlib import Path

import pytest

from tests.deployment.engine import Engine, MissingEngineError, found

HERE = Path(__file__).parent
# Builds, and the minute within which an edit is seen.
LIMIT_S = 900


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Left out unless asked for with `-m slow`, as scripts/verify-deployment does."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.slow)
            item.add_marker(pytest.mark.timeout(LIMIT_S))


@pytest.fixture(scope="session")
def engine() -> Engine:
    """docker or podman, with a base to build upon."""
    try:
        return found()
    except MissingEngineError as missing:
        pytest.skip(str(missing))
