"""Loads schemathesis, which collects the test that it makes of the API's document."""

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Register its plugin, which setup.cfg keeps out of the other tests."""
    if not config.pluginmanager.has_plugin("schemathesis"):
        config.pluginmanager.import_plugin("schemathesis.pytest.plugin")
