"""Deletes what is beyond the limits of `history`, in short steps, by indexes alone.

A pass begins once a minute. It visits only the jobs with new runs since the pass before,
so it costs as much as there is to delete and not as much as there is to keep. What is
limited by age alone (`history.days`) is looked for once an hour. `store.py` calls `step`
until the pass is done.
"""

import sqlite3
import time
from collections.abc import Iterator
from datetime import datetime, timedelta

from msgspec import Struct

from supervisor.core.config_model import History
from supervisor.core.model import OPEN, State

# A step ends after this time, so that it delays no tick.
STEP_S = 0.05
BATCH = 100
AGE_PASS = timedelta(hours=1)
# Texts of jobs.yaml that are kept at most: as many come as are written.
MOST_RELOADS = 1000

# When a row of these tables ended; NULL: it is still open.
_ENDED = {
    # An acknowledgement stays in force for its term, even if the incident is closed.
    "incidents": "max(closed_at, coalesce(acked_until, closed_at))",
    "outbox": "(CASE WHEN withheld = '' THEN delivered_at ELSE at END)",
}
# The newest row of these is kept: the next number, or the next text, is compared with it.
_AGED = (
    "DELETE FROM gaps WHERE until < ?",
    "DELETE FROM actions WHERE at < ?",
    *(
        f"DELETE FROM {table} WHERE {ended} < ? AND id < (SELECT max(id) FROM {table})"
        for table, ended in _ENDED.items()
    ),
    "DELETE FROM reloads WHERE at < ? AND rowid < (SELECT max(rowid) FROM reloads)",
)
# By id, and not through every entry of the index of jobs.
_WITH_NEWS = "SELECT DISTINCT job FROM runs NOT INDEXED WHERE id > ?"
_FIRST_JOB = "SELECT min(job) FROM runs WHERE job > ?"
_OF_JOB = (
    "SELECT id, state, job, due, log_bytes FROM runs WHERE job = ? AND id > ? ORDER BY id LIMIT ?"
)
_OLDER = """
SELECT id, state, job, due, log_bytes FROM runs INDEXED BY runs_by_due
WHERE due < ?1 AND (due > ?2 OR (due = ?2 AND id > ?3)) AND due >= ?2 ORDER BY due, id LIMIT ?4
"""
# A job's newest run, success and failure are kept.
_HAS_NEWER = {
    State.SUCCESS: "SELECT 1 FROM runs INDEXED BY runs_succeeded"
    " WHERE job = ? AND id > ? AND state = 'success' LIMIT 1",
    State.FAILED: "SELECT 1 FROM runs INDEXED BY runs_failed"
    " WHERE job = ? AND id > ? AND state = 'failed' LIMIT 1",
}
_IS_NEWEST = "SELECT max(id) = ? FROM runs WHERE job = ?"

_Row = tuple[int, str, str, str, int]  # id, state, job, due, log_bytes
_Outputs = list[tuple[int, int]]  # id, log_bytes


class Purged(Struct, frozen=True):
    """What a step removed; is_done: nothing more is to be removed for now.

    outputs: of each run, its id and the bytes of output that it had.
    """

    outputs: tuple[tuple[int, int], ...] = ()
    is_done: bool = True

    @property
    def runs(self) -> tuple[int, ...]:
        """Return the ids of the runs."""
        return tuple(run for run, _ in self.outputs)


class Purge:
    """The purge of one open ledger, and how many runs of each job it has counted."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._pass: Iterator[_Outputs] | None = None
        self._kept: int | None = None  # `history.runs` of the pass before
        self._seen = 0  # the pass before saw runs up to this id
        self._counted: dict[str, tuple[int, int]] = {}  # job -> number of runs up to an id
        self._aged_at: datetime | None = None

    def step(self, keep: History, now: datetime) -> Purged:
        """Begin a pass or go on with it, for STEP_S; in one transaction. Raises: sqlite3.Error."""
        deadline = time.monotonic() + STEP_S
        if self._pass is None:
            self._pass = self._run(keep, now)
        gone: _Outputs = []
        self._db.execute("BEGIN IMMEDIATE")
        try:
            for batch in self._pass:
                gone += batch
                if time.monotonic() > deadline:
                    break
            else:
                self._pass = None
            self._db.execute("COMMIT")
        except BaseException:
            self._pass = None
            self._kept = None  # the counts may be of rows that came back
            self._counted.clear()
            raise
        return Purged(tuple(gone), self._pass is None)

    def _run(self, keep: History, now: datetime) -> Iterator[_Outputs]:
        """Delete in batches, and yield the runs of each."""
        (newest,) = self._db.execute("SELECT coalesce(max(id), 0) FROM runs").fetchone()
        for job in self._jobs_with_news(keep.runs):
            yield from self._beyond(job, keep.runs)
        self._seen, self._kept = newest, keep.runs
        if self._aged_at is None or not timedelta(0) <= now - self._aged_at < AGE_PASS:
            yield from self._older((now - timedelta(days=keep.days)).isoformat())
            self._aged_at = now
        self._db.execute(
            "DELETE FROM reloads WHERE rowid <= (SELECT max(rowid) FROM reloads) - ?",
            (MOST_RELOADS,),
        )

    def _jobs_with_news(self, most: int) -> Iterator[str]:
        """Yield the jobs with runs since the pass before; all, if the limit has changed."""
        if most == self._kept:
            found = self._db.execute(_WITH_NEWS, (self._seen,))
            yield from [name for (name,) in found.fetchall()]
            return
        job = ""
        while (following := self._one(_FIRST_JOB, job)) is not None:
            job = str(following)
            yield job

    def _beyond(self, job: str, most: int) -> Iterator[_Outputs]:
        """Delete the job's oldest runs that are more than `most`."""
        count, up_to = self._counted.get(job, (0, 0))
        newer = "SELECT count(*), coalesce(max(id), ?2) FROM runs WHERE job = ?1 AND id > ?2"
        added, up_to = self._db.execute(newer, (job, up_to)).fetchone()
        self._counted[job] = (count + added, up_to)
        excess, after = count + added - most, 0
        yield []
        while excess > 0:
            rows = self._db.execute(_OF_JOB, (job, after, min(BATCH, excess))).fetchall()
            if not rows:
                return
            excess, after = excess - len(rows), rows[-1][0]
            yield self._delete(rows)

    def _older(self, oldest: str) -> Iterator[_Outputs]:
        """Delete what ended before an instant."""
        for text in _AGED:
            self._db.execute(text, (oldest,))
            yield []
        due, number = "", 0
        while rows := self._db.execute(_OLDER, (oldest, due, number, BATCH)).fetchall():
            number, _, _, due, _ = rows[-1]
            yield self._delete(rows)

    def _delete(self, rows: list[_Row]) -> _Outputs:
        outputs = [(row[0], row[4]) for row in rows if self._may_go(row)]
        ids = [run for run, _ in outputs]
        self._db.executemany("DELETE FROM runs WHERE id = ?", [(each,) for each in ids])
        self._db.executemany("DELETE FROM attempts WHERE run = ?", [(each,) for each in ids])
        gone = set(ids)
        for number, _, job, _, _ in rows:
            count, up_to = self._counted.get(job, (0, 0))
            if number in gone and number <= up_to:
                self._counted[job] = (count - 1, up_to)
        return outputs

    def _may_go(self, row: _Row) -> bool:
        number, state, job, *_ = row
        if state in OPEN or self._one(_IS_NEWEST, number, job):
            return False
        newer = _HAS_NEWER.get(state)  # type: ignore[call-overload]  # a text equals its State
        return newer is None or self._one(newer, job, number) is not None

    def _one(self, text: str, *values: object) -> object:
        row = self._db.execute(text, values).fetchone()
        return None if row is None else row[0]
