"""Restores: beside the database, or into one that others go on writing to."""

import os
import random
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.waiting import until
from tests.workers.backup_folder import (
    BROKEN,
    a_database,
    a_writer,
    ours,
    rows,
    run,
    the_copy,
)
from tests.workers.catalogue_folder import a_report, logged
from workers.backup import restore, restore_live
from workers.backup.errors import BackupCancelledError, BackupError, DamagedBackupError
from workers.report import WorkerError

WAYS = [pytest.param(True, id="wal"), pytest.param(False, id="rollback", marks=pytest.mark.long)]
COUNT = "SELECT COUNT(*) FROM moves"
DRIVER = """
import sys
from pathlib import Path
from workers.backup import restore
print("up", flush=True)
restore.restore(Path(sys.argv[1]), Path(sys.argv[2]), True)
"""


@pytest.fixture
def copies(tmp_path):
    return tmp_path / "copies"


@pytest.fixture
def copy(tmp_path, copies):
    """Return a copy with 500 moves of a database that now has 503."""
    run(a_database(tmp_path / "cards.db", rows=500), copies)
    grown(tmp_path / "cards.db")
    return the_copy(copies)


def grown(path):
    with closing(sqlite3.connect(path)) as database:
        database.executemany("INSERT INTO moves (account, amount) VALUES (?, 0)", [(0,)] * 3)
        database.commit()


def test_a_new_path_gets_the_database_as_it_was(tmp_path, copy):
    os.chmod(tmp_path / "cards.db", 0o640)

    done = restore.restore(copy, tmp_path / "back.db", force=False)

    assert rows(tmp_path / "back.db", COUNT) == [(500,)]
    assert rows(tmp_path / "back.db", BROKEN) == []
    assert done.aside is None
    assert (tmp_path / "back.db").stat().st_mode & 0o777 == done.manifest.mode
    assert ours(tmp_path) == ["back.db", "cards.db", "copies"]


def test_an_existing_file_is_not_written_over_unasked(tmp_path, copy):
    before = (tmp_path / "cards.db").read_bytes()

    with pytest.raises(
        BackupError, match="exists; name a new path, or write into it with --force"
    ):
        restore.restore(copy, tmp_path / "cards.db", force=False)

    assert (tmp_path / "cards.db").read_bytes() == before


@pytest.mark.parametrize("wal", WAYS)
def test_a_writer_connected_throughout_reads_the_restored_rows_and_writes_on(
    tmp_path, copies, wal
):
    source = a_database(tmp_path / "busy.db", rows=20_000, wal=wal)
    run(source, copies)
    copy = the_copy(copies)

    # Under a rollback journal a writer without any pause would block this test's own reads.
    with a_writer(source, 0.0 if wal else 0.003) as writing:
        until(lambda: rows(source, COUNT)[0][0] > 20_100)
        done = restore.restore(copy, source, force=True)
        just_after = rows(source, COUNT)[0][0]
        until(lambda: rows(source, COUNT)[0][0] > just_after + 50)

    kept = rows(done.aside, COUNT)[0][0]
    # No commit is lost: earlier ones are in the replaced database, later ones in the new one.
    assert kept > 20_100
    assert kept - 20_000 + writing.rows - 20_000 == writing.commits
    assert rows(source, BROKEN) == rows(done.aside, BROKEN) == []
    assert rows(source, "PRAGMA integrity_check") == [("ok",)]
    assert rows(done.aside, "PRAGMA integrity_check") == [("ok",)]
    assert rows(source, "PRAGMA journal_mode") == [("wal" if wal else "delete",)]
    assert done.writers_held_seconds > 0


@pytest.mark.parametrize("wal", [True, False], ids=["wal", "rollback"])
def test_a_cancelled_restore_leaves_the_living_database_as_it_was(tmp_path, copies, wal):
    source = a_database(tmp_path / "cards.db", rows=9000, wal=wal)
    run(source, copies)
    grown(source)
    size, received = source.stat().st_size, []

    def end_inside(done):
        received.append(done)
        if len(received) > 1 and received[-2] > done:  # counting again: SQLite is writing
            raise BackupCancelledError

    with pytest.raises(BackupCancelledError):
        restore.restore(the_copy(copies), source, True, end_inside)

    assert rows(source, COUNT) == [(9003,)]
    assert abs(source.stat().st_size - size) <= 8192
    assert ours(tmp_path) == ["cards.db", "copies"]


@pytest.mark.long
@pytest.mark.parametrize("wal", [True, False], ids=["wal", "rollback"])
def test_killed_at_any_moment_the_target_is_as_before_or_after(tmp_path, copies, wal):
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    dice = random.Random(seed)
    source = a_database(tmp_path / "cards.db", rows=10_000, wal=wal)
    run(source, copies)
    took = restore.restore(the_copy(copies), source, force=True).seconds
    grown(source)
    killed = 0

    for _ in range(5):
        command = [sys.executable, "-c", DRIVER, the_copy(copies), source]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as worker:
            assert worker.stdout
            worker.stdout.readline()
            try:
                worker.wait(dice.uniform(0, took))
            except subprocess.TimeoutExpired:
                worker.kill()
            killed += worker.wait(10) == -signal.SIGKILL
        assert rows(source, "PRAGMA integrity_check") == [("ok",)]
        assert rows(source, COUNT)[0][0] in (10_000, 10_003)
        assert rows(source, BROKEN) == []
    restore.restore(the_copy(copies), source, force=True)

    assert killed, "no kill came in time"
    assert rows(source, COUNT) == [(10_000,)]
    # The leftovers of the killed ones are removed, except the databases they set aside.
    left = [name for name in ours(tmp_path) if ".restore-" in name]
    assert left == []


def test_a_copy_that_does_not_verify_is_not_restored(tmp_path, copy):
    content = bytearray(copy.read_bytes())
    content[len(content) // 2] ^= 1
    copy.write_bytes(content)

    for target in (tmp_path / "cards.db", tmp_path / "new.db"):
        with pytest.raises(DamagedBackupError):
            restore.restore(copy, target, force=True)

    assert rows(tmp_path / "cards.db", COUNT) == [(503,)]
    assert not (tmp_path / "new.db").exists()


def test_a_stale_log_beside_a_new_path_would_be_read_into_it(tmp_path, copy):
    (tmp_path / "new.db-wal").write_bytes(b"old")

    with pytest.raises(BackupError, match=r"new\.db-wal is: SQLite would read it"):
        restore.restore(copy, tmp_path / "new.db", force=False)


def test_a_target_that_is_no_database_cannot_be_guarded(tmp_path, copy):
    (tmp_path / "cards.db").write_bytes(b"\xff" * 8192)

    with pytest.raises(
        BackupError, match="is no SQLite database; so SQLite's locks cannot guard it"
    ):
        restore.restore(copy, tmp_path / "cards.db", force=True)

    assert (tmp_path / "cards.db").read_bytes() == b"\xff" * 8192


def test_a_copy_without_tables_does_not_wipe_a_living_database(tmp_path, copies):
    with closing(sqlite3.connect(tmp_path / "empty.db")) as database:
        database.execute("PRAGMA user_version = 1")
    run(tmp_path / "empty.db", copies, allow_empty=True)
    target = a_database(tmp_path / "cards.db")

    with pytest.raises(BackupError, match="the copy holds no table"):
        restore.restore(the_copy(copies), target, force=True)

    assert rows(target, COUNT) == [(200,)]


@pytest.mark.parametrize("wal", [True, False], ids=["wal", "rollback"])
def test_another_page_size_is_written_where_sqlite_can_and_refused_where_not(
    tmp_path, copies, wal
):
    run(a_database(tmp_path / "wide.db", before="PRAGMA page_size = 8192;"), copies)
    target = a_database(tmp_path / "cards.db", rows=9, wal=wal)

    if wal:
        with pytest.raises(BackupError, match="with pages of 4096 bytes, the copy has 8192"):
            restore.restore(the_copy(copies), target, force=True)
    else:
        restore.restore(the_copy(copies), target, force=True)

    assert rows(target, COUNT) == [(9 if wal else 200,)]


def test_a_target_locked_for_too_long_is_left_as_it_is(tmp_path, copy, monkeypatch):
    monkeypatch.setattr(restore_live, "LOCK_WAIT_S", 0.3)
    holder = (
        "import sqlite3, sys; d = sqlite3.connect(sys.argv[1], isolation_level=None);"
        "d.execute('BEGIN IMMEDIATE'); print('up', flush=True); sys.stdin.read()"
    )
    target = tmp_path / "cards.db"
    with subprocess.Popen(
        [sys.executable, "-c", holder, target], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as writer:
        assert writer.stdout
        writer.stdout.readline()
        with pytest.raises(BackupError, match="is locked by another program") as problem:
            restore.restore(copy, target, force=True)
        writer.communicate(b"")

    assert not problem.value.permanent
    assert rows(target, COUNT) == [(503,)]


@pytest.mark.parametrize(
    "given", [{}, {"file": "latest"}, {"at": "today"}, {"file": "NAME"}, {"file": "PATH"}]
)
def test_as_a_job_it_restores_the_copy_that_is_meant(tmp_path, copies, copy, given):
    file = {"NAME": copy.name, "PATH": str(copy)}.get(given.get("file", ""))
    more = given | ({"file": file} if file else {})

    result = restore.run(
        restore.Params(tmp_path / "back.db", directory=copies, **more), a_report()
    )

    assert result["file"] == copy.name
    assert result["rows"] == 507
    assert rows(tmp_path / "back.db", COUNT) == [(500,)]


def test_as_a_job_it_can_be_rehearsed_and_says_what_went_wrong(tmp_path, copies, copy):
    wanted, received = restore.Params(Path(tmp_path / "cards.db"), directory=copies), []

    restore.run(wanted, a_report(received, dry_run=True))
    with pytest.raises(WorkerError, match="exists; name a new path") as failed:
        restore.run(wanted, a_report())

    assert f"prove {copy}, then restore it into the living database" in logged(received)
    assert failed.value.permanent
