"""The ledger of a cluster in PostgreSQL: written by the leader, fenced in each commit.

A turn's records are one transaction that begins by locking the leadership. A leader that
was deposed finds it held by another and writes nothing. Each row carries the number of
its turn, so that a new leader copies only what it does not have. The rows of a table are
one statement: a round trip for each would be most of the cost of a minute with many jobs.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import msgspec
import psycopg

from supervisor.cluster import engine, session
from supervisor.cluster.server_clock import ServerClock
from supervisor.cluster.session import Connection, query
from supervisor.core.config_model import History
from supervisor.core.effects import Record, RecordPause, RecordTick, ReleaseSlots
from supervisor.ledger.errors import (
    OF_A_VALUE,
    LedgerUnavailableError,
    RowRefusedError,
    Written,
)
from supervisor.ledger.rows import TABLES, Table

_OF_A_VALUE = (*OF_A_VALUE, psycopg.DataError, psycopg.IntegrityError)
_AGED = (
    ("gaps", "until"),
    ("actions", "at"),
    ("incidents", "greatest(closed_at, acked_until)"),
    ("outbox", "CASE WHEN withheld = '' THEN delivered_at ELSE at END"),
)

# Of an older text of jobs.yaml: nothing is handed out there any more.
_UNUSED_QUEUES = """DELETE FROM queues WHERE config < (SELECT max(no) FROM configs)
AND NOT EXISTS (SELECT 1 FROM procrastinate_jobs WHERE queue_name = queues.name)"""
_NEXT_TURN = f"""WITH mine AS MATERIALIZED ({engine.IS_MINE})
UPDATE shared SET value = (value::bigint + 1)::text
WHERE key = 'turn' AND EXISTS (SELECT 1 FROM mine) RETURNING value"""


class DeposedError(SystemExit):
    """End of this process, since it does not lead any more; no handler of errors stops it."""


@dataclass(frozen=True, slots=True)
class Leadership:
    """The engine's job that a leader holds, its worker there, and how many leaders there were."""

    job: int
    worker: int
    epoch: int


class SharedLedger:
    """The shared ledger, as its leader writes it.

    is_behind: the last write failed, so what follows from the reports of hosts may not be
    recorded. clock: the server's, as this process knows it. losses: how often PostgreSQL
    has lost what it had confirmed.
    """

    def __init__(self, dsn: str, schema: str, leadership: Leadership) -> None:
        self.is_behind, self.losses = False, 0
        self.clock = ServerClock()
        self._dsn, self._schema = dsn, schema
        self.leadership = leadership
        # The newest turn that PostgreSQL has confirmed; None: none yet.
        self._turn: int | None = None
        self._damage = ""
        self._db: Connection | None = None

    def connection(self) -> Connection:
        """Return a working connection. Raises: psycopg.Error."""
        if self._db is None or self._db.closed:
            self._db = session.connect(self._dsn, self._schema)
        return self._db

    def drop(self) -> None:
        """Forget a connection that has failed."""
        session.close(self._db)
        self._db = None

    def fence(self, db: Connection) -> None:
        """Ensure, until the transaction ends, that this process leads. Raises: DeposedError."""
        if not engine.is_held(db, self.leadership.job, self.leadership.worker):
            raise DeposedError("another host leads the cluster")

    def write(self, actions: Sequence[Written]) -> int:
        """Commit all of these or none; return the number of the turn.

        Raises: DeposedError, RowRefusedError, LedgerUnavailableError.
        """
        try:
            db = self.connection()
            with db.transaction():
                turn = self._next_turn(db)
                self._compare(turn)
                _write(db, actions, turn)
            self._turn = turn
            self.is_behind = False
        except _OF_A_VALUE as error:
            raise RowRefusedError(self._refused_among(actions), error) from error
        except (psycopg.Error, OSError) as error:
            self.is_behind = True
            self.drop()
            raise LedgerUnavailableError(f"PostgreSQL: {_short(error)}") from error
        return turn

    def _next_turn(self, db: Connection) -> int:
        """Fence the transaction and count its turn, in one round trip. Raises: DeposedError."""
        held = self.leadership.job, self.leadership.worker
        row = db.execute(query(_NEXT_TURN), held).fetchone()
        if row is None:
            raise DeposedError("another host leads the cluster")
        return int(row[0])

    def _compare(self, turn: int) -> None:
        """Raise an error, once, if PostgreSQL does not have what it has confirmed.

        So it is after a failover to a standby that was behind, or after a restored backup.
        """
        known = self._turn
        if known is None or turn > known:
            return
        self._turn = None
        self.losses += 1
        self._damage = (
            f"PostgreSQL has lost what it had confirmed, turns {turn} to {known}: what is known is"
            " written again, and attempts of that time may begin twice"
        )
        raise LedgerUnavailableError(self._damage)

    def pop_damage(self) -> str:
        """Return, once, what PostgreSQL has lost."""
        damage, self._damage = self._damage, ""
        return damage

    def _refused_among(self, actions: Sequence[Written]) -> Written:
        """Return the action that cannot be written, by trying each alone."""
        for action in actions:
            db = self.connection()
            try:
                with db.transaction(force_rollback=True):
                    _write(db, [action], 0)
            except _OF_A_VALUE:
                return action
        return actions[-1]

    def copy_to(self, mirror: sqlite3.Connection, turn: int) -> int:
        """Copy to a ledger file what was written after this turn; return the newest turn.

        Raises: psycopg.Error, sqlite3.Error.
        """
        db = self.connection()
        with db.transaction():
            db.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            row = db.execute("SELECT value FROM shared WHERE key = 'turn'").fetchone()
            newest = int(row[0]) if row is not None else 0
            mirror.execute("BEGIN IMMEDIATE")
            if turn > newest:  # what it has is what counts
                self._damage = f"PostgreSQL has lost what it had confirmed: turns up to {turn}"
                turn = -1
            if turn < 0:
                for table in TABLES.values():
                    mirror.execute(f"DELETE FROM {table.name}")
            for table in TABLES.values():
                mirror.executemany(table.upsert, _rows_after(db, table, turn))
            for key, value in db.execute("SELECT key, value FROM meta"):
                mirror.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))
            mirror.execute("COMMIT")
        return newest

    def purge(self, runs: Sequence[int], keep: History, now: datetime) -> None:
        """Delete runs, and what is older than the history. Raises: psycopg.Error."""
        db, oldest = self.connection(), (now - timedelta(days=keep.days)).isoformat()
        with db.transaction():
            self.fence(db)
            db.execute("DELETE FROM runs WHERE id = ANY(%s)", (list(runs),))
            db.execute("DELETE FROM attempts WHERE run = ANY(%s)", (list(runs),))
            db.execute(
                "DELETE FROM assignments WHERE run = ANY(%s) AND ended_at IS NOT NULL",
                (list(runs),),
            )
            for table, ended in _AGED:
                db.execute(query(f"DELETE FROM {table} WHERE {ended} < %s"), (oldest,))
            db.execute(_UNUSED_QUEUES)
            db.execute("DELETE FROM control_requests WHERE asked_at < now() - interval '1 hour'")


def _write(db: Connection, actions: Sequence[Written], turn: int) -> None:
    """Write actions: those of a table together, and slots are released before their new runs."""
    records: dict[type, dict[object, object]] = {}
    for action in actions:
        match action:
            case Record(row):
                key = TABLES[type(row)].key
                same = id(row) if key is None else key(row)
                records.setdefault(type(row), {})[same] = row
            case RecordPause(pause):
                _note(db, "paused", msgspec.json.encode(pause).decode())
            case RecordTick():
                _note(db, "last_tick", msgspec.json.encode(action).decode())
            case ReleaseSlots(job, after):
                _write_records(db, records, turn)
                db.execute(
                    "UPDATE runs SET slot = NULL, turn = %s WHERE job = %s AND slot > %s",
                    (turn, job, after.isoformat()),
                )
    _write_records(db, records, turn)


def _write_records(db: Connection, records: dict[type, dict[object, object]], turn: int) -> None:
    """Write the records of each kind with one statement, and forget them."""
    for kind, found in records.items():
        table = TABLES[kind]
        write_rows(db, table, map(table.encode, found.values()), turn)
    records.clear()


def write_rows(db: Connection, table: Table, rows: Iterable[Sequence[Any]], turn: int) -> None:
    """Write rows of a table, in the order of its columns. Raises: psycopg.Error."""
    named = [dict(zip(table.columns, map(_storable, row), strict=True)) for row in rows]
    db.execute(query(_UPSERTS[table.name]), (turn, msgspec.json.encode(named).decode()))


def _note(db: Connection, key: str, value: str) -> None:
    db.execute(
        "INSERT INTO meta VALUES (%s, %s) ON CONFLICT (key) DO UPDATE SET value = %s",
        (key, value, value),
    )


def _rows_after(db: Connection, table: Table, turn: int) -> Iterator[tuple[Any, ...]]:
    order = "turn" if table.key else "id"
    yield from db.execute(query(table.select(f"WHERE turn > %s ORDER BY {order}")), (turn,))


def _storable(value: Any) -> Any:
    """Return the value without the one character that PostgreSQL cannot keep."""
    return value.replace("\0", "\ufffd") if isinstance(value, str) else value


def _upsert_of(table: Table) -> str:
    """Return the statement of the ledger's file for PostgreSQL: turn, and rows as JSON."""
    columns = ", ".join(table.columns)
    head = f"INSERT INTO {table.name} ({columns}, turn) SELECT {columns}, %s"
    _, found, changes = table.upsert.partition(" ON CONFLICT")
    rows = f" FROM json_populate_recordset(NULL::{table.name}, %s)"
    return f"{head}{rows}{found}{changes}, turn = excluded.turn" if found else f"{head}{rows}"


_UPSERTS = {table.name: _upsert_of(table) for table in TABLES.values()}


def _short(error: BaseException) -> str:
    """Return the first line of an error of the server or of the line to it."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
