"""Fixtures and Hypothesis settings shared by all test folders."""

from hypothesis import HealthCheck, settings

from tests.fix_postgres import postgres, postgres_server

__all__ = ["postgres", "postgres_server"]

# By default Hypothesis fails an example that takes more than 200 ms, and a test whose values
# are slow to generate: on a busy machine that measures the machine, not the code.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")
