"""Once a minute, far from the full minute: purges old history, a little at a time."""

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


class Maintenance:
    """Purges the ledger and the logs of runs, and maintains the ledger's file."""

    def __init__(self, store: Store, backlog: WriteQueue, runs_dir: Path, log: ServiceLog) -> None:
        self._store = store
        self._queue = backlog
        self._runs_dir = runs_dir
        self._log = log
        self._stuck = ""

    def run(self, scheduler: SchedulerState, at: ev.At) -> list[ev.Event]:
        """Purge a little; return an event if the ledger was replaced or can be written again."""
        history = scheduler.config.history
        try:
            self._remove_logs(self._store.purge(history, at.wall), at)
            self._remove_logs(self._store.purge_logs(history.log_bytes), at)
            self._store.checkpoint_and_optimize()
        except LedgerUnavailableError as problem:
            self._log.note(at.wall, effects.Note("warning", f"purge history: {problem}"))
        if self._queue.is_broken:
            return []
        damage = self._store.pop_damage()
        # The outage may be over although the core failed to process its end.
        return [ev.LedgerRecovered(at, damage)] if damage or scheduler.ledger_error else []

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
