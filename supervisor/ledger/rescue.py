"""Copies the readable rows of a damaged ledger into a new one.

Works on a copy of the file and rewrites its header, which is the same in each of our
ledgers. Each row is decoded or left out. After a part that SQLite cannot read, it
continues with the next readable key.
"""

import contextlib
import shutil
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from supervisor.ledger import promises
from supervisor.ledger.rows import TABLES, RowError, Table
from supervisor.ledger.startup_memory import last_tick, pause, promise

_ALONGSIDE = ("-wal", "-shm")
# Newest first: if time runs out, the oldest rows are lost.
_BY_NUMBER = ("runs", "incidents", "outbox")
_MOST_LEAPS = 300
_INSTANCE_DIGITS = 32


def rescue(damaged: Path, into: sqlite3.Connection, within_s: float) -> int:
    """Copy readable rows into a new ledger; return their number. Raises: sqlite3.Error."""
    copy = damaged.with_name("ledger-rescue.tmp")
    count, deadline = 0, time.monotonic() + within_s
    try:
        with (
            contextlib.suppress(sqlite3.Error, OSError),
            contextlib.closing(_opened(damaged, copy)) as db,
        ):
            into.execute("BEGIN IMMEDIATE")
            try:
                _meta(db, into)
                for table in TABLES.values():
                    count += _table(db, into, table, deadline)
            finally:
                into.execute("COMMIT")
    finally:
        for ending in ("", *_ALONGSIDE):
            with contextlib.suppress(OSError):
                copy.with_name(copy.name + ending).unlink()
    return count


def _opened(damaged: Path, copy: Path) -> sqlite3.Connection:
    shutil.copyfile(damaged, copy)
    with contextlib.suppress(OSError):
        shutil.copyfile(_with(damaged, "-wal"), _with(copy, "-wal"))
    with open(copy, "r+b") as file:
        head = bytearray(file.read(100))
        if len(head) == 100:
            head[:24] = b"SQLite format 3\0\x10\x00\x02\x02\x00\x40\x20\x20"
            head[44:48], head[56:60] = b"\0\0\0\4", b"\0\0\0\1"
            file.seek(0)
            file.write(head)
    db = sqlite3.connect(copy, isolation_level=None)
    db.text_factory = lambda text: text.decode(errors="backslashreplace")
    db.execute("PRAGMA writable_schema = ON")  # an unparsable table must not block the others
    return db


def _table(db: sqlite3.Connection, into: sqlite3.Connection, table: Table, deadline: float) -> int:
    insert = table.upsert.replace("INSERT INTO", "INSERT OR IGNORE INTO").split(" ON CONFLICT")[0]
    count = 0
    rows = _by_number(db, table) if table.name in _BY_NUMBER else _from_both_ends(db, table)
    for row in rows:
        if time.monotonic() > deadline:
            break
        with contextlib.suppress(RowError):
            into.execute(insert, table.encode(table.decode(row)))
            count += 1
    return count


def _by_number(db: sqlite3.Connection, table: Table) -> Iterator[tuple[Any, ...]]:
    """Yield rows by descending number, skipping unreadable parts."""
    below, leap = 2**62, 0
    text = table.select("WHERE id < ? ORDER BY id DESC")
    for _ in range(_MOST_LEAPS):
        try:
            for row in db.execute(text, (below,)):
                if isinstance(row[0], int) and row[0] < below:
                    below, leap = row[0], 0
                yield row
            return
        except sqlite3.Error:
            if below == 2**62:
                below = _largest(db, table)
            leap = max(1, 2 * leap)
            below -= leap
            if below <= 0:
                return


def _largest(db: sqlite3.Connection, table: Table) -> int:
    """Return a number above which no row is found, by bisection."""
    low, high = 0, 2**62
    while low < high - 1:
        middle = (low + high) // 2
        try:
            found = db.execute(f"SELECT 1 FROM {table.name} WHERE id > ? LIMIT 1", (middle,))
            low, high = (middle, high) if found.fetchone() else (low, middle)
        except sqlite3.Error:
            low = middle
    return high


def _from_both_ends(db: sqlite3.Connection, table: Table) -> Iterator[tuple[Any, ...]]:
    """Yield rows in key order; also from the other end, if a part cannot be read."""
    order = ", ".join(table.columns[:2])
    for way in ("ASC", "DESC"):
        try:
            yield from db.execute(table.select(f"ORDER BY {order.replace(',', f' {way},')} {way}"))
            return
        except sqlite3.Error:
            continue


def _meta(db: sqlite3.Connection, into: sqlite3.Connection) -> None:
    with contextlib.suppress(sqlite3.Error):
        for key, value in db.execute("SELECT key, value FROM meta"):
            if _is_sound(key, value):
                into.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))


def _is_sound(key: object, value: object) -> bool:
    match key, value:
        case "instance", str(text):
            return len(text) == _INSTANCE_DIGITS and text.isalnum() and text.isascii()
        case "clean", "0" | "1":
            return True
        case "paused", str(text):
            with contextlib.suppress(RowError):
                pause(text)
                return True
        case "last_tick", str(text):
            with contextlib.suppress(RowError):
                last_tick(text)
                return True
        case promises.META_KEY, str(text):
            with contextlib.suppress(RowError):
                promise(text)
                return True
    return False


def _with(path: Path, ending: str) -> Path:
    return path.with_name(path.name + ending)
