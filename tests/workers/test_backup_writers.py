"""Snapshots of a database that others write to: always finished and consistent."""

import os
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest

from tests.other_user import let_others_enter
from tests.workers.backup_folder import (
    BROKEN,
    a_database,
    a_writer,
    rows,
    run,
    the_copy,
    unpacked,
)
from tests.workers.catalogue_folder import a_report, logged
from workers import backup
from workers.backup import verify

READER = """
import sqlite3, sys
database = sqlite3.connect(sys.argv[1], isolation_level=None)
database.execute("BEGIN")
database.execute("SELECT COUNT(*) FROM moves").fetchone()
print("up", flush=True)
sys.stdin.read()
"""
AS_ANOTHER = """
import os, sys
from pathlib import Path
from tests.workers.backup_folder import failure, run
os.setgid(int(sys.argv[4])); os.setuid(int(sys.argv[3]))
failed = failure(Path(sys.argv[1]), Path(sys.argv[2]))
print(failed.permanent, failed.error)
"""


@pytest.mark.parametrize(
    ("wal", "pause_s"),
    [
        pytest.param(True, 0.1, id="wal-10", marks=pytest.mark.long),
        pytest.param(True, 0.001, id="wal-1000", marks=pytest.mark.long),
        pytest.param(True, 0.0, id="wal-as fast as it can"),
        pytest.param(False, 0.1, id="rollback-10", marks=pytest.mark.long),
        pytest.param(False, 0.001, id="rollback-1000", marks=pytest.mark.long),
        pytest.param(False, 0.0, id="rollback-as fast as it can", marks=pytest.mark.long),
    ],
)
def test_the_invariant_of_the_writers_holds_in_every_copy(tmp_path, pause_s, wal):
    source = a_database(tmp_path / "busy.db", rows=8000, wal=wal)
    counts = []

    with a_writer(source, pause_s) as writing:
        for number in range(2):
            result = run(source, tmp_path / "copies")
            back = unpacked(the_copy(tmp_path / "copies"), tmp_path / f"{number}.db")
            counts.append(rows(back, "SELECT COUNT(*) FROM moves")[0][0])
            assert rows(back, BROKEN) == []
            assert rows(back, "PRAGMA integrity_check") == [("ok",)]
            assert result["rows"] == counts[-1] + 7

    assert 8000 < counts[0] <= counts[1] <= writing.rows
    assert rows(source, BROKEN) == []
    assert writing.rows == 8000 + writing.commits


@pytest.mark.long
def test_in_wal_mode_writers_are_held_for_a_small_part_of_the_run(tmp_path):
    source = a_database(tmp_path / "busy.db", rows=40_000)

    with a_writer(source, 0.001):
        results = [run(source, tmp_path / "copies") for _ in range(5)]

    parts = sorted(each["writers_held_seconds"] / each["seconds"] for each in results)
    assert parts[0] > 0
    # The median, because a busy machine may delay any one of them.
    assert parts[2] < 0.2


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("pause_s", [60.0, 0.1, 0.001], ids=["0", "10", "1000"])
def test_a_gigabyte_is_copied_beside_active_writers(tmp_path, pause_s):
    source = a_database(tmp_path / "busy.db", rows=1_750_000)

    with a_writer(source, pause_s) as writing:
        result = run(source, tmp_path / "copies")

    back = unpacked(the_copy(tmp_path / "copies"), tmp_path / "back.db")
    print(result, writing)
    assert result["database_bytes"] > 1e9
    assert rows(back, BROKEN) == []
    assert result["method"] == "frozen"
    assert result["writers_held_seconds"] < result["seconds"] / 20


def test_under_a_rollback_journal_the_wait_is_reported_with_advice(tmp_path):
    source = a_database(tmp_path / "old.db", rows=20_000, wal=False)
    received = []

    result = backup.run(backup.Params(source, tmp_path / "copies"), a_report(received))

    assert result["method"] == "copied"
    assert result["writers_held_seconds"] > 0
    assert "PRAGMA journal_mode = WAL" in result["advice"]
    assert "PRAGMA journal_mode = WAL" in logged(received)


def test_an_old_reader_does_not_starve_the_copy(tmp_path):
    source = a_database(tmp_path / "busy.db", rows=2000)
    with subprocess.Popen(
        [sys.executable, "-c", READER, source], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as reader:
        assert reader.stdout
        reader.stdout.readline()
        with a_writer(source, 0.0):
            result = run(source, tmp_path / "copies")
        reader.communicate(b"")

    assert result["method"] == "copied"
    assert "an old reader" in result["advice"]
    back = unpacked(the_copy(tmp_path / "copies"), tmp_path / "back.db")
    assert rows(back, BROKEN) == []
    assert rows(back, "SELECT COUNT(*) FROM moves")[0][0] > 2000


def test_a_writer_that_holds_its_lock_does_not_stop_the_copy(tmp_path):
    source = a_database(tmp_path / "busy.db", rows=2000)
    holder = READER.replace('"BEGIN"', '"BEGIN IMMEDIATE"')
    holder = holder.replace('"SELECT COUNT(*) FROM moves"', '"DELETE FROM moves"')
    with subprocess.Popen(
        [sys.executable, "-c", holder, source], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as writer:
        assert writer.stdout
        writer.stdout.readline()
        result = run(source, tmp_path / "copies")
        writer.communicate(b"")

    assert result["rows"] == 2007
    assert "the write lock could not be had" in result["advice"]


def test_locks_of_the_snapshot_hold_until_it_is_read(tmp_path):
    """A checkpoint by another program during the backup must not change the main file."""
    source = a_database(tmp_path / "busy.db", rows=20_000)
    beside = (
        "import sqlite3, sys; d = sqlite3.connect(sys.argv[1], isolation_level=None);"
        "d.execute('PRAGMA wal_autocheckpoint = 0');"
        "d.execute('INSERT INTO moves (account, amount) VALUES (0, 0)');"
        "print(d.execute('PRAGMA wal_checkpoint(PASSIVE)').fetchone(), flush=True)"
    )
    report, said = a_report(), []

    def checkpoint_meanwhile(_message):
        if not said:
            command = [sys.executable, "-c", beside, str(source)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            said.append(done.stdout.strip())

    report.send = checkpoint_meanwhile
    result = backup.run(backup.Params(source, tmp_path / "copies"), report)

    busy, pages, moved = eval(said[0])
    assert (busy, moved) == (0, 0)
    assert pages > 0
    assert (result["method"], result["rows"]) == ("frozen", 20_007)
    assert verify.verify(the_copy(tmp_path / "copies"))
    assert rows(source, "SELECT COUNT(*) FROM moves") == [(20_001,)]


def test_nothing_is_left_beside_a_database_that_nobody_else_has_open(tmp_path):
    source = a_database(tmp_path / "quiet.db")

    run(source, tmp_path / "copies")

    assert sorted(os.listdir(tmp_path)) == ["copies", "quiet.db"]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to run as another user")
def test_a_wal_database_of_another_user_is_refused_before_it_is_opened(tmp_path):
    source = a_database(tmp_path / "theirs.db")
    os.chown(source, 12345, 12345)
    source.chmod(0o644)
    copies = tmp_path / "copies"
    copies.mkdir()
    os.chown(copies, 12346, 12346)
    let_others_enter(tmp_path, 0o777)

    command = [sys.executable, "-c", AS_ANOTHER, source, copies, "12346", "12346"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.stdout.startswith("True "), done.stderr
    assert 'user: "12345:12345"' in done.stdout
    assert not [name for name in os.listdir(tmp_path) if name.endswith(("-wal", "-shm"))]


def test_a_replaced_database_is_not_torn_between_two_files(tmp_path):
    source = a_database(tmp_path / "swapped.db", rows=500)
    other = a_database(tmp_path / "other.db", rows=900)
    report, swapped = a_report(), []

    def swap_meanwhile(_message):
        if not swapped:
            swapped.append(os.rename(other, source))

    report.send = swap_meanwhile
    result = backup.run(backup.Params(source, tmp_path / "copies"), report)

    assert result["rows"] == 507
    with closing(sqlite3.connect(source)) as database:
        assert database.execute("SELECT COUNT(*) FROM moves").fetchone() == (900,)
