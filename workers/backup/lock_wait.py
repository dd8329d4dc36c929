"""Reading a database whose writers leave its lock free for moments only.

Under a rollback journal a writer that commits a thousand times a second holds
readers off nearly all the time, and SQLite's own waiting, which soon looks
only ten times a second, may miss every gap. Many short tries find one.
"""

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

from workers import sqlite
from workers.sqlite import DatabaseLockedError

# Longer than any run of bad luck; a lock that is simply kept ends as SQLite has it.
_TRYING_S = 30.0
_TRY_S = 0.02

Check = Callable[[], None]


def open_when_free(path: Path, check: Check) -> sqlite3.Connection:
    """As `database.open_existing`; `check` is called between tries and may raise.

    Only a lock is tried for: what else keeps a database from being opened, a
    moment's waiting does not mend.

    Raises:
        DatabaseTrouble: it cannot be opened, or is locked for good.
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
        return sqlite.open_existing(path)
    except DatabaseLockedError as error:
        raise DatabaseLockedError(path, time.monotonic() - began) from error


def begin_reading(connection: sqlite3.Connection, check: Check) -> None:
    """Begin a read transaction, its lock taken; `check` as in `opened`.

    Raises:
        sqlite3.Error: it cannot be read, or is locked for good.
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
                # Of the last try alone it would say a fiftieth of a second.
                error.waited_s = waited_s  # type: ignore[attr-defined]
                raise
            connection.execute("ROLLBACK")
        check()
    _wait_at_most(connection, sqlite.BUSY_TIMEOUT_S)


def _wait_at_most(connection: sqlite3.Connection, seconds: float) -> None:
    connection.execute(f"PRAGMA busy_timeout = {int(seconds * 1000)}")
