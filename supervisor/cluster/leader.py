"""The leader of a cluster: a service whose ledger is PostgreSQL and whose pool is the hosts.

All rules, the API and the alerts are those of a single host. It decides for one text of
jobs.yaml: when that changes, it ends, and a host with the newest text leads.
"""

import hashlib
import selectors
import shutil
from pathlib import Path
from typing import Any, NoReturn

import psycopg

from supervisor.api.bridge import LoopBridge
from supervisor.cluster.agent_settings import LeaderSettings, from_environ
from supervisor.cluster.exchange import Exchange
from supervisor.cluster.pool import ClusterPool
from supervisor.cluster.server_clock import ServerClock
from supervisor.cluster.shared_ledger import DeposedError, SharedLedger
from supervisor.cluster.store import ClusterStore
from supervisor.containment.internal_jobs import InternalJobOwner
from supervisor.core import decide
from supervisor.core import events as ev
from supervisor.core.cluster_config import of_leader
from supervisor.core.config_model import Config
from supervisor.core.effects import Action
from supervisor.core.model import replace
from supervisor.core.state import SchedulerState
from supervisor.ledger.errors import LedgerUnavailableError
from supervisor.ledger.store import Store
from supervisor.runtime.event_source import EventSource
from supervisor.runtime.loop import Loop
from supervisor.service import ConfigError, Service, Settings, initial_facts, keeper_settings
from supervisor.state_dir import StateDir, StateDirError


class LeaderLoop(Loop):
    """A loop whose wall clock is that of PostgreSQL."""

    def __init__(self, clock: ServerClock, *parts: Any) -> None:
        """Make the loop; parts: as for `Loop`."""
        self._clock = clock
        super().__init__(*parts)

    def read_clocks(self) -> ev.At:
        """Return a reading of the clocks and a random number."""
        return replace(super().read_clocks(), wall=self._clock.wall())


class LeaderService(Service):
    """The service of a leader, which ends with its leadership."""

    def __init__(self, leader: LeaderSettings) -> None:
        """Settle what the leader before has left, and lead.

        Raises: DeposedError, and what a Service raises.
        """
        self._leader, agent = leader, leader.agent
        self._shared = SharedLedger(agent.cluster.postgres, agent.schema, leader.leadership)
        self._shared.clock.measure(self._shared.connection())
        settings = Settings(
            config=Path(agent.config),
            state=agent.folder,
            socket=leader.socket,
            log_json=False,
            view=of_leader,
        )
        super().__init__(settings, self._decide)
        self._exchange.end_others(
            (live.run, live.attempt.number) for live in self.loop.scheduler.live_attempts.values()
        )

    def _decide(
        self, scheduler: SchedulerState, event: ev.Event
    ) -> tuple[SchedulerState, tuple[Action, ...]]:
        if isinstance(event, ev.Restored) and self._text_in_force() != self._leader.sha256:
            raise DeposedError("jobs.yaml has changed before this leader began")
        if isinstance(event, ev.Reloaded) and self._text_in_force() != self._leader.sha256:
            raise DeposedError("jobs.yaml has changed: another leader begins with the new text")
        if isinstance(event, ev.StopAsked):
            raise DeposedError(0)
        return decide.decide(scheduler, event)

    def _text_in_force(self) -> str:
        """Return the hash of the text that this process runs, as its agent counts it."""
        accepted = StateDir(self._leader.agent.folder).accepted
        return hashlib.sha256(accepted.read_bytes()).hexdigest()

    def _open_store(self, folder: StateDir, config: Config) -> Store:
        store = ClusterStore(folder.root, self._shared)
        assert config.cluster is not None
        self._exchange = Exchange(
            self._shared,
            self._leader.agent.schema,
            config.cluster,
            config.jobs,
            self._leader.config,
        )
        return store

    def _make_processes(
        self, selector: selectors.BaseSelector, folder: StateDir, umask: int
    ) -> ClusterPool:
        agent = self._leader.agent
        return ClusterPool(
            selector,
            self._exchange,
            agent.cluster.postgres,
            agent.schema,
            folder.runs,
            self._store.instance,
            **keeper_settings(folder, umask),
        )

    def _make_loop(self, *parts: Any) -> Loop:
        return LeaderLoop(self._shared.clock, *parts)

    def _make_bridge(self, settings: Settings, config: Config) -> LoopBridge:
        return LoopBridge(initial_facts(settings))

    def _more_owners(self, settings: Settings, config: Config) -> tuple[InternalJobOwner, ...]:
        return ()

    def _event_sources(self) -> tuple[EventSource, ...]:
        return (self._exchange,)

    def _held(self) -> frozenset[tuple[int, int]]:
        return self._exchange.held


def main() -> NoReturn:
    """Lead until deposed; the exit status is 0 for an ordinary end."""
    settings = from_environ(LeaderSettings)
    assert isinstance(settings, LeaderSettings)
    try:
        # If jobs.yaml is refused, the text that the supervisor runs is in force here, too.
        accepted = Path(settings.agent.state, "jobs.accepted.yaml")
        shutil.copyfile(accepted, StateDir(settings.agent.folder).accepted)
        service = LeaderService(settings)
        service.loop.install_signals()
        service.run()
    except (ConfigError, LedgerUnavailableError, StateDirError, psycopg.Error, OSError) as error:
        raise SystemExit(f"cannot lead: {error}") from error
    raise SystemExit(0)
