"""Acquire a read lock on a database with very frequent writers.

Under a rollback journal a writer that commits a thousand times a second blocks readers
nearly all the time. SQLite's busy handler soon retries only ten times a second and may miss
every gap. Many short tries find one.
"""

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

from workers import sqlite
from workers.sqlite import DatabaseLockedError

# Long enough to find a gap; a lock that is held throughout ends as SQLite's own wait.
_TRYING_S = 30.0
_TRY_S = 0.02

Check = Callable[[], None]


def open_when_free(path: Path, check: Check) -> sqlite3.Connection:
    """Return a connection like `sqlite.open_existing`, retrying while the database is locked.

    `check` is called between tries and may raise. Only locks are retried, because waiting
    does not help with other errors.

    Raises:
        DatabaseError: it cannot be opened, or stays locked.
    """
    began = time.monotonic()
    while time.monotonic() - began < _TRYING_S:
        try:
            connection = sqlite.open_existing(path, busy_timeout_s=_TRY_S)
        except DatabaseLockedError:
            check()
        else:
            _wait_at_most(connection, sqlite.BUSY_TIMEOUT_S)
            return connection
    try:
        return sqlite.open_existing(path, busy_timeout_s=sqlite.BUSY_TIMEOUT_S)
    except DatabaseLockedError as error:
        raise DatabaseLockedError(path, time.monotonic() - began) from error


def begin_reading(connection: sqlite3.Connection, check: Check) -> None:
    """Begin a read transaction and take its lock; `check` as in `open_when_free`.

    Raises:
        sqlite3.Error: it cannot be read, or stays locked.
    """
    began = time.monotonic()
    _wait_at_most(connection, _TRY_S)
    while True:
        try:
            connection.execute("BEGIN")
            connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone()
            break
        except sqlite3.OperationalError as error:
            waited_s = time.monotonic() - began
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or waited_s > _TRYING_S:
                # The last try alone would report 20 ms.
                error.waited_s = waited_s  # type: ignore[attr-defined]
                raise
            connection.execute("ROLLBACK")
        check()
    _wait_at_most(connection, sqlite.BUSY_TIMEOUT_S)


def _wait_at_most(connection: sqlite3.Connection, seconds: float) -> None:
    connection.execute(f"PRAGMA busy_timeout = {int(seconds * 1000)}")
