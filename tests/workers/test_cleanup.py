"""Cleanup of real databases and folders: what is removed, kept, or only reported."""

import os
import sqlite3
import time
from contextlib import closing

import pytest

from tests.workers.backup_folder import a_small_disk, root_only, run
from tests.workers.card_database import card_database, no_database, with_a_collation, with_pages
from tests.workers.catalogue_folder import a_report, execute, logged, rows
from workers import cleanup, params
from workers.backup import filenames, listing, repository
from workers.report import WorkerError

OLD = time.time() - 2 * 86400


@pytest.fixture
def path(tmp_path):
    return card_database(tmp_path)


@pytest.fixture
def copies(path, tmp_path):
    run(path, tmp_path / "copies")
    return tmp_path / "copies"


def cleaned(path, *directories, received=None, dry_run=False, **given):
    wanted = {
        "database": str(path),
        "directories": [str(one) for one in directories],
        "vacuum_rowids": True,
        **given,
    }
    return cleanup.run(params.parse(cleanup.Params, wanted), a_report(received, dry_run))


def failure(path, *directories):
    with pytest.raises(WorkerError) as failed:
        cleaned(path, *directories)
    return failed.value


def left_in(directory, name, moment=OLD):
    """Create a leftover of a killed run; older than a day by default."""
    file = directory / name
    file.write_bytes(b"x" * 1000)
    os.utime(file, (moment, moment))
    return file


def half_empty(path):
    """Create a database with mostly free pages."""
    execute(with_pages(path, rows=20_000), "DELETE FROM pad WHERE id > 100")
    return path


def test_leftovers_of_killed_runs_go_and_copies_stay(path, copies):
    (copy,) = listing.list_backups(copies)
    other = filenames.copy_name("cards", copy.taken_at.replace(year=2020))
    gone = [
        left_in(copies, f"{other}.part"),
        left_in(copies, f"{other}.scratch-abcd1234"),
        left_in(path.parent, f".{path.name}.restore-abcd1234"),
    ]
    kept = [
        left_in(copies, f"{other}.scratch-young123", time.time()),
        left_in(copies, "notes.part"),
        left_in(path.parent, ".other.db.restore-abcd1234"),
        copy.path,
    ]

    result = cleaned(path, copies)

    assert [file for file in gone if file.exists()] == []
    assert [file for file in kept if not file.exists()] == []
    assert (result["leftovers"], result["freed_bytes"] >= 3000) == (3, True)


def test_a_folder_that_is_in_use_is_a_warning(path, copies):
    left = left_in(copies, f"{listing.list_backups(copies)[0].path.name}.scratch-abcd1234")
    received = []

    with repository.locked(copies):
        result = cleaned(path, copies, received=received)

    assert left.exists()
    assert (result["leftovers"], result["warnings"]) == (0, 1)
    assert "is in use by pid" in logged(received)


def test_a_folder_that_is_not_there_fails_the_run(path, tmp_path):
    assert "is its disk mounted?" in failure(path, tmp_path / "nowhere").error


def test_free_pages_go_when_they_are_many(path):
    before = half_empty(path).stat().st_size

    result = cleaned(path)

    assert result["vacuum"] == "done"
    assert result["free_ratio"] > 0.2
    assert result["freed_bytes"] == before - path.stat().st_size > 0
    assert rows(path, "PRAGMA freelist_count") == [(0,)]
    assert rows(path, "PRAGMA integrity_check") == [("ok",)]


def test_free_pages_stay_when_they_are_few(path):
    half_empty(path)

    result = cleaned(path, vacuum_free_ratio=1)

    assert (result["vacuum"], result["warnings"]) == ("not needed", 0)


def test_the_planner_gets_its_statistics(path):
    cleaned(path)

    assert ("pokemon_cards",) in rows(path, "SELECT tbl FROM sqlite_stat1")


def test_a_wal_that_nobody_holds_is_emptied(path):
    with closing(sqlite3.connect(path)) as writer:
        writer.execute("PRAGMA wal_autocheckpoint = 0")
        writer.execute("CREATE TABLE pad AS SELECT zeroblob(3000000) AS noise")
        writer.commit()

        result = cleaned(path)

        assert os.path.getsize(f"{path}-wal") == 0
    assert (result["checkpoint"], result["warnings"]) == ("done", 0)


def test_a_reader_that_holds_the_wal_is_a_warning_and_forbids_vacuum(path):
    received = []
    with closing(sqlite3.connect(half_empty(path), isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM pokemon_cards").fetchone()
        execute(path, "CREATE TABLE more (a)")

        result = cleaned(path, received=received, busy_timeout="100ms")

    assert (result["checkpoint"], result["vacuum"]) == ("busy", "left out")
    assert result["warnings"] == 2
    assert "the WAL stays" in logged(received)


def test_a_writer_that_keeps_the_lock_is_a_warning(path):
    received = []
    with closing(sqlite3.connect(half_empty(path), isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")

        result = cleaned(path, received=received, busy_timeout="100ms")

    assert result["warnings"] == 3
    assert "ANALYZE is left out: another program holds the database" in logged(received)


def test_a_collation_that_only_its_owner_has_leaves_a_step_out(tmp_path):
    received = []

    result = cleaned(with_a_collation(tmp_path / "own.db"), received=received)

    assert result["warnings"] == 1
    assert "ANALYZE is left out: no such collation sequence: ours" in logged(received)


def test_a_database_under_a_rollback_journal_has_no_wal_to_empty(path):
    execute(path, "PRAGMA journal_mode = DELETE")
    half_empty(path)

    result = cleaned(path)

    assert (result["checkpoint"], result["vacuum"]) == ("none", "done")


@root_only
def test_vacuum_is_left_out_when_the_disk_has_no_room(path, tmp_path):
    received = []
    with a_small_disk(tmp_path / "disk", "4m") as disk:
        small = disk / "cards.db"
        small.write_bytes(half_empty(path).read_bytes())
        room = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
        (disk / "filler").write_bytes(b"x" * (room - 20 * 4096))
        before = rows(small, "SELECT COUNT(*) FROM pokemon_cards")

        result = cleaned(small, received=received, vacuum_free_ratio=0.01)

        assert rows(small, "SELECT COUNT(*) FROM pokemon_cards") == before
    assert (result["vacuum"], result["warnings"]) == ("left out", 1)
    assert "free, expected" in logged(received)


@no_database
def test_what_is_no_database_fails_the_run(tmp_path, make, words):
    path = tmp_path / "wrong.db"
    make(path)
    there = path.exists()

    failed = failure(path)

    assert failed.permanent
    assert words in failed.error
    assert path.exists() == there


def test_a_damaged_database_fails_the_run(path):
    with open(path, "r+b") as file:
        file.seek(4096)
        file.write(b"\xa5" * (path.stat().st_size - 4096))

    failed = failure(path)

    assert failed.permanent
    assert "is damaged; restore it from a backup" in failed.error


def test_a_dry_run_says_what_would_be_done_and_does_nothing(path, copies):
    left = left_in(copies, f"{listing.list_backups(copies)[0].path.name}.scratch-abcd1234")
    half_empty(path)
    before, received = path.read_bytes(), []

    result = cleaned(path, copies, received=received, dry_run=True)

    assert (result["leftovers"], result["free_ratio"] > 0.2) == (1, True)
    assert f"remove {left}" in logged(received)
    assert "VACUUM: " in logged(received)
    assert left.exists()
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("key", "given"),
    [("vacuum_free_ratio", wrong) for wrong in ("-0.1", "1.5", "nan", "half")]
    + [("busy_timeout", wrong) for wrong in ("2h", "soon")],
)
def test_a_wrong_parameter_is_named(key, given):
    with pytest.raises(params.ParamsError, match=f"{key}: expected"):
        params.parse(cleanup.Params, {"database": "a", key: given})


def test_a_cancelled_run_leaves_the_database_as_it_was(path):
    half_empty(path)
    report = a_report()
    report.cancelled = True

    with pytest.raises(WorkerError, match="cancelled between two steps"):
        cleanup.run(cleanup.Params(path), report)

    assert rows(path, "PRAGMA integrity_check") == [("ok",)]
    assert rows(path, "PRAGMA freelist_count")[0][0] > 0
