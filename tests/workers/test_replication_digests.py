"""A table of many ranges: every difference is found, and nothing else is written."""

import pytest

from tests.workers.fixtures_replication import a_source, failure, run, sql, unequal, write

ROWS = 1000
COUNT = f"WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < {ROWS})"
# Kind of key, its value for row n, and values before the first and after the last.
KEYS = {
    "whole": ("id INTEGER PRIMARY KEY", "n * 7 - 3000", "-9223372036854775807", "9e18::bigint"),
    "text": ("id TEXT PRIMARY KEY", "char(64 + n % 900) || n", "''", "U&'\\+10ffff'"),
    "real": ("id REAL PRIMARY KEY NOT NULL", "n / 3.0", "'-inf'", "'inf'"),
    "plain": ("id TEXT PRIMARY KEY COLLATE NOCASE", "'k' || n", "''", "'~'"),
}

pytestmark = pytest.mark.sample


def a_table(kind: str) -> str:
    """Create a table `t` of 1,000 rows with NULLs, quotes, control characters and numbers."""
    declared, key, _, _ = KEYS[kind]
    return (
        f"CREATE TABLE t ({declared}, a TEXT, b INTEGER, c BLOB, d REAL, e TEXT);"
        f"{COUNT} INSERT INTO t SELECT {key}, CASE n % 3 WHEN 0 THEN char(1 + n % 31, 34, 92) || n"
        " WHEN 1 THEN 'null' END, n % 5, randomblob(n % 4), n / 7.0,"
        """ 'a","b' || n || '😀' FROM c;"""
    )


@pytest.fixture(params=KEYS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_equal_ranges_are_equal_without_a_temporary_table(kind, tmp_path, postgres):
    path = a_source(tmp_path / "a.db", a_table(kind))
    run(path, postgres)

    again = run(path, postgres)

    assert (again["updated"], again["inserted"], again["deleted"]) == (0, 0, 0)
    assert again["compared"] == ROWS
    assert run(path, postgres, verify_only=True)["compared"] == ROWS


def test_what_was_changed_in_the_target_is_found_in_whatever_range(kind, tmp_path, postgres):
    path = a_source(tmp_path / "a.db", a_table(kind))
    run(path, postgres)
    _, _, first, last = KEYS[kind]
    sql(postgres, "DELETE FROM t WHERE id IN (SELECT id FROM t ORDER BY b, id LIMIT 3)")
    sql(postgres, "UPDATE t SET a = NULL WHERE id IN (SELECT max(id) FROM t WHERE a = 'null')")
    sql(postgres, "UPDATE t SET d = -d WHERE id IN (SELECT min(id) FROM t)")
    sql(postgres, f"INSERT INTO t (id) VALUES ({first}), ({last})")

    reported = failure(path, postgres, verify_only=True)
    fixed = run(path, postgres)

    assert "7 rows differ" in reported.error
    assert (fixed["inserted"], fixed["updated"], fixed["deleted"]) == (3, 2, 2)
    assert unequal(path, postgres) == {}


def test_what_was_changed_in_the_source_is_found_in_whatever_range(kind, tmp_path, postgres):
    path = a_source(tmp_path / "a.db", a_table(kind))
    run(path, postgres)
    some = "id IN (SELECT id FROM t ORDER BY id LIMIT {} OFFSET {})"
    write(path, f"DELETE FROM t WHERE {some.format(2, 700)}")
    write(path, f"UPDATE t SET e = e || 'x' WHERE {some.format(4, 300)}")

    fixed = run(path, postgres)

    assert (fixed["inserted"], fixed["updated"], fixed["deleted"]) == (0, 4, 2)
    assert unequal(path, postgres) == {}


def test_text_that_moves_to_the_next_column_is_a_difference(tmp_path, postgres):
    path = a_source(
        tmp_path / "a.db",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, b TEXT);"
        """INSERT INTO t VALUES (1, 'x","y', 'z'), (2, NULL, 'null'), (3, '', NULL)""",
    )
    run(path, postgres)
    sql(postgres, """UPDATE t SET a = 'x', b = 'y","z' WHERE id = 1""")
    sql(postgres, "UPDATE t SET a = 'null', b = NULL WHERE id = 2")
    sql(postgres, "UPDATE t SET a = NULL, b = '' WHERE id = 3")

    assert run(path, postgres)["updated"] == 3
    assert unequal(path, postgres) == {}


@pytest.mark.parametrize("value", ["x'00ff'", "'a' || char(0) || 'b'"])
def test_a_value_that_came_to_stand_among_texts_is_named(value, tmp_path, postgres):
    path = a_source(tmp_path / "a.db", a_table("whole"))
    run(path, postgres)
    write(path, f"UPDATE t SET e = {value} WHERE rowid = (SELECT max(rowid) FROM t)")

    failed = failure(path, postgres)

    assert "table t, key (4000): column e " in failed.error


def test_a_key_of_two_columns_is_found_by_its_first(tmp_path, postgres):
    path = a_source(
        tmp_path / "a.db",
        "CREATE TABLE t (a INTEGER, b TEXT, v INTEGER, PRIMARY KEY (b, a)) WITHOUT ROWID;"
        f"{COUNT} INSERT INTO t SELECT n, 's' || n % 6, n FROM c;",
    )
    run(path, postgres)
    sql(postgres, "UPDATE t SET v = 0 WHERE a = 77; DELETE FROM t WHERE a = 999")

    fixed = run(path, postgres)

    assert (fixed["inserted"], fixed["updated"]) == (1, 1)
    assert unequal(path, postgres) == {}
