"""Load schemathesis, which generates a test for each operation of the API's document."""

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Register the schemathesis plugin, which setup.cfg disables for the other tests."""
    if not config.pluginmanager.has_plugin("schemathesis"):
        config.pluginmanager.import_plugin("schemathesis.pytest.plugin")
