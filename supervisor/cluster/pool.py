"""What the leader's loop has in place of a pool of keepers: the hosts of the cluster.

The leader's own children (alerts, heartbeats, reading jobs.yaml) run under keepers here.
"""

import selectors
from typing import Any

import psycopg

from supervisor.cluster.exchange import Exchange
from supervisor.cluster.session import WakeLine
from supervisor.containment.internal_jobs import RELOAD
from supervisor.containment.processes import Processes
from supervisor.core import events as ev
from supervisor.core.effects import KillStep, Launch

# After the line was lost.
AGAIN_S = 2.0


class ClusterPool(Processes):
    """Attempts of runs go to hosts, internal jobs to keepers of this process."""

    def __init__(
        self, selector: selectors.BaseSelector, exchange: Exchange, dsn: str, schema: str,
        *keepers: Any, **settings: Any,
    ) -> None:  # fmt: skip
        """Make the pool; keepers, settings: as for `Processes`, after its selector."""
        super().__init__(selector, *keepers, **settings)
        self._exchange = exchange
        self._events, self._dsn, self._schema = selector, dsn, schema
        self._line: WakeLine | None = None
        self._listen_at = 0.0

    def launch(self, launch: Launch, at: ev.At) -> list[ev.AttemptEvent]:
        """Give an attempt to the cluster, or start an internal job."""
        if launch.run.id <= RELOAD:
            return super().launch(launch, at)
        self._exchange.hand_out(launch)
        return []

    def signal(self, run: int, attempt: int, force: KillStep) -> None:
        """Have an attempt ended by its host, or an internal job."""
        if run <= RELOAD:
            super().signal(run, attempt, force)
        else:
            self._exchange.force(run, attempt, force)

    def expect(self, launches: int) -> None:
        """Do nothing: no keeper here is needed for runs."""

    def next_instant(self) -> float | None:
        """Return when to listen again, if the line is lost."""
        instants = (super().next_instant(), self._listen_at if self._line is None else None)
        return min((each for each in instants if each is not None), default=None)

    def ready(self, key: selectors.SelectorKey, at: ev.At) -> list[ev.AttemptEvent]:
        """Read a descriptor."""
        if self._line is None or key.fileobj is not self._line:
            return super().ready(key, at)
        try:
            if "leader" in self._line.drain():
                self._exchange.is_woken = True
            self._exchange.is_receiving = self._line.is_receiving
        except psycopg.Error:
            self._drop_line(at)
        return []

    def shrink_idle(self, at: ev.At) -> None:
        """Retire idle keepers, and listen again if the line was lost."""
        super().shrink_idle(at)
        if self._line is None and at.mono >= self._listen_at:
            self._listen_at = at.mono + AGAIN_S
            try:
                self._line = WakeLine(self._dsn, self._schema, self._exchange.connection())
            except (psycopg.Error, OSError):
                return
            self._events.register(self._line, selectors.EVENT_READ, self)

    def _drop_line(self, at: ev.At) -> None:
        assert self._line is not None
        self._events.unregister(self._line)
        self._line.close()
        self._line, self._listen_at = None, at.mono + AGAIN_S
        self._exchange.is_receiving = False
