"""Indexes in virtual tables are compared with the content of their tables; nothing is written."""

import os
import sqlite3
from contextlib import closing

import pytest

from tests.workers.backup_folder import a_small_disk, root_only
from tests.workers.catalogue_folder import a_report, execute, logged, rows
from workers import integrity
from workers.report import WorkerError

DOCS = (
    "CREATE TABLE docs (id INTEGER PRIMARY KEY, title)",
    "INSERT INTO docs VALUES (1, 'one'), (2, 'two'), (3, 'three')",
)
# Name: how the index is created and filled, and how it is made wrong.
BROKEN = {
    "fts5 with external content": (
        "CREATE VIRTUAL TABLE i USING fts5(title, content='docs', content_rowid='id')",
        "INSERT INTO i(i) VALUES ('rebuild')",
        "UPDATE docs SET title = 'other' WHERE id = 2",
    ),
    "fts5 with its own content": (
        "CREATE VIRTUAL TABLE i USING fts5(title)",
        "INSERT INTO i(rowid, title) SELECT id, title FROM docs",
        "UPDATE i_content SET c0 = 'other' WHERE id = 2",
    ),
    "fts5 without content": (
        "CREATE VIRTUAL TABLE i USING fts5(title, content='')",
        "INSERT INTO i(rowid, title) SELECT id, title FROM docs",
        "UPDATE i_data SET block = zeroblob(4) WHERE id > 10",
    ),
    "fts4 with external content": (
        "CREATE VIRTUAL TABLE i USING fts4(title, content='docs')",
        "INSERT INTO i(i) VALUES ('rebuild')",
        "UPDATE docs SET title = 'other' WHERE id = 2",
    ),
    "fts4 with its own content": (
        "CREATE VIRTUAL TABLE i USING fts4(title)",
        "INSERT INTO i(docid, title) SELECT id, title FROM docs",
        "DELETE FROM i_segdir",
    ),
    "fts3": (
        "CREATE VIRTUAL TABLE i USING fts3(title)",
        "INSERT INTO i(docid, title) SELECT id, title FROM docs",
        "DELETE FROM i_segdir",
    ),
    "rtree": (
        "CREATE VIRTUAL TABLE i USING rtree(id, x0, x1)",
        "INSERT INTO i SELECT id, id, id + 1 FROM docs",
        "UPDATE i_rowid SET nodeno = 99 WHERE rowid = 2",
    ),
}
each_index = pytest.mark.parametrize("index", BROKEN.values(), ids=BROKEN)


@pytest.fixture(params=["WAL", "DELETE"])
def path(request, tmp_path):
    path = tmp_path / "a.db"
    execute(path, f"PRAGMA journal_mode = {request.param}")
    for statement in DOCS:
        execute(path, statement)
    return path


def checked(path, received=None, dry_run=False, **given):
    return integrity.run(integrity.Params(path, **given), a_report(received, dry_run))


@each_index
def test_an_index_that_holds_what_its_table_holds_is_sound(path, index):
    made, filled, _ = index
    execute(path, made)
    execute(path, filled)

    result = checked(path)

    assert (result["index_damage"], result["warnings"]) == (0, 0)


@each_index
def test_an_index_that_holds_something_else_fails_the_run(path, index):
    for statement in index:
        execute(path, statement)

    with pytest.raises(WorkerError) as failed:
        checked(path)

    assert failed.value.permanent
    assert "hold what their tables hold and have to be rebuilt: 1 (" in failed.value.error
    assert " i: " in failed.value.error


def test_the_database_is_not_written_and_its_writers_go_on(path):
    made, filled, _ = BROKEN["fts5 with external content"]
    execute(path, made)
    execute(path, filled)
    before = path.read_bytes()

    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        assert checked(path)["index_damage"] == 0

    assert path.read_bytes() == before
    assert sorted(os.listdir(path.parent)) == ["a.db"]


def test_every_index_of_a_database_is_checked_whatever_it_is_called(path):
    name = '"q\'""; [red]{0}%s"'
    execute(path, f"CREATE VIRTUAL TABLE {name} USING fts5(title, content='docs')")
    execute(path, f'CREATE VIRTUAL TABLE {name[:-1]} r" USING rtree(id, x0, x1)')

    with pytest.raises(WorkerError, match=r"fts5 q'\"; \[red\]\{0\}%s: ") as failed:
        checked(path)

    assert "rebuilt: 1 (" in failed.value.error


@pytest.mark.parametrize("encoding", ["UTF-8", "UTF-16le"])
@pytest.mark.parametrize("page_size", [512, 65536])
def test_all_that_is_wrong_is_counted_and_three_are_shown(tmp_path, encoding, page_size):
    path = tmp_path / "a.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as made:
        made.execute(f"PRAGMA encoding = '{encoding}'")
        made.execute(f"PRAGMA page_size = {page_size}")
        for statement in DOCS:
            made.execute(statement)
        for number in range(5):
            made.execute(f"CREATE VIRTUAL TABLE i{number} USING fts4(title, content='docs')")

    with pytest.raises(WorkerError) as failed:
        checked(path)

    assert "rebuilt: 5 (fts4 i0: " in failed.value.error
    assert "fts4 i2: database disk image is malformed, ...)" in failed.value.error


def test_a_database_without_such_indexes_says_nothing_of_them(path):
    assert "index_damage" not in checked(path)


def test_a_tokenizer_that_is_not_known_here_is_a_warning(path):
    execute(path, "CREATE VIRTUAL TABLE i USING fts5(title, tokenize='porter')")
    execute(path, "INSERT INTO i VALUES ('one')")
    declare(path, "CREATE VIRTUAL TABLE i USING fts5(title, tokenize='icu_of_its_own')")
    received = []

    result = checked(path, received)

    # From 3.44 on SQLite's own integrity_check fails as a whole, too.
    assert result["checks_not_made"] == result["warnings"] >= 1
    assert "checks that could not be made: 1 (fts5 i: " in logged(received)


def test_a_module_that_is_not_known_here_is_reported(path):
    execute(path, "CREATE TABLE i (a)")
    declare(path, "CREATE VIRTUAL TABLE i USING spellfix1")
    received = []

    result = checked(path, received)

    assert (result["no_check_here"], result["warnings"]) == (1, 0)
    assert "for which there is no check here: 1 (i (spellfix1))" in logged(received)


def test_an_index_that_has_nothing_to_be_compared_with_is_reported(path):
    execute(path, "CREATE VIRTUAL TABLE i USING fts4(title, content='')")

    result = checked(path)

    assert (result["no_check_here"], result["warnings"]) == (1, 0)


def test_a_database_that_is_too_large_to_copy_is_a_warning(path):
    execute(path, "CREATE VIRTUAL TABLE i USING fts5(title)")
    received = []

    result = checked(path, received, copy_limit=4096)

    assert result["checks_not_made"] == 1
    assert "a copy is made up to 4.1 kB (copy_limit)" in logged(received)


@root_only
def test_no_room_for_the_copy_is_a_warning(path, tmp_path, monkeypatch):
    execute(path, "CREATE VIRTUAL TABLE i USING fts5(title)")
    execute(path, "CREATE TABLE pad AS SELECT zeroblob(3000000)")
    received = []
    with a_small_disk(tmp_path / "disk", "1m") as disk:
        monkeypatch.setenv("SQLITE_TMPDIR", str(disk))

        result = checked(path, received)

    assert result["checks_not_made"] == 1
    assert f"the volume of {disk} has" in logged(received)


def test_a_cancelled_run_ends_while_an_index_is_checked(path):
    execute(path, "CREATE VIRTUAL TABLE i USING fts5(title)")
    report = a_report()
    said = report.send

    def send(message):
        # The last progress is reported when everything except the indexes is checked.
        report.cancelled = getattr(message, "done", None) == getattr(message, "total", 0)
        said(message)

    report.send = send

    with pytest.raises(WorkerError, match="cancelled"):
        integrity.run(integrity.Params(path), report)


def test_a_dry_run_names_the_indexes(path):
    execute(path, "CREATE VIRTUAL TABLE i USING fts5(title)")
    received = []

    assert checked(path, received, dry_run=True) == {"checks": 3}
    assert "content of fts5 i" in logged(received)


def declare(path, sql):
    """Give the virtual table `i` another declaration in the schema."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute(
            "UPDATE sqlite_master SET rootpage = 0, sql = ? WHERE name = 'i'", (sql,)
        )
    assert rows(path, "SELECT sql FROM sqlite_master WHERE name = 'i'") == [(sql,)]
