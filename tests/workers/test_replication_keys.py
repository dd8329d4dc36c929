"""Keys of every kind keep their value in both directions; a row not found is a failure."""

import re
import sqlite3
from contextlib import closing

import pytest

from tests.workers.fixtures_replication import a_source, failure, planned, run, sql, unequal, write
from workers.replication import proof

BOTH = pytest.mark.parametrize("capture", ["compare", "triggers"])
MIXED = """
CREATE TABLE settings (key PRIMARY KEY, value);
INSERT INTO settings VALUES ('theme', 'dark'), (42, 'answer'), (2.5, 'real'), (x'00ff', 'blob'),
    (-0.0, 'zero'), ('', 'empty'), (9007199254740993, 'large'), ('Theme', 'upper')"""


def there(dsn: str, table: str = "settings") -> dict[str, str]:
    """Return keys and values in PostgreSQL."""
    return dict(sql(dsn, f"SELECT key::text, value::text FROM {table}"))


@BOTH
@pytest.mark.parametrize("options", [{}, {"full": True}, {"proof_budget": 0}])
def test_a_key_of_any_class_that_is_text_in_the_target_is_found_again(
    options, capture, tmp_path, postgres
):
    path = a_source(tmp_path / "a.db", MIXED)
    wanted = {"capture": capture, "on_misfit": "text", **options}
    run(path, postgres, **wanted)
    write(path, "UPDATE settings SET value = value || '!'")

    result = run(path, postgres, **wanted)

    assert result["updated"] == 8
    assert set(there(postgres).values()) == {
        "dark!", "answer!", "real!", "blob!", "zero!", "empty!", "large!", "upper!",
    }  # fmt: skip
    assert run(path, postgres, on_misfit="text", verify_only=True)["differing"] == 0


@BOTH
def test_the_first_key_of_another_class_widens_and_is_found_again(capture, tmp_path, postgres):
    script = "CREATE TABLE settings (key PRIMARY KEY, value); INSERT INTO settings VALUES (1, 'a')"
    path = a_source(tmp_path / "a.db", script)
    wanted = {"capture": capture, "on_misfit": "text"}
    run(path, postgres, **wanted)
    write(path, "INSERT INTO settings VALUES ('b', 'b')")
    run(path, postgres, **wanted)
    write(path, "UPDATE settings SET value = 'c'")

    run(path, postgres, **wanted)

    assert there(postgres) == {"1": "c", "b": "c"}


@BOTH
def test_a_number_that_becomes_the_text_of_it_stays_one_row(capture, tmp_path, postgres):
    path = a_source(tmp_path / "a.db", MIXED)
    wanted = {"capture": capture, "on_misfit": "text", "proof_budget": 0}
    run(path, postgres, **wanted)
    write(path, "DELETE FROM settings WHERE typeof(key) <> 'text' AND key <> 42")
    run(path, postgres, **wanted)
    write(path, "UPDATE settings SET key = '42' WHERE key = 42")

    run(path, postgres, **wanted)

    assert there(postgres) == {"theme": "dark", "42": "answer", "": "empty", "Theme": "upper"}


@BOTH
def test_two_keys_that_would_be_one_text_are_refused(capture, tmp_path, postgres):
    path = a_source(tmp_path / "a.db", MIXED)
    write(path, "INSERT INTO settings VALUES ('42', 'text')")

    failed = failure(path, postgres, capture=capture, on_misfit="text")

    assert "table settings: 2 rows (integer and text) have the key (42)" in failed.error
    assert sql(postgres, "SELECT to_regclass('settings')") == [(None,)]


@BOTH
def test_a_key_that_becomes_that_of_another_row_when_it_is_widened_is_named(
    capture, tmp_path, postgres
):
    script = "CREATE TABLE settings (key PRIMARY KEY, value); INSERT INTO settings VALUES (1, 'a')"
    path = a_source(tmp_path / "a.db", script)
    run(path, postgres, capture=capture)
    write(path, "INSERT INTO settings VALUES ('1', 'b')")

    failed = failure(path, postgres, capture=capture, on_misfit="text")

    assert "table settings: 2 rows (integer and text) have the key (1)" in failed.error
    assert there(postgres) == {"1": "a"}


@BOTH
def test_a_composite_key_with_an_untyped_column_is_found_again(capture, tmp_path, postgres):
    script = """CREATE TABLE t (owner TEXT, key, value, PRIMARY KEY (owner, key));
    INSERT INTO t VALUES ('a', 1, 'x'), ('a', 'one', 'x'), ('b', 1.5, 'x'), ('B', x'01', 'x')"""
    path = a_source(tmp_path / "a.db", script)
    wanted = {"capture": capture, "on_misfit": "text", "full": True}
    run(path, postgres, **wanted)
    write(path, "UPDATE t SET value = 'y'; DELETE FROM t WHERE key = 1.5")

    run(path, postgres, **wanted)

    rows = sql(postgres, "SELECT owner, key, value FROM t ORDER BY 1, 2")
    assert rows == [("B", "\\x01", "y"), ("a", "1", "y"), ("a", "one", "y")]


EDGES = """
CREATE TABLE reals (id REAL PRIMARY KEY NOT NULL, v);
INSERT INTO reals VALUES (0.1, 1), (1e308, 1), (-1e-308, 1), (9e999, 1), (-9e999, 1), (3, 1);
CREATE TABLE untyped (id PRIMARY KEY NOT NULL, v);
INSERT INTO untyped VALUES (0.0, 1), (1, 1), (2.5, 1);
CREATE TABLE spaces (id TEXT PRIMARY KEY COLLATE RTRIM, v);
INSERT INTO spaces VALUES ('a  ', 1), ('b', 1), ('A', 1);
CREATE TABLE cases (id TEXT PRIMARY KEY COLLATE NOCASE, v) WITHOUT ROWID;
INSERT INTO cases VALUES ('Ab', 1), ('c', 1);
CREATE TABLE other_order (id TEXT COLLATE NOCASE, v, PRIMARY KEY (id COLLATE BINARY));
INSERT INTO other_order VALUES ('a', 1), ('B', 1), ('A', 1), ('b', 1), ('c', 1);
CREATE TABLE down (a TEXT, b INTEGER, v, PRIMARY KEY (a DESC, b));
INSERT INTO down VALUES ('x', 1, 1), ('y', 1, 1), ('x', 2, 1);
CREATE TABLE no_number (rowid TEXT PRIMARY KEY, _rowid_, oid);
INSERT INTO no_number VALUES ('a', 1, 1), ('b', 1, 1)"""
EDGES_CHANGED = """
UPDATE reals SET v = 2; UPDATE untyped SET v = 2; UPDATE untyped SET id = -0.0 WHERE id = 0;
UPDATE spaces SET v = 2; UPDATE spaces SET id = 'a' WHERE id = 'a';
UPDATE cases SET id = upper(id), v = 2; UPDATE other_order SET v = 2;
DELETE FROM other_order WHERE id = 'A' COLLATE BINARY; UPDATE down SET v = 2 WHERE b = 1;
UPDATE no_number SET oid = 2; DELETE FROM no_number WHERE rowid = 'b'"""


@BOTH
@pytest.mark.parametrize("options", [{}, {"full": True}, {"proof_budget": 0}])
def test_keys_that_compare_in_ways_of_their_own_stay_equal(options, capture, tmp_path, postgres):
    path = a_source(tmp_path / "a.db", EDGES)
    run(path, postgres, capture=capture, **options)
    at_first = unequal(path, postgres)
    write(path, EDGES_CHANGED)

    run(path, postgres, capture=capture, **options)

    assert at_first == {}
    assert unequal(path, postgres) == {}
    assert run(path, postgres, verify_only=True)["differing"] == 0
    assert sql(postgres, "SELECT id::text FROM untyped WHERE id = 0") == [("-0",)]


@pytest.mark.parametrize("kind", ["character(8)", "numeric(10,2)", "uuid", "real"])
@pytest.mark.parametrize("verify_only", [False, True])
def test_a_key_of_the_target_that_changes_keys_is_refused(kind, verify_only, tmp_path, postgres):
    path = a_source(tmp_path / "a.db", "CREATE TABLE t (id TEXT PRIMARY KEY, v TEXT)")
    sql(postgres, f"CREATE TABLE t (id {kind} PRIMARY KEY, v text)")

    failed = failure(path, postgres, verify_only=verify_only)

    assert f"the key column id is {kind} in the target" in failed.error


def test_a_key_that_the_target_cuts_off_is_not_called_equal(tmp_path, postgres):
    script = "CREATE TABLE t (id TEXT PRIMARY KEY, v); INSERT INTO t VALUES ('a  ', 1)"
    path = a_source(tmp_path / "a.db", script)
    sql(postgres, "CREATE TABLE t (id varchar(1) PRIMARY KEY, v bigint)")

    failed = failure(path, postgres)

    assert "(a)" in failed.error
    assert "does not come back from character varying(1)" in failed.error
    assert sql(postgres, "SELECT * FROM t") == []


@pytest.mark.parametrize("collation", ["und-u-ks-level2", "und-u-ks-level1"])
def test_a_key_that_the_target_compares_without_case_is_not_called_equal(
    collation, tmp_path, postgres
):
    script = "CREATE TABLE t (id TEXT PRIMARY KEY, v); INSERT INTO t VALUES ('a', 1)"
    path = a_source(tmp_path / "a.db", script)
    try:
        sql(
            postgres,
            f"CREATE COLLATION loose (provider = icu, locale = '{collation}', deterministic ="
            " false)",
        )
    except Exception as error:
        pytest.skip(str(error))
    sql(postgres, "CREATE TABLE t (id text COLLATE loose PRIMARY KEY, v bigint)")
    run(path, postgres)
    write(path, "UPDATE t SET id = 'A'")

    assert "1 row stands in" in failure(path, postgres).error


def test_a_key_that_stands_twice_in_the_target_is_named(tmp_path, postgres):
    script = "CREATE TABLE t (id INTEGER PRIMARY KEY, v); INSERT INTO t VALUES (1, 2)"
    path = a_source(tmp_path / "a.db", script)
    sql(postgres, "CREATE TABLE t (id bigint, v bigint); INSERT INTO t VALUES (1, 2), (1, 2)")

    for options in ({}, {"proof_budget": 0}, {"full": True}, {"verify_only": True}):
        failed = failure(path, postgres, adopt=("t",), **options)

        assert '"public"."t" has 2 rows and the source 1' in failed.error


def damaged(path, table, old, new):
    """Change one byte of the key in the index of `table`, and only there."""
    with closing(sqlite3.connect(path)) as source:
        query = "SELECT rootpage FROM sqlite_master WHERE tbl_name = ? AND type = 'index'"
        (root,) = source.execute(query, (table,)).fetchone()
        (size,) = source.execute("PRAGMA page_size").fetchone()
    held = bytearray(path.read_bytes())
    page = held[(root - 1) * size : root * size]
    assert page.count(old) == 1
    held[(root - 1) * size : root * size] = page.replace(old, new)
    path.write_bytes(held)
    return path


ROWS = """
CREATE TABLE t (id TEXT PRIMARY KEY, v INTEGER);
WITH RECURSIVE c (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM c WHERE n < {})
INSERT INTO t SELECT 'key-' || n || '-', n FROM c"""


@BOTH
@pytest.mark.parametrize("options", [{}, {"full": True}, {"proof_budget": 0}])
@pytest.mark.parametrize("new", [b"key-5x", b"key-9-", b"kfy-5-"])
def test_a_row_that_its_index_does_not_find_is_a_failure(
    new, options, capture, tmp_path, postgres
):
    path = a_source(tmp_path / "a.db", ROWS.format(8))
    run(path, postgres, capture=capture)
    damaged(path, "t", b"key-5-", new)
    write(path, "UPDATE t SET v = -1 WHERE +v IN (4, 5)")

    failed = failure(path, postgres, capture=capture, **options)

    assert "table t: " in failed.error
    assert "(key-5-)" in failed.error
    assert "REINDEX" in failed.error
    assert sql(postgres, "SELECT count(*), min(v) FROM t") == [(9, 0)]


def test_a_damaged_index_is_not_read_where_nothing_changed(tmp_path, postgres):
    path = a_source(tmp_path / "a.db", ROWS.format(8))
    damaged(path, "t", b"key-5-", b"key-5x")

    run(path, postgres)
    result = run(path, postgres, full=True)

    assert (result["inserted"], result["updated"], result["deleted"]) == (0, 0, 0)
    assert sql(postgres, "SELECT v FROM t WHERE id = 'key-5-'") == [(5,)]
    assert run(path, postgres, verify_only=True)["differing"] == 0


def test_a_damaged_index_of_many_rows_lends_no_row_another_key(tmp_path, postgres):
    path = a_source(tmp_path / "a.db", ROWS.format(2999))
    run(path, postgres)
    with closing(sqlite3.connect(path)) as source:
        (size,) = source.execute("PRAGMA page_size").fetchone()
    held = path.read_bytes()
    # In the table a value follows the key; in the index, the row number.
    old = b"key-1234-"
    places = [n for n in range(len(held)) if held.startswith(old, n)]
    kinds = {held[place // size * size] for place in places}
    assert kinds == {0x0A, 0x0D}
    place = next(p for p in places if held[p // size * size] == 0x0A)
    path.write_bytes(held[:place] + b"key-1235x" + held[place + len(old) :])
    write(path, "UPDATE t SET v = -1 WHERE +v IN (1233, 1234, 1235)")

    failed = failure(path, postgres)

    assert "REINDEX" in failed.error
    assert sql(postgres, "SELECT count(*), min(v) FROM t") == [(3000, 0)]


def test_the_rolling_proof_does_not_heal_by_a_damaged_index(tmp_path, postgres, monkeypatch):
    monkeypatch.setattr(proof, "RANGE_ROWS", 3)
    path = a_source(tmp_path / "a.db", ROWS.format(8))
    run(path, postgres, capture="triggers")
    damaged(path, "t", b"key-5-", b"key-5x")

    failed = failure(path, postgres, capture="triggers")

    assert "the index of its key gives other rows than the table itself" in failed.error
    assert sql(postgres, "SELECT v FROM t WHERE id = 'key-5-'") == [(5,)]


def owned(path, script):
    """Create a database of a program with its own collation and function."""
    with closing(sqlite3.connect(path)) as source:
        source.create_collation("unicase", lambda one, other: (one > other) - (one < other))
        source.create_function("own", 1, lambda value: value, deterministic=True)
        source.executescript(script)
    return path


OWNED = """
CREATE TABLE by_name (name TEXT COLLATE unicase PRIMARY KEY, v);
CREATE TABLE by_name_only (name TEXT COLLATE unicase PRIMARY KEY, v) WITHOUT ROWID;
CREATE TABLE beside (id INTEGER PRIMARY KEY, name TEXT COLLATE "unicase", v UNIQUE);
CREATE INDEX names ON beside (name); CREATE UNIQUE INDEX both ON beside (name, v);
CREATE INDEX computed ON beside (own(v)); CREATE INDEX some ON beside (v) WHERE own(v) > 1;
INSERT INTO by_name VALUES ('a', 1), ('A', 2), ('b', 3);
INSERT INTO by_name_only SELECT * FROM by_name;
INSERT INTO beside SELECT v, name, v FROM by_name"""
OWNED_CHANGED = """
BEGIN; UPDATE by_name SET v = 9 WHERE name = 'A'; DELETE FROM by_name WHERE name = 'b';
UPDATE by_name_only SET v = 9 WHERE name = 'A'; DELETE FROM by_name_only WHERE name = 'b';
UPDATE beside SET v = 9 WHERE id = 2; DELETE FROM beside WHERE id = 3; COMMIT"""


@BOTH
@pytest.mark.parametrize("options", [{}, {"on_misfit": "text", "full": True}])
@pytest.mark.parametrize("encoding", ["UTF-8", "UTF-16le", "UTF-16be"])
def test_collations_and_functions_of_the_owner_are_not_needed(
    encoding, options, capture, tmp_path, postgres
):
    path = owned(tmp_path / "a.db", f"PRAGMA encoding = '{encoding}'; {OWNED}")
    run(path, postgres, capture=capture, **options)
    owned(path, OWNED_CHANGED)

    run(path, postgres, capture=capture, **options)

    assert sql(postgres, "SELECT * FROM by_name ORDER BY v") == [("a", 1), ("A", 9)]
    assert sql(postgres, "SELECT * FROM by_name_only ORDER BY v") == [("a", 1), ("A", 9)]
    assert sql(postgres, "SELECT id, v FROM beside ORDER BY v") == [(1, 1), (2, 9)]
    assert run(path, postgres, verify_only=True)["differing"] == 0


def test_a_column_that_only_the_owner_can_compute_is_named(tmp_path, postgres):
    path = owned(
        tmp_path / "a.db", "CREATE TABLE t (id INTEGER PRIMARY KEY, v, x AS (own(v)) VIRTUAL)"
    )

    reported, result = planned(path, postgres)
    failed = failure(path, postgres)

    for said in (reported, failed.error):
        assert re.search(r"table t: .*own\(\).*exclude: \[t\.x\]", said)
    assert result["misfits"] == 1
