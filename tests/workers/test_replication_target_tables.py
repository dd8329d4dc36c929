"""What the target's tables have besides: own columns, identities, collations, foreign keys."""

import psycopg
import pytest

from tests.workers.fixtures_replication import (
    a_source,
    failure,
    logged,
    run,
    sql,
    unequal,
    write,
)

BOTH = pytest.mark.parametrize("capture", ["compare", "triggers"])


@BOTH
def test_foreign_keys_of_the_target_are_kept(capture, tmp_path, postgres):
    script = """
    CREATE TABLE a_child (id INTEGER PRIMARY KEY, up INTEGER);
    CREATE TABLE b_parent (id INTEGER PRIMARY KEY);
    INSERT INTO b_parent VALUES (1), (2); INSERT INTO a_child VALUES (1, 1), (2, 2)"""
    path = a_source(tmp_path / "a.db", script)
    run(path, postgres, capture=capture)
    sql(postgres, "ALTER TABLE a_child ADD FOREIGN KEY (up) REFERENCES b_parent(id)")
    write(
        path,
        "DELETE FROM b_parent WHERE id = 1; INSERT INTO b_parent VALUES (3);"
        "UPDATE a_child SET up = 3 WHERE id = 1; DELETE FROM a_child WHERE id = 2;"
        "DELETE FROM b_parent WHERE id = 2; INSERT INTO a_child VALUES (9, 3)",
    )

    run(path, postgres, capture=capture)

    assert unequal(path, postgres) == {}


@BOTH
def test_a_column_of_the_targets_user_is_left_alone_and_said(capture, tmp_path, postgres):
    path = a_source(
        tmp_path / "a.db",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT); INSERT INTO t VALUES (1, 'x')",
    )
    run(path, postgres, capture=capture)
    sql(postgres, "ALTER TABLE t ADD note text, ADD stars integer NOT NULL DEFAULT 3")
    sql(postgres, "UPDATE t SET note = 'mine'")
    write(path, "UPDATE t SET a = 'y'; INSERT INTO t VALUES (2, 'z')")

    reported = logged(path, postgres, capture=capture)
    run(path, postgres, verify_only=True)

    assert "table t: columns of the target alone, left as they are: note, stars" in reported
    assert sql(postgres, "SELECT * FROM t ORDER BY id") == [(1, "y", "mine", 3), (2, "z", None, 3)]


def test_a_column_of_the_target_that_demands_a_value_fails_with_the_statement(tmp_path, postgres):
    path = a_source(tmp_path / "a.db", "CREATE TABLE t (id INTEGER PRIMARY KEY)")
    run(path, postgres)
    sql(postgres, "ALTER TABLE t ADD note text NOT NULL")

    failed = failure(path, postgres)

    assert 'ALTER COLUMN "note" DROP NOT NULL' in failed.error


@BOTH
def test_an_identity_of_the_target_takes_the_keys_of_the_source(capture, tmp_path, postgres):
    path = a_source(
        tmp_path / "a.db",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v); INSERT INTO t VALUES (7, 1)",
    )
    sql(postgres, "CREATE TABLE t (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, v bigint)")

    run(path, postgres, capture=capture)
    write(path, "INSERT INTO t VALUES (3, 2); UPDATE t SET v = 5 WHERE id = 7")
    run(path, postgres, capture=capture)

    assert sql(postgres, "SELECT * FROM t ORDER BY id") == [(3, 2), (7, 5)]


@pytest.mark.parametrize(
    "kind", ["GENERATED ALWAYS AS (id * 2) STORED", "GENERATED ALWAYS AS IDENTITY"]
)
def test_a_column_that_postgresql_fills_itself_is_refused_with_advice_that_works(
    kind, tmp_path, postgres
):
    path = a_source(
        tmp_path / "a.db",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v); INSERT INTO t VALUES (7, 1)",
    )
    sql(postgres, f"CREATE TABLE t (id bigint PRIMARY KEY, v bigint {kind})")

    failed = failure(path, postgres)
    run(path, postgres, exclude=("t.v",))
    sql(postgres, failed.error.split(": ")[2].split(";")[0])
    run(path, postgres)

    assert "table t: column v is" in failed.error
    assert sql(postgres, "SELECT id, v FROM t") == [(7, 1)]


@BOTH
@pytest.mark.parametrize(
    "kind",
    ["uuid", "inet", "timestamptz", "numeric", "date", "char(36)", "real", "jsonb", "boolean"],
)
def test_a_key_that_the_target_gives_back_otherwise_is_refused_by_name(
    kind, capture, tmp_path, postgres
):
    path = a_source(tmp_path / "a.db", "CREATE TABLE t (id TEXT PRIMARY KEY, v)")
    sql(postgres, f"CREATE TABLE t (id {kind} PRIMARY KEY, v text)")

    failed = failure(path, postgres, capture=capture)
    verified = failure(path, postgres, verify_only=True)
    sql(postgres, failed.error.split("double precision or bytea: ")[1])
    run(path, postgres, capture=capture)

    assert "table t: the key column id is" in failed.error
    assert "in the target" in verified.error
    assert failed.permanent


@pytest.mark.parametrize("when", ["at first", "later"])
def test_keys_that_become_one_by_widening_are_named_as_that(when, tmp_path, postgres):
    path = a_source(
        tmp_path / "a.db", "CREATE TABLE t (k PRIMARY KEY, v); INSERT INTO t VALUES (42, 1)"
    )
    if when == "later":
        run(path, postgres, on_misfit="text")
    write(path, "INSERT INTO t VALUES ('42', 2), ('x', 3)")

    failed = failure(path, postgres, on_misfit="text")

    assert "table t: 2 rows (integer and text) have the key (42) once it is text" in failed.error
    assert "a unique index of its own" not in failed.error


def test_a_key_whose_collation_takes_two_texts_for_one_is_refused(tmp_path, postgres):
    try:
        sql(
            postgres,
            "CREATE COLLATION folded (provider = icu, locale = 'und-u-ks-level2',"
            " deterministic = false)",
        )
    except psycopg.errors.FeatureNotSupported:
        pytest.skip("this PostgreSQL is built without ICU")
    sql(postgres, "CREATE TABLE t (id text COLLATE folded PRIMARY KEY)")
    path = a_source(
        tmp_path / "a.db",
        "CREATE TABLE t (id TEXT PRIMARY KEY); INSERT INTO t VALUES ('a'), ('A')",
    )

    failed = failure(path, postgres)
    sql(postgres, failed.error.split("texts for one: ")[1])
    run(path, postgres)

    assert "table t: the collation of the key column id" in failed.error
    assert sql(postgres, "SELECT id FROM t ORDER BY 1") == [("A",), ("a",)]
