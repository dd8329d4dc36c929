"""Once a minute, far from the full minute: purges old history, in short steps until it is done."""

from collections.abc import Iterable
from pathlib import Path

from supervisor.containment import run_log
from supervisor.core import effects
from supervisor.core import events as ev
from supervisor.core.state import SchedulerState
from supervisor.ledger.errors import LedgerUnavailableError
from supervisor.ledger.store import Store
from supervisor.ledger.write_queue import WriteQueue
from supervisor.log import ServiceLog
from workers.units import format_count

# Between two steps of a purge, which may take a tenth of it.
REST_S = 0.5


class Maintenance:
    """Purges the ledger and the logs of runs, and maintains the ledger's file."""

    def __init__(self, store: Store, backlog: WriteQueue, runs_dir: Path, log: ServiceLog) -> None:
        self._store = store
        self._queue = backlog
        self._runs_dir = runs_dir
        self._log = log
        self._stuck = ""
        self.again_at: float | None = None  # monotonic time of the next step of a purge

    def go_on(self, scheduler: SchedulerState, at: ev.At) -> list[ev.Event]:
        """Go on with a purge that is not done, if it is time; return no events."""
        if self.again_at is not None and at.mono >= self.again_at:
            self._purge(scheduler, at)
        return []

    def run(self, scheduler: SchedulerState, at: ev.At) -> list[ev.Event]:
        """Purge a little; return an event if the ledger was replaced or can be written again."""
        self._purge(scheduler, at)
        try:
            self._store.checkpoint_and_optimize()
        except LedgerUnavailableError as problem:
            self._log.note(at.wall, effects.Note("warning", f"checkpoint: {problem}"))
        if self._queue.is_broken:
            return []
        damage = self._store.pop_damage()
        # The outage may be over although the core failed to process its end.
        return [ev.LedgerRecovered(at, damage)] if damage or scheduler.ledger_error else []

    def _purge(self, scheduler: SchedulerState, at: ev.At) -> None:
        history, self.again_at = scheduler.config.history, None
        try:
            purged = self._store.purge(history, at.wall)
            self._remove_logs(purged.runs, at)
            beyond = self._store.purge_logs(history.log_bytes, at.wall)
            self._remove_logs(beyond.runs, at)
        except LedgerUnavailableError as problem:
            self._log.note(at.wall, effects.Note("warning", f"purge history: {problem}"))
            return
        if not (purged.is_done and beyond.is_done):
            self.again_at = at.mono + REST_S

    def _remove_logs(self, runs: Iterable[int], at: ev.At) -> None:
        """Remove the output of runs; log once why some cannot be removed."""
        stuck: list[OSError] = []
        for run in runs:
            try:
                run_log.remove(self._runs_dir, run)
            except OSError as error:
                stuck.append(error)
        why = f"{stuck[0].strerror}" if stuck else ""
        if stuck and why != self._stuck:
            text = f"{format_count(len(stuck), 'log')} cannot be removed, the first: {stuck[0]}"
            self._log.note(at.wall, effects.Note("warning", f"purge history: {text}"))
        self._stuck = why or self._stuck
