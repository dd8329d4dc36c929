"""The ledger's one writer: SQLite, WAL, synchronous FULL, one transaction a turn.

No record, no launch: `write` either commits everything it was given or raises
`LedgerTrouble` and has changed nothing. A file that turns out to be damaged, or
is deleted while it is in use, is trouble once: a sound one is put in its place, and
`take_damage` says what the new one does not know. How a file is opened and put
aside stands in `opening.py`; reading for people is `history.py`.
"""

import contextlib
import os
import sqlite3
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path

import msgspec

from supervisor.core.events import Memory, Record, RecordPause, RecordTick, ReleaseSlots
from supervisor.core.model import History, Pause, Run
from supervisor.ledger import opening, purging
from supervisor.ledger.rows import ATTEMPTS, INCIDENTS, MARKS, OUTBOX, RUNS, TABLES, TO_REMEMBER

BALLAST_BYTES = 4 * 1024**2
# An alert that is to be sent, by the next service if not by this one.
_WAITS = "delivered_at IS NULL AND withheld = ''"
# At most so many runs are purged in one step, so that no tick is late for it.
PURGE_STEP = 200

# What a new service must know of incidents: `core/incident.py` says why.
_INCIDENTS_TO_REMEMBER = (
    "WHERE closed_at IS NULL OR recovery_at IS NOT NULL OR acked_until IS NOT NULL ORDER BY id"
)

Written = Record | RecordPause | RecordTick | ReleaseSlots


class LedgerTrouble(Exception):  # noqa: N818 - the word of the state it causes
    """The ledger cannot be written now; the text says why."""


class Store:
    """The open ledger of one state folder."""

    def __init__(self, folder: Path) -> None:
        """Open or make `folder`/ledger.sqlite3. Raises: LedgerRefused, LedgerTrouble."""
        self.path = folder / "ledger.sqlite3"
        self._ballast = folder / "ballast"
        self._damage = ""
        try:
            self._open_with_room()
        except sqlite3.OperationalError as error:
            raise LedgerTrouble(f"open ledger {self.path}: {error}") from error
        except sqlite3.DatabaseError as error:
            self._put_aside(error)
            self._open()
        self.instance = self._meta("instance")
        self.keep_ballast()

    def take_damage(self) -> str:
        """What became of a damaged ledger in whose place this one is new; told once."""
        told, self._damage = self._damage, ""
        return told

    def close(self) -> None:
        """Say goodbye, which tells the next start that nothing was left behind."""
        with contextlib.suppress(sqlite3.Error):
            self._say("clean", "1")
        self._db.close()

    def begin_life(self) -> bool:
        """Mark the ledger as in use; whether the life before this one crashed.

        Raises: LedgerTrouble.
        """
        try:
            crashed = self._meta("clean") == "0"
            self._say("clean", "0")
        except sqlite3.Error as error:
            raise LedgerTrouble(f"write ledger {self.path}: {error}") from error
        return crashed

    # --- writing ----------------------------------------------------------------

    def write(self, actions: Iterable[Written]) -> None:
        """Commit all of these, or none. Raises: LedgerTrouble."""
        try:
            self._stay_in_place()
            self._db.execute("BEGIN IMMEDIATE")
            for action in actions:
                self._write(action)
            self._db.execute("COMMIT")
        except (sqlite3.Error, OSError, opening.LedgerRefused) as error:
            with contextlib.suppress(sqlite3.Error):
                self._db.execute("ROLLBACK")
            if _wants_room(error):
                with contextlib.suppress(OSError):  # the disk may be read-only
                    self._ballast.unlink(missing_ok=True)
            if isinstance(error, sqlite3.Error) and opening.is_damage(error):
                self._begin_anew(error)
            raise LedgerTrouble(str(error)) from error

    def note_reload(self, at: datetime, sha256: str, accepted: bool, said: str) -> None:
        """Keep that a text of jobs.yaml was accepted or refused. Raises: LedgerTrouble."""
        try:
            self._db.execute(
                "INSERT INTO reloads VALUES (?, ?, ?, ?)",
                (at.isoformat(), sha256, accepted, said),
            )
        except sqlite3.Error as error:
            raise LedgerTrouble(str(error)) from error

    def _write(self, action: Written) -> None:
        match action:
            case Record(row):
                table = TABLES[type(row)]
                self._db.execute(table.upsert, table.encode(row))
            case RecordPause(pause):
                self._say("paused", msgspec.json.encode(pause).decode())
            case RecordTick():
                self._say("last_tick", msgspec.json.encode(action).decode())
            case ReleaseSlots(job, after):
                self._db.execute(
                    "UPDATE runs SET slot = NULL WHERE job = ? AND slot > ?",
                    (job, after.isoformat()),
                )

    def tidy(self) -> None:
        """Move the WAL into the file, and the ballast back. Raises: LedgerTrouble."""
        try:
            self._db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        except sqlite3.Error as error:
            raise LedgerTrouble(str(error)) from error
        self.keep_ballast()

    def keep_ballast(self) -> None:
        """A few MiB to give up when the disk is full, so that the ledger can go on.

        Taken only where a quarter of it is left besides: else a disk that is still
        full would be so again a minute after it was given up.
        """
        if self._ballast.exists():
            return
        with contextlib.suppress(OSError):
            disk = os.statvfs(self._ballast.parent)
            if disk.f_bavail * disk.f_frsize < BALLAST_BYTES * 5 // 4:
                return
            with open(self._ballast, "xb") as ballast:
                try:
                    os.posix_fallocate(ballast.fileno(), 0, BALLAST_BYTES)
                except OSError:
                    self._ballast.unlink()
                    raise

    def purge(self, keep: History, now: datetime) -> list[int]:
        """Forget a few runs beyond the limits of `history`; their ids.

        Never open runs, nor each job's newest run, newest success, newest failure.
        Raises: LedgerTrouble.
        """
        oldest = (now - timedelta(days=keep.days)).isoformat()
        try:
            found = self._db.execute(purging.PURGEABLE, (oldest, keep.runs, PURGE_STEP))
            ids = [row[0] for row in found]
            marks = ", ".join("?" * len(ids))
            self._db.execute("BEGIN IMMEDIATE")
            self._db.execute(f"DELETE FROM runs WHERE id IN ({marks})", ids)
            self._db.execute(f"DELETE FROM attempts WHERE run IN ({marks})", ids)
            self._db.execute("DELETE FROM gaps WHERE until < ?", (oldest,))
            # The newest row stays: the next number is counted from it.
            for table, ended in purging.ENDED.items():
                older = f"{ended} < ? AND id < (SELECT max(id) FROM {table})"
                self._db.execute(f"DELETE FROM {table} WHERE {older}", (oldest,))
            self._db.execute("DELETE FROM actions WHERE at < ?", (oldest,))
            self._db.execute("DELETE FROM reloads WHERE at < ?", (oldest,))
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            with contextlib.suppress(sqlite3.Error):
                self._db.execute("ROLLBACK")
            raise LedgerTrouble(str(error)) from error
        return ids

    def purge_logs(self, most_bytes: int) -> list[int]:
        """Runs whose output is to go, oldest first, until the rest fits into `most_bytes`.

        Raises: LedgerTrouble.
        """
        try:
            found = self._db.execute(purging.LOGS_BEYOND, (most_bytes, PURGE_STEP))
            ids = [row[0] for row in found]
            marks = ", ".join("?" * len(ids))
            self._db.execute(f"UPDATE runs SET log_bytes = 0 WHERE id IN ({marks})", ids)
        except sqlite3.Error as error:
            raise LedgerTrouble(str(error)) from error
        return ids

    # --- remembering ------------------------------------------------------------

    def memory(self) -> Memory:
        """What a new supervisor must know of the past."""
        paused, ticked = self._meta("paused"), self._meta("last_tick")
        tick = msgspec.json.decode(ticked, type=RecordTick) if ticked else None
        return Memory(
            runs=tuple(self._runs_to_remember()),
            attempts=tuple(
                ATTEMPTS.decode(row)
                for row in self._db.execute(ATTEMPTS.select("WHERE ended_at IS NULL"))
            ),
            marks=tuple(MARKS.decode(row) for row in self._db.execute(MARKS.select())),
            incidents=tuple(
                INCIDENTS.decode(row)
                for row in self._db.execute(INCIDENTS.select(_INCIDENTS_TO_REMEMBER))
            ),
            outbox=tuple(
                OUTBOX.decode(row)
                for row in self._db.execute(OUTBOX.select(f"WHERE {_WAITS} ORDER BY id"))
            ),
            paused=msgspec.json.decode(paused, type=Pause | None) if paused else None,
            last_tick=tick.at if tick else None,
            silent_until=tick.silent_until if tick else None,
            next_run=self._next("runs"),
            next_incident=self._next("incidents"),
            next_alert=self._next("outbox"),
        )

    def _runs_to_remember(self) -> list[Run]:
        return [RUNS.decode(row) for row in self._db.execute(TO_REMEMBER)]

    def _next(self, table: str) -> int:
        (largest,) = self._db.execute(f"SELECT max(id) FROM {table}").fetchone()
        return (largest or 0) + 1

    def _meta(self, key: str) -> str:
        row = self._db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return row[0] if row else ""

    def _say(self, key: str, value: str) -> None:
        self._db.execute(
            "INSERT INTO meta VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = ?2",
            (key, value),
        )

    # --- the file ---------------------------------------------------------------

    def _open(self) -> None:
        self._db = opening.open_ledger(self.path)
        self._place = opening.place_of(self.path)

    def _open_with_room(self) -> None:
        try:
            self._open()
        except sqlite3.OperationalError as error:
            if not (_wants_room(error) and self._ballast.exists()):
                raise
            self._ballast.unlink()
            self._open()

    def _put_aside(self, error: sqlite3.Error) -> None:
        aside = opening.put_aside(self.path)
        self._damage = f"the ledger was damaged ({error}): it is kept as {aside}, a new one begins"

    def _begin_anew(self, error: sqlite3.Error) -> None:
        """Put the damaged file aside; the next `write` opens a new one."""
        self._db.close()
        self._place = None
        with contextlib.suppress(OSError):  # then that write finds the damage again
            self._put_aside(error)

    def _stay_in_place(self) -> None:
        """Be sure that what is written is what the next start will find.

        SQLite itself goes on for ever in a file that was deleted under it.

        Raises: LedgerTrouble, OSError, sqlite3.Error.
        """
        if self._place is None:
            self._db = opening.open_ledger(self.path)
            self._say("instance", self.instance)
            self._say("clean", "0")
            self._place = opening.place_of(self.path)
            return
        place = opening.place_of(self.path)
        if place == self._place:
            return
        if place is not None:
            raise LedgerTrouble(f"{self.path} was replaced while it was in use: restart me")
        rescued = opening.copy_beside(self._db, self.path)
        self._db.close()
        os.replace(rescued, self.path)
        self._open()
        raise LedgerTrouble(f"{self.path} was deleted while it was in use: it is written anew")


def _wants_room(error: Exception) -> bool:
    """Whether a full disk may be what is wrong; where memory is mapped it has no name."""
    return "full" in str(error) or "disk I/O" in str(error)
