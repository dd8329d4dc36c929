"""Run the coming days of a cluster: one leader and its hosts, each with the real rules.

Pure. The leader decides as it does (`of_leader`), and each host decides about what it was
given and about its own jobs (`of_host`). What lies between them takes no time here: a host
that has room takes the oldest attempt whose labels it has, and its end is known at once.
No host is lost. An attempt that no host may take waits for ever.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from supervisor.core.assignment_key import AssignmentKey
from supervisor.core.cluster_config import of_host, of_leader
from supervisor.core.cluster_hosts import ClusterHost, labels_for
from supervisor.core.config_model import Config, Job
from supervisor.core.control_requests import AssignRun, ConfirmHost, Reply, Request
from supervisor.core.effects import KillStep, Launch, Record
from supervisor.core.events import (
    At,
    Event,
    HostsSeen,
    Judged,
    Memory,
    NotBegun,
    Requested,
    Restored,
    Started,
)
from supervisor.core.model import Peer, Run, Trigger, replace
from supervisor.core.simulation.engine import Days, OutcomeSampler, Step

_AGENT = Peer(0, 0)
Pair = tuple[int, int]  # run, attempt


def simulate_cluster(
    restored: Restored, hosts: Sequence[ClusterHost], until: datetime, foresee: OutcomeSampler
) -> Iterator[Step]:
    """Yield every turn of the leader and of each host, in order.

    restored: as for one service; its `max_concurrent` does not matter, since each of
    `hosts` has its own places.
    """
    led = replace(restored, config=of_leader(restored.config), held=frozenset())
    leader = _Leader(led, foresee)
    others = [_Host(host, restored, until, foresee) for host in hosts]
    yield leader.turn(led)
    yield leader.turn(HostsSeen(restored.at, tuple(hosts)))
    for host in others:
        yield from host.begin()
    yield from _exchange(leader, others, restored.at)
    last = leader.mono(until)
    while True:
        service = min((leader, *others), key=_instant)
        instant = _instant(service)
        if instant > last:
            return
        for event in service.events_at(instant):
            yield service.turn(event)
        yield from _exchange(leader, others, leader.at(instant))


def _instant(service: "_Member") -> float:
    """Return when something happens next; calculated again only after a change."""
    if service.instant is None:
        service.instant = service.next_instant()
    return service.instant


def _exchange(leader: "_Leader", hosts: Sequence["_Host"], at: At) -> Iterator[Step]:
    """Pass the leader's launches and signals to the hosts, and their ends back to it."""
    for pair in leader.ends:
        for host in hosts:
            host.end(pair, at)
    leader.ends.clear()
    for host in hosts:
        for event in host.reports:
            leader.send(event)
        host.reports.clear()
    for launch in list(leader.waiting):
        fitting = [host for host in hosts if host.takes(launch)]
        if fitting:
            leader.waiting.remove(launch)
            yield max(fitting, key=_Host.free).take(launch, at)


def unplaced(config: Config, hosts: Sequence[ClusterHost]) -> tuple[Job, ...]:
    """Return the enabled jobs of the cluster that none of these hosts may run."""
    return tuple(
        job
        for job in config.jobs
        if job.enabled
        and not job.is_on_each
        and not any(set(job.runs_on) <= set(host.labels) for host in hosts)
    )


class _Member(Days):
    """A service of the cluster; instant: when something happens next, None: not known."""

    instant: float | None = None

    def turn(self, event: Event) -> Step:
        """Decide about an event."""
        self.instant = None
        return super().turn(event)

    def send(self, event: Event) -> None:
        """Let an event happen next."""
        self.instant = None
        self.follow.append(event)

    def events_at(self, instant: float) -> Iterator[Event]:
        """Yield what happens at the next instant."""
        self.instant = None
        yield from super().events_at(instant)


class _Leader(_Member):
    """The leader: what it launches waits for a host."""

    def __init__(self, restored: Restored, foresee: OutcomeSampler) -> None:
        super().__init__(restored, foresee)
        self.waiting: list[Launch] = []
        self.ends: list[Pair] = []

    def launch(self, launch: Launch, at: At) -> None:
        """Let an attempt wait for a host."""
        self.waiting.append(launch)

    def force(self, run: int, attempt: int, force: KillStep, at: At) -> None:
        """Take an attempt back, or let its host end it."""
        for launch in self.waiting:
            if (launch.run.id, launch.run.attempt) == (run, attempt):
                self.waiting.remove(launch)
                self.send(NotBegun(at, run, attempt))
                return
        self.ends.append((run, attempt))


class _Host(_Member):
    """A host; reports: what its leader is to know."""

    def __init__(
        self, host: ClusterHost, restored: Restored, until: datetime, foresee: OutcomeSampler
    ) -> None:
        config = replace(of_host(restored.config), max_concurrent=host.places)
        memory = Memory(marks=restored.memory.marks, paused=restored.memory.paused)
        self._restored = replace(restored, config=config, memory=memory)
        super().__init__(self._restored, foresee)
        self._host = host
        self.reports: list[Event] = []
        self._held: dict[int, Pair] = {}  # by the number of the host's own run
        self._rows: dict[int, Run] = {}
        self._confirmed_s = (until + timedelta(days=1) - restored.at.wall).total_seconds()

    def begin(self) -> Iterator[Step]:
        """Yield the first turns of the host."""
        yield self.turn(self._restored)
        yield self._ask(ConfirmHost(self._confirmed_s, 0.0), self._restored.at)

    def turn(self, event: Event) -> Step:
        """Decide about an event, and report what it means for the leader."""
        step = replace(super().turn(event), host=self._host.name)
        for action in step.actions:
            match action:
                case Record(Run(trigger=Trigger.ASSIGNED) as run):
                    self._rows[run.id] = run
                case Reply(runs=(number,)) if isinstance(event, Requested):
                    self._held[number] = self._pair
        if isinstance(event, Started) and event.run in self._held:
            self.reports.append(Started(event.at, *self._held[event.run], event.pid))
        for number in [each for each in self._held if not self._is_open(each)]:
            pair, run = self._held.pop(number), self._rows.pop(number)
            self.reports.append(self._end_of(pair, run, event.at))
        return step

    def takes(self, launch: Launch) -> bool:
        """Return whether the host has room for an attempt and all labels that it needs."""
        wanted = labels_for(launch.job, launch.run.on_host)
        return len(self._held) < self._host.places and set(wanted) <= set(self._host.labels)

    def free(self) -> float:
        """Return the part of the places that is free."""
        return 1 - len(self.scheduler.live_attempts) / self._host.places

    def take(self, launch: Launch, at: At) -> Step:
        """Run an attempt of the leader."""
        run = launch.run
        self._pair = run.id, run.attempt
        key = AssignmentKey(run.id, run.attempt, 1, run.trigger)
        return self._ask(AssignRun(run.job, key, run.due, run.set_json, run.dry_run), at)

    def end(self, pair: Pair, at: At) -> None:
        """End an attempt as the leader asks."""
        for number, held in self._held.items():
            live = self.scheduler.live_attempts.get(number)
            if held == pair and live is not None:
                self.instant = None
                self.force(number, live.attempt.number, KillStep.TERM, at)

    def _is_open(self, number: int) -> bool:
        return number in self.scheduler.runs or number in self.scheduler.live_attempts

    def _end_of(self, pair: Pair, run: Run, at: At) -> Event:
        if run.attempt == 0:
            return NotBegun(at, *pair)
        return Judged(
            at,
            *pair,
            self._host.name,
            run.state,
            run.reason,
            run.cause,
            run.exit_status,
            result_json=run.result_json,
        )

    def _ask(self, request: Request, at: At) -> Step:
        return self.turn(Requested(at, 0, _AGENT, request))
