"""Once a minute: forget what is too old, a little at a time, far from the full minute."""

from collections.abc import Iterable
from pathlib import Path

from supervisor.containment import output
from supervisor.core import effects
from supervisor.core import events as ev
from supervisor.core.world import World
from supervisor.ledger.backlog import Backlog
from supervisor.ledger.errors import LedgerTrouble
from supervisor.ledger.store import Store
from supervisor.log import Log


class Upkeep:
    """Purges the ledger and the logs of runs, and looks after the ledger's file."""

    def __init__(self, store: Store, backlog: Backlog, runs_dir: Path, log: Log) -> None:
        self._store = store
        self._backlog = backlog
        self._runs_dir = runs_dir
        self._log = log
        self._stuck = ""

    def keep(self, world: World, at: ev.At) -> list[ev.Event]:
        """Purge a little; that the ledger is another one now, or can be written, if so."""
        history = world.config.history
        try:
            self._remove_logs(self._store.purge(history, at.wall), at)
            self._remove_logs(self._store.purge_logs(history.log_bytes), at)
            self._store.tidy()
        except LedgerTrouble as trouble:
            self._log.note(at.wall, effects.Note("warning", f"purge history: {trouble}"))
        if self._backlog.is_broken:
            return []
        damage = self._store.take_damage()
        # Trouble that is over, but whose end the core could not take in.
        return [ev.Recorded(at, damage)] if damage or world.ledger_trouble else []

    def _remove_logs(self, runs: Iterable[int], at: ev.At) -> None:
        """Remove the output of runs; why some cannot be removed is told once."""
        stuck: list[OSError] = []
        for run in runs:
            try:
                output.remove(self._runs_dir, run)
            except OSError as error:
                stuck.append(error)
        why = f"{stuck[0].strerror}" if stuck else ""
        if stuck and why != self._stuck:
            text = f"{len(stuck)} logs cannot be removed, the first: {stuck[0]}"
            self._log.note(at.wall, effects.Note("warning", f"purge history: {text}"))
        self._stuck = why or self._stuck
