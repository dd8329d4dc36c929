"""The ledger's one writer: SQLite, WAL, synchronous FULL, one transaction a turn.

No record, no launch: `write` either commits everything it was given or raises
`LedgerTrouble` and has changed nothing. A file that turns out to be damaged, or
is deleted while it is in use, is trouble once: a sound one is put in its place, and
`take_damage` says what the new one does not know. How a file is opened and put
aside stands in `opening.py`; reading for people is `history.py`.
"""

import contextlib
import os
import secrets
import sqlite3
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path

import msgspec

from supervisor.core.effects import Record, RecordPause, RecordTick, ReleaseSlots
from supervisor.core.events import Memory
from supervisor.core.model import History
from supervisor.ledger import ballast, opening, purging, remembering, rescue
from supervisor.ledger.errors import OF_A_VALUE, LedgerTrouble, RowRefused, Written
from supervisor.ledger.rows import TABLES

# How long rows of a damaged ledger may be brought over: at a start, and between two turns.
RESCUE_AT_START_S, RESCUE_S = 20.0, 1.0
# At most so many runs are purged in one step, so that no tick is late for it.
PURGE_STEP = 200

# What a new service must know of incidents: `core/incident.py` says why.


class Store:
    """The open ledger of one state folder."""

    def __init__(self, folder: Path) -> None:
        """Open or make `folder`/ledger.sqlite3. Raises: LedgerRefused, LedgerTrouble."""
        self.path = folder / "ledger.sqlite3"
        self._ballast = folder / "ballast"
        self._newest_log = opening.newest_log(folder / "runs")
        self._damage = ""
        self._memory: Memory | None = None
        self._aside: Path | None = None
        self._db: sqlite3.Connection = None  # type: ignore[assignment]  # until it is opened
        self._open_whatever_is_there()
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
            crashed = remembering.meta(self._db, "clean") == "0"
            self._say("clean", "0")
        except sqlite3.Error as error:
            raise LedgerTrouble(f"write ledger {self.path}: {error}") from error
        return crashed

    # --- writing ----------------------------------------------------------------

    def write(self, actions: Iterable[Written]) -> None:
        """Commit all of these, or none. Raises: RowRefused, LedgerTrouble."""
        self._memory = None
        try:
            self._stay_in_place()
            self._db.execute("BEGIN IMMEDIATE")
            for action in actions:
                self._write_one(action)
            self._db.execute("COMMIT")
        except RowRefused:
            with contextlib.suppress(sqlite3.Error):
                self._db.execute("ROLLBACK")
            raise
        except (sqlite3.Error, OSError, opening.LedgerRefused) as error:
            with contextlib.suppress(sqlite3.Error):
                self._db.execute("ROLLBACK")
            if ballast.would_help(error):
                ballast.give_up(self._ballast)
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
            raise self._trouble(error) from error

    def _write_one(self, action: Written) -> None:
        try:
            self._write(action)
        except OF_A_VALUE as error:
            raise RowRefused(action, error) from error

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
            raise self._trouble(error) from error
        self.keep_ballast()

    def keep_ballast(self) -> None:
        """Make the ballast again, if it was given up and there is room."""
        ballast.keep(self._ballast)

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
            raise self._trouble(error) from error
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
            raise self._trouble(error) from error
        return ids

    # --- remembering ------------------------------------------------------------

    def memory(self) -> Memory:
        """What a new supervisor must know of the past."""
        known, self._memory = self._memory, None
        return known or remembering.memory(self._db, self._newest_log)

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
            if not (ballast.would_help(error) and self._ballast.exists()):
                raise
            ballast.give_up(self._ballast)
            self._open()

    def _open_whatever_is_there(self) -> None:
        """Open the ledger and read what a start reads; a new one where that cannot be done."""
        odd = opening.what_is_odd(self.path)
        lost = "" if odd else opening.what_is_lost(self.path, self._newest_log)
        try:
            if odd or lost:
                self._replace(odd or lost)
                self._aside = None
            self._open_with_room()
            self._read_all()
        except opening.LedgerRefused:
            raise
        except (sqlite3.Error, ValueError) as error:  # also of a message that cannot be decoded
            if not opening.is_damage_at_start(error, self.path):
                raise LedgerTrouble(f"open ledger {self.path}: {error}") from error
            self._replace(str(error))
            self._open_with_room()
            self._rescue(RESCUE_AT_START_S)
            self._read_all()
        except OSError as error:
            raise LedgerTrouble(f"open ledger {self.path}: {error}") from error

    def _read_all(self) -> None:
        remembering.touch_columns(self._db)
        self._memory = remembering.memory(self._db, self._newest_log)
        self.instance = remembering.meta(self._db, "instance") or self._new_instance()
        # Whether it can be written is part of whether it can be used.
        self._say("clean", remembering.meta(self._db, "clean") or "1")

    def _replace(self, why: str) -> None:
        """Put what lies in the ledger's place aside, whatever it is. Raises: OSError."""
        if self._db is not None:
            self._db.close()
        was_there = os.path.lexists(self.path)
        self._aside = opening.put_aside(self.path)
        kept = f" was damaged ({why}): it is kept as {self._aside}, a new one begins"
        self._damage = f"the ledger{kept}" if was_there else f"{why}: a new one begins"

    def _rescue(self, within_s: float) -> None:
        """Bring over what can be read of the one that was put aside."""
        if self._aside is not None:
            aside, self._aside = self._aside, None
            count = rescue.rescue(aside, self._db, within_s)
            if self._damage:
                self._damage += f" with {count} rows that could still be read"

    def _new_instance(self) -> str:
        instance = secrets.token_hex(16)
        self._say("instance", instance)
        return instance

    def _trouble(self, error: sqlite3.Error) -> LedgerTrouble:
        """What an error between two writes means; a damaged file is put aside."""
        if opening.is_damage(error):
            self._begin_anew(error)
        return LedgerTrouble(str(error))

    def _begin_anew(self, error: sqlite3.Error) -> None:
        """Put the damaged file aside; the next `write` opens a new one."""
        self._place = None
        with contextlib.suppress(OSError):  # then that write finds the damage again
            self._replace(str(error))

    def _stay_in_place(self) -> None:
        """Be sure that what is written is what the next start will find.

        SQLite itself goes on for ever in a file that was deleted under it.

        Raises: LedgerTrouble, OSError, sqlite3.Error.
        """
        if self._place is None:
            self._db = opening.open_ledger(self.path)
            self._rescue(RESCUE_S)
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
