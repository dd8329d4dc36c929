"""The ledger's one writer: SQLite, WAL, synchronous FULL, one transaction a turn.

No record, no launch: `write` either commits everything it was given or raises
`LedgerTrouble` and has changed nothing. What a ledger needs at its opening -
a fresh schema, a migration, setting a corrupt one aside - is here too; reading
for people is `history.py`.
"""

import contextlib
import os
import secrets
import shutil
import sqlite3
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path

import msgspec

from supervisor.core.events import Memory, Record, RecordPause, ReleaseSlots
from supervisor.core.model import History, Pause, Run
from supervisor.ledger import purging
from supervisor.ledger.migrations import MIGRATIONS, SCHEMA_VERSION
from supervisor.ledger.rows import ATTEMPTS, INCIDENTS, MARKS, OUTBOX, RUNS, TABLES, TO_REMEMBER

BALLAST_BYTES = 4 * 1024**2
# An alert that is to be sent, by the next service if not by this one.
_WAITS = "delivered_at IS NULL AND withheld = ''"
# At most so many runs are purged in one step, so that no tick is late for it.
PURGE_STEP = 200

Written = Record | RecordPause | ReleaseSlots


class LedgerTrouble(Exception):  # noqa: N818 - the word of the state it causes
    """The ledger cannot be written now; the text says why."""


class LedgerRefused(Exception):  # noqa: N818 - we refuse, nothing is broken
    """The ledger cannot be used at all; the text says what to do."""


class Store:
    """The open ledger of one state folder."""

    def __init__(self, folder: Path) -> None:
        """Open or make `folder`/ledger.sqlite3. Raises: LedgerRefused, LedgerTrouble."""
        self.path = folder / "ledger.sqlite3"
        self.set_aside: Path | None = None
        self._ballast = folder / "ballast"
        try:
            self._db = self._open_with_room()
        except sqlite3.OperationalError as error:
            raise LedgerTrouble(f"open ledger {self.path}: {error}") from error
        except sqlite3.DatabaseError as error:
            self.set_aside = self._put_aside()
            self._db = self._open()
            self._say("set_aside", f"{self.set_aside.name}: {error}")
        self.instance = self._meta("instance")
        self.keep_ballast()

    def close(self, clean: bool) -> None:
        """Say goodbye; `clean` tells the next start that nothing was left behind."""
        with contextlib.suppress(sqlite3.Error):
            self._say("clean", "1" if clean else "0")
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
            self._db.execute("BEGIN IMMEDIATE")
            for action in actions:
                self._write(action)
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            with contextlib.suppress(sqlite3.Error):
                self._db.execute("ROLLBACK")
            if _wants_room(error):
                self._ballast.unlink(missing_ok=True)
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
        """A few MiB to give up when the disk is full, so that the ledger can go on."""
        if not self._ballast.exists():
            with contextlib.suppress(OSError), open(self._ballast, "xb") as ballast:
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
        paused = self._meta("paused")
        return Memory(
            runs=tuple(self._runs_to_remember()),
            attempts=tuple(
                ATTEMPTS.decode(row)
                for row in self._db.execute(ATTEMPTS.select("WHERE ended_at IS NULL"))
            ),
            marks=tuple(MARKS.decode(row) for row in self._db.execute(MARKS.select())),
            incidents=tuple(
                INCIDENTS.decode(row)
                for row in self._db.execute(INCIDENTS.select("WHERE closed_at IS NULL"))
            ),
            outbox=tuple(
                OUTBOX.decode(row)
                for row in self._db.execute(OUTBOX.select(f"WHERE {_WAITS} ORDER BY id"))
            ),
            paused=msgspec.json.decode(paused, type=Pause | None) if paused else None,
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

    # --- opening ----------------------------------------------------------------

    def _open_with_room(self) -> sqlite3.Connection:
        try:
            return self._open()
        except sqlite3.OperationalError as error:
            if not (_wants_room(error) and self._ballast.exists()):
                raise
        self._ballast.unlink()
        return self._open()

    def _open(self) -> sqlite3.Connection:
        is_new = not self.path.exists() or self.path.stat().st_size == 0
        db = sqlite3.connect(self.path, isolation_level=None, timeout=5.0)
        try:
            os.chmod(self.path, 0o600)
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = FULL")
            # `tidy` does it in quiet moments; this is for a day that has none.
            db.execute("PRAGMA wal_autocheckpoint = 10000")
            if is_new:
                self._create(db)
            else:
                self._check(db)
        except BaseException:
            db.close()
            raise
        # Waiting for another program's lock would make a tick late.
        db.execute("PRAGMA busy_timeout = 100")
        return db

    def _create(self, db: sqlite3.Connection) -> None:
        schema = files("supervisor.ledger").joinpath("schema.sql").read_text()
        db.executescript(f"BEGIN; {schema}; PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")
        db.execute("INSERT INTO meta VALUES ('instance', ?)", (secrets.token_hex(16),))

    def _check(self, db: sqlite3.Connection) -> None:
        (version,) = db.execute("PRAGMA user_version").fetchone()
        if version > SCHEMA_VERSION:
            raise LedgerRefused(
                f"ledger {self.path} is of a newer version ({version}; this one reads up to "
                f"{SCHEMA_VERSION}): use the newer nightshift, or another --state"
            )
        if db.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
            raise sqlite3.DatabaseError("quick_check found damage")
        if version < SCHEMA_VERSION:
            self._migrate(db, version)

    def _migrate(self, db: sqlite3.Connection, version: int) -> None:
        """Copy an older ledger beside itself, then change it in one transaction."""
        beside = self.path.with_name(f"ledger-v{version}.sqlite3")
        with contextlib.closing(sqlite3.connect(beside)) as copy:
            db.backup(copy)
        steps = "; ".join(MIGRATIONS[step] for step in range(version, SCHEMA_VERSION))
        db.executescript(f"BEGIN; {steps}; PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")

    def _put_aside(self) -> Path:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H-%M-%SZ")
        aside = self.path.with_name(f"ledger-damaged-{now}.sqlite3")
        for ending in ("", "-wal", "-shm"):
            source = self.path.with_name(self.path.name + ending)
            if source.exists():
                shutil.move(source, aside.with_name(aside.name + ending))
        return aside


def _wants_room(error: sqlite3.Error) -> bool:
    """Whether a full disk may be what is wrong; where memory is mapped it has no name."""
    return "full" in str(error) or "disk I/O" in str(error)
