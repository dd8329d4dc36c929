"""Databases with active writers, and folders of copies, for the tests of backup."""

import gzip
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.workers.catalogue_folder import a_report
from workers import backup
from workers.backup import filenames, listing, manifest
from workers.backup.manifest import Manifest
from workers.backup.places.place import Place
from workers.backup.repository import publish
from workers.report import WorkerError

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small disk, which needs root")

# Each transaction adds a move and moves the total by it, in two tables.
SCHEMA = """
CREATE TABLE totals (id INTEGER PRIMARY KEY, total INTEGER NOT NULL);
CREATE TABLE moves (id INTEGER PRIMARY KEY, account INTEGER NOT NULL REFERENCES totals(id),
    amount INTEGER NOT NULL, note BLOB);
CREATE INDEX moves_by_account ON moves (account);
"""
BROKEN = """
SELECT totals.id FROM totals LEFT JOIN moves ON moves.account = totals.id
GROUP BY totals.id HAVING total <> COALESCE(SUM(amount), 0)
"""
MOVES = """
WITH RECURSIVE numbers (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < ?)
INSERT INTO moves (account, amount, note)
SELECT n % 7, n, CAST(randomblob(250) || zeroblob(250) AS BLOB) FROM numbers
"""
WRITER = """
import sqlite3, sys, threading, time
path, pause = sys.argv[1], float(sys.argv[2])
over = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), over.set()), daemon=True).start()
database = sqlite3.connect(path, timeout=20, isolation_level=None)
database.execute("PRAGMA synchronous = NORMAL")
done, worst = 0, 0.0
while not over.is_set():
    began = time.monotonic()
    database.execute("BEGIN IMMEDIATE")
    account = done % 7
    database.execute("INSERT INTO moves (account, amount, note) VALUES (?, ?, ?)",
                     (account, done, b"x" * 200))
    database.execute("UPDATE totals SET total = total + ? WHERE id = ?", (done, account))
    database.execute("COMMIT")
    worst = max(worst, time.monotonic() - began)
    done += 1
    if done == 1:
        print("up", flush=True)
    over.wait(pause)
print(done, worst, database.execute("SELECT COUNT(*) FROM moves").fetchone()[0], flush=True)
"""


def a_database(path: Path, rows: int = 200, wal: bool = True, before: str = "") -> Path:
    """Create a database that keeps the invariant, with `rows` moves of 500 bytes."""
    with closing(sqlite3.connect(path)) as database:
        database.executescript(before)
        database.execute(f"PRAGMA journal_mode = {'WAL' if wal else 'DELETE'}")
        database.executescript(SCHEMA)
        database.executemany("INSERT INTO totals VALUES (?, 0)", [(n,) for n in range(7)])
        database.execute(MOVES, (rows,))
        database.execute(
            "UPDATE totals SET total ="
            " (SELECT COALESCE(SUM(amount), 0) FROM moves WHERE account = totals.id)"
        )
        database.commit()
    return path


@dataclass
class Writing:
    """The work of a writer: commits, its longest one in seconds, rows it saw in the end."""

    commits: int = 0
    worst_s: float = 0.0
    rows: int = 0


@contextmanager
def a_writer(path: Path, pause_s: float) -> Iterator[Writing]:
    """Run a process that commits all the time; its counts are complete after the block."""
    command = [sys.executable, "-c", WRITER, str(path), str(pause_s)]
    said = Writing()
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdin
        assert writer.stdout
        assert writer.stdout.readline() == "up\n"
        try:
            yield said
        finally:
            writer.stdin.close()
            commits, worst, rows = writer.stdout.readline().split()
            said.commits, said.worst_s, said.rows = int(commits), float(worst), int(rows)
    assert writer.returncode == 0


def rows(path: Path, query: str) -> list[tuple[Any, ...]]:
    """Return the rows of `query` on the database at `path`."""
    with closing(sqlite3.connect(path)) as database:
        return database.execute(query).fetchall()


def run(path: Path, folder: Path, /, **more: Any) -> dict[str, Any]:
    """Back up `path` into `folder` and return the result; copies: folders or places."""
    if "copies" in more:
        more["copies"] = tuple(
            one if isinstance(one, Place) else Place(str(one)) for one in more["copies"]
        )
    return backup.run(backup.Params(path, folder, **more), a_report())


def failure(path: Path, folder: Path, /, **more: Any) -> WorkerError:
    """Return the error of a backup that must fail."""
    with pytest.raises(WorkerError) as failed:
        run(path, folder, **more)
    return failed.value


def the_copy(folder: Path) -> Path:
    """Return the newest copy in `folder`."""
    return listing.list_backups(folder)[0].path


def dated(made: Path, into: Path, moment: datetime, stem: str = "a") -> Path:
    """Copy the copy `made` into a folder as if it had been taken at `moment`."""
    into.mkdir(exist_ok=True)
    name = filenames.copy_name(stem, moment)
    known = manifest.read(made)
    fields = {field: getattr(known, field) for field in Manifest.__dataclass_fields__}
    again = Manifest(**fields | {"name": name, "source": f"/data/{stem}.db"})
    shutil.copy(made, into / f"{name}.part")
    os.utime(into / f"{name}.part", (moment.timestamp(),) * 2)
    publish(into, name, manifest.companions(again), 0o640)
    return into / name


def unpacked(copy: Path, target: Path) -> Path:
    """Unpack a copy to `target`, with a gzip that is not ours."""
    target.write_bytes(gzip.decompress(copy.read_bytes()))
    return target


def ours(folder: Path) -> list[str]:
    """Return all names in `folder` except the lock's."""
    return sorted(name for name in os.listdir(folder) if name != ".nightshift.lock")


@contextmanager
def a_small_disk(folder: Path, size: str) -> Iterator[Path]:
    """Mount a file system of `size` at `folder`; skip where that is not allowed."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("a tmpfs cannot be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)
