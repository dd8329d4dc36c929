"""Rows that replication has not written stay, and no run deletes more than allowed."""

import json
import sqlite3
from contextlib import closing

import psycopg
import pytest

from tests.workers.fixtures_replication import (
    a_source,
    dry,
    failure,
    logged,
    run,
    sql,
    unequal,
    write,
)
from workers import params
from workers.replication import Params, deletion_guard
from workers.replication.settings import deletion_limit

BOTH = pytest.mark.parametrize("capture", ["compare", "triggers"])
SCRIPT = """
CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT);
INSERT INTO t VALUES (1, 'ours'), (2, 'ours')"""
THEIRS = """
CREATE TABLE t (id bigint PRIMARY KEY, v text);
INSERT INTO t SELECT n, 'theirs' FROM generate_series(1, 5000) n"""
MANY = """
CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT);
WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < 200)
INSERT INTO t SELECT n, 'v' || n FROM c"""


@pytest.fixture
def path(tmp_path):
    return a_source(tmp_path / "a.db", SCRIPT)


@BOTH
@pytest.mark.parametrize("schema", ["public", 'Odd "schema" %s'])
def test_a_table_with_rows_of_others_is_refused_by_name(capture, schema, path, postgres):
    name = psycopg.sql.Identifier(schema).as_string()
    sql(postgres, f"CREATE SCHEMA IF NOT EXISTS {name}; SET search_path = {name}; {THEIRS}")
    before = path.read_bytes()

    failed = failure(path, postgres, capture=capture, schema=schema)

    assert f'table t: {name}."t" has 5000 rows that no replication' in failed.error.replace(
        f'"{schema}"', name
    )
    assert "--set adopt=t" in failed.error
    assert failed.permanent
    assert sql(postgres, f"SELECT count(*), min(v) FROM {name}.t") == [(5000, "theirs")]
    assert path.read_bytes() == before


@BOTH
def test_an_adopted_table_becomes_a_replica_and_stays_one(capture, path, postgres):
    sql(postgres, THEIRS)

    first = run(path, postgres, capture=capture, adopt=("t",), max_delete="20%")
    write(path, "UPDATE t SET v = 'new' WHERE id = 1")
    second = run(path, postgres, capture=capture, max_delete="20%")

    assert (first["deleted"], first["updated"]) == (4998, 2)
    assert (second["updated"], second["deleted"]) == (1, 0)
    assert unequal(path, postgres) == {}


def test_all_tables_of_others_are_named_at_once(path, postgres):
    write(path, 'CREATE TABLE "b c" (id INTEGER PRIMARY KEY)')
    sql(postgres, f'{THEIRS}; CREATE TABLE "b c" (id bigint PRIMARY KEY)')
    sql(postgres, 'INSERT INTO "b c" VALUES (7)')

    failed = failure(path, postgres)

    assert '"public"."b c" has 1 row; "public"."t" has 5000 rows' in failed.error
    given = failed.error.split("--set '")[1].split("'")[0].removeprefix("adopt=")
    wanted = params.parse(Params, {"database": str(path), "adopt": json.loads(given)})
    run(path, postgres, adopt=wanted.adopt)
    assert unequal(path, postgres) == {}


def test_an_empty_table_of_others_is_taken(path, postgres):
    sql(postgres, "CREATE TABLE t (id bigint PRIMARY KEY, v varchar(100))")

    run(path, postgres)

    assert unequal(path, postgres) == {}


@BOTH
def test_a_table_made_by_others_in_the_place_of_ours_is_refused(capture, path, postgres):
    run(path, postgres, capture=capture)
    sql(postgres, f"DROP TABLE t; {THEIRS}")

    failed = failure(path, postgres, capture=capture)

    assert '"public"."t" has 5000 rows that no replication' in failed.error
    assert sql(postgres, "SELECT count(*) FROM t") == [(5000,)]


@BOTH
def test_an_empty_table_in_the_place_of_ours_is_filled(capture, path, postgres):
    run(path, postgres, capture=capture, proof_budget=0)
    sql(postgres, "DROP TABLE t; CREATE TABLE t (id bigint PRIMARY KEY, v text)")

    run(path, postgres, capture=capture, proof_budget=0)

    assert unequal(path, postgres) == {}


@BOTH
def test_what_version_0_1_has_filled_needs_no_adoption(capture, path, postgres):
    run(path, postgres, capture=capture)
    sql(postgres, "ALTER TABLE nightshift_replication DROP COLUMN record")
    sql(postgres, "ALTER TABLE nightshift_replication_tables DROP COLUMN relation")
    write(path, "UPDATE t SET v = 'later'")

    result = run(path, postgres, capture=capture)
    sql(postgres, f"DROP TABLE t; {THEIRS}")

    assert result["updated"] == 2
    assert "no replication" in failure(path, postgres, capture=capture).error


def test_what_1_0_has_filled_needs_no_adoption(path, postgres):
    run(path, postgres)
    sql(postgres, "ALTER TABLE nightshift_replication DROP COLUMN record")
    sql(
        postgres,
        "ALTER TABLE nightshift_replication_tables DROP COLUMN relation, DROP COLUMN columns",
    )
    write(path, "UPDATE t SET v = 'later'")

    assert run(path, postgres)["updated"] == 2


def test_a_restored_dump_of_the_schema_needs_no_adoption(path, postgres):
    run(path, postgres)
    for table in ("t", "nightshift_replication", "nightshift_replication_tables"):
        sql(postgres, f"CREATE TABLE copied (LIKE {table} INCLUDING ALL)")
        sql(postgres, f"INSERT INTO copied SELECT * FROM {table}")
        sql(postgres, f"DROP TABLE {table}; ALTER TABLE copied RENAME TO {table}")
    write(path, "UPDATE t SET v = 'later'")

    assert run(path, postgres)["updated"] == 2


def test_without_the_record_our_own_tables_are_refused(path, postgres):
    run(path, postgres)
    sql(postgres, "DROP TABLE nightshift_replication, nightshift_replication_tables")

    assert "--set adopt=t" in failure(path, postgres).error


def test_a_table_to_adopt_that_is_not_there_is_refused(path, postgres):
    assert "adopt: no table other in" in failure(path, postgres, adopt=("other",)).error


def test_verify_only_looks_at_tables_of_others(path, postgres):
    sql(postgres, THEIRS)

    assert "5000 rows differ" in failure(path, postgres, verify_only=True).error


@BOTH
@pytest.mark.parametrize("full", [False, True])
def test_a_source_that_was_emptied_does_not_empty_its_replica(capture, full, path, postgres):
    run(path, postgres, capture=capture)
    write(path, "DELETE FROM t")

    failed = failure(path, postgres, capture=capture, full=full, max_delete="20%")
    allowed = failed.error.split("--set max_delete=")[1].split()[0]
    after = sql(postgres, "SELECT count(*) FROM t")
    run(path, postgres, capture=capture, full=full, max_delete=allowed)

    assert "table t: 2 of 2 rows would be deleted ((1), (2))" in failed.error
    assert failed.permanent
    assert after == [(2,)]
    assert unequal(path, postgres) == {}


@BOTH
@pytest.mark.parametrize(("gone", "passes"), [(40, True), (41, False)])
def test_a_fifth_of_a_large_table_may_go(gone, passes, capture, tmp_path, postgres):
    path = a_source(tmp_path / "a.db", MANY)
    run(path, postgres, capture=capture)
    write(path, f"DELETE FROM t WHERE id <= {gone}")

    if passes:
        assert run(path, postgres, capture=capture, max_delete="20%")["deleted"] == gone
    else:
        failed = failure(path, postgres, capture=capture, max_delete="20%")
        assert "table t: 41 of 200 rows would be deleted" in failed.error


def test_another_database_in_the_place_of_the_source_changes_nothing(tmp_path, postgres):
    path = a_source(tmp_path / "a.db", MANY)
    run(path, postgres)
    path.unlink()
    a_source(path, MANY.replace("SELECT n, ", "SELECT n + 1000, "))

    failed = failure(path, postgres, max_delete="20%")

    assert "table t: 200 of 200 rows would be deleted" in failed.error
    assert sql(postgres, "SELECT max(id) FROM t") == [(200,)]


def test_rows_added_by_hand_are_healed_only_as_far_as_allowed(tmp_path, postgres):
    path = a_source(tmp_path / "a.db", MANY)
    run(path, postgres, capture="triggers")
    sql(postgres, "INSERT INTO t SELECT n FROM generate_series(1000, 1099) n")

    failed = failure(path, postgres, capture="triggers", max_delete="20%")
    result = run(path, postgres, capture="triggers", max_delete="100")

    assert "table t: 100 of 300 rows would be deleted" in failed.error
    assert result["healed"] == 100


@pytest.mark.parametrize(
    ("rows", "deleted", "most", "refused"),
    [
        (100, 99, "20%", False),
        (100, 100, "20%", True),
        (101, 20, "20%", False),
        (101, 21, "20%", True),
        (1, 1, "99.9%", True),
        (1, 1, "100%", False),
        (1000, 1000, "100 %", False),
        (1000, 1, "0%", True),
        (50, 1, "0%", False),
        (50, 1, "0", True),
        (50, 50, "50", False),
        (50, 51, "50", True),
        (0, 0, "0", False),
    ],
)
def test_how_much_is_too_much(rows, deleted, most, refused):
    deletion = deletion_guard.Deletion("t", rows, deleted)

    assert deletion_guard.is_too_much(deletion, deletion_limit(most)) is refused


@pytest.mark.parametrize("most", ["", "20 percent", "-1", "101%", "1.5", "%", "1e3", "²"])
def test_a_max_delete_that_means_nothing_is_refused(most, tmp_path):
    with pytest.raises(params.ParamsError, match="max_delete: expected a number of rows"):
        params.parse(Params, {"database": str(tmp_path / "a.db"), "max_delete": most})


def test_the_dry_run_lists_what_would_be_deleted_and_changes_nothing(path, postgres):
    sql(postgres, THEIRS)

    reported = dry(path, postgres)
    adopting = dry(path, postgres, adopt=("t",))

    assert "table t: would delete 4998 of 5000 rows: (3), (4), (5)," in reported
    assert "and 4898 more" in reported
    assert "a run would fail: table t: " in reported
    assert "--set adopt=t" in reported
    assert "would delete 4998 of 5000 rows" in adopting
    assert "would fail" not in adopting
    assert sql(postgres, "SELECT count(*), min(v) FROM t") == [(5000, "theirs")]
    assert sql(postgres, "SELECT to_regclass('nightshift_replication')") == [(None,)]


def test_the_dry_run_says_that_too_much_would_go(path, postgres):
    run(path, postgres)
    write(path, "DELETE FROM t")

    reported = dry(path, postgres, max_delete="20%")

    assert "table t: would delete 2 of 2 rows: (1), (2)" in reported
    assert "a run would fail: table t: 2 of 2 rows would be deleted" in reported


def test_the_dry_run_without_a_server_tells_the_plan(path):
    reported = dry(path, "host=/nowhere")

    assert "what would be deleted in PostgreSQL is not known: PostgreSQL at /nowhere" in reported
    assert "table t: 2 rows, key (id)" in reported


def test_two_sources_in_one_schema_keep_their_tables(path, tmp_path, postgres):
    other = a_source(tmp_path / "b.db", "CREATE TABLE u (id INTEGER PRIMARY KEY)")
    write(other, "INSERT INTO u VALUES (1)")
    for _ in range(2):
        for each in (path, other):
            logged(each, postgres, max_delete="20%")

    assert unequal(path, postgres) == {}
    assert unequal(other, postgres) == {}


@pytest.mark.parametrize("verify_only", [False, True])
def test_row_level_security_is_named(verify_only, path, postgres):
    run(path, postgres)
    with closing(psycopg.connect(postgres, autocommit=True)) as client:
        name = f"limited_{client.info.dbname}"[:60]
    sql(postgres, f"CREATE ROLE {name} LOGIN; GRANT ALL ON SCHEMA public TO {name}")
    try:
        sql(postgres, f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {name}")
        sql(postgres, "ALTER TABLE t ENABLE ROW LEVEL SECURITY")
        other = psycopg.conninfo.make_conninfo(postgres, user=name)

        failed = failure(path, other, verify_only=verify_only)
    finally:
        sql(postgres, f"DROP OWNED BY {name}; DROP ROLE {name}")

    assert 'row-level security of "public"."t" hides rows' in failed.error
    assert "BYPASSRLS" in failed.error


def test_a_database_is_still_readable_after_a_refusal(path, postgres):
    sql(postgres, THEIRS)
    failure(path, postgres, capture="triggers")

    with closing(sqlite3.connect(path)) as source:
        names = source.execute("SELECT name FROM sqlite_master WHERE type <> 'index'").fetchall()
    assert names == [("t",)]
