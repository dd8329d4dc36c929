"""The agent of a machine: it joins, sends heartbeats, settles, fetches, and may lead.

It follows `supervisor/cluster/agent.py`, `membership.py`, `assignments.py`, `texts.py` and
`leadership.py`. What it writes to the server arrives at once; what it learns of it comes
after a delay, and not at all if it is cut off meanwhile.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from supervisor.cluster.hosts import UNSEEN
from supervisor.core import events as ev
from supervisor.core.assignment_key import AssignmentKey
from supervisor.core.control_requests import AssignRun, CancelRun, ReplyStatus
from supervisor.core.model import Reason, State
from tests.cluster.model.leader import Leader
from tests.cluster.model.machine import Life, Supervisor
from tests.cluster.model.server import (
    Assignment,
    Began,
    DeposedError,
    Ended,
    HostRow,
    Pair,
    Server,
    WorkerGoneError,
)

REST_S = 1.0
# Shorter answers are taken as immediate.
AT_ONCE_S = 0.05


@dataclass
class Given:
    """What the supervisor has answered about an assignment."""

    assignment: Assignment
    local_run: int = 0
    is_begun: bool = False
    is_cancelled: bool = False


class Agent(Life):
    """An agent, from its start to its death; identity: what its file says."""

    def __init__(self, supervisor: Supervisor, identity: dict[str, int]) -> None:
        super().__init__(supervisor.machine)
        self.supervisor, self.identity = supervisor, identity
        self.world, self.server = self.machine.world, self.machine.world.server
        self.times = self.world.times
        self.is_lost, self.worker, self.sent = True, 0, float("-inf")
        self.given: dict[int, Given] = {}
        self.is_new = True
        self.answers: list[tuple[int, str]] = []
        self.config: int | None = None
        self.text = -1
        self.leader: Leader | None = None
        self.leadership = 0
        self.watch = UNSEEN
        self.seek_at = 0.0
        self._unassigned_at = self._look_at = 0.0
        self._is_busy = False
        supervisor.on_change = self._changed
        self.world.after(self.world.delay(), self, self._look)
        self.world.after(self.times.heartbeat_s, self, self._beat)

    @property
    def left_s(self) -> float:
        return self.sent + self.times.fence_s - self.machine.boottime()

    # --- heartbeats ----------------------------------------------------------------

    def _beat(self) -> None:
        self.world.after(self.times.heartbeat_s / self.machine.rate, self, self._beat)
        if self.is_lost:
            return
        if self.left_s <= 0:
            self._confirm(0.0)
        sent, worker = self.machine.boottime(), self.worker
        delay_s, answer_s = self.world.delay(), self.world.delay()
        if delay_s + answer_s < AT_ONCE_S:
            self.world.after(delay_s + answer_s, self, self._beat_at_once, sent, worker)
        else:
            self.world.after(delay_s, self, self._write_beat, sent, worker, answer_s)

    def _beat_at_once(self, sent: float, worker: int) -> None:
        """Write a heartbeat whose answer takes no time that matters."""
        if self.machine.is_connected():
            self._beaten(sent, worker, self.server.beat(worker))

    def _write_beat(self, sent: float, worker: int, answer_s: float) -> None:
        if self.machine.is_connected():
            is_there = self.server.beat(worker)
            self.world.after(answer_s, self, self._beaten, sent, worker, is_there)

    def _beaten(self, sent: float, worker: int, is_there: bool) -> None:
        if not self.machine.is_connected() or worker != self.worker or self.is_lost:
            return
        if is_there:
            is_late = self.world.without == "sending time"
            self.sent = self.machine.boottime() if is_late else sent
            self._confirm(self.left_s)
        else:
            self._confirm(0.0)
            self.is_lost = True

    def _confirm(self, for_s: float) -> None:
        if not self.supervisor.is_over:
            grace_s = max(0.0, self.times.grace_s + min(0.0, self.left_s))
            self.supervisor.confirm(for_s, grace_s)

    # --- a look --------------------------------------------------------------------

    def wake(self) -> None:
        """Look soon: something has changed here, or on the server."""
        self._look_again(0.03 + self.world.delay())

    def _look_again(self, delay_s: float) -> None:
        at = self.world.now + delay_s
        if self._look_at <= self.world.now or at < self._look_at:
            self._look_at = at
            self.world.after(delay_s, self, self._look_at_once, at)

    def _look_at_once(self, at: float) -> None:
        if at == self._look_at:
            self._look()

    def _look(self) -> None:
        self._look_at = 0.0
        if self._is_busy:
            self._look_again(0.2)
            return
        if self.supervisor.is_over or not self.machine.is_connected():
            self._disconnect()
            return
        self._look_again(self.world.dice.uniform(1.5, 2.75))
        self._look_at_texts()
        if self.is_lost:
            self._join()
            return
        self._settle()

    def _disconnect(self) -> None:
        self._is_busy = False
        self._drop_line()
        self._look_again(REST_S)

    def _drop_line(self) -> None:
        self.given, self.answers, self.is_new = {}, [], True

    def _then(self, act: Callable[..., None], *given: Any) -> None:
        """Go on with the answer of the server, if it comes."""
        self._is_busy = True
        self.world.after(self.world.delay(), self, self._answered, act, given)

    def _answered(self, act: Callable[..., None], given: tuple[Any, ...]) -> None:
        self._is_busy = False
        if self.supervisor.is_over or not self.machine.is_connected():
            self._disconnect()
        else:
            act(*given)

    def _look_at_texts(self) -> None:
        server, text, before = self.server, self.machine.text, self.config
        newest = server.texts[-1] if server.texts else None
        if newest == text:
            self.config = len(server.texts)
        elif before is not None and text == self.text:
            self.config = None if self.world.without != "texts" else len(server.texts)
        elif before is not None or text not in server.texts:
            server.texts.append(text)
            self.config = len(server.texts)
        else:
            self.config = None if self.world.without != "texts" else len(server.texts)
        self.text = text
        row = server.hosts.get(self.machine.name)
        if self.config != before and row is not None and row.worker == self.worker:
            server.hosts[row.name] = HostRow(
                row.name, row.labels, row.places, row.worker, self.config
            )

    def _join(self) -> None:
        boot, before = self.machine.boot, self.identity
        if before["worker"] and before["boot"] != boot and "seen" not in before:
            before["seen"] = 1  # a copy of this folder would be alive elsewhere
            self._is_busy = True
            self.world.after(3 * self.times.heartbeat_s, self, self._answered, self._look, ())
            return
        before.pop("seen", None)
        machine = self.machine
        row = HostRow(machine.name, machine.labels, machine.places, None, self.config)
        is_same = before["boot"] == boot
        worker = self.server.join(row, before["worker"] if is_same else 0)
        self._then(self._joined, worker, machine.boottime())

    def _joined(self, worker: int, sent: float) -> None:
        self.identity |= {"worker": worker, "boot": self.machine.boot}
        self.worker, self.sent, self.is_lost = worker, sent, False
        self._confirm(self.left_s)
        self._drop_line()
        self._unassigned_at = 0.0
        self.wake()

    # --- assignments ---------------------------------------------------------------

    def _changed(self) -> None:
        """Take note of what the supervisor says of the runs that it watches."""
        if self.is_over:
            return
        for fence, given in self.given.items():
            run = self.supervisor.find(given.local_run, given.assignment.job.name)
            if run is None:
                continue
            is_over = not run.state.is_open and not self.supervisor.is_alive(run.id)
            is_begun = run.state is State.RUNNING
            if is_over or (is_begun and not given.is_begun):
                self.answers.append((fence, ""))
                self.wake()

    def _settle(self) -> None:
        answers, self.answers = self.answers, []
        if not (self.given or answers or self.is_new):
            self._fetch()
            return
        held = self.server.held(self.machine.name, self.worker)
        self.is_new = False
        self.given = {fence: each for fence, each in self.given.items() if fence in held}
        over: dict[int, Ended] = {}
        begun: list[Began] = []
        for fence, error in answers:
            if fence in held and fence not in over:
                self._take(held[fence], error, over, begun)
        self._give(
            [held[fence] for fence in held if fence not in self.given and fence not in over]
        )
        for fence, given in self.given.items():
            if held[fence].force and given.local_run and not given.is_cancelled:
                given.is_cancelled = True
                self._cancel(given.local_run)
        if over or begun:
            self.world.after(self.world.delay(), self, self._write, over, begun)
            self._is_busy = True
        else:
            self._end_unassigned()

    def _take(
        self, found: Assignment, error: str, over: dict[int, Ended], begun: list[Began]
    ) -> None:
        given = self.given.get(found.fence) or Given(found)
        run = self.supervisor.find(given.local_run, found.job.name)
        if error or run is None or (not run.state.is_open and not run.attempt):
            if not error and run is None:
                return
            over[found.fence] = Ended(
                found.pair, ev.NotBegun(self.world.zero, *found.pair), found.fence
            )
            self.given.pop(found.fence, None)
        elif not run.state.is_open and not self.supervisor.is_alive(run.id):
            event = self._verdict(found.pair, run.state, run.reason)
            over[found.fence] = Ended(found.pair, event, found.fence)
            self.given.pop(found.fence, None)
        else:
            if run.state is State.RUNNING and not given.is_begun:
                begun.append(Began(found.pair))
                given.is_begun = True
            self.given[found.fence] = given

    def _verdict(self, pair: Pair, state: State, reason: Reason | None) -> ev.Judged:
        return ev.Judged(self.world.zero, *pair, self.machine.name, state, reason)

    def _write(self, over: dict[int, Ended], begun: list[Began]) -> None:
        if not self.machine.is_connected() and not self.machine.is_cut_just_now():
            self._disconnect()
            return
        mine = self.server.finish(over, self.worker)
        for fence, report in over.items():
            found = self.server.assignments.get(report.pair)
            if fence not in mine or found is None:
                if found is not None and found.fence == fence and found.holder == self.worker:
                    found.holder = None
                continue
            if isinstance(report.event, ev.NotBegun):
                del self.server.assignments[report.pair]
            else:
                found.is_ended = True
            self.server.send(report)
        for each in begun:
            self.server.send(each)
        self.world.notify_leader()
        self._then(self._end_unassigned)

    def _end_unassigned(self) -> None:
        due = self.machine.mono() >= self._unassigned_at
        if due and all(each.local_run for each in self.given.values()):
            self._unassigned_at = self.machine.mono() + self.times.heartbeat_s
            running = self.supervisor.open_assigned()
            mine = {each.local_run for each in self.given.values()}
            if self.world.without != "comparing":
                for number in running - mine:
                    self._cancel(number)
            for fence, given in list(self.given.items()):
                if given.local_run not in running:
                    del self.given[fence]
                    self.is_new = True
        self._fetch()

    def _cancel(self, number: int) -> None:
        if number in self.supervisor.state.runs:
            self.supervisor.ask(CancelRun(number))

    def _fetch(self) -> None:
        free = self.machine.places - len(self.given)
        may_fetch = self.left_s > 0 or self.world.without == "fetch fence"
        if self.config is None or free < 1 or not may_fetch or not self.server.has_work():
            self._seek()
            return
        self.is_new = True
        name, labels = self.machine.name, self.machine.labels
        try:
            found = self.server.fetch(name, self.worker, labels, self.config, free)
        except WorkerGoneError:
            self._disconnect()
            return
        self._then(self._fetched, found)

    def _fetched(self, found: list[Assignment]) -> None:
        self._give(found)
        self.is_new = False
        self._seek()

    def _give(self, new: list[Assignment]) -> None:
        for each in new:
            self.given[each.fence] = Given(each)
            run = each.launch.run
            key = AssignmentKey(*each.pair, each.fence, run.trigger.value)
            request = AssignRun(each.job.name, key, run.due, run.set_json, run.dry_run)
            self.world.after(self.world.dice.uniform(0, 0.02), self, self._assign, each, request)

    def _assign(self, found: Assignment, request: AssignRun) -> None:
        if self.supervisor.is_over:
            return
        reply = self.supervisor.assign(request)
        given = self.given.get(found.fence)
        if reply.answer is ReplyStatus.OK:
            if given is not None:
                given.local_run = reply.runs[0]
            self.answers.append((found.fence, ""))
        else:
            self.answers.append((found.fence, reply.error or "refused"))
        self.wake()

    # --- leadership ----------------------------------------------------------------

    def stand_down(self) -> None:
        if self.leader is not None:
            self.leader.is_over = True
            self.seek_at = self.machine.mono() + 5 * self.times.heartbeat_s

    def _seek(self) -> None:
        server, mono = self.server, self.machine.mono()
        if self.leader is not None and self.leader.is_over:
            self.leader = None
            self.seek_at = max(self.seek_at, mono + 2.0)
        if self.leader is None and self.leadership:
            server.free_leadership(self.leadership)
            self.leadership = 0
        may_lead = self.config is not None and abs(self.machine.offset_s) <= 2.0
        if self.leader is not None or not may_lead or mono < self.seek_at:
            return
        if server.leader is not None and not self._is_silent(server.leader, server, mono):
            return
        self._then(self._leads, server.lead(), self.config)

    def _is_silent(self, worker: int, server: Server, mono: float) -> bool:
        """Free the leadership if its holder is silent."""
        beats = {worker: str(server.beats[worker])} if worker in server.beats else {}
        self.watch = self.watch.look(beats, mono, 3 * self.times.heartbeat_s)
        if (
            worker in server.beats
            and self.watch.silent_s(worker, mono) < 3 * self.times.heartbeat_s
        ):
            return False
        server.free_leadership(worker)
        return True

    def _leads(self, worker: int, config: int) -> None:
        self.leadership = worker
        start_s = self.world.dice.uniform(0.3, 1.5)
        self.leader = Leader(self, worker, config)
        self.world.after(start_s, self.leader, self.leader.begin)


__all__ = ["Agent", "DeposedError"]
