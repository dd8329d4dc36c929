"""A cluster in virtual time: the real rules, with failing hosts, connections and server.

The server is a dictionary with the locks that its transactions take. Hosts follow the agent's
rules: they fetch, send heartbeats, report, and end their runs after the fence. Every step
takes a random time. `Model` checks the promises after each step. A fence can be disabled, to
show that a promise fails without it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random

from supervisor.cluster.hosts import UNSEEN, HostWatch
from supervisor.core import effects, schedule
from supervisor.core import events as ev
from supervisor.core.config_model import Config, IfLost, Job
from supervisor.core.decide import decide, next_minute, next_wakeup
from supervisor.core.memory import Memory
from supervisor.core.model import Attempt, JobRecord, MissedRange, Reason, Run, State
from supervisor.core.state import SchedulerState

BEAT_S, FENCE_S, GRACE_S, LEASE_S, STALE_S = 5.0, 30.0, 10.0, 60.0, 15.0
START = datetime(2026, 3, 2, tzinfo=UTC)
Key = tuple[int, int]  # run, attempt


@dataclass
class Assignment:
    """A job in the engine's queue; worker None: not assigned."""

    job: Job
    worker: int | None = None
    host: str = ""


@dataclass
class Server:
    """The content of PostgreSQL; each step of the model is a transaction on it."""

    runs: dict[int, Run] = field(default_factory=dict)
    attempts: dict[Key, Attempt] = field(default_factory=dict)
    marks: dict[str, JobRecord] = field(default_factory=dict)
    gaps: list[MissedRange] = field(default_factory=list)
    tick: effects.RecordTick | None = None
    assignments: dict[Key, Assignment] = field(default_factory=dict)
    # State None: the host was declared dead.
    reports: list[tuple[Key, str, State | None]] = field(default_factory=list)
    beats: dict[int, int] = field(default_factory=dict)
    leader: int | None = None
    next_worker: int = 1

    def register(self) -> int:
        worker, self.next_worker = self.next_worker, self.next_worker + 1
        self.beats[worker] = 0
        return worker

    def memory(self) -> Memory:
        """Return the state that a new leader reads."""
        return Memory(
            runs=tuple(self.runs[number] for number in sorted(self.runs)),
            attempts=tuple(each for each in self.attempts.values() if each.ended_at is None),
            marks=tuple(self.marks.values()),
            last_tick=self.tick.at if self.tick else None,
            next_run=max(self.runs, default=0) + 1,
        )


@dataclass
class Living:
    """An attempt that runs on a host until `until`, or until it is killed."""

    key: Key
    job: Job
    until: float
    kill_at: float | None = None


@dataclass
class Host:
    """A host, its agent and perhaps a leader; away: disconnected until then."""

    name: str
    worker: int | None = None
    confirmed: float = float("-inf")
    living: dict[Key, Living] = field(default_factory=dict)
    ended: dict[Key, State] = field(default_factory=dict)
    away_until: float = 0.0
    frozen_until: float = 0.0
    turn_at: float = 0.0
    dead_until: float = 0.0
    # As a leader or a candidate.
    leads: int | None = None
    scheduler: SchedulerState | None = None
    watch: HostWatch = UNSEEN
    leader_watch: HostWatch = UNSEEN


class Model:
    """One random history; without: the disabled fence."""

    def __init__(self, seed: int, jobs: tuple[Job, ...], without: str = "") -> None:
        self.dice = Random(seed)
        self.without = without
        self.config = Config(jobs, max_concurrent=1000)
        self.now = 0.0
        self.server = Server()
        self.hosts = {name: Host(name) for name in "abc"}
        self.begun: dict[int, list[Key]] = {}
        self.broken: list[str] = []

    # --- time ----------------------------------------------------------------------

    def run(self, minutes: float) -> None:
        """Run for these minutes with faults, then for a while without."""
        end = 60 * minutes
        while self.now < end + 15 * 60:
            self.now += self.dice.uniform(0.2, 1.5)
            if self.now < end and self.dice.random() < 0.02:
                self._disaster()
            hosts = list(self.hosts.values())
            self.dice.shuffle(hosts)
            for host in hosts:
                self._processes(host)
                if self.now >= max(host.frozen_until, host.dead_until):
                    self._agent(host)
                    self._leader(host)

    @property
    def at(self) -> ev.At:
        return ev.At(START + timedelta(seconds=self.now), self.now, self.dice.random())

    def _disaster(self) -> None:
        host = self.dice.choice(list(self.hosts.values()))
        match self.dice.choice(("kill", "freeze", "cut")):
            case "kill":
                host.dead_until = self.now + self.dice.uniform(1, 150)
                host.living.clear()
                host.ended.clear()
                host.worker, host.leads, host.scheduler = None, None, None
                host.confirmed = float("-inf")
            case "freeze":
                longest = LEASE_S - FENCE_S + 25  # a freeze is shorter than the lease
                host.frozen_until = self.now + self.dice.uniform(1, longest)
            case "cut":
                host.away_until = self.now + self.dice.uniform(1, 200)

    # --- a host --------------------------------------------------------------------

    def _processes(self, host: Host) -> None:
        """Advance the processes of a host, and its supervisor's fence."""
        if self.now < max(host.frozen_until, host.dead_until):
            return
        host.turn_at = self.now
        is_cut_off = self.now > host.confirmed + FENCE_S and self.without != "host fence"
        for living in list(host.living.values()):
            waits = living.job.if_lost is not IfLost.AGAIN and living.job.exclusive is None
            if is_cut_off and living.kill_at is None and not waits:
                # Counted from the fence: a host that was frozen meanwhile has no time left.
                living.kill_at = host.confirmed + FENCE_S + self.dice.uniform(0, GRACE_S)
            if living.kill_at is not None and self.now >= living.kill_at:
                self._ends(host, living, State.INTERRUPTED)
            elif self.now >= living.until:
                failed = self.dice.random() < 0.1
                self._ends(host, living, State.FAILED if failed else State.SUCCESS)

    def _ends(self, host: Host, living: Living, state: State) -> None:
        del host.living[living.key]
        host.ended[living.key] = state

    def _agent(self, host: Host) -> None:
        if self.now < host.away_until:
            return
        server = self.server
        if host.worker not in server.beats:  # never joined, or declared dead
            host.confirmed = float("-inf")
            if host.living:
                return  # its supervisor ends them first
            host.worker = server.register()
            if self.without != "finish fence":
                host.ended.clear()
        if self.dice.random() < 1 / BEAT_S:
            server.beats[host.worker] += 1
            host.confirmed = self.now
        for key, state in list(host.ended.items()):
            self._report(host, key, state)
        if self.now < host.confirmed + FENCE_S and len(host.living) < 3:
            self._fetch(host)

    def _report(self, host: Host, key: Key, state: State) -> None:
        found = self.server.assignments.get(key)
        is_mine = found is not None and found.worker == host.worker
        if is_mine or self.without == "finish fence":
            self.server.assignments.pop(key, None)
            self.server.reports.append((key, host.name, state))
        del host.ended[key]

    def _fetch(self, host: Host) -> None:
        held = {self._lock(each.job) for each in self.server.assignments.values() if each.worker}
        for key, found in self.server.assignments.items():
            if found.worker is None and self._lock(found.job) not in held:
                found.worker, found.host = host.worker, host.name
                self._begin(host, key, found.job)
                return

    def _lock(self, job: Job) -> str:
        return job.exclusive or job.name

    def _begin(self, host: Host, key: Key, job: Job) -> None:
        before = [each for attempts in self.begun.values() for each in attempts if each == key]
        if before:
            self.broken.append(f"attempt {key} began twice")
        self.begun.setdefault(key[0], []).append(key)
        if job.if_lost is IfLost.NEVER and len(self.begun[key[0]]) > 1:
            self.broken.append(f"run {key[0]} of {job.name} began twice, though it must not")
        # A frozen process executes nothing, and ends within a turn of its loop once it is thawed.
        # A run that may run only once, and is in no group, may end by itself on such a host.
        for other in self.hosts.values():
            is_frozen = other.turn_at < other.frozen_until and self.without != "host fence"
            for living in [] if is_frozen else other.living.values():
                if living.job.if_lost is not IfLost.AGAIN and living.job.exclusive is None:
                    continue
                if self._lock(living.job) == self._lock(job) and living.key != key:
                    self.broken.append(f"{key} and {living.key} hold {self._lock(job)} together")
        host.living[key] = Living(key, job, self.now + self.dice.expovariate(1 / 40))

    # --- a leader ------------------------------------------------------------------

    def _leader(self, host: Host) -> None:
        if self.now < host.away_until:
            return
        server = self.server
        if host.leads is None or host.leads not in server.beats:
            host.leads, host.scheduler = None, None
            self._seek(host)
        if host.leads is None:
            return
        if server.leader != host.leads and self.without != "leader fence":
            host.leads, host.scheduler = None, None
            return
        server.beats[host.leads] = server.beats.get(host.leads, 0) + 1
        for event in list(self._events(host)):
            self._decide(host, event)

    def _seek(self, host: Host) -> None:
        server = self.server
        if server.leader is not None:
            beats = {server.leader: str(server.beats.get(server.leader))}
            host.leader_watch = host.leader_watch.look(beats, self.now, 3 * BEAT_S)
            if host.leader_watch.silent_s(server.leader, self.now) < STALE_S:
                return
        host.leads = server.leader = server.register()
        host.watch = UNSEEN
        host.scheduler = SchedulerState(self.config)
        held = frozenset((*server.assignments, *(key for key, *_ in server.reports)))
        restored = ev.Restored(self.at, self.config, server.memory(), held=held)
        self._decide(host, restored)

    def _events(self, host: Host) -> Iterator[ev.Event]:
        assert host.scheduler is not None
        at = self.at
        while self.server.reports:
            key, name, state = self.server.reports.pop(0)
            if state is None:
                yield ev.HostLost(at, *key, name)
                continue
            reason = {State.FAILED: Reason.EXIT, State.INTERRUPTED: Reason.ALONE}.get(state)
            yield ev.Judged(at, *key, name, state, reason)
        self._declare_dead(host)
        tick = host.scheduler.last_tick
        wake = next_wakeup(host.scheduler)
        if (tick is not None and at.wall >= next_minute(tick)) or (wake and wake <= self.now):
            yield ev.TimePassed(at)

    def _declare_dead(self, host: Host) -> None:
        server = self.server
        beats = {worker: str(count) for worker, count in server.beats.items()}
        host.watch = host.watch.look(beats, self.now, 3 * BEAT_S)
        lease_s = 1.0 if self.without == "lease" else LEASE_S
        holders = {each.worker for each in server.assignments.values() if each.worker}
        for worker in sorted(holders):
            if worker in beats and host.watch.silent_s(worker, self.now) < lease_s:
                continue
            server.beats.pop(worker, None)
            for key, found in list(server.assignments.items()):
                if found.worker != worker:
                    continue
                if found.job.if_lost is IfLost.WAIT:
                    continue
                del server.assignments[key]
                server.reports.append((key, found.host, None))

    def _decide(self, host: Host, event: ev.Event) -> None:
        assert host.scheduler is not None
        host.scheduler, actions = decide(host.scheduler, event)
        for action in actions:
            self._perform(action)

    def _perform(self, action: effects.Action) -> None:
        match action:
            case effects.Record(Run() as run):
                self._record(run)
            case effects.Record(Attempt() as attempt):
                self.server.attempts[attempt.run, attempt.number] = attempt
            case effects.Record(JobRecord() as mark):
                self.server.marks[mark.job] = mark
            case effects.Record(MissedRange() as gap):
                self.server.gaps.append(gap)
            case effects.RecordTick():
                self.server.tick = action
            case effects.Launch(run, job):
                key = run.id, run.attempt
                self.server.assignments[key] = Assignment(self._definition(job))
            case _:
                pass

    def _definition(self, job: Job) -> Job:
        return next(each for each in self.config.jobs if each.name == job.name)

    def _record(self, run: Run) -> None:
        known = self.server.runs.get(run.id)
        if known is not None and known.slot != run.slot:
            self.broken.append(f"run {run.id} is of two slots: {known.slot} and {run.slot}")
        if known is not None and not known.state.is_open and run.state is not known.state:
            self.broken.append(f"run {run.id} was {known.state} and became {run.state}")
        taken = [
            other.id
            for other in self.server.runs.values()
            if run.slot and (other.job, other.slot) == (run.job, run.slot) and other.id != run.id
        ]
        if taken:
            self.broken.append(f"{run.job} {run.slot} is in runs {taken} and {run.id}")
        self.server.runs[run.id] = run


def history(seed: int, jobs: tuple[Job, ...], minutes: float, without: str = "") -> Model:
    """Return a model after a random history; `broken` lists the promises it broke."""
    model = Model(seed, jobs, without)
    model.run(minutes)
    return model


def open_runs(model: Model) -> list[Run]:
    """Return the runs that are not final."""
    return [run for run in model.server.runs.values() if run.state.is_open]


def slots_without_outcome(model: Model) -> list[str]:
    """Return the due slots of each job that have neither a run nor a gap."""
    assert model.server.tick is not None
    missing = []
    for job in model.config.jobs:
        if not job.cron:
            continue
        calendar = schedule.calendar(job.cron, job.timezone)
        covered = {run.slot for run in model.server.runs.values() if run.job == job.name}
        gaps = [gap for gap in model.server.gaps if gap.job == job.name]
        first = (
            model.server.marks[job.name].seen_until if not covered else min(filter(None, covered))
        )
        missing += [
            f"{job.name} {slot}"
            for slot in calendar.slots(first, model.server.tick.at)
            if slot not in covered and not any(gap.since < slot <= gap.until for gap in gaps)
        ]
    return missing
