"""The leader's ledger: PostgreSQL first, then a copy in a file for all that reads.

The file is an ordinary ledger, so the API, alerts and the purge read it as they do
elsewhere. It is brought up to date when the leader starts. PostgreSQL decides: what was
committed there and not copied is copied by the next start.
"""

import sqlite3
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path

import psycopg

from supervisor.cluster.shared_ledger import SharedLedger
from supervisor.core.config_model import History
from supervisor.ledger.errors import LedgerUnavailableError, Written
from supervisor.ledger.purge import Purged
from supervisor.ledger.startup_memory import meta
from supervisor.ledger.store import Store
from workers.units import is_whole


class ClusterStore(Store):
    """The open ledger of a leader."""

    def __init__(self, folder: Path, shared: SharedLedger) -> None:
        """Open the copy in `folder` and bring it up to date.

        Raises: LedgerVersionError, LedgerUnavailableError.
        """
        self._shared, self._turn = shared, ""
        super().__init__(folder)
        self._copy()

    def write(self, actions: Iterable[Written]) -> None:
        """Commit all of these or none.

        Raises: DeposedError, RowRefusedError, LedgerUnavailableError.
        """
        whole = tuple(actions)
        self._turn = str(self._shared.write(whole))
        super().write(whole)

    def _before_commit(self) -> None:
        self._note("turn", self._turn)

    def _use(self, db: sqlite3.Connection) -> None:
        super()._use(db)
        # What a crash loses here is in PostgreSQL, and the next start copies it.
        db.execute("PRAGMA synchronous = NORMAL")

    def pop_damage(self) -> str:
        """Return, once, what was lost here or in PostgreSQL."""
        return "; ".join(filter(None, (super().pop_damage(), self._shared.pop_damage())))

    def write_unsynced(self, actions: Iterable[Written]) -> None:
        """Commit all of these or none; PostgreSQL waits for its disk in any case."""
        self.write(actions)

    def purge(self, keep: History, now: datetime) -> Purged:
        """Delete runs beyond the limits, here and in PostgreSQL."""
        purged = super().purge(keep, now)
        try:
            self._shared.purge(purged.runs, keep, now)
        except psycopg.Error as error:
            self._shared.drop()
            raise LedgerUnavailableError(f"PostgreSQL: {error}") from error
        return purged

    def _copy(self) -> None:
        known = meta(self._db, "turn")
        try:
            turn = self._shared.copy_to(self._db, int(known) if is_whole(known) else -1)
        except (psycopg.Error, sqlite3.Error) as error:
            raise LedgerUnavailableError(f"copy the cluster's ledger: {error}") from error
        self._memory = None
        self._note("turn", str(turn))
