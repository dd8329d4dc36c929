"""Which output of runs to remove so that the rest fits `history.log_bytes`.

The sum of all output is kept from minute to minute: only runs that may still write are
added up again. Once an hour, and in a new ledger, it is added up from the start.
"""

import sqlite3
from collections.abc import Iterable
from datetime import datetime, timedelta

from supervisor.ledger.purge import Purged
from supervisor.ledger.rows import OF_OPEN

# At most this many in one step, so that it delays no tick.
BATCH = 200
RECOUNT = timedelta(hours=1)

_SUM = """
SELECT coalesce(sum(log_bytes), 0) FROM runs INDEXED BY runs_with_log
WHERE log_bytes > 0 AND id >= ? AND id < ?
"""
_FIRST_OPEN = f"SELECT min(id) FROM runs INDEXED BY runs_open WHERE {OF_OPEN}"
_OLDEST = f"""
SELECT id, log_bytes FROM runs INDEXED BY runs_with_log
WHERE log_bytes > 0 AND NOT {OF_OPEN} ORDER BY id LIMIT ?
"""
_END = 2**62


class LogLimit:
    """The sum of the output of the runs of one open ledger."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._below = 0  # runs below this id have ended; their output is `_settled_bytes`
        self._settled_bytes = 0
        self._counted_at: datetime | None = None

    def subtract(self, outputs: Iterable[tuple[int, int]]) -> None:
        """Count the output of these runs (id, bytes) no more."""
        self._settled_bytes -= sum(size for run, size in outputs if run < self._below)

    def step(self, most_bytes: int, now: datetime) -> Purged:
        """Take a few of the oldest runs with output, if all of it is more than `most_bytes`.

        Raises: sqlite3.Error.
        """
        if self._counted_at is None or not timedelta(0) <= now - self._counted_at < RECOUNT:
            self._below, self._settled_bytes, self._counted_at = 0, 0, now
        first_open = self._number(_FIRST_OPEN) or self._number("SELECT max(id) FROM runs")
        if first_open > self._below:
            self._settled_bytes += self._number(_SUM, self._below, first_open)
            self._below = first_open
        too_much = self._settled_bytes + self._number(_SUM, self._below, _END) - most_bytes
        if too_much <= 0:
            return Purged()
        found: list[tuple[int, int]] = []
        for run, log_bytes in self._db.execute(_OLDEST, (BATCH,)).fetchall():
            if too_much <= 0:
                break
            found.append((run, log_bytes))
            too_much -= log_bytes
        removed = Purged(tuple(found), too_much <= 0 or not found)
        text = "UPDATE runs SET log_bytes = 0 WHERE id = ?"
        self._db.execute("BEGIN IMMEDIATE")
        try:
            self._db.executemany(text, [(run,) for run in removed.runs])
            self._db.execute("COMMIT")
        except BaseException:
            self._counted_at = None
            raise
        self.subtract(found)
        return removed

    def _number(self, text: str, *values: int) -> int:
        (found,) = self._db.execute(text, values).fetchone()
        return found or 0
