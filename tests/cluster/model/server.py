"""PostgreSQL of the model: the tables that hosts share, and the transactions on them.

Each method is one transaction. They follow the statements in `supervisor/cluster`; a fence
that `without` names is left out.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime

from supervisor.core import events as ev
from supervisor.core.alert_model import Alert, Incident
from supervisor.core.config_model import Job
from supervisor.core.effects import Launch, Record
from supervisor.ledger.errors import Written
from tests.core.simulated_ledger import Ledger

Pair = tuple[int, int]  # run, attempt


class DeposedError(Exception):
    """The caller does not lead any more."""


class WorkerGoneError(Exception):
    """The caller's worker was removed: a foreign key of the engine."""


@dataclass
class Assignment:
    """A job of the engine, and its row in `assignments`; worker None: no host holds it."""

    pair: Pair
    fence: int
    launch: Launch
    labels: frozenset[str]
    config: int
    lock: str
    status: str = "todo"
    worker: int | None = None
    host: str = ""
    holder: int | None = None  # the worker in `assignments`
    force: bool = False
    is_lost: bool = False
    is_ended: bool = False

    @property
    def job(self) -> Job:
        return self.launch.job


@dataclass(frozen=True)
class HostRow:
    """A row of `hosts`; worker None: the host was declared dead."""

    name: str
    labels: frozenset[str]
    places: int
    worker: int | None
    config: int | None


@dataclass(frozen=True)
class Ended:
    """A report that an attempt has ended; event: what the leader makes of it."""

    pair: Pair
    event: ev.AttemptEvent
    fence: int


@dataclass(frozen=True)
class Began:
    """A report that a process has begun."""

    pair: Pair


@dataclass(frozen=True)
class Lost:
    """A report that a host was lost, or is gone for good."""

    pair: Pair
    host: str
    is_final: bool = False


@dataclass(frozen=True)
class Forgotten:
    """A report that a person has forgotten a host."""

    host: str


Report = Ended | Began | Lost | Forgotten


@dataclass
class Server:
    """The tables; `without` names the fence that is left out."""

    without: str = ""
    ledger: Ledger = field(default_factory=Ledger)
    assignments: dict[Pair, Assignment] = field(default_factory=dict)
    by_fence: dict[int, Assignment] = field(default_factory=dict)
    reports: dict[int, Report] = field(default_factory=dict)
    beats: dict[int, int] = field(default_factory=dict)
    hosts: dict[str, HostRow] = field(default_factory=dict)
    texts: list[int] = field(default_factory=list)
    first_tick: datetime | None = None
    leader: int | None = None
    epoch: int = 0
    away_until: float = 0.0
    next_worker: int = 1
    next_fence: int = 1
    next_report: int = 1

    # --- workers -------------------------------------------------------------------

    def register(self) -> int:
        worker, self.next_worker = self.next_worker, self.next_worker + 1
        self.beats[worker] = 0
        return worker

    def unregister(self, worker: int) -> None:
        self.beats.pop(worker, None)
        for each in self.by_fence.values():
            if each.worker == worker:
                each.worker = None

    def beat(self, worker: int) -> bool:
        if worker not in self.beats:
            return False
        self.beats[worker] += 1
        return True

    def join(self, row: HostRow, before: int) -> int:
        """Return the worker of a host that joins; before: its worker, if that may go on."""
        worker = before if before and self.beat(before) else self.register()
        former = self.hosts.get(row.name)
        self.hosts[row.name] = HostRow(row.name, row.labels, row.places, worker, row.config)
        self._take_up(row.name, worker, None if former is None else former.worker)
        return worker

    def _take_up(self, host: str, worker: int, former: int | None) -> None:
        """Give a host what has waited for it, and what it held in its former life."""
        is_former = former is not None and former != worker and self.without != "former life"
        for each in self.assignments.values():
            was_held = each.is_lost or (is_former and each.holder == former)
            if each.host == host and was_held and not each.is_ended:
                each.holder, each.is_lost = worker, False
                if each.status == "doing" and each.worker in (None, former):
                    each.worker = worker
        if is_former and former is not None:
            self.unregister(former)

    def leave(self, host: str, worker: int) -> None:
        row = self.hosts[host]
        if row.worker == worker:
            self.hosts[host] = HostRow(host, row.labels, row.places, None, row.config)
        self.unregister(worker)

    # --- assignments ---------------------------------------------------------------

    def has_work(self) -> bool:
        return any(each.status == "todo" for each in self.by_fence.values())

    def held(self, host: str, worker: int) -> dict[int, Assignment]:
        return {
            each.fence: each
            for each in self.assignments.values()
            if each.holder == worker and each.host == host and not each.is_ended
        }

    def fetch(
        self, host: str, worker: int, labels: Collection[str], config: int, most: int
    ) -> list[Assignment]:
        """Give a worker at most so many attempts that may start."""
        if worker not in self.beats:
            raise WorkerGoneError
        taken: list[Assignment] = []
        has_lock = self.without != "engine lock"
        seen = {each.lock for each in self.by_fence.values() if each.status == "doing"}
        for each in list(self.by_fence.values()):
            if len(taken) == most:
                break
            if each.status != "todo" or (has_lock and each.lock in seen):
                continue
            seen.add(each.lock)  # only the oldest of a lock may start
            if each.config == config and each.labels <= set(labels):
                each.status, each.worker = "doing", worker
                each.host, each.holder = host, worker
                taken.append(each)
        return taken

    def finish(self, fences: Iterable[int], worker: int) -> set[int]:
        """End those of these that the worker holds; return them."""
        mine = set()
        for fence in fences:
            found = self.by_fence.get(fence)
            is_mine = found is not None and found.status == "doing" and found.worker == worker
            if found is not None and (is_mine or self.without == "finish fence"):
                self.end(fence)
                mine.add(fence)
        return mine

    def end(self, fence: int) -> None:
        """End a job of the engine; its row in `assignments` stays."""
        found = self.by_fence.pop(fence, None)
        if found is not None:
            found.status, found.worker = "over", None

    def withdraw(self, fence: int) -> bool:
        """Take back an attempt that no host has fetched."""
        found = self.by_fence.get(fence)
        is_free = found is not None and found.status == "todo"
        if found is None or not (is_free or self.without == "withdrawal"):
            return False
        self.end(fence)
        del self.assignments[found.pair]
        return True

    def hand_out(self, launch: Launch, labels: frozenset[str], config: int) -> int:
        job, pair = launch.job, (launch.run.id, launch.run.attempt)
        if pair in self.assignments:
            raise AssertionError(f"attempt {pair} is handed out twice")
        lock = f"group/{job.exclusive}" if job.exclusive else f"job/{job.name}"
        fence, self.next_fence = self.next_fence, self.next_fence + 1
        made = Assignment(pair, fence, launch, labels, config, lock)
        self.assignments[pair] = self.by_fence[fence] = made
        return fence

    # --- the leader ----------------------------------------------------------------

    def lead(self) -> int:
        """Take the leadership; return the worker that holds it."""
        self.leader, self.epoch = self.register(), self.epoch + 1
        return self.leader

    def free_leadership(self, worker: int) -> None:
        if self.leader == worker:
            self.leader = None
        self.unregister(worker)

    def fence(self, worker: int) -> None:
        """Ensure that this worker leads. Raises: DeposedError."""
        if self.leader != worker and self.without != "leader fence":
            raise DeposedError

    def write(self, worker: int, actions: Iterable[Written]) -> None:
        """Commit a turn. Raises: DeposedError."""
        self.fence(worker)
        for action in actions:
            # Of a commit whose answer was lost, all is written again.
            if not (isinstance(action, Record) and isinstance(action.row, Alert | Incident)):
                self.ledger.write(action)
        if self.first_tick is None and self.ledger.tick is not None:
            self.first_tick = self.ledger.tick.at

    def held_or_unrecorded(self) -> dict[Pair, Assignment]:
        """Return what has not ended, or whose end is not recorded."""
        return {
            pair: each
            for pair, each in self.assignments.items()
            if not each.is_ended or self._is_running(pair)
        }

    def _is_running(self, pair: Pair) -> bool:
        run = self.ledger.runs.get(pair[0])
        return run is not None and run.attempt == pair[1] and run.state == "running"

    def send(self, report: Report) -> None:
        self.reports[self.next_report] = report
        self.next_report += 1

    def declare_dead(self, host: str, worker: int, seen: str | None) -> None:
        """End what a silent host holds, if its heartbeat is still the one that was seen."""
        is_same = seen is None or str(self.beats.get(worker)) == seen
        if not is_same and self.without != "comparison":
            return
        found = [
            each
            for each in self.assignments.values()
            if each.holder == worker and not each.is_ended
        ]
        self.unregister(worker)
        row = self.hosts[host]
        if row.worker == worker:
            self.hosts[host] = HostRow(host, row.labels, row.places, None, row.config)
        for each in found:
            if each.job.if_lost == "wait":
                each.is_lost = True
            else:
                self.end(each.fence)
                each.is_ended = True
            self.send(Lost(each.pair, host))

    def forget(self, host: str) -> None:
        """End what has waited for a host."""
        for each in list(self.assignments.values()):
            if each.host == host and each.is_lost and not each.is_ended:
                each.is_ended = True
                self.end(each.fence)
                self.send(Lost(each.pair, host, is_final=True))
