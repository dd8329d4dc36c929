"""Measure the local machine: the database, its disks and its copies.

Invariant: every wait is bounded. No file of the database is opened while a connection to it
exists, because closing the file would drop SQLite's locks; each measurement ends before the
next one begins.
"""

import os
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path

import psutil

from workers import backup, sqlite, virtual_tables
from workers.backup import filenames, introspection, listing, lock_wait, preflight
from workers.backup.errors import BackupError
from workers.backup.settings import resolve
from workers.file_length import refuse_cut_short
from workers.health.evaluation import Limits
from workers.health.measurements import (
    Database,
    DatabaseSize,
    Disk,
    Measure,
    NewestBackup,
    NextBackup,
    NoBackup,
    NoQuickCheck,
    Query,
    QuickCheck,
    WalSize,
)
from workers.rotation.retention import newest_verified
from workers.sqlite import DatabaseError
from workers.units import format_duration

_SAMPLED_TABLES, _SAMPLED_ROWS = 20, 100
_LONGEST_LINE = 200

Check = Callable[[], None]


class LateError(Exception):
    """A measurement did not finish within its limit."""


def newest_backup(path: Path, folder: Path) -> NewestBackup | NoBackup:
    """Return the age of the newest verified copy of the database at `path` in `folder`."""
    now = datetime.now(UTC)
    try:
        stem = filenames.stem(path)
        of_stem = listing.copies_of(path, listing.list_backups(folder), stem)
        newest = max((one.taken_at for one in newest_verified(of_stem, now)), default=None)
    except (BackupError, ValueError) as error:
        return NoBackup(str(error))
    except OSError as error:
        return NoBackup(_words(error))
    if newest is None:
        others = f"; not verified: {len(of_stem)}" if of_stem else ""
        return NoBackup(f"none of {stem} in {folder}{others}")
    return NewestBackup(max(0.0, (now - newest).total_seconds()))


def next_backup(path: Path, folder: Path, limit_s: float, check: Check) -> NextBackup:
    """Return whether a backup could be made now, using the backup's own checks."""
    try:
        settings = resolve(backup.Params(path, folder))
        source, destination = settings.source, settings.destination
        seen = preflight.check_source(source, destination, _until(limit_s, check))
        return NextBackup(preflight.why_not_enough_space(destination.directory, seen))
    except LateError:
        return NextBackup(f"the database {_kept(limit_s)}")
    except (BackupError, DatabaseError, ValueError) as error:
        return NextBackup(str(error))
    except OSError as error:
        return NextBackup(_words(error))


def of_disks(path: Path, folder: Path | None) -> Iterator[Disk]:
    """Yield the volumes of the database, its copies and temporary files, each once."""
    seen = set()
    beside = Path(os.path.realpath(path)).parent
    for place in (beside, folder, Path(tempfile.gettempdir())):
        # Another check reports a missing folder.
        with suppress(OSError):
            if place is not None and (number := os.stat(place).st_dev) not in seen:
                seen.add(number)
                usage = psutil.disk_usage(str(place))
                yield Disk(place, usage.free, usage.used)


def of_database(path: Path, limits: Limits, check: Check) -> Iterator[Measure]:
    """Yield whether the database is readable and sound, its size, and its query time."""
    # SQLite keeps the log beside the file itself, not beside a link to it.
    wal_bytes = _size(Path(f"{os.path.realpath(path)}-wal"))
    try:
        in_time = _until(limits.answer, check)
        # Not read-only: closing the last read-only connection would leave -wal and -shm behind.
        with closing(lock_wait.open_when_free(path, in_time)) as connection:
            connection.execute("PRAGMA query_only = ON")
            lock_wait.begin_reading(connection, in_time)
            refuse_cut_short(path, connection)
            measured = list(_of_content(path, connection, limits, check))
    except LateError:
        yield Database(path, _kept(limits.answer))
    except DatabaseError as problem:
        yield Database(path, problem.reason)
    except sqlite3.Error as error:
        yield Database(path, sqlite.error_of(path, error).reason)
    else:
        yield Database(path, "")
        yield DatabaseSize(_size(path))
        yield WalSize(wal_bytes)
        yield from measured


def _of_content(
    path: Path, connection: sqlite3.Connection, limits: Limits, check: Check
) -> Iterator[Measure]:
    there = introspection.names(connection)
    if not there:
        raise DatabaseError(path, "has no tables; is it the right path?", permanent=True)
    began = time.monotonic()
    damaged = _sampled(connection, there)
    yield Query(time.monotonic() - began)
    yield damaged or _quick_check(connection, limits.quick_check, check)


def _sampled(connection: sqlite3.Connection, there: list[str]) -> QuickCheck | None:
    """Read the first rows of the first tables; return the damage found, or None."""
    for name in there[:_SAMPLED_TABLES]:
        try:
            query = f'SELECT * FROM "{introspection.quoted(name)}" LIMIT {_SAMPLED_ROWS}'
            # Row by row, because each may be large.
            for _ in connection.execute(query):
                pass
        except sqlite3.DatabaseError as error:
            if sqlite.is_damage(error):
                return QuickCheck((str(error),), False, 0.0)
            if not sqlite.is_foreign(error):
                raise
    return None


def _quick_check(
    connection: sqlite3.Connection, limit_s: float, check: Check
) -> QuickCheck | NoQuickCheck:
    problems = list[str]()

    def look() -> None:
        try:
            for (row,) in connection.execute("PRAGMA quick_check"):
                lines = (line for line in row.splitlines() if _is_damage(line))
                problems.extend(line[:_LONGEST_LINE] for line in lines)
        except sqlite3.DatabaseError as error:
            if not sqlite.is_damage(error):
                raise
            problems.append(f"it could not go on: {error}")

    began, finished = time.monotonic(), True
    try:
        sqlite.with_progress(connection, look, _until(limit_s, check))
    except LateError:
        finished = False
    except sqlite3.DatabaseError as error:
        if not sqlite.is_foreign(error):
            raise
        return NoQuickCheck(str(error))
    return QuickCheck(tuple(problems), finished, time.monotonic() - began)


def _is_damage(line: str) -> bool:
    return line != "ok" and line[:3] != "***" and not virtual_tables.is_of_its_own(line)


def _kept(waited_s: float) -> str:
    return f"is locked by another program for more than {format_duration(waited_s)}"


def _words(error: OSError) -> str:
    return f"{error.strerror} ({error.filename})" if error.filename else str(error)


def _until(limit_s: float, check: Check) -> Check:
    """Return a check that calls `check` and raises LateError once `limit_s` is over."""
    deadline = time.monotonic() + limit_s

    def look() -> None:
        check()
        if time.monotonic() >= deadline:
            raise LateError

    return look


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
