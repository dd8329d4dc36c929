"""Reading the ledger for people: runs, attempts, gaps, incidents, actions.

A read-only connection of its own, beside the one writer; a reader never makes
the writer wait (WAL). One instance a thread.
"""

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from supervisor.core.alert_model import Incident
from supervisor.core.model import Asking, Attempt, Gap, Mark, Pause, Run
from supervisor.ledger.opening import is_undecoded, place_of
from supervisor.ledger.remembering import meta, pause
from supervisor.ledger.rows import (
    ACTIONS,
    ATTEMPTS,
    GAPS,
    INCIDENTS,
    MARKS,
    RUNS,
    TO_REMEMBER,
    RowError,
    Table,
)

MOST = 1000


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which runs: newest first, at most `limit`; before: only smaller ids."""

    job: str | None = None
    state: str | None = None
    since: datetime | None = None
    before: int | None = None
    limit: int = 100


class History:
    """The ledger of a state folder, to be read. Raises: sqlite3.Error.

    A row that cannot be read is left out, and told to `on_damage`.
    """

    def __init__(self, folder: Path, on_damage: Callable[[str], object] = bool) -> None:
        self._on_damage = on_damage
        self._path = folder / "ledger.sqlite3"
        self._place = place_of(self._path)
        uri = f"{self._path.resolve().as_uri()}?mode=ro"
        self._db = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=2.0)

    def is_current(self) -> bool:
        """Whether the file that is read is still the one that is written."""
        return self._place == place_of(self._path)

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()

    def runs(self, wanted: Wanted) -> list[Run]:
        """Runs, newest first."""
        conditions = {
            "job = ?": wanted.job,
            "state = ?": wanted.state,
            "due >= ?": None if wanted.since is None else wanted.since.isoformat(),
            "id < ?": wanted.before,
        }
        given = {text: value for text, value in conditions.items() if value is not None}
        where = f"WHERE {' AND '.join(given)} " if given else ""
        rest = f"{where}ORDER BY id DESC LIMIT ?"
        return self._all(RUNS, rest, *given.values(), min(wanted.limit, MOST))

    def run(self, number: int) -> Run | None:
        """One run."""
        return next(iter(self._all(RUNS, "WHERE id = ?", number)), None)

    def newest_run(self, job: str) -> Run | None:
        """The newest run of a job that was begun (for its log), or its newest one."""
        begun = self._all(RUNS, "WHERE job = ? AND attempt > 0 ORDER BY id DESC LIMIT 1", job)
        return next(iter(begun or self.runs(Wanted(job=job, limit=1))), None)

    def attempts(self, run: int) -> list[Attempt]:
        """The attempts of a run, in order."""
        return self._all(ATTEMPTS, "WHERE run = ? ORDER BY number", run)

    def runs_at(self, job: str, instant: datetime) -> list[Run]:
        """The runs of a job that are due at this very instant."""
        at = instant.isoformat()
        return self._all(RUNS, "WHERE job = ? AND (slot = ? OR due = ?) ORDER BY id", job, at, at)

    def gap_at(self, job: str, instant: datetime) -> Gap | None:
        """The gap of a job that holds this instant."""
        at = instant.isoformat()
        found = self._all(GAPS, "WHERE job = ? AND since < ? AND until >= ?", job, at, at)
        return next(iter(found), None)

    def incidents(self, limit: int = 100) -> list[Incident]:
        """Incidents, newest first, open and closed."""
        return self._all(INCIDENTS, "ORDER BY id DESC LIMIT ?", min(limit, MOST))

    def actions(self, limit: int = 100) -> list[Asking]:
        """Who asked what, newest first."""
        return self._all(ACTIONS, "ORDER BY rowid DESC LIMIT ?", min(limit, MOST))

    def durations_s(self, job: str, most: int = MOST) -> list[float]:
        """How long the successful attempts of a job took, newest first; no dry runs."""
        rows = self._db.execute(
            """SELECT attempts.started_at, attempts.ended_at FROM runs
            JOIN attempts ON attempts.run = runs.id AND attempts.number = runs.attempt
            WHERE runs.job = ? AND runs.state = 'success' AND NOT runs.dry_run
            AND attempts.ended_at IS NOT NULL ORDER BY runs.id DESC LIMIT ?""",
            (job, most),
        )
        durations_s = []
        with closing(rows):
            for started, ended in rows:
                with suppress(ValueError, TypeError):  # such a row is told where it is listed
                    begun = datetime.fromisoformat(started)
                    durations_s.append((datetime.fromisoformat(ended) - begun).total_seconds())
        return durations_s

    def remembered(self) -> list[Run]:
        """What a supervisor that starts now would remember, oldest first."""
        return self._read(RUNS, TO_REMEMBER)

    def marks(self) -> list[Mark]:
        """What is kept of each job itself."""
        return self._all(MARKS, "")

    def paused(self) -> Pause | None:
        """The pause over all jobs."""
        return pause(meta(self._db, "paused"))

    def _all(self, table: Table, rest: str, *values: Any) -> list[Any]:
        return self._read(table, table.select(rest), *values)

    def _read(self, table: Table, text: str, *values: Any) -> list[Any]:
        try:
            with closing(self._db.execute(text, values)) as rows:
                fetched = rows.fetchall()
        except (sqlite3.OperationalError, UnicodeDecodeError) as error:
            if not is_undecoded(error):
                raise
            # Slower, and so only for a ledger that needs it.
            self._db.text_factory = lambda text: text.decode(errors="backslashreplace")
            with closing(self._db.execute(text, values)) as rows:
                fetched = rows.fetchall()
        return [value for row in fetched if (value := self._decoded(table, row)) is not None]

    def _decoded(self, table: Table, row: Sequence[Any]) -> Any:
        try:
            return table.decode(row)
        except RowError as error:
            self._on_damage(f"a row of the ledger cannot be read and is left out: {error}")
            return None
