"""The leader of the model: the real rules and the real queue of records, over the server.

It follows `supervisor/cluster/leader.py`, `exchange.py` and the loop: records first, then
launches, which go out with the next exchange. A commit and what it is about happen at one
instant; the reading of the clocks is older, and the consequences come later. In between it
may be frozen, killed, cut off or deposed.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from supervisor.cluster.hosts import UNSEEN
from supervisor.core import control_requests, effects
from supervisor.core import events as ev
from supervisor.core.cluster_config import of_leader
from supervisor.core.cluster_hosts import ClusterHost, in_words, labels_for
from supervisor.core.decide import decide, next_minute, next_wakeup
from supervisor.core.events import Requested
from supervisor.core.model import Peer, Reason, State, replace
from supervisor.core.state import SchedulerState
from supervisor.ledger.errors import LedgerUnavailableError, Written
from supervisor.ledger.write_queue import WriteQueue
from tests.cluster.model.machine import Life
from tests.cluster.model.server import (
    Assignment,
    Began,
    DeposedError,
    Ended,
    Forgotten,
    HostRow,
    Lost,
    Pair,
    Report,
)

if TYPE_CHECKING:
    from tests.cluster.model.agent import Agent

REST_S, GATHER_S = 1.0, 0.03


class AwayError(Exception):
    """The server cannot be reached, or did not answer."""


@dataclass
class Given:
    """An assignment that has not ended, as the leader knows it."""

    fence: int
    labels: frozenset[str]
    waits: bool
    since: float
    is_begun: bool = False


@dataclass
class Done:
    """What an exchange has done, taken over when its answer comes."""

    given: dict[Pair, Given] = field(default_factory=dict)
    ended: list[Pair] = field(default_factory=list)
    read: list[int] = field(default_factory=list)
    events: list[ev.Event] = field(default_factory=list)


class Leader(Life):
    """A leader process; worker: what it holds the leadership with."""

    def __init__(self, agent: "Agent", worker: int, config: int) -> None:
        super().__init__(agent.machine)
        self.world, self.server = agent.world, agent.server
        self.times = self.world.times
        self.worker, self.config_no, self.text = worker, config, agent.machine.text
        self.is_behind = self.is_begun = False
        self.requests: list[tuple[control_requests.Request, Peer, Callable[..., None]]] = []
        self.is_woken = False
        self._error_s = self.world.dice.uniform(-0.1, 0.1)
        self._queue = WriteQueue(self)  # type: ignore[arg-type]
        self._given: dict[Pair, Given] = {}
        self._outgoing: list[effects.Launch] = []
        self._forces: set[Pair] = set()
        self._digested: list[int] = []
        self._is_unsure = self._is_lost = False
        self._is_new = True
        self._silent: list[tuple[HostRow, str | None]] = []
        self._watch = UNSEEN
        self._beat_at = self._rest_until = 0.0
        self._next_at = 0.0
        self._turn_at = float("inf")
        self._asked: dict[int, Callable[..., None]] = {}
        self._token = 0

    # --- the store of the queue of records -----------------------------------------

    def write(self, actions: Iterable[Written]) -> None:
        """Commit a turn. Raises: DeposedError, LedgerUnavailableError."""
        found = list(actions)
        connected = self.machine.is_connected()
        if connected or self.machine.is_cut_just_now():
            self.server.write(self.worker, found)
        if not connected:
            self.is_behind = True
            raise LedgerUnavailableError("PostgreSQL is away")
        self.is_behind = False

    write_unsynced = write

    # --- its life ------------------------------------------------------------------

    def begin(self) -> None:
        """Read what there is, settle it, and lead."""
        if not self.machine.is_connected():
            self.is_over = True
            return
        memory = self.server.ledger.memory()
        self.world.after(self.world.delay(), self, self._restore, memory)

    def _restore(self, memory: ev.Memory) -> None:
        if not self.machine.is_connected() or self._text_in_force() != self.text:
            self.is_over = True
            return
        mono = self.machine.mono()
        for pair, each in self.server.held_or_unrecorded().items():
            given = self._new(each.launch, each.fence, mono)
            given.is_begun = bool(each.host)
            self._given[pair] = given
        held = frozenset(self._given)
        if self.world.without == "adoption":
            held = frozenset()
        config = of_leader(self.world.config(self.text))
        self.state = SchedulerState(config)
        self._minute = next_minute(self._at().wall)
        self.is_begun = True
        restored = ev.Restored(self._at(), config, memory, held=held)
        try:
            self._turn([restored])
        except DeposedError:
            self.is_over = True
            return
        live = self.state.live_attempts.values()
        others = set(self._given) - {(each.run, each.attempt.number) for each in live}
        self._forces |= others
        self._set_alarm(0.0)

    def _text_in_force(self) -> int:
        return self.machine.text

    def _at(self) -> ev.At:
        world = self.world
        wall = world.wall() + timedelta(seconds=self._error_s)
        return ev.At(wall, self.machine.mono(), world.dice.random())

    def wake(self) -> None:
        self.is_woken = True
        self._set_alarm(GATHER_S + self.world.delay())

    def ask(
        self, request: control_requests.Request, peer: Peer, answer: Callable[..., None]
    ) -> None:
        self.requests.append((request, peer, answer))
        self._set_alarm(0.0)

    # --- the loop ------------------------------------------------------------------

    def _set_alarm(self, most_s: float = 60.0) -> None:
        """Take a turn at the next instant of a timer, a minute, an exchange, a flush."""
        if self.is_over or not self.is_begun:
            return
        mono, rate = self.machine.mono(), self.machine.rate
        instants = [self._next_exchange(), self._queue.flush_at, next_wakeup(self.state)]
        left_s = min(each for each in instants if each is not None) - mono
        to_minute_s = (self._minute - self._at().wall).total_seconds()
        wait_s = max(0.0, min(left_s / rate, to_minute_s, most_s)) + 0.0005
        at = self.world.now + wait_s
        if at < self._turn_at:
            self._turn_at = at
            self.world.after(wait_s, self, self._once, at)

    def _next_exchange(self) -> float:
        is_urgent = self.is_woken or self._outgoing or self._forces
        return self._rest_until if is_urgent else max(self._next_at, self._rest_until)

    def _once(self, at: float) -> None:
        """Read the clocks; the rest of the turn comes a little later."""
        if at != self._turn_at:
            return
        self.world.after(self.world.delay(), self, self._work, self._at())

    def _work(self, at: ev.At) -> None:
        self._turn_at = float("inf")
        if self._text_in_force() != self.text:
            self.is_over = True
            return
        try:
            events = self._requested(at)
            events += self._exchanged(at)
            events += self._time(at)
            self._turn(events)
        except DeposedError:
            self.is_over = True
            return
        self._set_alarm()

    def _requested(self, at: ev.At) -> list[ev.Event]:
        events: list[ev.Event] = []
        for request, peer, answer in self.requests:
            self._token += 1
            self._asked[self._token] = answer
            events.append(Requested(at, self._token, peer, request))
        self.requests = []
        return events

    def _time(self, at: ev.At) -> list[ev.Event]:
        events: list[ev.Event] = []
        flush_at = self._queue.flush_at
        if flush_at is not None and at.mono >= flush_at:
            was_broken = self._queue.is_broken
            problem = self._queue.flush(at.mono)
            if problem and not was_broken:
                events.append(ev.LedgerWriteFailed(at, (), problem))
            if not problem and was_broken:
                events.append(ev.LedgerRecovered(at))
        wake = next_wakeup(self.state)
        if at.wall >= self._minute or (wake is not None and wake <= at.mono):
            events.append(ev.TimePassed(at))
            self._minute = next_minute(at.wall)
        return events

    def _turn(self, happened: list[ev.Event]) -> None:
        """Decide, commit, and do the rest. Raises: DeposedError."""
        waiting = happened
        while waiting:
            actions: list[effects.Action] = []
            for event in waiting:
                self.state, asked = decide(self.state, event)
                actions += asked
            waiting = self._perform(actions, waiting[-1].at)

    def _perform(self, actions: list[effects.Action], at: ev.At) -> list[ev.Event]:
        launches = [each for each in actions if isinstance(each, effects.Launch)]
        problem = self._queue.take(actions, at.mono) if actions else ""
        follow: list[ev.Event] = []
        if problem and self.world.without != "record before launch":
            keys = tuple((each.run.id, each.run.attempt) for each in launches)
            if launches or not self.state.ledger_error:
                follow.append(ev.LedgerWriteFailed(at, keys, problem))
            launches = []
        for action in actions:
            match action:
                case effects.Signal(run, attempt, _):
                    self._forces.add((run, attempt))
                case control_requests.Reply(token=token):
                    answer = self._asked.pop(token)
                    is_lost = bool(problem) and self.world.without != "recorded reply"
                    self.world.after(self.world.delay(), self, answer, None if is_lost else action)
        self._outgoing += launches
        return follow

    # --- the exchange --------------------------------------------------------------

    def _exchanged(self, at: ev.At) -> list[ev.Event]:
        if at.mono < self._next_exchange():
            return []
        done = Done()
        try:
            self._exchange(done, at)
        except AwayError:
            self._rest_until = at.mono + REST_S
            self._is_unsure = True
            return [ev.ExchangeFailed(at, "PostgreSQL is away")]
        self._is_new = self._is_unsure = self._is_lost = self.is_woken = False
        self._rest_until = at.mono + GATHER_S
        self._outgoing.clear()
        self._forces.clear()
        self._given |= done.given
        for pair in done.ended:
            self._given.pop(pair, None)
        self._digested = done.read
        self._next_at = at.mono + self.times.heartbeat_s
        return done.events

    def _exchange(self, done: Done, at: ev.At) -> None:
        connected = self.machine.is_connected()
        if not connected and not self.machine.is_cut_just_now():
            raise AwayError
        silent, self._silent = self._silent, []
        overdue: dict[Pair, Given] = {}
        if at.mono >= self._beat_at:
            self._silent = self._look(done, at)  # ended by the next transaction
            overdue = {
                pair: each
                for pair, each in self._given.items()
                if not each.is_begun and at.mono - each.since >= self.times.lease_s
            }
        self.server.fence(self.worker)
        if self._is_lost:
            self._reconcile(done, at)
        self._hand_out(done, at)
        self._end_forced(done, at)
        if self._is_new:
            self._take_back_older_texts(done, at)
        self._read(done, at)
        self._take_back_unfitting(done, overdue, at)
        for row, heartbeat in silent:
            assert row.worker is not None
            self.server.declare_dead(row.name, row.worker, heartbeat)
        if silent or self._silent:
            self.wake()
        if not connected:
            raise AwayError  # it was committed, and the answer is lost

    def _look(self, done: Done, at: ev.At) -> list[tuple[HostRow, str | None]]:
        """Write the heartbeat; return the hosts that seem dead. Raises: DeposedError."""
        server = self.server
        is_there = server.beat(self.worker) or self.world.without == "leader fence"
        if not is_there or (len(server.texts) != self.config_no and self.world.without != "texts"):
            raise DeposedError
        self._is_lost = any(pair not in server.assignments for pair in self._given)
        rows = [row for row in server.hosts.values() if row.worker is not None]
        beats = {
            row.worker: str(server.beats[row.worker]) for row in rows if row.worker in server.beats
        }
        gap_s = 1e9 if self.world.without == "gap of the observer" else 3 * self.times.heartbeat_s
        self._watch = self._watch.look(beats, at.mono, gap_s)  # type: ignore[arg-type]
        lease_s = 1.0 if self.world.without == "lease" else self.times.lease_s
        hosts = tuple(
            ClusterHost(row.name, tuple(sorted(row.labels)), row.places, row.worker is not None)
            for row in server.hosts.values()
        )
        done.events.append(ev.HostsSeen(at, hosts))
        self._beat_at = at.mono + self.times.heartbeat_s
        return [
            (row, beats.get(row.worker))
            for row in rows
            if row.worker is not None
            and (row.worker not in beats or self._watch.silent_s(row.worker, at.mono) >= lease_s)
        ]

    def _new(self, launch: effects.Launch, fence: int, mono: float) -> Given:
        job = self.world.job(self.text, launch.job.name)
        labels = labels_for(job, launch.run.on_host)
        waits = job is not None and job.if_lost == "wait"
        return Given(fence, frozenset(labels), waits, mono)

    def _hand_out(self, done: Done, at: ev.At) -> None:
        for launch in self._outgoing:
            pair = launch.run.id, launch.run.attempt
            known = self.server.assignments.get(pair)
            if known is not None and self._is_unsure and self.world.without != "unsure exchange":
                done.given[pair] = self._new(launch, known.fence, at.mono)
                continue
            made = self._new(launch, 0, at.mono)
            made.fence = self.server.hand_out(launch, made.labels, self.config_no)
            done.given[pair] = made
        if self._outgoing:
            self.world.notify_agents()

    def _reconcile(self, done: Done, at: ev.At) -> None:
        """Interrupt what was handed out and has no row: an answer of the server was lost."""
        for pair in self._given:
            if pair not in self.server.assignments and self.world.without != "reconciling":
                done.ended.append(pair)
                end = State.INTERRUPTED, Reason.LOST, "PostgreSQL has lost its assignment"
                done.events.append(ev.Judged(at, *pair, "an unknown host", *end))

    def _end_forced(self, done: Done, at: ev.At) -> None:
        for pair in self._forces:
            given = self._given.get(pair) or done.given.get(pair)
            if given is None:
                continue
            if self._withdraw(done, pair, given.fence):
                done.events.append(ev.NotBegun(at, *pair))
                continue
            found = self.server.assignments.get(pair)
            if found is not None:
                found.force = True
                self.world.notify_agents()

    def _withdraw(self, done: Done, pair: Pair, fence: int) -> bool:
        if not self.server.withdraw(fence):
            return False
        done.ended.append(pair)
        return True

    def _take_back_older_texts(self, done: Done, at: ev.At) -> None:
        for each in list(self.server.by_fence.values()):
            is_older = each.status == "todo" and each.config != self.config_no
            if is_older and self._withdraw(done, each.pair, each.fence):
                done.events.append(ev.NotBegun(at, *each.pair))

    def _take_back_unfitting(self, done: Done, overdue: dict[Pair, Given], at: ev.At) -> None:
        rows = [
            row
            for row in self.server.hosts.values()
            if row.worker is not None and row.config == self.config_no
        ]
        for pair, given in overdue.items():
            if any(given.labels <= row.labels for row in rows):
                continue
            if self._withdraw(done, pair, given.fence):
                text = f"waited for {in_words(given.labels)}"
                done.events.append(ev.NotBegun(at, *pair, text))
            else:
                given.is_begun = True

    def _read(self, done: Done, at: ev.At) -> None:
        if self._digested and not self.is_behind:
            for number in self._digested:
                self.server.reports.pop(number, None)
            self._digested = []
        done.read = list(self._digested)
        for number, report in list(self.server.reports.items()):
            if number in self._digested:
                continue
            done.read.append(number)
            self._received(done, report, at)
            if self.world.without == "reports until recorded":
                del self.server.reports[number]

    def _received(self, done: Done, report: Report, at: ev.At) -> None:
        match report:
            case Began(pair):
                if pair in self._given:
                    self._given[pair].is_begun = True
                done.events.append(ev.Started(at, *pair, 77))
            case Ended(pair, ev.NotBegun(), fence) if self._is_of_another(pair, fence):
                pass
            case Ended(pair, event):
                done.ended.append(pair)
                done.events.append(_at(event, at))
            case Lost(pair, host, is_final):
                given = self._given.get(pair)
                if is_final or given is None or not given.waits:
                    done.ended.append(pair)
                done.events.append(ev.HostLost(at, *pair, host, is_final))
            case Forgotten(host):
                self.server.forget(host)
                self.wake()

    def _is_of_another(self, pair: Pair, fence: int) -> bool:
        given = self._given.get(pair)
        is_other = given is None or given.fence != fence
        return is_other and self.world.without != "fence of a refusal"


def _at(event: ev.AttemptEvent, at: ev.At) -> ev.AttemptEvent:
    return replace(event, at=at)


__all__ = ["Assignment", "Leader"]
