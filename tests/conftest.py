"""Fixtures and Hypothesis profiles shared by all test folders.

The profile is `quick`; `--hypothesis-profile=thorough` runs twelve times as many examples.
"""

import signal

import pytest
from hypothesis import HealthCheck, settings

from tests.fix_postgres import own_postgres, postgres, postgres_server

__all__ = ["own_postgres", "postgres", "postgres_server"]

# By default Hypothesis fails an example that takes more than 200 ms, and a test whose values
# are slow to generate: on a busy machine that measures the machine, not the code.
UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
# Fixtures: a PostgreSQL, and a server that speaks S3.
SERVERS = frozenset({"postgres_server", "s3"})
# A shell that starts this in the background makes SIGINT ignored, also in child processes.
signal.signal(signal.SIGINT, signal.default_int_handler)
settings.register_profile("quick", UNHURRIED, max_examples=5)
settings.register_profile("thorough", UNHURRIED, max_examples=60)
settings.load_profile("quick")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests that need one of SERVERS as `long`: they take most of the time."""
    for item in items:
        needs_server = SERVERS.intersection(getattr(item, "fixturenames", ()))
        if needs_server and item.get_closest_marker("sample") is None:
            item.add_marker(pytest.mark.long)
