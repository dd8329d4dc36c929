"""A machine of the model: its clocks, its supervisor with the real rules, its processes.

A machine may be frozen, suspended, cut off from PostgreSQL, rebooted, or lose its
supervisor, its agent or its leader. The supervisor is `decide` with the view of a host; its
ledger survives. What happens on a machine belongs to a `Life`, which a death ends.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from supervisor.core import control_requests, effects
from supervisor.core import events as ev
from supervisor.core.assignment_key import AssignmentKey
from supervisor.core.cluster_config import of_host
from supervisor.core.control_requests import AssignRun, ConfirmHost, Request
from supervisor.core.decide import decide, next_wakeup
from supervisor.core.effects import KillStep
from supervisor.core.model import Peer, Run, Trigger
from supervisor.core.state import SchedulerState
from tests.cluster.model.server import Pair
from tests.core.simulated_ledger import Ledger

if TYPE_CHECKING:
    from tests.cluster.model.world import World

ME = Peer(1000, 1)
# A process that was sent SIGKILL is gone after so long, at most.
KILL_S = 0.1


@dataclass(eq=False)
class Life:
    """What a death ends: a machine between two boots, a supervisor, an agent, a leader."""

    machine: "Machine"
    is_over: bool = False


@dataclass(eq=False)
class Process(Life):
    """A process of an attempt. local: its run and attempt on the host; pair: in the cluster."""

    local: Pair = (0, 0)
    pair: Pair = (0, 0)
    locks: tuple[str, ...] = ()
    may_overlap: bool = False
    ignores_term: bool = False
    fails: bool = False


@dataclass(eq=False)
class Machine:
    """A host. offset_s: its wall clock before PostgreSQL's. rate: of its own clock.

    boot: grows with each boot. text: the number of its jobs.yaml.
    """

    world: "World"
    name: str
    labels: frozenset[str]
    places: int
    offset_s: float
    rate: float
    ledger: Ledger = field(default_factory=Ledger)
    boot: int = 1
    text: int = 0
    frozen_until: float = 0.0
    thawed_at: float = float("-inf")
    cut_since: float = 0.0
    cut_until: float = 0.0
    suspended_s: float = 0.0
    supervisor: "Supervisor | None" = None

    def boottime(self) -> float:
        """Return seconds that only grow, suspended time included."""
        return self.world.now * self.rate

    def mono(self) -> float:
        """Return seconds that only grow, without suspended time."""
        return self.boottime() - self.suspended_s

    def is_connected(self) -> bool:
        return self.world.now >= max(self.cut_until, self.world.server.away_until)

    def is_cut_just_now(self) -> bool:
        """Return whether what was sent before the cut may have arrived."""
        away_since = self.world.server_away_since
        since = self.cut_since if self.world.now < self.cut_until else away_since
        return self.world.now - since < 1.0 and self.world.dice.random() < 0.5


class Supervisor(Life):
    """The supervisor of a host, from a start to its death."""

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine)
        self.world = machine.world
        self.processes: dict[Pair, Process] = {}
        self.on_change: Callable[[], None] = lambda: None
        self._wake_at = float("inf")
        self._reply: control_requests.Reply | None = None
        config = of_host(self.world.config(machine.text, machine.places))
        self.state = SchedulerState(config)
        memory = machine.ledger.memory()
        self.send(ev.Restored(self._at(), config, memory, crashed=True))

    def send(self, event: ev.Event) -> None:
        self.state, actions = decide(self.state, event)
        for action in actions:
            match action:
                case effects.Record() | effects.RecordTick():
                    self.machine.ledger.write(action)
                case effects.Launch():
                    self._launch(action)
                case effects.Signal(run, attempt, force):
                    self._signal((run, attempt), force)
                case control_requests.Reply():
                    self._reply = action
        if actions:
            self.on_change()
        if not (isinstance(event, ev.Requested) and self._is_awake_by(event)):
            self._set_alarm()

    def _is_awake_by(self, event: ev.Requested) -> bool:
        """Return whether the alarm is early enough after a confirmation, as it mostly is."""
        asked = event.request
        if not isinstance(asked, ConfirmHost):
            return False
        return self._wake_at <= self.world.now + asked.for_s / self.machine.rate

    def ask(self, request: Request) -> control_requests.Reply:
        self.send(ev.Requested(self._at(), 0, ME, request))
        assert self._reply is not None
        return self._reply

    def assign(self, request: AssignRun) -> control_requests.Reply:
        if self.world.without == "known assignment":
            self.state.last_assigned = type(self.state.last_assigned)()
        return self.ask(request)

    def confirm(self, for_s: float, grace_s: float) -> None:
        if self.world.without == "host fence":
            for_s = 1e9
        self.ask(ConfirmHost(max(0.0, for_s), grace_s))

    def reload(self) -> None:
        config = of_host(self.world.config(self.machine.text, self.machine.places))
        self.send(ev.Reloaded(self._at(), config))

    def find(self, number: int, job: str) -> Run | None:
        """Return an assigned run: an open one, or the last of its job."""
        run = self.state.runs.get(number)
        if run is not None:
            return run
        last = self.state.last_assigned.get(job)
        return last if last is not None and last.id == number else None

    def is_alive(self, number: int) -> bool:
        return number in self.state.live_attempts

    def open_assigned(self) -> set[int]:
        runs = self.state.runs.values()
        return {run.id for run in runs if run.trigger is Trigger.ASSIGNED}

    def kill_all(self) -> None:
        """End all processes at once, as keepers do whose supervisor has died."""
        for process in self.processes.values():
            self.world.laws.ended(process)
        self.processes.clear()

    # --- processes -----------------------------------------------------------------

    def _launch(self, action: effects.Launch) -> None:
        world, run = self.world, action.run
        key = AssignmentKey.parse(run.batch)
        group = action.job.exclusive
        process = Process(self.machine, False, (run.id, run.attempt), (key.run, key.attempt))
        process.locks = (f"job/{run.job}", *([f"group/{group}"] if group else []))
        process.may_overlap = group is None and action.job.if_lost != "again"
        process.ignores_term = world.dice.random() < 0.3
        process.fails = world.dice.random() < 0.12
        self.processes[process.local] = process
        world.laws.begun(process, action.job)
        length_s = world.dice.expovariate(1 / world.mean_s) * world.dice.choice((1, 1, 1, 4))
        length_s = min(length_s, 300.0)
        world.after(0.01, process, self._started, process)
        world.after(0.02 + length_s, process, self._exits, process, 256 * process.fails)

    def _started(self, process: Process) -> None:
        if not process.is_over and not self.is_over:
            self.send(ev.Started(self._at(), *process.local, 77))

    def _exits(self, process: Process, wait_status: int) -> None:
        if process.is_over or self.is_over:
            return
        self.world.laws.ended(process)
        del self.processes[process.local]
        self.send(ev.Exited(self._at(), *process.local, wait_status))
        delay_s = self.world.delay()
        self.world.after(delay_s, self, self._empties, process.local)

    def _empties(self, local: Pair) -> None:
        self.send(ev.TreeEmpty(self._at(), *local))

    def _signal(self, local: Pair, force: KillStep) -> None:
        process = self.processes.get(local)
        if process is None:
            return
        if force is not KillStep.TERM:
            self.world.after(self.world.dice.uniform(0, KILL_S), process, self._exits, process, 9)
        elif not process.ignores_term:
            self.world.after(self.world.dice.expovariate(1.0), process, self._exits, process, 15)

    # --- time ----------------------------------------------------------------------

    def _at(self) -> ev.At:
        world, machine = self.world, self.machine
        wall = world.wall() + timedelta(seconds=machine.offset_s)
        return ev.At(wall, machine.mono(), world.dice.random())

    def _set_alarm(self) -> None:
        wake = next_wakeup(self.state)
        if wake is None:
            return
        at = self.world.now + max(0.0, wake - self.machine.mono()) / self.machine.rate
        if at < self._wake_at:
            self._wake_at = at
            self.world.after(at - self.world.now + 0.0005, self, self._alarm, at)

    def _alarm(self, at: float) -> None:
        if at != self._wake_at:
            return  # an earlier alarm took its place
        self._wake_at = float("inf")
        wake = next_wakeup(self.state)
        if wake is not None and wake <= self.machine.mono():
            self.send(ev.TimePassed(self._at()))
        else:
            self._set_alarm()
