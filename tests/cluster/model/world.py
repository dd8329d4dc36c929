"""A random history of a cluster in virtual time: its machines, its faults, its requests.

`history(seed)` runs one and raises BrokenPromiseError if a promise fails. Everything that
happens is an event of a heap; what belongs to a machine waits while that is frozen.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from heapq import heappop, heappush
from random import Random
from typing import Any

from supervisor.core import events as ev
from supervisor.core.config_model import Cluster, Config, Job
from supervisor.core.control_requests import (
    CancelJob,
    CancelRun,
    PauseJob,
    Reply,
    ReplyStatus,
    Request,
    ResumeJob,
    RunJobs,
)
from supervisor.core.model import Peer
from tests.cluster.model.agent import Agent
from tests.cluster.model.jobs import random_texts
from tests.cluster.model.laws import BrokenPromiseError, Laws
from tests.cluster.model.machine import Life, Machine, Supervisor
from tests.cluster.model.server import Forgotten, Server

START = datetime(2026, 3, 2, tzinfo=UTC)
FAULTS_S, SETTLE_S = 150.0, 1500.0
# Heartbeat, fence and lease: the defaults, and shorter ones, of which more fit into a history.
TIMES = (Cluster("", host="x"), Cluster("", host="x", heartbeat_s=2, fence_s=10, lease_s=18))
# A freeze is shorter than the lease, counted from the last heartbeat before it.
FREEZE, SUSPENSION = 0.85, 0.85


class World:
    """One history; without: the fence that is left out."""

    def __init__(self, seed: int, without: str = "") -> None:
        self.seed, self.without = seed, without
        self.dice = Random(seed)
        self.now = 0.0
        self.offset_s = self.dice.uniform(0, 60)
        self.zero = ev.At(START, 0.0, 0.0)
        self.server = Server(without)
        self.server_away_since = 0.0
        self.laws = Laws(self)
        self.times = self.dice.choice(TIMES)
        self._kinds, self._every_s = self._choose_faults(), self.dice.choice((7, 12, 25))
        self.mean_s = self.dice.choice((8.0, 25.0, 60.0))
        self.texts = random_texts(self.dice)
        self.faults_until = START + timedelta(seconds=self.offset_s + FAULTS_S)
        self.events = self._asked = 0
        self._heap: list[tuple[float, int, Life | None, Callable[..., None], tuple[Any, ...]]] = []
        self._count = 0
        self.identities: dict[str, dict[str, int]] = {}
        self.agents: dict[str, Agent] = {}
        self.machines = {name: self._machine(name) for name in "abc"[: self.dice.choice((2, 3))]}
        self.configs: dict[tuple[int, int], Config] = {}
        for machine in self.machines.values():
            self.identities[machine.name] = {"worker": 0, "boot": 0}
            self._start_supervisor(machine)

    def _machine(self, name: str) -> Machine:
        dice = self.dice
        labels = {f"host:{name}", *(["db"] if name in "ab" else [])}
        offset_s = dice.choice((0.0, 1.5, -1.5, 3600.0 if name != "a" else 0.5))
        rate = dice.uniform(0.95, 1.05)
        places = dice.choice((1, 2, 3))
        return Machine(self, name, frozenset(labels), places, offset_s, rate)

    def config(self, text: int, places: int = 3) -> Config:
        key = text, places
        if key not in self.configs:
            self.configs[key] = Config(self.texts[text], max_concurrent=places, cluster=self.times)
        return self.configs[key]

    def job(self, text: int, name: str) -> Job | None:
        return next((job for job in self.texts[text] if job.name == name), None)

    def stable_jobs(self) -> list[Job]:
        """Return the jobs that all texts define with the same schedule."""
        others = [{job.name: job for job in text} for text in self.texts]
        return [
            job
            for job in self.texts[0]
            if job.cron
            and all(job.name in each and each[job.name].cron == job.cron for each in others)
        ]

    # --- time ----------------------------------------------------------------------

    def wall(self) -> datetime:
        """Return the time of the server's clock."""
        return START + timedelta(seconds=self.offset_s + self.now)

    def delay(self) -> float:
        """Return how long an answer takes: milliseconds, rarely seconds."""
        return min(3.5, 0.003 / (1.0005 - self.dice.random()))

    def after(
        self, delay_s: float, life: Life | None, act: Callable[..., None], *given: Any
    ) -> None:
        self._count += 1
        heappush(self._heap, (self.now + delay_s, self._count, life, act, given))

    def run(self) -> None:
        self.after(1.0, None, self._fault)
        self.after(FAULTS_S + 60, None, self._heal)
        self.after(FAULTS_S + 100, None, self.laws.note_unassigned)
        self.after(FAULTS_S + 160, None, self.laws.check_unassigned)
        heap = self._heap
        while True:
            at, _, life, act, given = heappop(heap)
            if life is not None:
                if life.is_over:
                    continue
                frozen_until = life.machine.frozen_until
                if at < frozen_until:
                    self.now = at
                    self.after(frozen_until - at + self.dice.uniform(0, 0.05), life, act, *given)
                    continue
            self.now = at
            self.events += 1
            act(*given)
            if at > FAULTS_S + 61 and self._is_settled():
                break
        self.laws.check_end()

    def _is_settled(self) -> bool:
        if self.now > FAULTS_S + SETTLE_S:
            return True
        if self.events % 200:
            return False
        return self.now > FAULTS_S + 80 and not (
            self.laws.open_runs() or self.laws.left_over() or self.laws.unassigned()
        )

    # --- wake-ups ------------------------------------------------------------------

    def notify_leader(self) -> None:
        for agent in self.agents.values():
            if agent.leader is not None and not agent.leader.is_over and self.dice.random() < 0.9:
                self.after(self.delay(), agent.leader, agent.leader.wake)

    def notify_agents(self) -> None:
        for agent in self.agents.values():
            if self.dice.random() < 0.9:
                self.after(self.delay(), agent, agent.wake)

    # --- faults --------------------------------------------------------------------

    def _start_supervisor(self, machine: Machine) -> None:
        machine.supervisor = Supervisor(machine)
        self._start_agent(machine, machine.supervisor)

    def _start_agent(self, machine: Machine, supervisor: Supervisor) -> None:
        if not supervisor.is_over:
            self.agents[machine.name] = Agent(supervisor, self.identities[machine.name])

    def _fault(self) -> None:
        if self.now >= FAULTS_S:
            return
        dice = self.dice
        self.after(dice.expovariate(1 / self._every_s), None, self._fault)
        machine = dice.choice(list(self.machines.values()))
        wait_s = 0.0
        if dice.random() < 0.3:  # while launches of a full minute are on their way
            wait_s = -(self.offset_s + self.now) % 60 + dice.uniform(0, 0.4)
        self.after(wait_s, None, dice.choice(self._kinds), machine)

    def _choose_faults(self) -> list[Callable[[Machine], None]]:
        """Return the kinds of this history: with all of them, no leader would lead for long."""
        kinds = (
            (3, self._freeze), (3, self._cut), (2, self._reboot), (1, self._kill_supervisor),
            (1, self._kill_agent), (1, self._kill_leader), (1, self._stand_down),
            (1, self._suspend), (1, self._server_away), (1, self._edit), (3, self._request),
            (1, self._forget),
        )  # fmt: skip
        chosen = [each for each in kinds if self.dice.random() < 0.5]
        return [kind for weight, kind in chosen for _ in range(weight)] or [self._cut]

    def _freeze(self, machine: Machine) -> None:
        if self.now - machine.thawed_at > 20 and self.now >= machine.frozen_until:
            machine.frozen_until = self.now + self.dice.uniform(1, FREEZE * self.times.lease_s)
            machine.thawed_at = machine.frozen_until

    def _suspend(self, machine: Machine) -> None:
        if self.now - machine.thawed_at > 20 and self.now >= machine.frozen_until:
            length_s = self.dice.uniform(1, SUSPENSION * self.times.lease_s)
            self._freeze(machine)
            machine.frozen_until = machine.thawed_at = self.now + length_s
            machine.suspended_s += length_s * machine.rate

    def _cut(self, machine: Machine) -> None:
        machine.cut_since = self.now
        machine.cut_until = (
            self.now + self.times.lease_s * self.dice.choice((0.05, 0.5, 2.5)) * self._half()
        )

    def _server_away(self, machine: Machine) -> None:
        self.server_away_since = self.now
        self.server.away_until = (
            self.now + self.times.lease_s * self.dice.choice((0.05, 0.3, 1)) * self._half()
        )

    def _half(self) -> float:
        return self.dice.uniform(0.3, 1.3)

    def _reboot(self, machine: Machine) -> None:
        self._die(machine)
        machine.boot += 1
        down_s = self.times.lease_s * self.dice.choice((0.1, 0.5, 2)) * self._half()
        self.after(down_s, None, self._boot, machine)

    def _kill_supervisor(self, machine: Machine) -> None:
        self._die(machine)
        self.after(self.dice.uniform(0.5, 4), None, self._boot, machine)

    def _boot(self, machine: Machine) -> None:
        if machine.supervisor is None:
            self._start_supervisor(machine)

    def _die(self, machine: Machine) -> None:
        self._end_agent(machine)
        if machine.supervisor is not None:
            machine.supervisor.is_over = True
            machine.supervisor.kill_all()
            machine.supervisor = None
        machine.ledger.lose_soon()

    def _end_agent(self, machine: Machine) -> None:
        agent = self.agents.pop(machine.name, None)
        if agent is not None:
            agent.is_over = True
            if agent.leader is not None:
                agent.leader.is_over = True

    def _kill_agent(self, machine: Machine) -> None:
        self._end_agent(machine)
        if machine.supervisor is not None:
            self.after(1.0, machine.supervisor, self._start_agent, machine, machine.supervisor)

    def _kill_leader(self, machine: Machine) -> None:
        for agent in self.agents.values():
            if agent.leader is not None:
                agent.leader.is_over = True

    def _stand_down(self, machine: Machine) -> None:
        for agent in self.agents.values():
            agent.stand_down()

    def _edit(self, machine: Machine) -> None:
        """Begin to write another jobs.yaml to all machines."""
        number = min(len(self.texts) - 1, machine.text + 1)
        for each in self.machines.values():
            self.after(self.dice.uniform(0, 60), None, self._write_text, each, number)

    def _write_text(self, machine: Machine, number: int) -> None:
        machine.text = number
        if machine.supervisor is not None:
            self.after(0.0, machine.supervisor, machine.supervisor.reload)

    def _forget(self, machine: Machine) -> None:
        row = self.server.hosts.get(machine.name)
        if row is not None and row.worker is None:
            self.server.send(Forgotten(machine.name))
            del self.server.hosts[machine.name]

    def _heal(self) -> None:
        """End all faults."""
        self.server.away_until = min(self.server.away_until, self.now)
        newest = max(machine.text for machine in self.machines.values())
        for machine in self.machines.values():
            machine.cut_until = min(machine.cut_until, self.now)
            if machine.supervisor is None:
                self._start_supervisor(machine)
            if machine.text != newest:
                self._write_text(machine, newest)

    # --- requests ------------------------------------------------------------------

    def _request(self, machine: Machine) -> None:
        leader = next(
            (a.leader for a in self.agents.values() if a.leader and not a.leader.is_over), None
        )
        if leader is None or not leader.is_begun:
            return
        name = self.dice.choice(self.texts[leader.text]).name
        runs = list(leader.state.runs) or [1]
        on_host = self.dice.choice(("", "", machine.name))
        request = self.dice.choice((
            RunJobs((name,), on_host=on_host),
            RunJobs((name,), with_deps=True),
            CancelJob(name),
            CancelRun(self.dice.choice(runs)),
            PauseJob(name, self.dice.choice((60.0, 120.0))),
            ResumeJob(name),
        ))  # fmt: skip
        if isinstance(request, ResumeJob | PauseJob):
            self.laws.may_change_pause(name)
        self._asked += 1
        peer = Peer(1000, self._asked)
        asked = self.wall()
        leader.ask(request, peer, lambda reply: self._replied(request, peer, asked, reply))

    def _replied(self, request: Request, peer: Peer, asked: datetime, reply: Reply | None) -> None:
        """Check that what was granted is recorded; take note of what it promises."""
        if reply is None:
            return
        ledger, laws = self.server.ledger, self.laws
        is_recorded = any(entry.peer == peer for entry in ledger.askings)
        if not is_recorded or any(number not in ledger.runs for number in reply.runs):
            raise BrokenPromiseError(f"{request} was answered, and is not recorded: {reply}")
        if reply.answer is not ReplyStatus.OK:
            return
        match request:
            case PauseJob(job):
                laws.paused(job, asked, ledger.marks[job])
            case CancelJob() | CancelRun():
                laws.cancelled |= {number: ledger.runs[number].attempt for number in reply.runs}


@dataclass(frozen=True)
class Broken:
    """A history in which a promise failed."""

    seed: int
    text: str


def history(seed: int, without: str = "") -> World:
    """Return the world after a random history. Raises: BrokenPromiseError."""
    world = World(seed, without)
    world.run()
    return world


def first_broken(seeds: Iterable[int], without: str = "") -> Broken | None:
    """Return the first of these histories in which a promise fails, or None."""
    for seed in seeds:
        try:
            history(seed, without)
        except AssertionError as error:
            return Broken(seed, str(error))
        except Exception as error:
            return Broken(seed, f"{type(error).__name__}: {error}")
    return None
