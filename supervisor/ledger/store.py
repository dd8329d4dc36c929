"""The ledger's only writer: SQLite, WAL, one transaction per turn.

No record, no launch: `write` either commits everything or raises
LedgerUnavailableError and changes nothing. A commit waits for the disk (synchronous FULL),
unless an earlier one has promised what it holds (`promises.py`). A file that is damaged,
or deleted while in use, causes one such error; then a sound file takes its place, and
`pop_damage` says what is missing in it. `file.py` opens files; `queries.py` reads.
"""

import contextlib
import os
import secrets
import sqlite3
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

from supervisor.core.config_model import History
from supervisor.core.memory import Memory
from supervisor.ledger import (
    ballast,
    file,
    full_disk,
    promises,
    rescue,
    startup_memory,
    write_rows,
)
from supervisor.ledger.errors import LedgerUnavailableError, RowRefusedError, Written
from supervisor.ledger.purge import Purge, Purged
from supervisor.ledger.purge_logs import LogLimit
from workers.units import format_count

# Time limits for copying rows of a damaged ledger: at a start, and between two turns.
RESCUE_AT_START_S, RESCUE_S = 20.0, 1.0


class Store:
    """The open ledger of one state folder."""

    def __init__(self, folder: Path) -> None:
        """Open or create ledger.sqlite3 in `folder`.

        Raises: LedgerVersionError, LedgerUnavailableError.
        """
        self.path = folder / "ledger.sqlite3"
        self._ballast = folder / "ballast"
        self._newest_log = file.newest_log(folder / "runs")
        self._damage = ""
        self._memory: Memory | None = None
        self._aside: Path | None = None
        self._synchronous = ""
        self._db: sqlite3.Connection = None  # type: ignore[assignment]  # until it is opened
        self._open_whatever_is_there()
        self.keep_ballast()

    def pop_damage(self) -> str:
        """Return, once, what happened to a damaged ledger that this one replaces."""
        damage, self._damage = self._damage, ""
        return damage

    def close(self) -> None:
        """Mark a clean shutdown and close."""
        with contextlib.suppress(sqlite3.Error):
            self._note("clean", "1")
        self._db.close()

    def begin_life(self) -> bool:
        """Mark the ledger as in use; return whether the previous supervisor crashed.

        Raises: LedgerUnavailableError.
        """
        try:
            crashed = startup_memory.meta(self._db, "clean") == "0"
            self._note("clean", "0")
        except sqlite3.Error as error:
            raise LedgerUnavailableError(f"write ledger {self.path}: {error}") from error
        return crashed

    # --- writing ----------------------------------------------------------------

    def write(self, actions: Iterable[Written]) -> None:
        """Commit all of these or none, and wait for the disk.

        Raises: RowRefusedError, LedgerUnavailableError.
        """
        self._commit(actions, "FULL")

    def write_unsynced(self, actions: Iterable[Written]) -> None:
        """Commit all of these or none; a power cut may undo it until the next `write`.

        Raises: RowRefusedError, LedgerUnavailableError.
        """
        self._commit(actions, "NORMAL")

    def _commit(self, actions: Iterable[Written], synchronous: str) -> None:
        self._memory = None
        try:
            self._stay_in_place()
            if synchronous != self._synchronous:
                self._db.execute(f"PRAGMA synchronous = {synchronous}")
                self._synchronous = synchronous
            self._db.execute("BEGIN IMMEDIATE")
            for action in actions:
                write_rows.write(self._db, action)
            self._before_commit()
            self._db.execute("COMMIT")
        except RowRefusedError:
            with contextlib.suppress(sqlite3.Error):
                self._db.execute("ROLLBACK")
            raise
        except (sqlite3.Error, OSError, file.LedgerVersionError) as error:
            with contextlib.suppress(sqlite3.Error):
                self._db.execute("ROLLBACK")
            if ballast.would_help(error):
                ballast.give_up(self._ballast)
            if isinstance(error, sqlite3.Error) and file.is_damage(error):
                self._start_new_ledger(error)
            raise LedgerUnavailableError(str(error)) from error

    def _before_commit(self) -> None:
        """Do nothing: what a kind of ledger writes in the transaction of a turn's records."""

    def checkpoint_and_optimize(self) -> None:
        """Checkpoint the WAL and restore the ballast. Raises: LedgerUnavailableError."""
        try:
            self._db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        except sqlite3.Error as error:
            raise self._unavailable(error) from error
        self.keep_ballast()

    def keep_ballast(self) -> None:
        """Create the ballast again if it was removed and there is room."""
        ballast.keep(self._ballast)

    def purge(self, keep: History, now: datetime) -> Purged:
        """Delete runs beyond the limits of `history`, for a short while, and what is too old.

        Keeps open runs, and each job's newest run, newest success and newest failure.
        Call it again until it is done. Raises: LedgerUnavailableError.
        """
        try:
            purged = self._purge.step(keep, now)
        except sqlite3.Error as error:
            raise self._rolled_back(error) from error
        self._log_limit.subtract(purged.outputs)
        return purged

    def purge_logs(self, most_bytes: int, now: datetime) -> Purged:
        """Return runs whose output to remove, oldest first, until the rest fits `most_bytes`.

        Call it again until it is done. Raises: LedgerUnavailableError.
        """
        try:
            return self._log_limit.step(most_bytes, now)
        except sqlite3.Error as error:
            raise self._rolled_back(error) from error

    # --- reading at the start ---------------------------------------------------

    def memory(self) -> Memory:
        """Return what a new supervisor must know of the past."""
        known, self._memory = self._memory, None
        return known or startup_memory.memory(self._db, self._newest_log, promises.boot_id())

    def _note(self, key: str, value: str) -> None:
        write_rows.note(self._db, key, value)

    # --- the file ---------------------------------------------------------------

    def _open(self) -> None:
        self._use(file.open_ledger(self.path))
        self._place = file.ledger_path(self.path)

    def _use(self, db: sqlite3.Connection) -> None:
        self._db, self._synchronous = db, "FULL"
        self._purge, self._log_limit = Purge(db), LogLimit(db)

    def _open_with_room(self) -> None:
        try:
            self._open()
        except sqlite3.OperationalError as error:
            if not (ballast.would_help(error) and self._ballast.exists()):
                raise
            ballast.give_up(self._ballast)
            self._open()

    def _open_whatever_is_there(self) -> None:
        """Open the ledger and read what a start needs; create a new one if that fails."""
        odd = file.what_is_odd(self.path)
        lost = "" if odd else file.what_is_lost(self.path, self._newest_log)
        try:
            if odd or lost:
                self._replace(odd or lost)
                self._aside = None
            self._open_with_room()
            self._read_all()
        except file.LedgerVersionError:
            raise
        except (sqlite3.Error, ValueError) as error:  # or an undecodable text
            if not file.is_damage_at_start(error, self.path):
                raise self._not_opened(error) from error
            self._replace(str(error))
            self._open_with_room()
            self._rescue(RESCUE_AT_START_S)
            self._read_all()
        except OSError as error:
            raise self._not_opened(error) from error

    def _not_opened(self, error: Exception) -> LedgerUnavailableError:
        words = full_disk.in_words(error, self.path.parent)
        return LedgerUnavailableError(f"open ledger {self.path}: {words}")

    def _read_all(self) -> None:
        startup_memory.touch_columns(self._db)
        self._memory = startup_memory.memory(self._db, self._newest_log, promises.boot_id())
        self.instance = self._instance_of_this_folder()
        # A ledger that cannot be written is not usable, so write once.
        self._note("clean", startup_memory.meta(self._db, "clean") or "1")

    def _replace(self, why: str) -> None:
        """Quarantine what is in the ledger's place, of any kind. Raises: OSError."""
        if self._db is not None:
            self._db.close()
        was_there = os.path.lexists(self.path)
        self._aside = file.quarantine(self.path)
        kept = f" was damaged ({why}): it is kept as {self._aside}, a new one begins"
        self._damage = f"the ledger{kept}" if was_there else f"{why}: a new one begins"

    def _rescue(self, within_s: float) -> None:
        """Copy what is readable in the quarantined ledger."""
        if self._aside is not None:
            aside, self._aside = self._aside, None
            count = rescue.rescue(aside, self._db, within_s)
            if self._damage:
                self._damage += f" with {format_count(count, 'row')} that could still be read"

    def _instance_of_this_folder(self) -> str:
        """Return the mark of our processes; a copied folder gets its own.

        With that of the original, a service in the copy would kill the original's runs as
        strays of its predecessor.
        """
        folder = os.stat(self.path.parent)
        place = f"{folder.st_dev}:{folder.st_ino}"
        instance = startup_memory.meta(self._db, "instance")
        known = startup_memory.meta(self._db, "folder")
        if not instance or known not in ("", place):
            instance = secrets.token_hex(16)
            self._note("instance", instance)
        if known != place:
            self._note("folder", place)
        return instance

    def _rolled_back(self, error: sqlite3.Error) -> LedgerUnavailableError:
        with contextlib.suppress(sqlite3.Error):
            self._db.execute("ROLLBACK")
        return self._unavailable(error)

    def _unavailable(self, error: sqlite3.Error) -> LedgerUnavailableError:
        """Return the error to raise for an SQLite error; quarantine a damaged file."""
        if file.is_damage(error):
            self._start_new_ledger(error)
        return LedgerUnavailableError(str(error))

    def _start_new_ledger(self, error: sqlite3.Error) -> None:
        """Quarantine the damaged file; the next `write` opens a new one."""
        self._place = None
        with contextlib.suppress(OSError):  # that write will find the damage again
            self._replace(str(error))

    def _stay_in_place(self) -> None:
        """Ensure that writes go to the file that the next start will open.

        SQLite continues to write to a file that was deleted while open.

        Raises: LedgerUnavailableError, OSError, sqlite3.Error.
        """
        if self._place is None:
            self._use(file.open_ledger(self.path))
            self._rescue(RESCUE_S)
            self._note("instance", self.instance)
            self._note("clean", "0")
            self._place = file.ledger_path(self.path)
            return
        place = file.ledger_path(self.path)
        if place == self._place:
            return
        if place is not None:
            raise LedgerUnavailableError(
                f"{self.path} was replaced while it was in use: restart me"
            )
        rescued = file.copy_beside(self._db, self.path)
        self._db.close()
        os.replace(rescued, self.path)
        self._open()
        raise LedgerUnavailableError(
            f"{self.path} was deleted while it was in use: it is written anew"
        )
