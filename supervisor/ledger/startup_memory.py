"""Reads from an open ledger what a new supervisor must know of the past.

Every start runs the same statements, so any error in them is known before
anything else begins.
"""

import sqlite3
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import msgspec

from supervisor.core.effects import RecordTick
from supervisor.core.memory import Memory
from supervisor.core.model import JobRecord, Pause, Run, replace
from supervisor.ledger import promises
from supervisor.ledger.promises import Promise
from supervisor.ledger.rows import (
    ATTEMPTS,
    INCIDENTS,
    MARKS,
    OF_OPEN,
    OUTBOX,
    RELOADS,
    RUNS,
    TABLES,
    TO_REMEMBER,
    RowError,
    Table,
)

# Alerts still to be sent, by this service or by the next one.
ALERT_WAITS = "delivered_at IS NULL AND withheld = ''"
# Open, or with a recovery still to be announced, or acknowledged (core/incidents.py).
_INCIDENTS = (
    "WHERE closed_at IS NULL OR recovery_at IS NOT NULL OR acked_until IS NOT NULL ORDER BY id"
)
_UNFINISHED = f"WHERE run IN (SELECT id FROM runs WHERE {OF_OPEN}) AND ended_at IS NULL"
_NEWEST_SLOTS = """SELECT job, (SELECT max(slot) FROM runs WHERE runs.job = jobs.job) AS newest
    FROM jobs WHERE newest IS NOT NULL"""
_NEWEST_RELOAD = RELOADS.select("ORDER BY rowid DESC LIMIT 1")


def memory(db: sqlite3.Connection, newest_log: int, boot: str) -> Memory:
    """Return what the ledger remembers.

    newest_log: the largest run with output on disk. boot: see `promises.boot_id`.

    Raises:
        RowError: a row cannot be decoded.
        sqlite3.Error: the file cannot be read.
    """
    ticked = last_tick(meta(db, "last_tick"))
    return Memory(
        runs=tuple(_runs(db, boot)),
        attempts=tuple(_all(db, ATTEMPTS, ATTEMPTS.select(_UNFINISHED))),
        marks=tuple(_marks(db)),
        incidents=tuple(_all(db, INCIDENTS, INCIDENTS.select(_INCIDENTS))),
        outbox=tuple(_all(db, OUTBOX, OUTBOX.select(f"WHERE {ALERT_WAITS} ORDER BY id"))),
        paused=pause(meta(db, "paused")),
        last_tick=ticked.at if ticked else None,
        silent_until=ticked.silent_until if ticked else None,
        last_reload=next(iter(_all(db, RELOADS, _NEWEST_RELOAD)), None),
        next_run=max(_next(db, "runs"), newest_log + 1),
        next_incident=_next(db, "incidents"),
        next_alert=_next(db, "outbox"),
    )


def meta(db: sqlite3.Connection, key: str) -> str:
    """Return a value of the table `meta`; "" if there is none. Raises: RowError."""
    row = db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
    if row is not None and not isinstance(row[0], str):
        raise RowError(f"meta: {key} is {row[0]!r}")
    return row[0] if row else ""


def pause(text: str) -> Pause | None:
    """Return the pause over all jobs, from its text. Raises: RowError."""
    try:
        return msgspec.json.decode(text, type=Pause | None) if text else None
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise RowError(f"meta: paused: {error}") from error


def last_tick(text: str) -> RecordTick | None:
    """Return the last tick of the previous supervisor, from its text. Raises: RowError."""
    try:
        return msgspec.json.decode(text, type=RecordTick) if text else None
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise RowError(f"meta: last_tick: {error}") from error


def promise(text: str) -> Promise | None:
    """Return the promise of the next attempts, from its text. Raises: RowError."""
    try:
        return msgspec.json.decode(text, type=Promise) if text else None
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise RowError(f"meta: {promises.META_KEY}: {error}") from error


def _marks(db: sqlite3.Connection) -> Iterator[JobRecord]:
    """Yield the record of each job, up to its newest slot, whose row may be newer."""
    newest = dict(db.execute(_NEWEST_SLOTS))
    for mark in _all(db, MARKS, MARKS.select()):
        slot = newest.get(mark.job)
        try:
            seen = mark.seen_until if slot is None else datetime.fromisoformat(slot)
            yield replace(mark, seen_until=max(mark.seen_until, seen))
        except (TypeError, ValueError) as error:
            raise RowError(f"runs: slot of {mark.job}: {error}") from error


def _runs(db: sqlite3.Connection, boot: str) -> list[Run]:
    runs = _all(db, RUNS, TO_REMEMBER)
    return promises.begun(runs, promise(meta(db, promises.META_KEY)), boot)


def touch_columns(db: sqlite3.Connection) -> None:
    """Check that every table and column exists. Raises: sqlite3.Error."""
    for table in TABLES.values():
        db.execute(table.select("LIMIT 0")).fetchall()
    db.execute("SELECT key, value FROM meta LIMIT 0").fetchall()


def _all(db: sqlite3.Connection, table: Table, text: str) -> list[Any]:
    return [table.decode(row) for row in db.execute(text)]


def _next(db: sqlite3.Connection, table: str) -> int:
    (largest,) = db.execute(f"SELECT max(id) FROM {table}").fetchone()
    if not isinstance(largest, int | None):
        raise RowError(f"{table}: id is {largest!r}")
    return (largest or 0) + 1
