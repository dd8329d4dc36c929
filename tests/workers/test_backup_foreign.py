"""Valid databases of other programs that our SQLite cannot check completely."""

import sqlite3
from contextlib import closing

import pytest

from tests.workers.backup_folder import a_database, failure, ours, rows, the_copy, unpacked
from tests.workers.catalogue_folder import a_report, logged
from workers import backup
from workers.backup import listing, restore, verify
from workers.backup.listing import State

NEEDS_COLLATION = {
    "an index": ("t(a)", "CREATE INDEX i ON t (a COLLATE unicase)", "1 index"),
    "a unique column": ("t(a TEXT COLLATE unicase UNIQUE)", "", "1 index"),
    "a key": ("t(a TEXT COLLATE unicase PRIMARY KEY, b)", "", "1 index"),
    "a key without rowid": (
        "t(a TEXT COLLATE unicase PRIMARY KEY, b) WITHOUT ROWID",
        "",
        "1 table",
    ),
    "two indexes": (
        "t(a COLLATE unicase, b)",
        "CREATE INDEX i ON t (a); CREATE INDEX j ON t (b, a); CREATE INDEX k ON t (b)",
        "2 indexes",
    ),
    "a partial index": (
        "t(a)",
        "CREATE INDEX i ON t (a) WHERE a > 'b' COLLATE unicase",
        "1 index",
    ),
    "a constraint": ("t(a CHECK (a <> 'x' COLLATE unicase))", "", ""),
}
NEEDS_FUNCTION = {
    "an expression": ("t(a)", "CREATE INDEX i ON t (fold(a))", "1 index"),
    "a partial index": ("t(a)", "CREATE INDEX i ON t (a) WHERE fold(a) = 'b'", "1 index"),
    "a virtual column": ("t(a, b AS (fold(a)) NOT NULL)", "CREATE INDEX i ON t (b)", "1 index"),
    "a stored column": ("t(a, b AS (fold(a)) STORED)", "", ""),
    "a constraint": ("t(a CHECK (fold(a) IS NOT NULL))", "", ""),
}


def a_foreign_database(path, table, more, **pragmas):
    """Create a database whose program has a collation and a function that we lack."""
    with closing(sqlite3.connect(path)) as theirs:
        theirs.create_collation(
            "unicase", lambda a, b: (a.lower() > b.lower()) - (a.lower() < b.lower())
        )
        theirs.create_function("fold", 1, lambda text: text.lower()[::-1], deterministic=True)
        for name, value in pragmas.items():
            theirs.execute(f"PRAGMA {name} = {value}")
        theirs.executescript(f"CREATE TABLE {table}; {more}")
        column = theirs.execute("SELECT name FROM pragma_table_info('t')").fetchone()[0]
        texts = [(text,) for text in ("B", "a", "C", "ab", "Z", "y")]
        theirs.executemany(f"INSERT INTO t ({column}) VALUES (?)", texts)
        theirs.execute("CREATE TABLE plain (id INTEGER PRIMARY KEY, note)")
        theirs.execute("INSERT INTO plain VALUES (1, 'x')")
        theirs.commit()
    return path


def pages(path):
    """Return all bytes except SQLite's change counters, which its backup call increments."""
    content = path.read_bytes()
    return content[:24] + content[28:40] + content[44:92] + content[96:]


def backed_up(source, copies):
    """Return result, log and manifest of a backup that must be exact."""
    received = []
    result = backup.run(backup.Params(source, copies), a_report(received))
    (copy,) = listing.list_backups(copies)
    assert copy.state is State.VERIFIED
    with closing(sqlite3.connect(source)) as theirs:
        theirs.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert pages(unpacked(copy.path, copies.parent / "back.db")) == pages(source)
    return result, logged(received), verify.verify(copy.path).manifest


@pytest.mark.parametrize("mode", ["wal", "delete"])
@pytest.mark.parametrize("case", NEEDS_COLLATION)
def test_what_needs_the_owners_collation_is_copied_and_said(tmp_path, case, mode):
    table, more, needs = NEEDS_COLLATION[case]
    source = a_foreign_database(tmp_path / "a.db", table, more, journal_mode=mode)

    result, log, manifest = backed_up(source, tmp_path / "copies")

    said = f"{needs} need{'s' * needs.startswith('1')} collation unicase" if needs else ""
    assert result["unchecked"] == said
    assert result["warnings"] == bool(needs)
    assert manifest.unchecked == ((said,) if said else ())
    assert (f"unchecked: {said}" in log) == bool(said)
    assert manifest.rows == {"t": 6, "plain": 1}


@pytest.mark.parametrize("case", NEEDS_FUNCTION)
def test_what_needs_the_owners_function_is_copied_and_said(tmp_path, case):
    table, more, needs = NEEDS_FUNCTION[case]
    source = a_foreign_database(tmp_path / "a.db", table, more)

    result, _, manifest = backed_up(source, tmp_path / "copies")

    assert (f"{needs} needs function fold" in result["unchecked"]) == bool(needs)
    assert manifest.findings == ()
    assert manifest.rows == {"t": 6, "plain": 1}


def altered(path, *statements):
    """Change the schema or content at `path`, bypassing SQLite's own checks."""
    with closing(sqlite3.connect(path)) as theirs:
        theirs.execute("PRAGMA writable_schema = ON")
        for statement in statements:
            theirs.execute(statement)
        theirs.commit()


def made(path, script):
    with closing(sqlite3.connect(path)) as theirs:
        theirs.executescript(script)
        theirs.commit()
    return path


def renamed(table, bytes_):
    """Return a statement that gives a table, and its column `x`, a name of these bytes."""
    old, new = table.encode().hex(), bytes_.hex()
    sql = f"CREATE TABLE {table} (x, y)".replace(table, "%").encode()
    sql = sql.replace(b"%", bytes_).replace(b"x", bytes_).hex()
    return (
        f"UPDATE sqlite_master SET name = CAST(x'{new}' AS TEXT),"
        f" tbl_name = CAST(x'{new}' AS TEXT), sql = CAST(x'{sql}' AS TEXT)"
        f" WHERE name = CAST(x'{old}' AS TEXT)"
    )


def test_names_in_latin_1_are_no_reason_to_refuse(tmp_path):
    source = made(
        tmp_path / "a.db",
        "CREATE TABLE cafe (x, y); INSERT INTO cafe VALUES (1, 2);"
        "CREATE TABLE plain (id); INSERT INTO plain VALUES (1); CREATE INDEX i ON plain (id)",
    )
    altered(source, renamed("cafe", b"caf\xe9"))

    result, _, manifest = backed_up(source, tmp_path / "copies")

    assert result["unchecked"] == "rows of 1 table cannot be named or read here"
    assert manifest.rows == {"plain": 1}


def test_a_column_in_latin_1_is_no_reason_to_refuse(tmp_path):
    source = made(tmp_path / "a.db", "CREATE TABLE t (x NOT NULL); INSERT INTO t VALUES (1)")
    sql = b"CREATE TABLE t (\xe9 NOT NULL)".hex()
    altered(source, f"UPDATE sqlite_master SET sql = CAST(x'{sql}' AS TEXT)")

    result, _, manifest = backed_up(source, tmp_path / "copies")

    assert (result["warnings"], manifest.rows) == (0, {"t": 1})


def test_a_collation_whose_name_is_no_text_is_no_reason_to_refuse(tmp_path):
    source = made(
        tmp_path / "a.db",
        "CREATE TABLE t (x); INSERT INTO t VALUES (1); CREATE INDEX i ON t (x);"
        "CREATE TABLE plain (id); INSERT INTO plain VALUES (1)",
    )
    sql = b"CREATE INDEX i ON t (x COLLATE \xe9t\xe9)".hex()
    altered(source, f"UPDATE sqlite_master SET sql = CAST(x'{sql}' AS TEXT) WHERE name = 'i'")

    result, _, manifest = backed_up(source, tmp_path / "copies")

    assert "1 table needs collation" in result["unchecked"]
    assert manifest.rows == {"t": 1, "plain": 1}


def test_virtual_tables_of_unknown_modules_are_copied_with_what_they_store(tmp_path):
    source = made(
        tmp_path / "a.db",
        "CREATE TABLE words_vocab (id INTEGER PRIMARY KEY, word);"
        "INSERT INTO words_vocab VALUES (1, 'a');"
        "CREATE VIEW odd AS SELECT fold(word) FROM words_vocab ORDER BY word COLLATE icu;"
        "CREATE TRIGGER tr AFTER INSERT ON words_vocab BEGIN SELECT fold(new.word); END",
    )
    altered(
        source,
        "INSERT INTO sqlite_master VALUES ('table', 'words', 'words', 0,"
        " 'CREATE VIRTUAL TABLE words USING spellfix1')",
        "INSERT INTO sqlite_master VALUES ('table', 'texts', 'texts', 0,"
        " 'CREATE VIRTUAL TABLE texts USING fts4(body, tokenize=mozporter)')",
    )

    result, _, manifest = backed_up(source, tmp_path / "copies")

    # Since 3.44 a check of the whole database opens FTS tables; then each is checked alone.
    unchecked = "pages that belong to no table" if sqlite3.sqlite_version_info >= (3, 44) else ""
    assert (result["unchecked"], manifest.rows) == (unchecked, {"words_vocab": 1})


FINDINGS = {
    "NULL in NOT NULL": (
        "CREATE TABLE t (a, b); INSERT INTO t VALUES (1, NULL), (2, NULL)",
        "UPDATE sqlite_master SET sql = 'CREATE TABLE t (a, b NOT NULL)'",
        "NULL value in t.b",
    ),
    "twice in a unique index": (
        "CREATE TABLE t (a, b); INSERT INTO t VALUES (1, 2), (1, 3); CREATE INDEX i ON t (a)",
        "UPDATE sqlite_master SET sql = 'CREATE UNIQUE INDEX i ON t (a)' WHERE name = 'i'",
        "non-unique entry in index i",
    ),
    "an index of another order": (
        "CREATE TABLE t (a, b); INSERT INTO t VALUES ('B', 2), ('a', 3); CREATE INDEX i ON t (a)",
        "UPDATE sqlite_master SET sql = 'CREATE INDEX i ON t (a COLLATE NOCASE)' WHERE name = 'i'",
        "missing from index i",
    ),
    "pages of no table": (
        "CREATE TABLE t (a, b); INSERT INTO t VALUES (1, 2), (2, 3); CREATE TABLE gone (x)",
        "DELETE FROM sqlite_master WHERE name = 'gone'",
        "never used",
    ),
}


@pytest.mark.parametrize("case", FINDINGS)
def test_findings_that_are_no_damage_of_pages_are_warnings(tmp_path, case):
    script, change, said = FINDINGS[case]
    source = made(tmp_path / "a.db", script)
    altered(source, change)

    result, log, manifest = backed_up(source, tmp_path / "copies")

    assert said in result["findings"]
    assert f"integrity_check of the source says: {manifest.findings[0]}" in log
    assert (result["warnings"], result["unchecked"], manifest.rows) == (1, "", {"t": 2})


def test_a_finding_is_reported_beside_what_cannot_be_checked(tmp_path):
    source = a_foreign_database(tmp_path / "a.db", *NEEDS_COLLATION["two indexes"][:2])
    altered(
        source,
        "INSERT INTO plain VALUES (2, NULL)",
        "UPDATE sqlite_master SET sql ="
        " 'CREATE TABLE plain (id INTEGER PRIMARY KEY, note NOT NULL)' WHERE name = 'plain'",
    )

    result, _, _ = backed_up(source, tmp_path / "copies")

    assert result["unchecked"] == "2 indexes need collation unicase"
    assert result["findings"] == "NULL value in plain.note"
    assert result["warnings"] == 2


def test_an_index_that_can_be_checked_is_checked_beside_one_that_cannot(tmp_path):
    source = a_foreign_database(tmp_path / "a.db", *NEEDS_COLLATION["two indexes"][:2])
    altered(
        source,
        "UPDATE sqlite_master SET sql = 'CREATE INDEX k ON t (a COLLATE BINARY)' WHERE name = 'k'",
    )

    result, _, _ = backed_up(source, tmp_path / "copies")

    assert "missing from index k" in result["findings"]
    assert result["unchecked"] == "2 indexes need collation unicase"


def test_pages_are_judged_where_an_index_cannot_be(tmp_path):
    source = a_foreign_database(tmp_path / "a.db", *NEEDS_COLLATION["an index"][:2])
    with closing(sqlite3.connect(source)) as theirs:
        page, size = (
            theirs.execute("SELECT rootpage FROM sqlite_master WHERE name = 'plain'").fetchone()[
                0
            ],
            4096,
        )
    with open(source, "r+b") as file:
        file.seek((page - 1) * size + 3)
        file.write(b"\xff\xff\xff\xff")

    failed = failure(source, tmp_path / "copies")

    assert f"database {source} is damaged" in failed.error
    assert failed.permanent
    assert ours(tmp_path / "copies") == []


def test_foreign_keys_that_cannot_be_followed_are_said(tmp_path):
    source = a_foreign_database(
        tmp_path / "a.db",
        "t(a TEXT COLLATE unicase PRIMARY KEY)",
        "CREATE TABLE child (p REFERENCES t (a), q REFERENCES nowhere);"
        "INSERT INTO child VALUES ('b', 1);"
        "CREATE TABLE other (p REFERENCES plain (id)); INSERT INTO other VALUES (77)",
    )

    result, _, manifest = backed_up(source, tmp_path / "copies")

    assert "foreign keys of 1 table need collation unicase" in manifest.unchecked
    assert result["foreign_key_violations"] == 1


def test_a_check_that_fails_over_a_value_is_said_and_the_rest_is_checked(tmp_path):
    source = made(
        tmp_path / "a.db",
        "CREATE TABLE t (a, b); INSERT INTO t VALUES ('no json', 2);"
        "CREATE INDEX i ON t (b); CREATE TABLE plain (id, x); INSERT INTO plain VALUES (1, NULL)",
    )
    altered(
        source,
        "UPDATE sqlite_master SET sql ="
        " 'CREATE INDEX i ON t (json_extract(a, ''$.x''))' WHERE name = 'i'",
        "UPDATE sqlite_master SET sql ="
        " 'CREATE TABLE plain (id, x NOT NULL)' WHERE name = 'plain'",
    )

    result, _, _ = backed_up(source, tmp_path / "copies")

    assert "1 table cannot be checked here: malformed JSON" in result["unchecked"]
    assert result["findings"] == "NULL value in plain.x"


@pytest.mark.parametrize("wal", [True, False], ids=["wal", "rollback"])
@pytest.mark.parametrize(
    "before",
    [
        *(f"PRAGMA page_size = {512 << power}" for power in range(8)),
        "PRAGMA encoding = 'UTF-16le'",
        "PRAGMA encoding = 'UTF-16be'",
        "PRAGMA auto_vacuum = FULL; PRAGMA application_id = -7; PRAGMA user_version = 3",
        'CREATE TABLE "" (x); INSERT INTO "" VALUES (1)',
        "CREATE TABLE s (x INT) STRICT; CREATE TABLE w (k PRIMARY KEY) WITHOUT ROWID",
        "CREATE TABLE e (x INTEGER PRIMARY KEY AUTOINCREMENT); INSERT INTO e VALUES (NULL)",
    ],
)
def test_whatever_the_shape_a_copy_is_exact_and_comes_back(tmp_path, before, wal):
    source = a_database(tmp_path / "a.db", wal=wal, before=f"{before};")

    result, _, manifest = backed_up(source, tmp_path / "copies")
    restore.restore(the_copy(tmp_path / "copies"), tmp_path / "again.db", force=False)
    restore.restore(the_copy(tmp_path / "copies"), source, force=True)

    assert result["warnings"] == 0
    assert manifest.rows["moves"] == 200
    assert rows(tmp_path / "again.db", "SELECT count(*) FROM moves") == [(200,)]
    assert rows(source, "PRAGMA integrity_check") == [("ok",)]


def test_reserved_bytes_of_each_page_are_kept(tmp_path):
    source = a_database(tmp_path / "a.db", wal=False)
    with open(source, "r+b") as file:
        file.seek(20)
        file.write(bytes([8]))
    with closing(sqlite3.connect(source)) as theirs:
        theirs.execute("VACUUM")

    result, _, _ = backed_up(source, tmp_path / "copies")

    assert unpacked(the_copy(tmp_path / "copies"), tmp_path / "b.db").read_bytes()[20] == 8
    assert result["rows"] == 207


def test_a_copy_with_warnings_is_restored_with_them(tmp_path):
    source = a_foreign_database(tmp_path / "a.db", *NEEDS_COLLATION["an index"][:2])
    backed_up(source, tmp_path / "copies")
    received = []

    wanted = restore.Params(tmp_path / "new.db", directory=tmp_path / "copies")
    result = restore.run(wanted, a_report(received))

    assert result["warnings"] == 1
    assert "unchecked: 1 index needs collation unicase" in logged(received)


def test_many_rows_under_an_unknown_collation_are_checked_in_bounded_memory(tmp_path):
    source = a_foreign_database(
        tmp_path / "a.db",
        "t(a TEXT COLLATE unicase UNIQUE, b)",
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000)"
        "INSERT INTO t (a) SELECT char(65 + i % 2 * 32) || i FROM n",
    )

    result, _, manifest = backed_up(source, tmp_path / "copies")

    assert result["unchecked"] == "1 index needs collation unicase"
    assert (result["findings"], manifest.rows["t"]) == ("", 3006)


def test_rows_are_those_of_the_table_where_an_index_holds_fewer(tmp_path):
    source = made(
        tmp_path / "a.db",
        "CREATE TABLE t (a, b); INSERT INTO t VALUES (1, 'x'), (2, 'y'), (3, 'z');"
        "CREATE INDEX i ON t (a) WHERE a > 1",
    )
    altered(source, "UPDATE sqlite_master SET sql = 'CREATE INDEX i ON t (a)' WHERE name = 'i'")

    result, _, manifest = backed_up(source, tmp_path / "copies")

    assert "in index i" in result["findings"]
    assert manifest.rows == {"t": 3}
    assert verify.verify(the_copy(tmp_path / "copies"))
