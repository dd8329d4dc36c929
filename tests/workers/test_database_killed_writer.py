"""Unfinished changes of a killed writer are rolled back by the next opening of the database."""

import signal
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest

from workers import sqlite

# Dies with a journal on disk and half of its pages written to the file.
KILLED = """
import os, signal, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA cache_size = 10")
connection.execute("BEGIN")
connection.execute("UPDATE t SET v = 'half done' || hex(randomblob(500))")
os.kill(os.getpid(), signal.SIGKILL)
"""


def kill_a_writer_of(path):
    ended = subprocess.run([sys.executable, "-c", KILLED, path], check=False)
    assert ended.returncode == -signal.SIGKILL


@pytest.mark.parametrize("mode", ["DELETE", "TRUNCATE", "WAL"])
@pytest.mark.parametrize("read_only", [True, False])
def test_a_database_whose_writer_was_killed_is_read_as_it_was(tmp_path, mode, read_only):
    path = tmp_path / "a.db"
    with closing(sqlite3.connect(path)) as made, made:
        made.execute(f"PRAGMA journal_mode = {mode}")
        made.execute("CREATE TABLE t (v TEXT)")
        made.executemany("INSERT INTO t VALUES (?)", [("whole",)] * 1000)
    kill_a_writer_of(path)
    left = path.with_name("a.db-wal" if mode == "WAL" else "a.db-journal")
    assert left.stat().st_size > 0

    with closing(sqlite.open_existing(path, read_only=read_only)) as opened:
        rows = opened.execute("SELECT DISTINCT v FROM t").fetchall()

    assert rows == [("whole",)]


def test_what_is_opened_for_reading_is_not_written(tmp_path):
    path = tmp_path / "a.db"
    with closing(sqlite3.connect(path)) as made, made:
        made.execute("CREATE TABLE t (v TEXT)")

    with (
        closing(sqlite.open_existing(path, read_only=True)) as opened,
        pytest.raises(sqlite3.OperationalError, match="readonly"),
    ):
        opened.execute("INSERT INTO t VALUES (1)")


def test_a_writer_that_is_killed_under_a_reader_is_reported_as_what_may_pass(tmp_path):
    path = tmp_path / "a.db"
    with closing(sqlite3.connect(path)) as made, made:
        made.execute("CREATE TABLE t (v TEXT)")
        made.executemany("INSERT INTO t VALUES (?)", [("whole",)] * 1000)

    with closing(sqlite.open_existing(path, read_only=True)) as opened:
        kill_a_writer_of(path)
        with pytest.raises(sqlite3.OperationalError) as failed:
            opened.execute("SELECT * FROM t").fetchall()
    reported = sqlite.error_of(path, failed.value)

    assert "a killed writer left half done" in str(reported)
    assert not reported.permanent
