"""SQLite connections as every worker uses them: texts never raise, waits for locks are measured.

Here: the one place in this package that connects, and the one text factory.
Not here: whether a file may be opened (`database.py`). A text in a database of
another program may be any bytes, in its names as well as in its values; Python
would raise, and quote the value in the error.
"""

import sqlite3
import time
from collections.abc import Iterable
from typing import Any

# How SQLite begins what it says of a broken file; an error without a code is told by it.
_DAMAGE = ("malformed database schema", "database disk image is malformed")


def text_of(raw: bytes) -> str:
    r"""Decode a text of SQLite; what is not UTF-8 is escaped: `caf\xe9`."""
    return raw.decode(errors="backslashreplace")


def is_utf8(raw: bytes) -> bool:
    """Return whether `raw` is a text that can be written in a statement."""
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


def connect(uri: str, busy_timeout_s: float) -> sqlite3.Connection:
    """Connect to `uri` in autocommit mode.

    Any thread may use and interrupt the connection, one at a time.

    Raises:
        sqlite3.Error: it cannot be opened.
    """
    connection = sqlite3.connect(
        uri,
        uri=True,
        timeout=busy_timeout_s,
        isolation_level=None,
        cached_statements=64,
        check_same_thread=False,
        factory=Connection,
    )
    connection.text_factory = text_of
    return connection


class Connection(sqlite3.Connection):
    """A connection whose errors are always `sqlite3.Error`, and say how long a lock was awaited.

    An error of a lock has `waited_s`, the seconds that SQLite waited for it.
    """

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        """Execute one statement, as `sqlite3.Connection.execute`."""
        began = time.monotonic()
        try:
            return super().execute(sql, parameters)
        except sqlite3.OperationalError as error:
            self._note_wait(error, began)
            raise
        except UnicodeDecodeError as error:
            raise _error_of(error) from None

    def executemany(self, sql: str, parameters: Iterable[Any], /) -> sqlite3.Cursor:
        """Execute one statement for each of `parameters`."""
        began = time.monotonic()
        try:
            return super().executemany(sql, parameters)
        except sqlite3.OperationalError as error:
            self._note_wait(error, began)
            raise
        except UnicodeDecodeError as error:
            raise _error_of(error) from None

    def _note_wait(self, error: sqlite3.OperationalError, began: float) -> None:
        if is_lock_error(error):
            (limit_ms,) = super().execute("PRAGMA busy_timeout").fetchone()
            # What the statement did before it met the lock was work, not waiting.
            waited_s = min(time.monotonic() - began, limit_ms / 1000)
            error.waited_s = waited_s  # type: ignore[attr-defined]


def name_of(error: sqlite3.Error) -> str:
    """SQLite's name of the error, such as SQLITE_BUSY_SNAPSHOT; empty if Python raised it."""
    return getattr(error, "sqlite_errorname", None) or ""


def kind_of(error: sqlite3.Error) -> str:
    """The name of its kind, which an extended name has as a prefix: SQLITE_BUSY."""
    return "_".join(name_of(error).split("_")[:2])


def is_lock_error(error: sqlite3.Error) -> bool:
    """Whether another connection's lock is what stands in the way."""
    # PROTOCOL: the lock of a WAL's index was not got in many tries.
    return kind_of(error) in ("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_PROTOCOL")


def _error_of(error: UnicodeDecodeError) -> sqlite3.OperationalError:
    """The error that Python could not raise, since its text, or a column's name, is no UTF-8."""
    text = text_of(error.object)
    raised = sqlite3.OperationalError(f"{text} (a text that is not UTF-8)")
    raised.sqlite_errorname = "SQLITE_CORRUPT" if text.startswith(_DAMAGE) else "SQLITE_ERROR"
    return raised
