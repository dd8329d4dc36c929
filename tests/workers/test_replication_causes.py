"""Error messages of replication: table, column and key, but no value of a user's data."""

import sqlite3
from contextlib import closing

import pytest

from tests.workers.fixtures_replication import (
    a_source,
    failure,
    logged,
    planned,
    run,
    sql,
    unequal,
    write,
)
from tests.workers.strange_texts import with_latin_names

VALUE = "sesame"
ONE_ROW = "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT); INSERT INTO t VALUES (1, NULL)"


@pytest.mark.parametrize(
    "type_",
    [
        "date",
        "integer",
        "numeric(3)",
        "uuid",
        "inet",
        "jsonb",
        "timestamptz",
        "varchar(2)",
        "bool",
    ],
)
def test_a_value_that_postgres_cannot_read_is_not_quoted(tmp_path, postgres, type_):
    path = a_source(tmp_path / "a.db", ONE_ROW)
    write(path, f"INSERT INTO t VALUES (2, '{VALUE} \"x\" {VALUE}')")

    failed = failure(path, postgres, types={"t.v": type_})

    assert "table t, key (2): column v is refused: " in failed.error
    assert VALUE not in failed.error
    assert "x" not in failed.error.partition("refused: ")[2].partition(";")[0].replace(
        "syntax", ""
    )


@pytest.mark.parametrize(
    "rule",
    [
        "ADD CONSTRAINT short CHECK (length(v) < 3)",
        "ADD CONSTRAINT one UNIQUE (v)",
        "ADD COLUMN more text DEFAULT 'x', ADD CONSTRAINT two UNIQUE (v, more)",
    ],
)
def test_a_rule_of_the_target_is_named_and_the_row_is_not_quoted(tmp_path, postgres, rule):
    path = a_source(tmp_path / "a.db", ONE_ROW)
    run(path, postgres)
    sql(postgres, f"ALTER TABLE t {rule}")
    write(path, f"INSERT INTO t VALUES (2, '{VALUE}'), (3, '{VALUE}')")

    failed = failure(path, postgres)

    assert "constraint" in failed.error
    assert VALUE not in failed.error


@pytest.mark.parametrize(
    ("declared", "fitting", "value", "words"),
    [
        ("INTEGER", "1", f"'{VALUE}'", "is text, which bigint"),
        ("TEXT", "'a'", f"CAST('{VALUE}' AS BLOB)", "is blob, which text"),
        ("REAL", "1.5", f"'{VALUE}'", "is text, which double precision"),
    ],
)
def test_a_value_that_its_column_cannot_hold_is_not_quoted(
    tmp_path, postgres, declared, fitting, value, words
):
    path = a_source(tmp_path / "a.db", f"CREATE TABLE t (id INTEGER PRIMARY KEY, v {declared})")
    write(path, f"INSERT INTO t VALUES (1, {fitting}), (2, {value})")

    for failed in (failure(path, postgres).error, logged(path, postgres, on_misfit="text")):
        assert VALUE not in failed
    assert words in failure(path, postgres, schema="other").error


def test_a_key_that_is_not_utf_8_is_reported_escaped(tmp_path, postgres):
    path = a_source(tmp_path / "a.db", "CREATE TABLE t (k TEXT PRIMARY KEY, v INTEGER)")
    write(path, "INSERT INTO t VALUES (CAST(x'ff41' AS TEXT), 'x')")

    assert r"table t, key (\xffA): column" in failure(path, postgres).error


@pytest.mark.parametrize("encoding", ["UTF-16le", "UTF-16be"])
def test_a_source_in_utf_16_is_brought_whole(encoding, tmp_path, postgres):
    path = a_source(
        tmp_path / "a.db",
        f"PRAGMA encoding = '{encoding}';"
        "CREATE TABLE tä (kü TEXT PRIMARY KEY, v); INSERT INTO tä VALUES ('ö', '€');"
        "CREATE TABLE 日本 (ﬀ INTEGER PRIMARY KEY, \"😀\" TEXT); INSERT INTO 日本 VALUES (1, 'x')",
    )

    result = run(path, postgres)

    assert result["tables"] == 2
    assert unequal(path, postgres) == {}


@pytest.mark.parametrize("value", ["'abc'", "'ä'", "'a' || char(0)", "'😀'"])
@pytest.mark.parametrize("declared", ["INTEGER", "TEXT", "REAL"])
def test_a_misfit_is_the_same_in_every_encoding(value, declared, tmp_path, postgres):
    script = f"CREATE TABLE t (id INTEGER PRIMARY KEY, c {declared}); INSERT INTO t VALUES"
    reports = set()
    for encoding in ("UTF-8", "UTF-16le", "UTF-16be"):
        text = f"PRAGMA encoding = '{encoding}'; {script} (1, NULL), (2, {value})"
        path = a_source(tmp_path / f"{encoding}.db", text)
        report, result = planned(path, postgres, types={"t.c": declared.lower()})
        reports.add((report.replace(str(path), "the source"), result["misfits"]))

    assert len(reports) == 1


def test_a_table_whose_name_is_not_utf_8_is_left_out_and_named(tmp_path, postgres):
    path = with_latin_names(tmp_path / "a.db")
    with closing(sqlite3.connect(path)) as changed:
        changed.execute("DROP TABLE plain")
        changed.commit()

    said = logged(path, postgres)

    assert r"left out: caf\xe9 (a name that is not UTF-8)" in said
    assert sql(postgres, "SELECT count(*) FROM child") == [(1,)]


def test_a_column_whose_name_is_not_utf_8_is_named(tmp_path, postgres):
    path = with_latin_names(tmp_path / "a.db")

    failed = failure(path, postgres)

    assert r"table plain: the name of its column na\xff is not UTF-8" in failed.error
    assert failed.permanent
    run(path, postgres, exclude=("plain",))
