"""SQLite connections for all workers: any text can be read, lock waits are measured.

This is the only module of the package that connects, and the only text factory. Checks
of whether a file may be opened are in `sqlite.py`. Names and values in a database of
another program may contain any bytes; Python would raise and quote the value.
"""

import sqlite3
import time
from collections.abc import Iterable
from typing import Any

# Start of SQLite's messages about a corrupt file; used where an error has no code.
_DAMAGE = ("malformed database schema", "database disk image is malformed")


def text_of(raw: bytes) -> str:
    r"""Decode a text of SQLite; escape bytes that are not UTF-8, as in `caf\xe9`."""
    return raw.decode(errors="backslashreplace")


def is_utf8(raw: bytes) -> bool:
    """Return whether `raw` is UTF-8 and so can be part of a statement."""
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


def text_encoding(connection: sqlite3.Connection) -> str:
    """Return the encoding of the database's texts: `UTF-8`, `UTF-16le` or `UTF-16be`."""
    return str(connection.execute("PRAGMA encoding").fetchone()[0])


def as_utf8(raw: bytes, encoding: str) -> bytes:
    """Return a text that was cast to a BLOB, which leaves it in the database's encoding, in UTF-8.

    A lone surrogate of UTF-16 becomes bytes that are not UTF-8, as in SQLite.
    """
    if encoding == "UTF-8":
        return raw
    whole = raw[: len(raw) // 2 * 2]
    return whole.decode(encoding, "surrogatepass").encode(errors="surrogatepass")


def connect(uri: str, busy_timeout_s: float) -> sqlite3.Connection:
    """Return a connection to `uri` in autocommit mode.

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
    """A connection that raises only `sqlite3.Error` and measures lock waits.

    A lock error has the attribute `waited_s`, the seconds that SQLite waited.
    """

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        """Execute one statement, like `sqlite3.Connection.execute`."""
        began = time.monotonic()
        try:
            return super().execute(sql, parameters)
        except sqlite3.OperationalError as error:
            self._note_wait(error, began)
            raise
        except UnicodeDecodeError as error:
            raise _error_of(error) from None

    def executemany(self, sql: str, parameters: Iterable[Any], /) -> sqlite3.Cursor:
        """Execute one statement for each item of `parameters`."""
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
            # Time that the statement spent before it met the lock was work, not waiting.
            waited_s = min(time.monotonic() - began, limit_ms / 1000)
            error.waited_s = waited_s  # type: ignore[attr-defined]


def name_of(error: sqlite3.Error) -> str:
    """Return SQLite's name of the error, such as SQLITE_BUSY_SNAPSHOT, or "" if it has none."""
    return getattr(error, "sqlite_errorname", None) or ""


def kind_of(error: sqlite3.Error) -> str:
    """Return the primary name of the error, such as SQLITE_BUSY."""
    return "_".join(name_of(error).split("_")[:2])


def is_lock_error(error: sqlite3.Error) -> bool:
    """Return whether the error is caused by another connection's lock."""
    # SQLITE_PROTOCOL: the lock of a WAL's index was not acquired in many attempts.
    return kind_of(error) in ("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_PROTOCOL")


def _error_of(error: UnicodeDecodeError) -> sqlite3.OperationalError:
    """Return the error that Python could not raise because its text is not UTF-8."""
    text = text_of(error.object)
    raised = sqlite3.OperationalError(f"{text} (a text that is not UTF-8)")
    raised.sqlite_errorname = "SQLITE_CORRUPT" if text.startswith(_DAMAGE) else "SQLITE_ERROR"
    return raised
