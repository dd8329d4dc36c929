"""Types that store a different value than they were given: table, key and column are named."""

import re

import pytest

from tests.workers.fixtures_replication import (
    a_source,
    failure,
    logged,
    planned,
    run,
    sql,
    types,
    write,
)

# The declared type, the type in PostgreSQL, and values of which the last is not stored exactly.
LOSSES = [
    pytest.param("TEXT", "date", "'2026-01-01'", "'2026-01-01 12:00'", id="a time"),
    pytest.param("TEXT", "date", "'2026-01-01'", "'01/02/03'", id="an order of day and month"),
    pytest.param("TEXT", "date", "'2026-01-01'", "'tomorrow'", id="a day of the run"),
    pytest.param("TEXT", "date", "'2026-01-01'", "'epoch'", id="a word for a day"),
    pytest.param("TEXT", "timestamp", "'2026-01-01'", "'now'", id="the moment of the run"),
    pytest.param("TEXT", "timestamp", "'2026-01-01T10:00Z'", "'2026-01-01T10:00+02'", id="a zone"),
    pytest.param("TEXT", "timestamptz(0)", "'2026-01-01T10:00+02'", "'2026-01-01 10:00:00.4'",
                 id="a part of a second"),
    pytest.param("TEXT", "timestamptz", "'2026-01-01'", "'2026-01-01 10:00:00.1234567'",
                 id="a seventh digit"),
    pytest.param("TEXT", "time(0)", "'10:00'", "'10:00:00.5'", id="a part of a second of a day"),
    pytest.param("TEXT", "time", "'10:00'", "'allballs'", id="a word for midnight"),
    pytest.param("DECIMAL", "numeric(10,2)", "1.5", "1.005", id="a digit"),
    pytest.param("DECIMAL", "real", "16777216", "16777217", id="a whole number over 2^24"),
    pytest.param("TEXT", "double precision", "'0.5'", "'9007199254740993'", id="one over 2^53"),
    pytest.param("REAL", "real", "0.5", "0.30000000000000004", id="digits of a real"),
    pytest.param("TEXT", "varchar(3)", "'abc'", "'abc '", id="a blank"),
    pytest.param("TEXT", "char(3)", "'abc'", "'ab'", id="padding"),
    pytest.param("TEXT", "jsonb", """'{"b":1, "a":1.0}'""", """'{"a":1,"a":2}'""", id="a key"),
    pytest.param("TEXT", "interval", "'90 minutes'", "'1.5 months'", id="a half month"),
    pytest.param("TEXT", "inet", "'10.0.0.1/32'", "'010.0.0.1'", id="an octal number"),
    pytest.param("TEXT", "boolean", "'TRUE'", "'yes'", id="a word"),
    pytest.param("TEXT", "numeric(3,1)[]", "'{1,2.50}'", "'{1.25}'", id="an element"),
    pytest.param("TEXT", "name", "'abc'", "printf('%064d', 1)", id="the end of a name"),
]  # fmt: skip


def source_of(path, declared, good, bad):
    return a_source(
        path,
        f"""CREATE TABLE t (k TEXT, n INTEGER, c {declared}, PRIMARY KEY (k, n));
        INSERT INTO t VALUES ('a', 1, {good}), ('b', 7, {bad}), ('c', 1, NULL)""",
    )


@pytest.mark.parametrize(("declared", "kind", "good", "bad"), LOSSES)
def test_a_loss_is_named_before_the_table_is_made(declared, kind, good, bad, tmp_path, postgres):
    path = source_of(tmp_path / "a.db", declared, good, bad)

    reported, result = planned(path, postgres, types={"t.c": kind})
    failed = failure(path, postgres, types={"t.c": kind})

    words = "table t, key (b, 7): column c does not come back from"
    assert words in failed.error
    assert failed.permanent
    assert words in reported
    assert result["misfits"] == 1
    assert sql(postgres, "SELECT to_regclass('t')") == [(None,)]


@pytest.mark.parametrize(("declared", "kind", "good", "bad"), LOSSES)
def test_what_is_no_loss_arrives_and_stays(declared, kind, good, bad, tmp_path, postgres):
    path = source_of(tmp_path / "a.db", declared, good, good)

    _, result = planned(path, postgres, types={"t.c": kind})
    run(path, postgres, types={"t.c": kind})
    again = run(path, postgres, types={"t.c": kind}, full=True)

    assert result["misfits"] == 0
    assert again["updated"] + again["healed"] + again["deleted"] == 0
    assert run(path, postgres, types={"t.c": kind}, verify_only=True)["differing"] == 0


@pytest.mark.parametrize(("declared", "kind", "good", "bad"), LOSSES)
def test_a_loss_is_named_in_a_column_that_the_target_has(
    declared, kind, good, bad, tmp_path, postgres
):
    path = source_of(tmp_path / "a.db", declared, good, bad)
    sql(postgres, f"CREATE TABLE t (k text, n bigint, c {kind}, PRIMARY KEY (k, n))")

    reported, result = planned(path, postgres)
    failed = failure(path, postgres)

    assert re.search(
        r"table t, key \(., \d\): column c (does not come back from|is text)", failed.error
    )
    assert "column c does not come back from" in reported or "does not fit: text" in reported
    assert result["misfits"] == 1
    assert sql(postgres, "SELECT count(*) FROM t") == [(0,)]


@pytest.mark.parametrize("capture", ["compare", "triggers"])
def test_a_loss_that_comes_later_is_named_and_changes_nothing(capture, tmp_path, postgres):
    path = source_of(tmp_path / "a.db", "TEXT", "'2026-01-01'", "'2026-01-02'")
    options = {"capture": capture, "types": {"t.c": "date"}}
    run(path, postgres, **options)
    write(path, "UPDATE t SET c = 'today' WHERE k = 'b'; DELETE FROM t WHERE k = 'a'")

    failed = failure(path, postgres, **options)

    assert "table t, key (b, 7): column c does not come back from date" in failed.error
    assert sql(postgres, "SELECT count(*) FROM t") == [(3,)]


def test_a_loss_that_stands_there_is_found_by_verify_only_and_by_compare(tmp_path, postgres):
    path = source_of(tmp_path / "a.db", "TEXT", "'2026-01-01'", "'2026-01-02'")
    run(path, postgres, types={"t.c": "date"})
    write(path, "UPDATE t SET c = '2026-01-02 12:00' WHERE k = 'b'")

    for more in ({"verify_only": True}, {}, {"full": True}, {"proof_budget": 0.0}):
        failed = failure(path, postgres, types={"t.c": "date"}, **more)

        assert "table t, key (b, 7): column c does not come back from date" in failed.error


def test_a_key_with_a_length_does_not_lose_its_blanks(tmp_path, postgres):
    script = "CREATE TABLE t (k TEXT PRIMARY KEY); INSERT INTO t VALUES ('abc'), ('abc ')"
    path = a_source(tmp_path / "a.db", script)

    failed = failure(path, postgres, types={"t.k": "varchar(3)"})

    assert "table t, key (abc): column k does not come back from" in failed.error


def test_values_of_the_user_are_not_quoted_in_a_cause(tmp_path, postgres):
    path = source_of(tmp_path / "a.db", "TEXT", "'1'", "'my-secret'")

    for kind in ("date", "integer", "jsonb", "numeric", "uuid", "boolean"):
        failed = failure(path, postgres, types={"t.c": kind})

        assert "table t, key (" in failed.error
        assert "secret" not in failed.error


def test_a_domain_loses_what_its_type_loses(tmp_path, postgres):
    sql(postgres, "CREATE DOMAIN price AS numeric(10,2); CREATE DOMAIN tag AS price")
    path = source_of(tmp_path / "a.db", "DECIMAL", "1.5", "2")

    run(path, postgres, types={"t.c": "tag"})
    write(path, "UPDATE t SET c = 1.005 WHERE k = 'b'")
    failed = failure(path, postgres, types={"t.c": "tag"})

    assert sql(postgres, "SELECT c::text FROM t ORDER BY k") == [("1.50",), ("2.00",), (None,)]
    assert "column c does not come back from tag" in failed.error


def test_money_is_refused_since_its_meaning_is_that_of_a_locale(tmp_path, postgres):
    path = source_of(tmp_path / "a.db", "DECIMAL", "1.5", "2")

    failed = failure(path, postgres, types={"t.c": "money"})

    assert "column c is money" in failed.error
    assert "numeric" in failed.error


def test_a_column_that_loses_in_the_target_becomes_text_if_that_is_asked_for(tmp_path, postgres):
    path = source_of(tmp_path / "a.db", "TEXT", "'2026-01-01'", "'2026-01-01 12:00'")
    sql(postgres, "CREATE TABLE t (k text, n bigint, c date, PRIMARY KEY (k, n))")

    reported = logged(path, postgres, on_misfit="text")

    assert "table t: column c becomes text, it was date" in reported
    assert types(postgres, "t")["c"] == "text"
    assert sql(postgres, "SELECT c FROM t WHERE k = 'b'") == [("2026-01-01 12:00",)]


@pytest.mark.parametrize("capture", ["compare", "triggers"])
@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("1", "9.99", "double precision"),
        ("9007199254740993", "9.99", "numeric"),
        ("9.5", "9007199254740993", "numeric"),
    ],
)
@pytest.mark.parametrize("declared", ["INTEGER", "NUMERIC", ""])
def test_a_column_of_whole_numbers_is_widened_where_nothing_is_lost(
    declared, before, after, expected, capture, tmp_path, postgres
):
    script = f"CREATE TABLE t (id INTEGER PRIMARY KEY, c {declared})"
    path = a_source(tmp_path / "a.db", f"{script}; INSERT INTO t VALUES (1, {before})")
    run(path, postgres, capture=capture)
    write(path, f"INSERT INTO t VALUES (2, {after})")

    said, _ = planned(path, postgres)
    reported = logged(path, postgres, capture=capture)
    again = run(path, postgres, capture=capture, full=True)

    assert f"-> {expected}" in said
    assert f"table t: column c becomes {expected}, it was" in reported
    assert types(postgres, "t")["c"] == expected
    assert sql(postgres, "SELECT c::text FROM t ORDER BY id") == [(before,), (after,)]
    assert again["updated"] + again["healed"] == 0


def test_what_depends_on_a_column_that_has_to_be_widened_is_named(tmp_path, postgres):
    path = a_source(tmp_path / "a.db", "CREATE TABLE t (c INTEGER); INSERT INTO t VALUES (1)")
    run(path, postgres)
    sql(postgres, "CREATE VIEW seen AS SELECT c FROM t")
    write(path, "INSERT INTO t VALUES (9.99)")

    failed = failure(path, postgres)

    assert "table t: column c has to become double precision" in failed.error
    assert "view seen depends on column" in failed.error
    assert failed.permanent


def test_a_text_among_numbers_that_were_widened_to_numeric_is_named(tmp_path, postgres):
    path = a_source(
        tmp_path / "a.db", "CREATE TABLE t (c NUMERIC); INSERT INTO t VALUES (1.5), (1 << 60)"
    )
    run(path, postgres)
    write(path, "INSERT INTO t VALUES ('on request')")

    failed = failure(path, postgres)
    run(path, postgres, on_misfit="text")

    assert "table t, key (3): column c is text, which numeric cannot hold" in failed.error
    assert sorted(sql(postgres, "SELECT c FROM t")) == [
        ("1.5",),
        ("1152921504606846976",),
        ("on request",),
    ]


@pytest.mark.parametrize(
    ("constraint", "value", "words"),
    [
        ("UNIQUE (c)", "'first-secret'", "Key (c)=(...)"),
        ("CHECK (c <> 'a-secret')", "'a-secret'", "violates check constraint"),
        ("CHECK (length(c) < 20)", "'a-secret)=(that) is long'", "violates check constraint"),
    ],
)
def test_a_constraint_of_the_target_is_named_without_values(
    constraint, value, words, tmp_path, postgres
):
    path = source_of(tmp_path / "a.db", "TEXT", "'first-secret'", value)
    sql(postgres, f"CREATE TABLE t (k text, n bigint, c text, PRIMARY KEY (k, n), {constraint})")

    failed = failure(path, postgres)

    assert words in failed.error
    assert "secret" not in failed.error


def test_a_key_that_its_type_cannot_hold_is_named(tmp_path, postgres):
    script = "CREATE TABLE t (id INTEGER PRIMARY KEY); INSERT INTO t VALUES (1), (3000000000)"
    path = a_source(tmp_path / "a.db", script)

    failed = failure(path, postgres, types={"t.id": "integer"})

    assert "table t, key (3000000000): column id is refused" in failed.error
