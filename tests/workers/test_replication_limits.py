"""Limits of PostgreSQL: a dry run names what is too large, with advice that works."""

import pytest

from tests.workers.fixtures_replication import a_source, failure, planned, run, sql, unequal, write

# Incompressible, so that PostgreSQL cannot pack it.
RANDOM = "hex(randomblob({}))"


def test_more_columns_than_a_table_can_have_are_named(tmp_path, postgres):
    columns = ", ".join(f"c{number} INT" for number in range(1600))
    path = a_source(tmp_path / "a.db", f"CREATE TABLE t (id INTEGER PRIMARY KEY, {columns})")

    reported, result = planned(path, postgres)
    failed = failure(path, postgres)
    run(path, postgres, exclude=("t.c1599",))

    for said in (reported, failed.error):
        assert "table t has 1601 columns, and a table of PostgreSQL at most 1600" in said
        assert "exclude: [t.COLUMN]" in said
    assert result["misfits"] == 1


def test_a_row_that_is_too_large_is_named(tmp_path, postgres):
    columns = [f"c{number}" for number in range(1300)]
    script = f"CREATE TABLE t (id INTEGER PRIMARY KEY, {', '.join(f'{c} INT' for c in columns)});"
    values = ", ".join("9" for _ in columns)
    path = a_source(
        tmp_path / "a.db",
        f"{script} INSERT INTO t (id) VALUES (1), (2), (4); INSERT INTO t VALUES (3, {values})",
    )

    reported, result = planned(path, postgres)
    failed = failure(path, postgres)
    run(path, postgres, exclude=tuple(f"t.c{number}" for number in range(400)))

    for said in (reported, failed.error):
        assert "table t, key (3): row is too big" in said
        assert "exclude: [t.COLUMN]" in said
    assert result["misfits"] == 1


@pytest.mark.parametrize("size", [1500, 6000])
@pytest.mark.parametrize("when", ["at first", "later"])
def test_a_key_that_is_too_long_is_named(when, size, tmp_path, postgres):
    path = a_source(
        tmp_path / "a.db",
        """CREATE TABLE t (n INT, k TEXT, v TEXT, PRIMARY KEY (n, k));
        INSERT INTO t VALUES (1, 'a', '')""",
    )
    if when == "later":
        run(path, postgres)
    write(path, f"INSERT INTO t VALUES (5, {RANDOM.format(size)}, ''), (6, 'b', '')")

    reported, result = planned(path, postgres)
    failed = failure(path, postgres)
    write(path, "UPDATE t SET k = substr(k, 1, 100)")
    run(path, postgres)

    for said in (reported, failed.error):
        assert "table t, key (5, " in said
        assert "the key is too long for an index of PostgreSQL" in said
    assert result["misfits"] == 1
    assert unequal(path, postgres) == {}


def test_a_null_in_the_key_of_a_table_that_stands_is_found_by_the_dry_run(tmp_path, postgres):
    script = "CREATE TABLE t (id TEXT PRIMARY KEY, v); INSERT INTO t VALUES ('a', 1)"
    path = a_source(tmp_path / "a.db", script)
    run(path, postgres)
    write(path, "INSERT INTO t VALUES (NULL, 2)")

    reported, result = planned(path, postgres)

    assert "column id is NULL, which no key of PostgreSQL may be" in reported
    assert result["misfits"] == 1


def test_a_dry_run_leaves_nothing_and_locks_nothing(tmp_path, postgres):
    path = a_source(tmp_path / "a.db", "CREATE TABLE t (a); INSERT INTO t VALUES (1), (2)")

    _, result = planned(path, postgres, schema="other")

    assert result == {"tables": 1, "rows": 2, "misfits": 0, "to_delete": 0}
    assert sql(postgres, "SELECT to_regnamespace('other')") == [(None,)]


def test_every_table_and_column_with_a_problem_is_named_at_once(tmp_path, postgres):
    path = a_source(
        tmp_path / "a.db",
        """CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, b TEXT, c TEXT, ctid_ TEXT);
        INSERT INTO t VALUES (1, 'tomorrow', '{"a":1,"a":2}', 'x' || char(0), 'ok');
        CREATE TABLE u (id INTEGER PRIMARY KEY, xmin TEXT)""",
    )

    reported, result = planned(path, postgres, types={"t.a": "date", "t.b": "jsonb"})

    for words in ("column a does not", "column b does not", "column c holds a NUL", "column xmin"):
        assert words in reported
    assert result["misfits"] == 4
