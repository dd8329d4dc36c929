"""Values are replicated unchanged, or named: table, key, column, value."""

import math
import sqlite3
from contextlib import closing
from fractions import Fraction

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.workers.fixtures_replication import (
    a_source,
    failure,
    logged,
    run,
    sql,
    types,
    unequal,
    write,
)

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
INTEGERS = st.integers(-(2**63), 2**63 - 1)
REALS = st.floats(allow_nan=False)
ROWS = st.tuples(
    st.none() | INTEGERS, st.none() | TEXTS, st.none() | REALS, st.none() | st.binary()
)
AWKWARD = [
    (2**63 - 1, "", math.inf, b""),
    (-(2**63), "\\N", -math.inf, b"\0\xff\\"),
    (0, "\\.", 5e-324, bytes(range(256))),
    (None, "a\tb\nc\rd\\n", 1.7976931348623157e308, None),
    (1, "NULL", -1e16, b"\\x00"),
    (2, "\"quoted\", 'single'", 0.1 + 0.2, b"'"),
    (3, "\x1f\x1e\x1d", 1e15, b"\x1f"),
    (4, "😀 e\u0301 \u202e \ufeff", 123456789012345680.0, b"1"),
    (5, " trailing ", 1e-5, b"2"),
    (6, "{}", 100.0, b"3"),
    (7, "null", -0.5, b"null"),
    (8, 'ends like a field",', 1.5, b'",'),
    (9, "]\n[", 2.5, b"]\n["),
    (10, "\x01 \\u0041 \\\\n \x7f \\", 3.5, b"4"),
]
TABLE = "CREATE TABLE t (id INTEGER PRIMARY KEY, i BIGINT, s TEXT, r REAL, b BLOB)"


def filled(path, rows):
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("DROP TABLE IF EXISTS t")
        database.execute(TABLE)
        database.executemany("INSERT INTO t (i, s, r, b) VALUES (?, ?, ?, ?)", rows)
    return path


@pytest.mark.parametrize("capture", ["compare", "triggers"])
def test_awkward_values_arrive_and_stay_equal(capture, tmp_path, postgres):
    path = filled(tmp_path / "a.db", AWKWARD)

    run(path, postgres, capture=capture)
    again = run(path, postgres, capture=capture, full=True)

    assert unequal(path, postgres) == {}
    assert (again["inserted"], again["updated"], again["healed"]) == (0, 0, 0)


def test_control_characters_that_separate_fields_arrive(tmp_path, postgres):
    rows = [(n, "plain", 0.5, b"") for n in range(3000)] + [(1, "a\x1fb\x1e", None, b"\x1f")]
    path = filled(tmp_path / "a.db", rows)

    run(path, postgres)
    write(path, "UPDATE t SET s = s || char(31)")
    result = run(path, postgres)

    assert result["updated"] == 3001
    assert unequal(path, postgres) == {}


@pytest.mark.timeout(600)  # dozens of runs of replication
def test_any_value_arrives(tmp_path, postgres):
    path = tmp_path / "a.db"

    @settings(
        max_examples=40,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.lists(ROWS, max_size=8))
    def arrives(rows):
        filled(path, rows)
        run(path, postgres)
        assert unequal(path, postgres) == {}
        assert run(path, postgres, verify_only=True)["differing"] == 0

    arrives()


def test_negative_zero_is_not_zero(tmp_path, postgres):
    path = a_source(tmp_path / "a.db", "CREATE TABLE t (id INTEGER PRIMARY KEY, u)")
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("INSERT INTO t VALUES (1, ?), (2, 1.5)", (-0.0,))
    run(path, postgres)
    sql(postgres, "UPDATE t SET u = 0 WHERE id = 1")

    run(path, postgres)

    assert sql(postgres, "SELECT u::text FROM t ORDER BY id") == [("-0",), ("1.5",)]


@pytest.mark.parametrize(
    ("declared", "values", "expected"),
    [
        ("", "(1), (NULL)", "bigint"),
        ("", "('a')", "text"),
        ("", "(x'00')", "bytea"),
        ("", "(1), (1.5)", "double precision"),
        ("NUMERIC", "(1), (9007199254740992)", "bigint"),
        ("DECIMAL(10,2)", "(1), (2.25)", "double precision"),
        ("DATE", "('2026-01-01')", "text"),
        ("BOOLEAN", "(0), (1)", "bigint"),
        ("VARCHAR(3)", "('longer than three')", "text"),
        ("DOUBLE", "(1)", "double precision"),
        ("BLOB", "(x'')", "bytea"),
        ("BLOB", "(1), (NULL)", "bigint"),
        ("BLOB", "('a')", "text"),
        ("POINT", "(x'0001')", "bytea"),
        ("INTEGER", "('abc')", "text"),
        ("INTEGER", "(1), (2.5)", "double precision"),
        ("INTEGER", "(2.5)", "double precision"),
        ("TEXT", "(x'00')", "bytea"),
        ("REAL", "('n/a')", "text"),
        ("FLOATING POINT", "(x'00')", "bytea"),
    ],
)
def test_the_type_follows_the_declared_one_or_the_classes_found(
    declared, values, expected, tmp_path, postgres
):
    script = f"CREATE TABLE t (c {declared}); INSERT INTO t VALUES {values}"
    path = a_source(tmp_path / "a.db", script)

    run(path, postgres)

    assert types(postgres, "t")["c"] == expected
    assert unequal(path, postgres) == {}


MISFITS = [
    pytest.param("INTEGER", "1", "'abc'", "is text, which bigint cannot hold", id="text"),
    pytest.param("INTEGER", "1", "x'35'", "is blob, which bigint", id="blob like a number"),
    pytest.param("TEXT", "'a'", "x'616263'", "is blob, which text", id="blob like a text"),
    pytest.param("TEXT", "'a'", "x'00'", "is blob, which text", id="blob like JSONB"),
    pytest.param("REAL", "1.5", "'nan'", "is text, which double precision", id="like a real"),
    pytest.param("BLOB", "x'61'", "'abc'", "is text, which bytea", id="text in a blob"),
    pytest.param("TEXT", "'a'", "'a' || char(0) || 'b'", "holds a NUL", id="a NUL"),
    pytest.param("TEXT", "'a'", "CAST(x'ff41' AS TEXT)", "are not UTF-8", id="no UTF-8"),
]


@pytest.mark.parametrize(("declared", "fitting", "value", "words"), MISFITS)
def test_a_value_that_does_not_fit_is_named(declared, fitting, value, words, tmp_path, postgres):
    script = f"""
    CREATE TABLE odd (a TEXT, b INTEGER, c {declared}, PRIMARY KEY (a, b));
    INSERT INTO odd VALUES ('x' || char(10, 13, 10), 1, NULL), ('x' || char(10, 13), 2, {fitting});
    INSERT INTO odd VALUES ('y', 7, {value})"""
    path = a_source(tmp_path / "a.db", script)

    failed = failure(path, postgres)

    assert "table odd, key (y, 7): column c" in failed.error
    assert words in failed.error
    assert failed.permanent
    assert sql(postgres, "SELECT to_regclass('odd')") == [(None,)]


def test_a_whole_number_that_no_double_holds_makes_its_column_numeric(tmp_path, postgres):
    script = "CREATE TABLE t (c); INSERT INTO t VALUES (1.5), (9007199254740993), (1e300), (-0.1)"
    path = a_source(tmp_path / "a.db", script)

    run(path, postgres)
    again = run(path, postgres, full=True)

    assert types(postgres, "t")["c"] == "numeric"
    found = [Fraction(value) for (value,) in sql(postgres, "SELECT c FROM t ORDER BY 1 DESC")]
    assert found == [10**300, 9007199254740993, Fraction(3, 2), Fraction("-0.1")]
    assert again["updated"] + again["healed"] == 0


def test_a_widened_column_leaves_the_deletions_of_other_tables_alone(tmp_path, postgres):
    script = """
    CREATE TABLE a (id INTEGER PRIMARY KEY, n INTEGER); INSERT INTO a VALUES (1, 1), (2, 2);
    CREATE TABLE b (id INTEGER PRIMARY KEY, n INTEGER); INSERT INTO b VALUES (1, 1), (2, 2)"""
    path = a_source(tmp_path / "a.db", script)
    run(path, postgres)
    write(path, "DELETE FROM a WHERE id = 1; DELETE FROM b WHERE id = 2; UPDATE b SET n = 'x'")

    result = run(path, postgres, on_misfit="text", proof_budget=0)

    assert result["deleted"] == 2
    assert sql(postgres, "SELECT * FROM a") == [(2, 2)]
    assert sql(postgres, "SELECT * FROM b") == [(1, "x")]


@pytest.mark.parametrize("when", ["before the first run", "after it"])
@pytest.mark.parametrize("capture", ["compare", "triggers"])
def test_a_misfit_widens_its_column_if_that_is_asked_for(capture, when, tmp_path, postgres):
    script = "CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER); INSERT INTO t VALUES (1, 5)"
    path = a_source(tmp_path / "a.db", script)
    odd = "INSERT INTO t VALUES (2, 1.25), (3, 'abc'), (4, x'0aff')"
    if when == "after it":
        run(path, postgres, capture=capture)
    write(path, odd)

    run(path, postgres, capture=capture, on_misfit="text")
    again = run(path, postgres, capture=capture, on_misfit="text", full=True)

    assert sql(postgres, "SELECT n FROM t ORDER BY id") == [
        ("5",), ("1.25",), ("abc",), ("\\x0aff",),
    ]  # fmt: skip
    assert again["updated"] + again["healed"] == 0


def test_a_column_that_was_empty_takes_the_type_of_its_first_values(tmp_path, postgres):
    script = "CREATE TABLE t (id INTEGER PRIMARY KEY, price DECIMAL, note)"
    path = a_source(tmp_path / "a.db", f"{script}; INSERT INTO t (id) VALUES (1)")
    run(path, postgres, capture="triggers")
    write(path, "INSERT INTO t VALUES (2, 'on request', 12)")

    run(path, postgres, capture="triggers")

    assert types(postgres, "t")["price"] == "text"
    assert types(postgres, "t")["note"] == "bigint"
    assert unequal(path, postgres) == {}


OVERRIDES = {
    "t.doc": "jsonb",
    "t.at": "timestamptz",
    "t.yes": "boolean",
    "t.sum": "numeric",
    "t.small": "integer",
    "t.short": "varchar(5)",
}
OVERRIDDEN = """
CREATE TABLE t (id INTEGER PRIMARY KEY, doc TEXT, at TEXT, yes BOOLEAN, sum DECIMAL, small INT,
    short TEXT);
INSERT INTO t VALUES
    (1, '{"b": 1, "a": [1.0, null]}', '2026-02-09T00:00:00+01:00', 1, 1.10, 7, 'abc'),
    (2, NULL, NULL, NULL, NULL, NULL, NULL),
    (3, '{}', '2026-02-09', 0, 12345678901234567, -1, '')"""


@pytest.mark.parametrize("capture", ["compare", "triggers"])
def test_types_of_the_users_choice_are_compared_as_postgres_reads_them(
    capture, tmp_path, postgres
):
    path = a_source(tmp_path / "a.db", OVERRIDDEN)
    run(path, postgres, capture=capture, types=OVERRIDES)

    still = run(path, postgres, capture=capture, types=OVERRIDES, full=True)
    sql(postgres, """UPDATE t SET doc = '{"b": 2}' WHERE id = 1""")
    healed = run(path, postgres, capture=capture, types=OVERRIDES, full=True)

    assert still["updated"] + still["healed"] == 0
    assert healed["updated"] + healed["healed"] == 1
    assert types(postgres, "t")["doc"] == "jsonb"
    assert sql(postgres, "SELECT doc->'a'->>0, at::text, yes, sum::text FROM t WHERE id = 1") == [
        ("1.0", "2026-02-08 23:00:00+00", True, "1.1")
    ]


def test_a_value_that_postgres_refuses_is_named(tmp_path, postgres):
    path = a_source(tmp_path / "a.db", OVERRIDDEN)
    write(path, "INSERT INTO t (id, doc) VALUES (4, '{broken')")

    failed = failure(path, postgres, types=OVERRIDES)

    assert "table t, key (4): column doc is refused: invalid input syntax" in failed.error
    assert failed.permanent


@pytest.mark.parametrize(
    ("types_", "words"),
    [
        ({"t.c": "jsonbb"}, 'type "jsonbb" does not exist'),
        ({"nothing.c": "text"}, 'expected "table.column" of a table that is there'),
        ({"t.d": "text"}, 'got "t.d"; did you mean "t.id"?'),
        ({"t.colour": "text"}, 'got "t.colour"; table t has id, c'),
        ({"t.id": "uuid"}, "a key column may be"),
    ],
)
def test_a_types_entry_that_cannot_be_is_refused(types_, words, tmp_path, postgres):
    path = a_source(tmp_path / "a.db", "CREATE TABLE t (id INTEGER PRIMARY KEY, c TEXT)")

    assert words in failure(path, postgres, types=types_).error


def test_another_type_than_the_target_has_is_refused_with_the_statement(tmp_path, postgres):
    script = "CREATE TABLE t (id INTEGER PRIMARY KEY, c TEXT); INSERT INTO t VALUES (1, '5')"
    path = a_source(tmp_path / "a.db", script)
    run(path, postgres)

    failed = failure(path, postgres, types={"t.c": "bigint"})
    sql(postgres, failed.error.split("asks for bigint: ")[1])
    run(path, postgres, types={"t.c": "bigint"})

    assert sql(postgres, "SELECT c FROM t") == [(5,)]


def test_a_log_line_tells_that_a_column_was_added(tmp_path, postgres):
    path = a_source(tmp_path / "a.db", "CREATE TABLE t (id INTEGER PRIMARY KEY)")
    run(path, postgres)
    write(path, "ALTER TABLE t ADD COLUMN c TEXT DEFAULT 'x'; INSERT INTO t (id) VALUES (1)")

    reported = logged(path, postgres)

    assert "table t: added column c text" in reported
    assert unequal(path, postgres) == {}
