"""Columns that are left out, renamed, sent as bytes or escaped, in every capture mode."""

import re
import sqlite3
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.workers.fixtures_replication import a_source, failure, planned, run, sql, types, write
from workers.replication.row_encoding import escaped
from workers.report import WorkerError

CAPTURES = pytest.mark.parametrize("capture", ["compare", "triggers"])
CARDS = """
CREATE TABLE "my.cards" ("id" INTEGER PRIMARY KEY, name TEXT, xmin TEXT, secret TEXT, raw TEXT);
INSERT INTO "my.cards" VALUES (1, 'a', 'x', 's', 'r'), (2, 'b', 'y', 't', CAST(x'00ff' AS TEXT))"""
OPTIONS = {
    "exclude": ("my.cards.secret",),
    "rename": {"my.cards.xmin": "x_min", "my.cards.id": "number"},
    "types": {"my.cards.raw": "bytea"},
}


def cards(dsn):
    return sql(dsn, 'SELECT * FROM "my.cards" ORDER BY 1')


@CAPTURES
def test_columns_left_out_renamed_and_sent_as_bytes_follow_on_every_way(
    capture, tmp_path, postgres
):
    path = a_source(tmp_path / "a.db", CARDS)

    reported, result = planned(path, postgres, **OPTIONS)
    run(path, postgres, **OPTIONS, capture=capture)
    first = cards(postgres)
    write(
        path,
        """UPDATE "my.cards" SET xmin = 'z', secret = 'u' WHERE id = 1;
        UPDATE "my.cards" SET raw = 'c' || char(0), id = 5 WHERE id = 2""",
    )
    run(path, postgres, **OPTIONS, capture=capture)
    second = cards(postgres)
    sql(postgres, """UPDATE "my.cards" SET x_min = 'by hand', raw = 'x' WHERE number = 5""")
    differs = failure(path, postgres, **OPTIONS, verify_only=True)
    healed = run(path, postgres, **OPTIONS, capture=capture, full=True)

    assert "xmin as x_min: TEXT" in reported
    assert "excluded: secret" in reported
    assert result["misfits"] == 0
    assert list(types(postgres, "my.cards")) == ["number", "name", "x_min", "raw"]
    assert first == [(1, "a", "x", b"r"), (2, "b", "y", b"\x00\xff")]
    assert second == [(1, "a", "z", b"r"), (5, "b", "y", b"c\x00")]
    assert "table my.cards: 1 row differs: different (5)" in differs.error
    assert healed["healed"] + healed["updated"] == 1
    assert cards(postgres) == second
    assert run(path, postgres, **OPTIONS, verify_only=True)["differing"] == 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"exclude": ("t.colour",)}, 'no table or column t.colour; did you mean "t.color"?'),
        ({"exclude": ("tt",)}, 'no table or column tt; did you mean "t"?'),
        ({"rename": {"t.colr": "x"}}, 'got "t.colr"; did you mean "t.color"?'),
        ({"rename": {"t": "x"}}, 'rename: expected "table.column"'),
        ({"types": {"t.Color": "text"}}, 'got "t.Color"; did you mean "t.color"?'),
        ({"types": {"u.color": "text"}}, 'got "u.color"'),
        ({"exclude": ("t.id",)}, "t.id is part of the key of table t"),
        ({"rename": {"t.color": "size"}}, "two columns would be called size"),
        ({"rename": {"t.color": "ctid"}}, "called like a system column"),
        ({"rename": {"t.color": "x" * 64}}, "does not fit into PostgreSQL's 1 to 63 bytes"),
        ({"rename": {"t.color": ""}}, "does not fit into PostgreSQL's 1 to 63 bytes"),
        ({"rename": {"t.color": "nightshift_hash"}}, "that replication keeps for itself"),
    ],
)
def test_a_name_of_a_column_that_cannot_be_is_an_error(options, words, tmp_path, postgres):
    path = a_source(
        tmp_path / "a.db", "CREATE TABLE t (id INTEGER PRIMARY KEY, color TEXT, size TEXT)"
    )

    def dry_run():
        try:
            return planned(path, postgres, **options)[0]
        except WorkerError as failed:
            return failed.error

    assert words in failure(path, postgres, **options).error
    assert words in dry_run()


@pytest.mark.parametrize("name", ["xmin", "xmax", "cmin", "cmax", "ctid", "tableoid", "x" * 64])
def test_the_advice_for_a_name_that_postgresql_refuses_works(name, tmp_path, postgres):
    script = f"CREATE TABLE t (id INTEGER PRIMARY KEY, {name} TEXT); INSERT INTO t VALUES (1, 'a')"
    path = a_source(tmp_path / "a.db", script)

    reported, result = planned(path, postgres)
    failed = failure(path, postgres)
    run(path, postgres, rename={f"t.{name}": "other"}, schema="renamed")
    run(path, postgres, exclude=(f"t.{name}",), schema="excluded")

    for said in (reported, failed.error):
        assert f"rename: {{t.{name}: NAME}}" in said
        assert f"exclude: [t.{name}]" in said
    assert result["misfits"] == 1
    assert sql(postgres, "SELECT * FROM renamed.t") == [(1, "a")]
    assert sql(postgres, "SELECT * FROM excluded.t") == [(1,)]


@CAPTURES
def test_a_column_that_is_excluded_later_fails_with_the_statement(capture, tmp_path, postgres):
    path = a_source(tmp_path / "a.db", "CREATE TABLE t (a TEXT, b TEXT)")
    run(path, postgres, capture=capture)

    failed = failure(path, postgres, capture=capture, exclude=("t.a",))
    sql(postgres, failed.error.split("brought it: ")[1])
    run(path, postgres, capture=capture, exclude=("t.a",))

    assert list(types(postgres, "t")) == ["nightshift_rowid", "b"]


@CAPTURES
def test_a_column_that_is_renamed_later_fails_with_the_statement(capture, tmp_path, postgres):
    path = a_source(tmp_path / "a.db", "CREATE TABLE t (a TEXT); INSERT INTO t VALUES ('x')")
    run(path, postgres, capture=capture)

    failed = failure(path, postgres, capture=capture, rename={"t.a": "c"})
    sql(postgres, failed.error.split("another name: ")[1])
    again = run(path, postgres, capture=capture, rename={"t.a": "c"}, full=True)

    assert sql(postgres, "SELECT c FROM t") == [("x",)]
    assert again["updated"] + again["healed"] + again["inserted"] == 0


def unescaped(text):
    """Decode an escaped text as the guide says; return its bytes, and whether it is a blob."""
    if text.startswith("\\b"):
        return bytes.fromhex(text[2:])
    parts = re.split(r"(\\\\|\\x[0-9a-f]{2})", text)
    undone = (
        b"\\"
        if part == "\\\\"
        else bytes.fromhex(part[2:])
        if part[:2] == "\\x"
        else part.encode()
        for part in parts
    )
    return b"".join(undone).decode(errors="surrogateescape")


@given(st.binary())
def test_the_escaped_form_of_any_bytes_can_be_read_back(value):
    text = escaped(value)

    assert "\0" not in text
    assert unescaped(text).encode(errors="surrogateescape") == value


ODD = [b"plain", b"a\0b", b"\xff\xfe", rb"\x00", b"\\", b"\xc3\xa4\xc3", "😀".encode(), b""]


@CAPTURES
@pytest.mark.parametrize("encoding", ["UTF-8", "UTF-16"])
def test_texts_that_postgresql_cannot_hold_arrive_escaped(encoding, capture, tmp_path, postgres):
    script = f"PRAGMA encoding = '{encoding}'; CREATE TABLE t (id INTEGER PRIMARY KEY, c TEXT)"
    path = a_source(tmp_path / "a.db", script)
    odd = ODD if encoding == "UTF-8" else [each for each in ODD if b"\xff" not in each]
    texts = [each.decode(errors="ignore") if encoding != "UTF-8" else each for each in odd]
    with closing(sqlite3.connect(path)) as database, database:
        insert = "INSERT INTO t (c) VALUES (CAST(? AS TEXT))"
        database.executemany(insert, [(text,) for text in texts])
        database.execute("INSERT INTO t (c) VALUES (x'0a5c00'), (NULL), (12)")
    options = {"types": {"t.c": "text"}, "on_misfit": "escape"}

    _, result = planned(path, postgres, **options)
    run(path, postgres, **options, capture=capture)
    write(path, "UPDATE t SET c = c || char(0) WHERE id = 1")
    run(path, postgres, **options, capture=capture)
    again = run(path, postgres, **options, capture=capture, full=True)

    found = [text for (text,) in sql(postgres, "SELECT c FROM t ORDER BY id")]
    expected = [t if isinstance(t, str) else t.decode(errors="surrogateescape") for t in texts]
    assert result["misfits"] == 0
    assert [unescaped(text) for text in found[:-3]] == [expected[0] + "\0", *expected[1:]]
    assert unescaped(found[-3]) == b"\x0a\x5c\x00"
    assert found[-2:] == [None, "12"]
    assert again["updated"] + again["healed"] == 0


@pytest.mark.parametrize("value", ["'a' || char(0)", "CAST(x'ff' AS TEXT)", "x'00'"])
def test_the_advice_for_a_value_that_no_text_holds_works(value, tmp_path, postgres):
    script = "CREATE TABLE t (id INTEGER PRIMARY KEY, c TEXT); INSERT INTO t VALUES (1, 'a')"
    path = a_source(tmp_path / "a.db", f"{script}, (2, {value})")

    reported, result = planned(path, postgres)
    failed = failure(path, postgres)
    run(path, postgres, types={"t.c": "bytea"}, schema="s1")
    run(path, postgres, types={"t.c": "text"}, on_misfit="escape", schema="s2")
    run(path, postgres, exclude=("t.c",), schema="s3")

    assert "table t, key (2): column c" in failed.error
    for words in ("types: {t.c: bytea}", "exclude: [t.c]"):
        assert words in failed.error
    assert "t" in reported
    assert result["misfits"] == 1


def test_a_column_of_texts_turns_into_bytes_by_the_statement_of_the_failure(tmp_path, postgres):
    script = r"CREATE TABLE t (id INTEGER PRIMARY KEY, c TEXT); INSERT INTO t VALUES (1, 'ä\x')"
    path = a_source(tmp_path / "a.db", script)
    run(path, postgres)

    failed = failure(path, postgres, types={"t.c": "bytea"})
    sql(postgres, failed.error.split("asks for bytea: ")[1])
    again = run(path, postgres, types={"t.c": "bytea"})

    assert sql(postgres, "SELECT c FROM t") == [(r"ä\x".encode(),)]
    assert again["updated"] == 0


@CAPTURES
@pytest.mark.parametrize(
    ("options", "form"),
    [
        ({"types": {"t.k": "bytea"}}, bytes),
        ({"types": {"t.k": "text"}, "on_misfit": "escape"}, unescaped),
    ],
)
def test_keys_that_no_text_holds_arrive_and_follow(options, form, capture, tmp_path, postgres):
    script = "CREATE TABLE t (k TEXT, n INTEGER, v TEXT, PRIMARY KEY (k, n));"
    path = a_source(
        tmp_path / "a.db",
        rf"""{script} INSERT INTO t VALUES ('a' || char(0), 1, 'x'), (CAST(x'ff' AS TEXT), 1, 'y'),
        ('plain', 1, 'z'), ('\x00', 1, 'w'), ('gone' || char(0), 1, '')""",
    )

    reported = failure(path, postgres, capture=capture).error
    _, result = planned(path, postgres, **options)
    run(path, postgres, **options, capture=capture)
    write(
        path,
        """UPDATE t SET v = 'changed' WHERE n = 1 AND v <> ''; DELETE FROM t WHERE v = '';
        UPDATE t SET k = 'b' || char(0) WHERE k = 'plain'""",
    )
    run(path, postgres, **options, capture=capture)
    again = run(path, postgres, **options, capture=capture, full=True)

    assert (
        "types: {t.k: bytea}, types: {t.k: text} with on_misfit: escape, or exclude the"
        in reported
    )
    assert result["misfits"] == 0
    found = {
        key if isinstance(key, bytes) else key.encode(errors="surrogateescape")
        for key in (form(key) for (key,) in sql(postgres, "SELECT k FROM t"))
    }
    assert found == {b"a\0", b"\xff", b"b\0", rb"\x00"}
    assert sql(postgres, "SELECT DISTINCT v FROM t") == [("changed",)]
    assert again["updated"] + again["healed"] + again["deleted"] == 0
    assert run(path, postgres, **options, verify_only=True)["differing"] == 0
