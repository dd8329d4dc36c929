"""Simulate the leader of a cluster for tests, and make the requests of a host's agent."""

from typing import Any

from supervisor.core import effects
from supervisor.core import events as ev
from supervisor.core.assignment_key import AssignmentKey
from supervisor.core.cluster_hosts import ClusterHost
from supervisor.core.control_requests import AssignRun
from supervisor.core.model import Reason, Run, State, replace
from tests.core.core_harness import Harness


class Leader(Harness):
    """A leader; `held`: the attempts that hosts may have begun, also after a takeover."""

    def __init__(self, *jobs: Any, **settings: Any) -> None:
        self.held: frozenset[tuple[int, int]] = frozenset()
        super().__init__(*jobs, **settings)

    def send(self, event: ev.Event) -> tuple[effects.Action, ...]:
        """Decide on an event as a leader does."""
        if isinstance(event, ev.Restored):
            event = replace(event, held=self.held)
        return super().send(event)

    def judges(self, name: str, state: State, reason: Reason | None = None, **fields: Any) -> None:
        """End the attempt of a job on host b."""
        self._happens(ev.Judged, name, host="b", state=state, reason=reason, **fields)

    def loses_host(self, name: str, is_final: bool = False) -> None:
        """Count host b, on which a job's attempt runs, as dead."""
        self._happens(ev.HostLost, name, host="b", is_final=is_final)

    def takes_back(self, name: str, error: str = "") -> None:
        """Take back an attempt that no host has begun."""
        self._happens(ev.NotBegun, name, error=error)

    def sees(self, *hosts: ClusterHost) -> None:
        """Report these hosts of the cluster to the leader."""
        self.send(ev.HostsSeen(self.clocks(), hosts))

    def is_replaced(self, text: str, *jobs: Any, loses: bool = False) -> None:
        """Let another leader take over at an instant; loses: no attempt was handed out."""
        given = self.processes.keys()
        self.held = frozenset() if loses else frozenset(given)
        kept = {} if loses else dict(self.processes)
        self.dies()
        self.processes.update(kept)
        self.starts(text, *jobs)

    def _happens(self, kind: Any, name: str, **fields: Any) -> None:
        run: Run = self.run(name)
        if not (kind is ev.HostLost and run.state is not State.RUNNING):
            self.processes.pop((run.id, run.attempt), None)
        self.send(kind(self.clocks(), run.id, run.attempt, **fields))


def assignment(harness: Harness, run: int = 41, attempt: int = 1) -> AssignRun:
    """Return the request of an agent to run an attempt of job a."""
    key = AssignmentKey(run, attempt, 100 + attempt, "schedule")
    return AssignRun("a", key, harness.wall)
