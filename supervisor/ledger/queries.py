"""Read access to the ledger: runs, attempts, gaps, incidents, alerts, actions, reloads.

Uses a read-only connection beside the one writer; a reader never makes the
writer wait (WAL). `unattended.py` opens a ledger that may have no writer. One instance
per thread.
"""

import json
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from msgspec import Struct

from supervisor.core.alert_model import Alert, Incident
from supervisor.core.model import (
    OPEN,
    Attempt,
    AuditEntry,
    JobRecord,
    MissedRange,
    Pause,
    ReloadEntry,
    Run,
    State,
)
from supervisor.ledger.file import is_undecoded, ledger_path
from supervisor.ledger.rows import (
    ACTIONS,
    ATTEMPTS,
    GAPS,
    IN_VAIN,
    INCIDENTS,
    MARKS,
    OF_OPEN,
    OUTBOX,
    RELOADS,
    RUNS,
    TO_REMEMBER,
    RowError,
    Table,
)
from supervisor.ledger.startup_memory import ALERT_WAITS, meta, pause

MOST = 1000


class RunFilter(Struct, frozen=True):
    """Selection of runs, newest first, at most `limit`.

    since, until: due in [since, until). before: only smaller ids.
    """

    job: str | None = None
    state: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    before: int | None = None
    limit: int = 100


def _conditions(wanted: RunFilter) -> tuple[str, list[Any]]:
    """Return the clauses of a query for these runs, and their values."""
    conditions = {
        "job = ?": wanted.job,
        **_in_state(wanted.state),
        "due >= ?": None if wanted.since is None else wanted.since.isoformat(),
        "due < ?": None if wanted.until is None else wanted.until.isoformat(),
        "id < ?": wanted.before,
    }
    given = {text: value for text, value in conditions.items() if value is not None}
    where = f"WHERE {' AND '.join(given)} " if given else ""
    return f"{where}ORDER BY id DESC LIMIT ?", [*given.values(), min(wanted.limit, MOST)]


# Each half by its own index; with OR, SQLite would read all runs of the job.
_AT_INSTANT = """WHERE id IN (
    SELECT id FROM runs WHERE job = ?1 AND slot = ?2
    UNION SELECT id FROM runs INDEXED BY runs_by_due WHERE due = ?2 AND job = ?1
) ORDER BY id"""


def connect_beside_writer(path: Path) -> sqlite3.Connection:
    """Open the ledger at `path` read-only, while its writer has it open."""
    uri = f"{path.resolve().as_uri()}?mode=ro"
    return sqlite3.connect(uri, uri=True, isolation_level=None, timeout=2.0)


class History:
    """Reader of the ledger in a state folder. Raises: sqlite3.Error.

    A row that cannot be read is left out and reported to `on_damage`.
    """

    def __init__(
        self,
        folder: Path,
        on_damage: Callable[[str], object] = bool,
        connect: Callable[[Path], sqlite3.Connection] = connect_beside_writer,
    ) -> None:
        self._on_damage = on_damage
        self._path = folder / "ledger.sqlite3"
        self._place = ledger_path(self._path)
        self._db = connect(self._path)

    def schema_version(self) -> int:
        """Return the version of the ledger's schema; 0 if the file is no ledger."""
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        return int(version)

    def is_current(self) -> bool:
        """Return whether the open file is still the one at the ledger's path."""
        return self._place == ledger_path(self._path)

    def close(self) -> None:
        """Close the connection."""
        self._db.close()

    def runs(self, wanted: RunFilter) -> list[Run]:
        """Return the selected runs, newest first."""
        where, values = _conditions(wanted)
        return self._all(RUNS, where, *values)

    def run_ids(self, wanted: RunFilter) -> list[int]:
        """Return the ids of the selected runs, newest first."""
        where, values = _conditions(wanted)
        return [number for (number,) in self._rows(f"SELECT id FROM runs {where}", *values)]

    def runs_of(self, ids: Iterable[int]) -> list[Run]:
        """Return the runs with these ids, newest first."""
        among = "WHERE id IN (SELECT value FROM json_each(?)) ORDER BY id DESC"
        return self._all(RUNS, among, json.dumps(list(ids)))

    def run(self, number: int) -> Run | None:
        """Return one run; None if there is none."""
        return next(iter(self._all(RUNS, "WHERE id = ?", number)), None)

    def attempts(self, run: int) -> list[Attempt]:
        """Return the attempts of a run, in order."""
        return self._all(ATTEMPTS, "WHERE run = ? ORDER BY number", run)

    def runs_at(self, job: str, instant: datetime) -> list[Run]:
        """Return the runs of a job that are due at exactly this time."""
        at = instant.isoformat()
        return self._all(RUNS, _AT_INSTANT, job, at)

    def gap_at(self, job: str, instant: datetime) -> MissedRange | None:
        """Return the gap of a job that contains this time."""
        at = instant.isoformat()
        found = self._all(GAPS, "WHERE job = ? AND since < ? AND until >= ?", job, at, at)
        return next(iter(found), None)

    def gaps(self, since: datetime) -> list[MissedRange]:
        """Return the gaps that end after this time."""
        return self._all(GAPS, "WHERE until > ?", since.isoformat())

    def counts(
        self, since: datetime, until: datetime, newest: int, without: Iterable[int]
    ) -> list[tuple[str, str, int]]:
        """Return job, state and number of runs due in [since, until), up to run `newest`."""
        return self._rows(
            """SELECT job, state, count(*) FROM runs WHERE due >= ? AND due < ? AND id <= ?
            AND id NOT IN (SELECT value FROM json_each(?)) GROUP BY job, state""",
            *(since.isoformat(), until.isoformat(), newest, json.dumps(list(without))),
        )

    def open_between(self, since: datetime, until: datetime, newest: int) -> list[int]:
        """Return the runs due in [since, until), up to `newest`, that are open in the ledger."""
        found = self._rows(
            f"""SELECT id FROM runs WHERE due >= ? AND due < ? AND id <= ?
            AND {OF_OPEN}""",
            *(since.isoformat(), until.isoformat(), newest),
        )
        return [number for (number,) in found]

    def states(self, newest: int, among: Iterable[int]) -> list[tuple[int, str, datetime, str]]:
        """Return id, job, due and state of the runs after `newest`, and of these."""
        # Two searches by key: with OR, SQLite would read the whole table.
        found = self._rows(
            """SELECT id, job, due, state FROM runs WHERE id > ?
            UNION SELECT id, job, due, state FROM runs
            WHERE id IN (SELECT value FROM json_each(?)) ORDER BY id""",
            *(newest, json.dumps(list(among))),
        )
        read = []
        for number, job, due, state in found:
            with suppress(ValueError, TypeError):  # reported when the row is listed
                read.append((number, job, datetime.fromisoformat(due), state))
        return read

    def incidents(self, limit: int = 100) -> list[Incident]:
        """Return incidents, open and closed, newest first."""
        return self._all(INCIDENTS, "ORDER BY id DESC LIMIT ?", min(limit, MOST))

    def waiting_alerts(self) -> list[Alert]:
        """Return the alerts still to be sent, oldest first."""
        return self._all(OUTBOX, f"WHERE {ALERT_WAITS} ORDER BY id")

    def outcome_counts(self, since: datetime, until: datetime) -> dict[tuple[str, str], int]:
        """Return the number of runs due in (since, until] by job and state, no dry runs."""
        rows = self._db.execute(
            """SELECT job, state, count(*) FROM runs
            WHERE due > ? AND due <= ? AND NOT dry_run GROUP BY job, state""",
            (since.isoformat(), until.isoformat()),
        )
        with closing(rows):
            return {(str(job), str(state)): count for job, state, count in rows}

    def incidents_since(self, since: datetime, until: datetime) -> list[Incident]:
        """Return incidents opened in (since, until], newest first, at most MOST."""
        found = self.incidents(MOST)
        return [each for each in found if since < each.opened_at <= until]

    def ends_of(self, job: str, since: datetime) -> list[Run]:
        """Return the first and the last successful run of a job due after an instant."""
        chosen = "WHERE job = ? AND due > ? AND state = 'success' ORDER BY due"
        at = since.isoformat()
        first = self._all(RUNS, f"{chosen} LIMIT 1", job, at)
        return [*first, *self._all(RUNS, f"{chosen} DESC LIMIT 1", job, at)]

    def actions(self, limit: int = 100) -> list[AuditEntry]:
        """Return the audit entries, newest first."""
        return self._all(ACTIONS, "ORDER BY rowid DESC LIMIT ?", min(limit, MOST))

    def reloads(self, limit: int = 100) -> list[ReloadEntry]:
        """Return the texts of jobs.yaml that were read, with their outcomes, newest first."""
        return self._all(RELOADS, "ORDER BY rowid DESC LIMIT ?", min(limit, MOST))

    def durations_s(self, job: str, most: int = MOST) -> list[float]:
        """Return durations of a job's successful attempts, newest first, without dry runs."""
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
                with suppress(ValueError, TypeError):  # reported when the row is listed
                    begun = datetime.fromisoformat(started)
                    durations_s.append((datetime.fromisoformat(ended) - begun).total_seconds())
        return durations_s

    def remembered(self) -> list[Run]:
        """Return the runs that a supervisor would load at a start, oldest first."""
        return self._read(RUNS, TO_REMEMBER)

    def marks(self) -> list[JobRecord]:
        """Return what is stored about each job itself."""
        return self._all(MARKS, "")

    def paused(self) -> Pause | None:
        """Return the pause over all jobs."""
        return pause(meta(self._db, "paused"))

    def _rows(self, text: str, *values: Any) -> list[tuple[Any, ...]]:
        with closing(self._db.execute(text, values)) as rows:
            return rows.fetchall()

    def _all(self, table: Table, rest: str, *values: Any) -> list[Any]:
        return self._read(table, table.select(rest), *values)

    def _read(self, table: Table, text: str, *values: Any) -> list[Any]:
        try:
            with closing(self._db.execute(text, values)) as rows:
                fetched = rows.fetchall()
        except (sqlite3.OperationalError, UnicodeDecodeError) as error:
            if not is_undecoded(error):
                raise
            # Slower, so used only for a ledger that needs it.
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


def _in_state(state: str | None) -> dict[str, str | None]:
    """Return the condition for a state, in the words of its index."""
    if state == State.SUCCESS:
        return {"state = ?": state}
    return {f"{OF_OPEN if state in OPEN else IN_VAIN} AND state = ?": state}
