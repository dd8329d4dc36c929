"""Change log for `capture: triggers`: changed keys in the source, and whether to trust them.

Three triggers write each changed key into the table's log (`nightshift_changes_<table>`).
A run processes every logged key with its *present* row, then deletes what it processed.
Keys may repeat, and a run may be killed at any time.
Generations detect a replaced source file, or the run of another target. The source stores
(current, next), the target its own. A run writes a random `next` before the target commits
it with the data, and makes it current afterwards. The log is trusted if the target's
generation is current or next. Each table has an epoch, drawn anew when its triggers had to
be created, because writes without triggers are unknown.
Invariant: only this file writes to the source, in three short transactions.
"""

import secrets
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from workers import sqlite
from workers.replication.tables import Table, quoted

_PREFIX = "nightshift_changes_"
_STATE = """
CREATE TABLE IF NOT EXISTS nightshift_capture (
    name  TEXT PRIMARY KEY NOT NULL, -- of a table; empty: of the whole
    token TEXT, -- the table's epoch; the whole's current generation
    next  TEXT -- the whole's next generation, while a run commits it
) WITHOUT ROWID"""
_REMEMBER = """
INSERT INTO nightshift_capture (name, token) VALUES (?, ?)
ON CONFLICT (name) DO UPDATE SET token = excluded.token, next = NULL"""


class _Piece(NamedTuple):
    """A schema object in the source; a log may have the name of another table's trigger."""

    kind: str
    name: str


@dataclass(frozen=True, slots=True)
class LogState:
    """The capture state in a snapshot; epochs by table."""

    current: str
    next: str
    epochs: dict[str, str]

    def knows(self, generation: str) -> bool:
        """Return whether a target of this generation lacks only the changes in the logs."""
        return bool(generation) and generation in (self.current, self.next)


def log_of(table: str) -> str:
    """Return the quoted name of a table's log, with its schema."""
    return f"main.{quoted(_PREFIX + table)}"


def stand(connection: sqlite3.Connection, tables: Sequence[Table]) -> bool:
    """Return whether the snapshot has exactly the logs, triggers and epochs of these tables."""
    return _standing(connection) == _wanted(tables) and _knows_all(connection, tables)


def prepare(path: Path, tables: Sequence[Table]) -> list[str]:
    """Create missing or outdated logs and triggers; return the tables that needed it.

    Those of tables that are no longer replicated are removed, because they slow writers.

    Raises:
        DatabaseError, sqlite3.Error: the source cannot be written.
    """
    wanted = _wanted(tables)
    with (
        closing(sqlite.open_existing(path)) as connection,
        sqlite.transaction(connection),
    ):
        standing = _standing(connection)
        connection.execute(_STATE)
        known = set(_epochs(connection))
        _drop(connection, [piece for piece in standing if piece not in wanted])
        return [
            table.name
            for table in tables
            if _make(connection, table, standing, known=table.name in known)
        ]


def memory(connection: sqlite3.Connection) -> LogState:
    """Return the capture state of the snapshot; empty if there was never a capture."""
    if not _exists(connection, "nightshift_capture"):
        return LogState("", "", {})
    line = connection.execute("SELECT token, next FROM nightshift_capture WHERE name = ''")
    current, following = line.fetchone() or ("", "")
    return LogState(current or "", following or "", _epochs(connection))


def last_of(connection: sqlite3.Connection, table: str) -> int:
    """Return the highest entry of a table's log in the snapshot; 0: the log is empty."""
    return int(connection.execute(f"SELECT max(seq) FROM {log_of(table)}").fetchone()[0] or 0)


def announce(connection: sqlite3.Connection, current: str) -> str:
    """Draw and store the next generation; call it before the target commits it.

    current: the generation in the snapshot. If a run into another target has changed it since,
    the log lost changes that this target has not seen, and `next` is not written.
    """
    following = secrets.token_hex(16)
    with sqlite.transaction(connection):
        insert = "INSERT INTO nightshift_capture (name, token) VALUES ('', '')"
        connection.execute(f"{insert} ON CONFLICT DO NOTHING")
        update = "UPDATE nightshift_capture SET next = ? WHERE name = '' AND token = ?"
        connection.execute(update, (following, current))
    return following


def settle(connection: sqlite3.Connection, generation: str, taken: dict[str, int]) -> None:
    """Make the generation current after the target's commit, and delete log entries up to `taken`.

    Does nothing if another run has announced a generation, because that run needs the logs.
    """
    settled = (
        "UPDATE nightshift_capture SET token = next, next = NULL WHERE name = '' AND next = ?"
    )
    with sqlite.transaction(connection):
        if connection.execute(settled, (generation,)).rowcount:
            for table, last in taken.items():
                connection.execute(f"DELETE FROM {log_of(table)} WHERE seq <= ?", (last,))


def leftovers(connection: sqlite3.Connection) -> list[str]:
    """Return the logs that exist in a source; they slow its writers."""
    return [piece.name for piece in _standing(connection) if piece.kind == "table"]


def _make(
    connection: sqlite3.Connection, table: Table, standing: dict[_Piece, str], *, known: bool
) -> bool:
    statements = _statements(table)
    if known and all(standing.get(piece) == sql for piece, sql in statements.items()):
        return False
    _drop(connection, [piece for piece in statements if piece in standing])
    for sql in statements.values():
        connection.execute(sql)
    connection.execute(_REMEMBER, (table.name, secrets.token_hex(16)))
    return True


def _wanted(tables: Sequence[Table]) -> dict[_Piece, str]:
    return {piece: sql for table in tables for piece, sql in _statements(table).items()}


def _statements(table: Table) -> dict[_Piece, str]:
    """Return the SQL of the log and its triggers, as `sqlite_master` stores it."""
    key = [quoted(column.called) if not table.rowid else table.rowid for column in table.key]
    log = _PREFIX + table.name
    places = ", ".join(f"k{number}" for number in range(len(key)))
    into = f"INSERT INTO {quoted(log)} ({places})"
    old, new = (", ".join(f"{row}.{name}" for name in key) for row in ("old", "new"))
    moved = " OR ".join(f"new.{name} IS NOT old.{name} COLLATE BINARY" for name in key)
    actions = {
        "insert": f"{into} VALUES ({new});",
        "update": f"{into} VALUES ({old}); {into} SELECT {new} WHERE {moved};",
        "delete": f"{into} VALUES ({old});",
    }
    made = {
        _Piece("table", log): f"CREATE TABLE {quoted(log)} (seq INTEGER PRIMARY KEY, {places})"
    }
    for event, action in actions.items():
        name = f"{log}_{event}"
        made[_Piece("trigger", name)] = (
            f"CREATE TRIGGER {quoted(name)} AFTER {event.upper()} ON {quoted(table.name)}"
            f" BEGIN {action} END"
        )
    return made


def _standing(connection: sqlite3.Connection) -> dict[_Piece, str]:
    found = connection.execute(
        "SELECT type, name, sql FROM sqlite_master"
        " WHERE substr(name, 1, ?) = ? AND type IN ('table', 'trigger')",
        (len(_PREFIX), _PREFIX),
    )
    return {_Piece(kind, name): sql for kind, name, sql in found}


def _knows_all(connection: sqlite3.Connection, tables: Sequence[Table]) -> bool:
    if not _exists(connection, "nightshift_capture"):
        return False
    return {table.name for table in tables} <= _epochs(connection).keys()


def _epochs(connection: sqlite3.Connection) -> dict[str, str]:
    query = "SELECT name, token FROM nightshift_capture WHERE name <> ''"
    return dict(connection.execute(query).fetchall())


def _drop(connection: sqlite3.Connection, pieces: Sequence[_Piece]) -> None:
    # Triggers first, because dropping a table also drops its triggers.
    for kind, name in sorted(pieces, reverse=True):
        connection.execute(f"DROP {kind.upper()} IF EXISTS {quoted(name)}")


def _exists(connection: sqlite3.Connection, table: str) -> bool:
    found = connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (table,))
    return found.fetchone() is not None
