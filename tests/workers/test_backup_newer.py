"""Databases whose schema was written by a newer SQLite than ours."""

import sqlite3
from contextlib import closing

import pytest

from tests.workers.backup_folder import a_database, failure, the_copy, unpacked
from tests.workers.catalogue_folder import a_report
from tests.workers.test_backup_foreign import altered, made, pages
from workers import backup
from workers.backup import restore, verify


def written_by(source, number):
    """Mark the file as last written by the SQLite of this number."""
    with open(source, "r+b") as file:
        file.seek(96)
        file.write(number.to_bytes(4, "big"))
    return source


UNREADABLE = {
    "a view": "UPDATE sqlite_master SET sql = 'CREATE VIEW v AS SELECT FROM' WHERE name = 'v'",
    "a table": "UPDATE sqlite_master SET sql = 'CREATE TABLE z (a INT) FUTURE' WHERE name = 'z'",
    "an index": "UPDATE sqlite_master SET sql = 'CREATE INDEX i ON t (a FUTURE)' WHERE name = 'i'",
}


def a_database_of_the_future(path, case, wal):
    source = made(
        path,
        f"PRAGMA journal_mode = {'WAL' if wal else 'DELETE'};"
        "CREATE TABLE t (a, b); INSERT INTO t VALUES (1, 2), (3, 4); CREATE INDEX i ON t (a);"
        "CREATE TABLE z (a INT); INSERT INTO z VALUES (1); CREATE VIEW v AS SELECT 1",
    )
    altered(source, UNREADABLE[case])
    return source


@pytest.mark.parametrize("wal", [True, False], ids=["wal", "rollback"])
@pytest.mark.parametrize("case", UNREADABLE)
def test_a_schema_of_a_newer_sqlite_is_copied_and_said(tmp_path, case, wal):
    source = written_by(a_database_of_the_future(tmp_path / "a.db", case, wal), 3_999_000)
    received = []

    result = backup.run(backup.Params(source, tmp_path / "copies"), a_report(received))
    copy = the_copy(tmp_path / "copies")
    restore.restore(copy, tmp_path / "new.db", force=False)
    restore.restore(copy, source, force=True)

    assert f"what SQLite {sqlite3.sqlite_version} cannot read of the schema" in result["unchecked"]
    assert verify.verify(copy).manifest.rows["t"] == 2
    assert pages(tmp_path / "new.db") == pages(unpacked(copy, tmp_path / "b.db"))
    assert (tmp_path / "new.db").read_bytes()[96:100] == (3_999_000).to_bytes(4, "big")


@pytest.mark.parametrize("case", UNREADABLE)
def test_the_same_schema_in_a_file_that_our_own_sqlite_wrote_is_damage(tmp_path, case):
    source = a_database_of_the_future(tmp_path / "a.db", case, wal=False)

    failed = failure(source, tmp_path / "copies")

    assert f"database {source} is damaged" in failed.error
    assert failed.permanent


def test_a_newer_sqlite_that_wrote_what_ours_can_read_is_no_warning(tmp_path):
    source = written_by(a_database(tmp_path / "a.db", wal=False), 3_999_000)

    result = backup.run(backup.Params(source, tmp_path / "copies"), a_report())

    assert (result["warnings"], result["rows"]) == (0, 207)


def test_damaged_pages_of_a_newer_sqlite_are_damage(tmp_path):
    source = a_database_of_the_future(tmp_path / "a.db", "a view", wal=False)
    with closing(sqlite3.connect(source)) as theirs:
        theirs.execute("PRAGMA writable_schema = ON")
        query = "SELECT rootpage FROM sqlite_master WHERE name = 't'"
        page = theirs.execute(query).fetchone()[0]
    with open(written_by(source, 3_999_000), "r+b") as file:
        file.seek((page - 1) * 4096 + 3)
        file.write(b"\xff\xff\xff\xff")

    assert "is damaged" in failure(source, tmp_path / "copies").error
