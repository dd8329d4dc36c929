"""Writes one record into the ledger, within the transaction of a turn."""

import sqlite3

import msgspec

from supervisor.core.effects import Record, RecordPause, RecordTick, ReleaseSlots
from supervisor.ledger import promises
from supervisor.ledger.errors import OF_A_VALUE, RowRefusedError, Written
from supervisor.ledger.promises import Promise
from supervisor.ledger.rows import TABLES


def write(db: sqlite3.Connection, action: Written) -> None:
    """Write what an action records. Raises: RowRefusedError, sqlite3.Error."""
    try:
        _write(db, action)
    except OF_A_VALUE as error:
        raise RowRefusedError(action, error) from error


def note(db: sqlite3.Connection, key: str, value: str) -> None:
    """Write a value of the table `meta`. Raises: sqlite3.Error."""
    db.execute(
        "INSERT INTO meta VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = ?2",
        (key, value),
    )


def _write(db: sqlite3.Connection, action: Written) -> None:
    match action:
        case Record(row):
            table = TABLES[type(row)]
            db.execute(table.upsert, table.encode(row))
        case RecordPause(pause):
            note(db, "paused", msgspec.json.encode(pause).decode())
        case RecordTick():
            note(db, "last_tick", msgspec.json.encode(action).decode())
        case Promise():
            note(db, promises.META_KEY, msgspec.json.encode(action).decode())
        case ReleaseSlots(job, after):
            db.execute(
                "UPDATE runs SET slot = NULL WHERE job = ? AND slot > ?",
                (job, after.isoformat()),
            )
