"""Create, open, read and write the synced SQLite database.

Functions over a connection in autocommit mode; the callers decide what to write.
Invariant: related changes are written inside one `transaction`, and a card's row is never
in the database without the row of its set.
"""

import json
import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from workers import sqlite
from workers.file_length import refuse_cut_short
from workers.sqlite import DatabaseError, transaction
from workers.sqlite_connection import connect
from workers.sync import schema
from workers.sync.rows import CARD_COLUMNS, SET_COLUMNS, Row


def _insert(table: str, columns: Sequence[str]) -> str:
    # OR ABORT overrides ON CONFLICT IGNORE or REPLACE in the declaration of the owner's table.
    values = ", ".join("?" * len(columns))
    return f"INSERT OR ABORT INTO {table} ({', '.join(columns)}) VALUES ({values})"


def _update(table: str, columns: Sequence[str]) -> str:
    changed = ", ".join(f"{name} = ?{place}" for place, name in enumerate(columns, 1))
    return f"UPDATE OR ABORT {table} SET {changed} WHERE id = ?1"


_INSERT_SET = _insert("pokemon_card_sets", (*SET_COLUMNS, "created_at"))
_UPDATE_SET = _update("pokemon_card_sets", SET_COLUMNS)
_INSERT_CARD = _insert("pokemon_cards", CARD_COLUMNS)
_UPDATE_CARD = _update("pokemon_cards", CARD_COLUMNS)
_ALL_SETS = f"SELECT {', '.join(SET_COLUMNS)} FROM pokemon_card_sets"
# A table that was there may have another collation, in which two sets have one id.
_OF_SET = "set_id COLLATE BINARY = ?"
_CARDS_OF = f"SELECT {', '.join(CARD_COLUMNS)} FROM pokemon_cards WHERE {_OF_SET}"
_COUNTS = """
SELECT sets.id, COALESCE(cards.entries, 0) FROM pokemon_card_sets AS sets LEFT JOIN (
    SELECT set_id, COUNT(*) AS entries FROM pokemon_cards GROUP BY set_id COLLATE BINARY
) AS cards ON cards.set_id COLLATE BINARY = sets.id"""
_ELSEWHERE = f"""
SELECT id, set_id FROM pokemon_cards
WHERE id IN (SELECT value FROM json_each(?)) AND NOT {_OF_SET} LIMIT 10"""


class StrangeIdError(Exception):
    """Rows that cannot be deleted by id, because their ids are not UTF-8 text."""

    def __init__(self, table: str, count: int) -> None:
        rows = "1 row has an id" if count == 1 else f"{count} rows have ids"
        super().__init__(
            f"{table}: {rows} that cannot be looked up, since it is no text in UTF-8; nothing of"
            " the set was deleted: correct it there, or sync without prune"
        )


def create_or_open(path: Path) -> sqlite3.Connection:
    """Return a connection to the database at `path`, creating it and its tables if missing.

    Raises:
        DatabaseError: its folder is missing, it is not a database, or it has
            tables with our names and another shape. Nothing was written.
    """
    made = _made(path)
    try:
        new = sqlite.inspect(path).size_bytes == 0
        connection = sqlite.open_existing(path)
        try:
            _prepare(path, connection, new)
        except BaseException:
            connection.close()
            raise
    except BaseException:
        if made:
            for ending in ("", "-wal", "-shm", "-journal"):
                Path(f"{path}{ending}").unlink(missing_ok=True)
        raise
    return connection


def open_with_sets(path: Path) -> sqlite3.Connection | None:
    """Return a connection like `create_or_open`, or None if there is no database or no set.

    Raises:
        DatabaseError: see `create_or_open`.
    """
    _require_folder(path)
    if not os.path.lexists(path):
        return None
    connection = sqlite.open_existing(path)
    try:
        _refuse_misfits(path, connection)
        known = "pokemon_card_sets" in _tables(connection)
        if known and connection.execute("SELECT 1 FROM pokemon_card_sets LIMIT 1").fetchone():
            _prepare(path, connection, new=False)
            return connection
    except BaseException:
        connection.close()
        raise
    connection.close()
    return None


def open_to_read(path: Path) -> sqlite3.Connection:
    """Return a read-only connection, or an empty in-memory database if tables are missing.

    Raises:
        DatabaseError: see `create_or_open`.
    """
    _require_folder(path)
    if os.path.lexists(path):
        connection = sqlite.open_existing(path, read_only=True)
        try:
            _refuse_misfits(path, connection)
            complete = _tables(connection) >= schema.DEMANDED.keys()
        except BaseException:
            connection.close()
            raise
        if complete:
            return connection
        connection.close()
    # Incomplete tables count as none: a real run adds sets before cards.
    connection = connect(":memory:", 0)
    _create(connection)
    return connection


def all_sets(connection: sqlite3.Connection) -> dict[str, Row]:
    """Return the rows of SET_COLUMNS by id."""
    return {_id(row[0]): row for row in connection.execute(_ALL_SETS)}


def card_counts(connection: sqlite3.Connection) -> dict[str, int]:
    """Return the number of cards in the database by set, including sets without cards."""
    return {_id(set_id): count for set_id, count in connection.execute(_COUNTS)}


def cards_of(connection: sqlite3.Connection, set_id: str) -> dict[str, Row]:
    """Return the rows of CARD_COLUMNS of a set by id."""
    return {_id(row[0]): row for row in connection.execute(_CARDS_OF, (set_id,))}


def cards_elsewhere(
    connection: sqlite3.Connection, set_id: str, rows: Sequence[Row]
) -> list[tuple[str, str]]:
    """Return (card, set) for each of `rows` whose id is stored under another set; at most 10."""
    ids = json.dumps([row[0] for row in rows])
    return connection.execute(_ELSEWHERE, (ids, set_id)).fetchall()


def remembered(connection: sqlite3.Connection) -> dict[str, tuple[str, int]]:
    """Return (digest, entries) by set; empty if the triggers that maintain it are not intact."""
    if _triggers(connection) != schema.TRIGGERS:
        return {}
    found = connection.execute("SELECT set_id, digest, entries FROM nightshift_sync")
    return {set_id: (digest, entries) for set_id, digest, entries in found}


def remember(connection: sqlite3.Connection, set_id: str, digest: str, entries: int) -> None:
    """Store which document a set's rows were made from; call it after writing them."""
    statement = "INSERT OR REPLACE INTO nightshift_sync (set_id, digest, entries) VALUES (?, ?, ?)"
    connection.execute(statement, (set_id, digest, entries))


def insert_sets(connection: sqlite3.Connection, rows: Sequence[Row], created_at: str) -> None:
    """Insert sets; `created_at` is ISO 8601, UTC."""
    connection.executemany(_INSERT_SET, [(*row, created_at) for row in rows])


def update_sets(connection: sqlite3.Connection, rows: Sequence[Row]) -> None:
    """Update sets by id; `created_at` is kept."""
    connection.executemany(_UPDATE_SET, rows)


def delete_set(connection: sqlite3.Connection, set_id: str) -> int:
    """Delete a set and its cards, and return the number of cards.

    Raises:
        StrangeIdError: no row with this id was found.
    """
    cards = connection.execute(f"DELETE FROM pokemon_cards WHERE {_OF_SET}", (set_id,)).rowcount
    if not connection.execute("DELETE FROM pokemon_card_sets WHERE id = ?", (set_id,)).rowcount:
        raise StrangeIdError("pokemon_card_sets", 1)
    return cards


def insert_cards(connection: sqlite3.Connection, rows: Sequence[Row]) -> None:
    """Insert cards of a set that is in the database."""
    connection.executemany(_INSERT_CARD, rows)


def update_cards(connection: sqlite3.Connection, rows: Sequence[Row]) -> None:
    """Update cards by id."""
    connection.executemany(_UPDATE_CARD, rows)


def delete_cards(connection: sqlite3.Connection, ids: Sequence[str]) -> None:
    """Delete cards by id.

    Raises:
        StrangeIdError: some ids were not found.
    """
    statement = "DELETE FROM pokemon_cards WHERE id = ?"
    deleted = connection.executemany(statement, [(card_id,) for card_id in ids]).rowcount
    if ids and deleted != len(ids):
        raise StrangeIdError("pokemon_cards", len(ids) - deleted)


def may_alter_rows(connection: sqlite3.Connection, table: str) -> bool:
    """Return whether a trigger of another program may change or skip rows written to `table`."""
    found = connection.execute(
        "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = ? COLLATE NOCASE",
        (table,),
    )
    return any(name not in schema.TRIGGERS for (name,) in found)


def _id(value: object) -> str:
    """Return an id as text; a TEXT column of SQLite can also hold a blob."""
    return f"x'{value.hex()}'" if isinstance(value, bytes) else str(value)


def _made(path: Path) -> bool:
    _require_folder(path)
    if os.path.lexists(path):
        return False
    try:
        # SQLite itself would also create it with 0644 and the umask.
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644))
    except OSError as error:
        reason = f"cannot be created: {error.strerror}"
        raise DatabaseError(path, reason, permanent=True) from error
    return True


def _require_folder(path: Path) -> None:
    folder = path.absolute().parent
    try:
        is_folder = folder.is_dir()
    except OSError as error:
        reason = f"cannot be opened: its folder {folder}: {error.strerror}"
        raise DatabaseError(path, reason, permanent=True) from error
    if not is_folder:
        raise DatabaseError(
            path, f"cannot be opened: its folder {folder} does not exist", permanent=True
        )


def _prepare(path: Path, connection: sqlite3.Connection, new: bool) -> None:
    try:
        refuse_cut_short(path, connection)
        _refuse_misfits(path, connection)
        # An existing database keeps its owner's journal mode. WAL lets readers
        # continue while a set is written, and syncs once per checkpoint
        # instead of once per set.
        words = "PRAGMA journal_mode = WAL" if new else "PRAGMA journal_mode"
        if connection.execute(words).fetchone()[0] == "wal":
            # In WAL mode NORMAL cannot corrupt the file; a power failure may lose
            # the last sets, which the next run adds again. With a rollback journal
            # NORMAL can corrupt it, so SQLite's default FULL is kept.
            connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA foreign_keys = ON")
        complete = _tables(connection) >= schema.DEMANDED.keys()
        if not complete or _triggers(connection) != schema.TRIGGERS:
            with transaction(connection):
                _create(connection)
    except sqlite3.Error as error:
        raise sqlite.error_of(path, error) from error


def _create(connection: sqlite3.Connection) -> None:
    for statement in (schema.SETS, schema.CARDS, schema.CARDS_BY_SET, schema.MEMORY):
        connection.execute(statement)
    for name, statement in schema.TRIGGERS.items():
        connection.execute(f"DROP TRIGGER IF EXISTS {name}")
        connection.execute(statement)
    # Rows may have changed while a trigger was missing.
    connection.execute("DELETE FROM nightshift_sync")


def _refuse_misfits(path: Path, connection: sqlite3.Connection) -> None:
    for table in schema.DEMANDED:
        query = "SELECT type FROM sqlite_master WHERE name = ? COLLATE NOCASE"
        kind = connection.execute(query, (table,)).fetchone()
        if kind is None:
            continue
        lines = connection.execute(f"PRAGMA table_info({table})").fetchall()
        columns = [schema.Column(line[1], line[2], _demanding(line), line[5]) for line in lines]
        why = schema.misfit(table, columns) if kind[0] == "table" else f"has a {kind[0]} {table}"
        if why:
            reason = f"{why}; it is left as it was: name another database or move the table away"
            raise DatabaseError(path, reason, permanent=True)


def _demanding(line: tuple[int, str, str, int, object, int]) -> bool:
    # cid, name, type, notnull, dflt_value, pk: NOT NULL without a default.
    return bool(line[3]) and line[4] is None


def _tables(connection: sqlite3.Connection) -> set[str]:
    found = connection.execute("SELECT lower(name) FROM sqlite_master WHERE type = 'table'")
    return {name for (name,) in found}


def _triggers(connection: sqlite3.Connection) -> dict[str, str]:
    found = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")
    return {name: sql for name, sql in found if name in schema.TRIGGERS}
