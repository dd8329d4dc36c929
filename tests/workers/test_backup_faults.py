"""Lying disks, interfering programs, locks that come and go: each is detected and named."""

import os
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

import pytest

from tests.workers.backup_folder import a_database, ours, run, the_copy
from tests.workers.catalogue_folder import a_report, logged
from workers import backup
from workers.backup import (
    filenames,
    lock_wait,
    repository,
    restore,
    secondary_copy,
    stream,
    verify,
)
from workers.backup.errors import BackupCancelledError, BackupError
from workers.backup.manifest import read
from workers.backup.snapshot import snapshot
from workers.report import WorkerError


@pytest.fixture
def source(tmp_path):
    return a_database(tmp_path / "a.db", rows=300)


@pytest.fixture
def copy(source, tmp_path):
    run(source, tmp_path / "copies")
    return the_copy(tmp_path / "copies")


def test_a_second_disk_that_gives_back_other_bytes_is_named_and_holds_no_copy(copy, tmp_path):
    nas = tmp_path / "nas"
    nas.mkdir()
    manifest = read(copy)

    def spoil(_done):
        part = nas / f"{copy.name}.part"
        content = part.read_bytes()
        part.write_bytes(bytes([content[0] ^ 1]) + content[1:])

    with pytest.raises(
        BackupError, match=r"gave back other bytes than were written.*check that disk"
    ):
        secondary_copy.carry(copy, manifest, nas, spoil)

    assert ours(nas) == []


def test_a_database_that_ends_too_early_is_no_copy():
    with tempfile.TemporaryFile() as short, tempfile.TemporaryFile() as target:
        short.write(bytes(1000))
        short.flush()

        with pytest.raises(EOFError, match="ended at byte 1000"):
            stream.pack(short.fileno(), 2000, target.fileno(), 1, 0, lambda _: None)


def test_a_write_to_the_main_file_despite_our_lock_is_noticed(source, tmp_path):
    def altered_meanwhile() -> None:
        with snapshot(source, tmp_path / "x.scratch-", lambda: None) as shot:
            assert shot.method == "frozen"
            os.pwrite(meddler.fileno(), b"SQLite", 0)

    # Kept open: closing it in this process would drop SQLite's locks.
    with open(source, "r+b") as meddler, pytest.raises(BackupError, match="in spite of our lock"):
        altered_meanwhile()


def test_a_key_that_does_not_fit_its_parent_counts_as_a_violation(tmp_path):
    source, received = tmp_path / "misfit.db", []
    with closing(sqlite3.connect(source)) as database:
        database.executescript(
            "CREATE TABLE parents (name); CREATE TABLE children (p REFERENCES parents (name));"
            "INSERT INTO children VALUES ('nobody'); CREATE TABLE others (p REFERENCES nowhere);"
            "INSERT INTO others VALUES (1)"
        )

    result = backup.run(backup.Params(source, tmp_path / "copies"), a_report(received))

    assert result["foreign_key_violations"] == 2
    assert "2 foreign key violations" in logged(received)
    assert verify.verify(the_copy(tmp_path / "copies"))


def test_a_database_that_is_locked_for_a_moment_is_waited_for(tmp_path):
    source, tries = a_database(tmp_path / "busy.db", wal=False), []
    with closing(sqlite3.connect(source, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")

        def let_go():
            tries.append(1)
            if len(tries) == 2:
                other.execute("ROLLBACK")

        with closing(lock_wait.open_when_free(source, let_go)) as opened:
            other.execute("BEGIN EXCLUSIVE")
            tries.clear()
            lock_wait.begin_reading(opened, let_go)

            assert opened.in_transaction
    assert len(tries) == 2


def test_a_request_to_end_is_received_while_a_database_is_locked(tmp_path):
    source = a_database(tmp_path / "busy.db", wal=False)

    def end():
        raise BackupCancelledError

    with closing(sqlite3.connect(source, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(BackupCancelledError):
            lock_wait.open_when_free(source, end)


def test_a_target_that_appears_meanwhile_is_not_written_over(copy, tmp_path):
    target = tmp_path / "new.db"

    with pytest.raises(BackupError, match="was made by another program meanwhile"):
        restore.restore(copy, target, False, lambda _done: target.write_text("mine"))

    assert target.read_text() == "mine"
    assert [name for name in os.listdir(tmp_path) if "restore-" in name] == []


def test_a_cancelled_restore_job_leaves_the_target_as_it_is(copy, tmp_path):
    report = a_report()
    report.cancelled = True

    with pytest.raises(WorkerError, match=r"cancelled; .*new\.db is as it was"):
        restore.run(restore.Params(tmp_path / "new.db", str(copy)), report)

    assert not (tmp_path / "new.db").exists()


def test_a_rehearsal_names_the_leftovers_that_a_run_would_sweep(source, copy, tmp_path):
    part, received = copy.with_name(f"b-2026-02-09T00-00-00Z{filenames.ENDING}.part"), []
    part.write_text("half")

    wanted = backup.Params(source, tmp_path / "copies")
    result = backup.run(wanted, a_report(received, dry_run=True))

    assert result["leftovers"] == 1
    assert f"sweep {part.name}" in logged(received)
    assert part.exists()


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs /proc")
def test_a_folder_where_nothing_can_be_made_is_named():
    with pytest.raises(BackupError, match="make folder /proc/nothing"):
        repository.made(Path("/proc/nothing"))
    with (
        pytest.raises(BackupError, match="make a scratch file in /proc/self"),
        repository.scratch(Path("/proc/self"), "x"),
    ):
        pass
