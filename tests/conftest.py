"""Fixtures that several rings of tests share, each from the file of its subject."""

from hypothesis import HealthCheck, settings

from tests.fix_postgres import postgres, postgres_server

__all__ = ["postgres", "postgres_server"]

# Hypothesis fails an example that takes more than 200 ms, and a test whose values
# are slow to make: on a busy machine that measures the machine, and not the rule.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")
