"""Counts the ended runs of each job by local day, reading each row once.

Even a covering index takes 70 ms for a hundred thousand rows, so the counts are kept
in memory: the first call reads day by day (`load`), a later one only new rows and
those that were open before. A run that has ended never changes its state. Runs that
were purged since stay counted until the service starts again. One instance per thread.
"""

from collections.abc import Iterable, Iterator
from datetime import date

from supervisor.core.calendar_views import DayBounds
from supervisor.ledger.queries import History

_OPEN = frozenset(("pending", "running", "retrying"))


class DayCounts:
    """Counts of one range of days. counts: job -> day -> state -> ended runs."""

    def __init__(self, history: History, bounds: DayBounds) -> None:
        self._history = history
        self._bounds = bounds
        self._newest = 0
        self._open: set[int] = set()
        self.counts: dict[str, dict[date, dict[str, int]]] = {}

    def covers(self, history: History, bounds: DayBounds) -> bool:
        """Return whether these counts are of this ledger and range."""
        return self._history is history and self._bounds.midnights == bounds.midnights

    def load(self, newest: int, open_runs: Iterable[int]) -> Iterator[None]:
        """Count all runs up to the number `newest` but these, one day a step."""
        self._newest, self._open = newest, set(open_runs)
        for begin, end in zip(self._bounds.midnights, self._bounds.midnights[1:], strict=False):
            day = self._bounds.day_of(begin)
            for job, state, count in self._history.counts(begin, end, newest, self._open):
                if state in _OPEN:  # its end is not written yet
                    self._open |= set(self._history.open_between(begin, end, newest))
                elif day is not None:
                    self._add(job, day, state, count)
            yield

    def update(self, open_runs: Iterable[int]) -> None:
        """Count what has ended since the last call; open_runs: all that are open now."""
        known = self._history.states(self._newest, self._open)
        self._open = set(open_runs)
        for number, job, due, state in known:
            self._newest = max(self._newest, number)
            if state in _OPEN:
                self._open.add(number)
                continue
            self._open.discard(number)
            day = self._bounds.day_of(due)
            if day is not None:
                self._add(job, day, state, 1)

    def _add(self, job: str, day: date, state: str, more: int) -> None:
        states = self.counts.setdefault(job, {}).setdefault(day, {})
        states[state] = states.get(state, 0) + more
