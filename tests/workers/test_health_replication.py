"""Health checks of replication: they read its own records in PostgreSQL, and no other table."""

import pytest

from tests.workers.card_database import card_database
from tests.workers.catalogue_folder import a_report
from tests.workers.fixtures_replication import failure, run, sql, unequal, write
from workers import health, params

GENEROUS = {"disk_free": 0, "query": "30s", "postgres": "30s", "answer": "30s"}
CHANGE = "UPDATE pokemon_card_sets SET name = name || ' (second edition)'"
SCHEMAS = ["public", "Night Shift"]


@pytest.fixture
def path(tmp_path):
    return card_database(tmp_path)


def measured(path, dsn, **limits):
    wanted = {"database": str(path), "postgres": dsn, "replication": True}
    given = {**wanted, "limits": {**GENEROUS, **limits}}
    return health.run(params.parse(health.Params, given), a_report())


def pass_days(dsn, schema, days):
    """Move replication's last commit this many days into the past."""
    table = f'"{schema}".nightshift_replication'
    sql(dsn, f"UPDATE {table} SET snapshot_at = snapshot_at - interval '{days} days'")


@pytest.mark.parametrize("schema", SCHEMAS)
def test_a_replica_is_fresh_after_its_run_lags_as_days_pass_and_is_fresh_again(
    path, postgres, schema
):
    never = measured(path, postgres)
    run(path, postgres, schema=schema)
    fresh = measured(path, postgres)
    write(path, CHANGE)
    pass_days(postgres, schema, 3)
    lagging = measured(path, postgres)
    run(path, postgres, schema=schema)
    again = measured(path, postgres)

    assert (never["score"], never["word"]) == (95, "degraded")
    assert (fresh["score"], fresh["word"], fresh["complaints"]) == (100, "healthy", "")
    assert (lagging["score"], lagging["word"]) == (95, "degraded")
    assert lagging["complaints"].startswith("the replica is 3d")
    assert lagging["replication_lag_seconds"] >= 3 * 86400
    assert (again["score"], again["complaints"]) == (100, "")
    assert unequal(path, postgres, schema) == {}


def test_the_limit_decides_what_lags(path, postgres):
    run(path, postgres)
    pass_days(postgres, "public", 3)

    assert measured(path, postgres, replication_lag="4d")["score"] == 100
    assert measured(path, postgres, replication_lag="2d")["score"] == 95


def test_a_run_with_nothing_to_do_is_fresh_and_a_failed_one_is_not(path, postgres):
    run(path, postgres)
    pass_days(postgres, "public", 3)
    write(path, "UPDATE pokemon_card_sets SET total = 'many'")
    failed = failure(path, postgres)
    lagging = measured(path, postgres)
    write(path, "UPDATE pokemon_card_sets SET total = 2")
    run(path, postgres)
    pass_days(postgres, "public", 3)
    run(path, postgres)

    assert "pokemon_card_sets" in str(failed)
    assert lagging["score"] == 95
    assert measured(path, postgres)["score"] == 100
