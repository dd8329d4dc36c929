"""One night of a service, told in sentences: no clock, no process, no file.

`Night` performs what `decide` asks for, like `storm.py`, but nothing in it is
left to chance: time goes where the test sends it, minute by minute and timer by
timer as the loop would; a process does what the test says and nothing else.
What would survive a crash is in `ledger`; the rest is lost with `dies`.

    night = Night(job("a", cron="0 2 * * *"), job("b", cron="0 3 * * *", deps=["a"]))
    night.at("02:00")
    night.ends("a", status=1)
    night.at("03:00")
    assert night.run("b").state == "skipped"
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from supervisor.core import asks, effects, showing
from supervisor.core import events as ev
from supervisor.core.alert_model import Alert, Beat, Incident
from supervisor.core.decide import decide, next_minute, next_wakeup
from supervisor.core.graph import REMEMBERED
from supervisor.core.model import (
    Asking,
    Attempt,
    Config,
    Gap,
    Job,
    Mark,
    Pause,
    Peer,
    Problem,
    Reason,
    Run,
    State,
    Trigger,
    replace,
)
from supervisor.core.view import Facts, Status
from supervisor.core.world import World
from workers import protocol

WRITTEN = (effects.Record, effects.RecordPause, effects.RecordTick, effects.ReleaseSlots)
MIDNIGHT = "2026-01-05 00:00"  # a Monday; every night begins here unless it says otherwise


def instant(text: str) -> datetime:
    """`2026-01-05 02:00` or `2026-01-05 02:00:30`, in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def job(name: str, cron: str | Sequence[str] = (), deps: Sequence[str] = (), **fields: Any) -> Job:
    """A command without a time limit, unless the fields say otherwise."""
    if not fields.get("worker"):
        fields.setdefault("argv", ("x",))
    fields.setdefault("timeout_s", None)
    expressions = (cron,) if isinstance(cron, str) else tuple(cron)
    return Job(name, 0, cron=expressions, deps=tuple(deps), **fields)


def in_file(jobs: Sequence[Job]) -> tuple[Job, ...]:
    """The jobs with their places in the file."""
    return tuple(replace(each, place=place) for place, each in enumerate(jobs))


@dataclass
class Process:
    """A pretended attempt: its own process, and the force that was used on its tree."""

    job: Job
    run: Run
    forces: list[str] = field(default_factory=list)
    exited: bool = False


@dataclass
class Ledger:
    """What survives a crash."""

    runs: dict[int, Run] = field(default_factory=dict)
    attempts: dict[tuple[int, int], Attempt] = field(default_factory=dict)
    marks: dict[str, Mark] = field(default_factory=dict)
    gaps: list[Gap] = field(default_factory=list)
    incidents: dict[int, Incident] = field(default_factory=dict)
    alerts: list[Alert] = field(default_factory=list)
    askings: list[Asking] = field(default_factory=list)
    paused: Pause | None = None
    tick: effects.RecordTick | None = None


class Night:
    """A service that has begun at `start` with these jobs.

    remembers: the ledger it finds; without one it is the first start of all.
    damage: what became of the one before it.
    calendar False: `run --local`.
    """

    def __init__(
        self,
        *jobs: Job,
        start: str = MIDNIGHT,
        remembers: Ledger | None = None,
        calendar: bool = True,
        damage: str = "",
        **settings: Any,
    ) -> None:
        settings.setdefault("max_concurrent", 10)
        self.config = Config(in_file(jobs), **settings)
        self.ledger = remembers or Ledger()
        self.wall, self.mono, self.dice = instant(start), 1000.0, 0.5
        self.processes: dict[tuple[int, int], Process] = {}
        self.journey: tuple[Alert, ...] = ()
        self.arrived: list[Alert] = []
        self.beats: list[Beat] = []
        self.actions: list[effects.Action] = []
        self.held_back: list[effects.Action] = []
        self.ledger_error = ""
        self.has_calendar = calendar
        self.has_died = False
        self.has_stopped = False
        self.world = World(self.config)
        self._begin(damage)

    # --- time -------------------------------------------------------------------

    def at(self, text: str) -> None:
        """Time goes on to an instant; `02:00` is the next 02:00 from now (or now)."""
        until = self.when(text)
        while self.wall < until:
            assert self.is_up, "time goes on with `starts` while no service lives"
            minute = min(next_minute(self.wall), until)
            to_minute_s = (minute - self.wall).total_seconds()
            wake = next_wakeup(self.world)
            if wake is not None and wake - self.mono < to_minute_s:
                self.wall += timedelta(seconds=max(0.0, wake - self.mono))
                self.mono = max(self.mono, wake)
            else:
                self.wall, self.mono = minute, self.mono + to_minute_s
            self.send(ev.TimePassed(self.clocks()))

    def after(self, **length: float) -> None:
        """Time goes on for so long."""
        self.at((self.wall + timedelta(**length)).replace(tzinfo=None).isoformat())

    def sleeps_until(self, text: str) -> None:
        """The machine is suspended: nobody looks at a clock before then."""
        until = self.when(text)
        self.mono += (until - self.wall).total_seconds()
        self.wall = until
        self.send(ev.TimePassed(self.clocks()))

    def clock_is_set_to(self, text: str) -> None:
        """The wall clock jumps, forward or back; a second goes by."""
        self.wall, self.mono = instant(text), self.mono + 1
        self.send(ev.TimePassed(self.clocks()))

    def when(self, text: str) -> datetime:
        """The instant that a text means tonight."""
        if len(text) > 8:
            return instant(text)
        found = instant(f"{self.wall:%Y-%m-%d} {text}")
        return found if found >= self.wall else found + timedelta(days=1)

    def clocks(self) -> ev.At:
        """One reading of the clocks and the die."""
        return ev.At(self.wall, self.mono, self.dice)

    # --- processes --------------------------------------------------------------

    def ends(
        self, name: str, status: int = 0, signal: int = 0, strays: Sequence[str] = ()
    ) -> None:
        """The job's process ends, and its tree is empty at once."""
        self.exits(name, status, signal)
        self.empties(name, strays)

    def exits(self, name: str, status: int = 0, signal: int = 0) -> None:
        """The job's own process ends; its tree still has members."""
        key = self._living(name, exited=False)
        self.processes[key].exited = True
        self.send(ev.Exited(self.clocks(), *key, signal or status << 8))

    def empties(self, name: str, strays: Sequence[str] = ()) -> None:
        """Nothing of the job's tree lives any more."""
        key = self._living(name, exited=None)
        del self.processes[key]
        self.send(ev.Emptied(self.clocks(), *key, strays=tuple(strays), cpu_s=1.5))

    def survives(self, name: str, *left: str) -> None:
        """Some of the job's tree lives after SIGKILL, and is let go."""
        key = self._living(name, exited=None)
        del self.processes[key]
        self.send(ev.Survived(self.clocks(), *key, left))

    def says(self, name: str, message: protocol.Message | protocol.Garbage) -> None:
        """The job's worker speaks."""
        self.send(ev.Said(self.clocks(), *self._living(name, exited=False), message))

    def loses(self, name: str) -> None:
        """The keeper of the job's process dies, and the whole tree with it."""
        key = self._living(name, exited=False)
        del self.processes[key]
        self.send(ev.Lost(self.clocks(), *key))
        self.send(ev.Emptied(self.clocks(), *key))

    def cannot_launch(self, name: str, error: str = "no such file") -> None:
        """No process comes of the job's launch."""
        key = self._living(name, exited=False)
        del self.processes[key]
        self.send(ev.LaunchFailed(self.clocks(), *key, error))

    def living(self) -> list[str]:
        """Names of jobs with a process, in the order of their launch."""
        return [process.job.name for process in self.processes.values() if not process.exited]

    def forces(self, name: str) -> list[str]:
        """What was done to the job's living tree: `term`, `kill`, `abandon`."""
        return self.processes[self._living(name, exited=None)].forces

    def _living(self, name: str, exited: bool | None) -> tuple[int, int]:
        found = [
            key
            for key, process in self.processes.items()
            if process.job.name == name and exited in (None, process.exited)
        ]
        assert found, f"no process of {name} lives at {self.wall}: {self.living()} do"
        return found[-1]

    # --- the channel ------------------------------------------------------------

    def delivers(self, at_most: int = 1000) -> None:
        """What is on its way arrives, and what follows it, while anything follows."""
        for _ in range(at_most):
            if not self.journey:
                return
            arrived, self.journey = self.journey, ()
            self.arrived += arrived
            numbers = tuple(row.id for row in arrived)
            self.send(ev.Delivered(self.clocks(), numbers))

    def cannot_deliver(self, cause: str = "no answer", after: int = 0, **said: Any) -> None:
        """Of what is on its way so many arrive, and the next one does not."""
        arrived, self.journey = self.journey[:after], ()
        if arrived:
            self.arrived += arrived
            self.send(ev.Delivered(self.clocks(), tuple(row.id for row in arrived)))
        self.send(ev.Undelivered(self.clocks(), cause, **said))

    def waiting(self) -> list[str]:
        """`exit opened`: kind and word of each alert that stands undelivered."""
        rows = [each for each in self.ledger.alerts if not (each.delivered_at or each.withheld)]
        return [f"{each.kind} {each.word}" for each in rows]

    # --- the service ------------------------------------------------------------

    def stops(self) -> None:
        """SIGTERM to the service; every process obeys it."""
        self.send(ev.StopAsked(self.clocks()))
        for name in self.living():
            self.ends(name, signal=15)
        assert self.has_stopped, "nothing lives, so the service has ended"

    def dies(self) -> None:
        """SIGKILL to the service; its processes go with it."""
        self.processes.clear()
        self.held_back.clear()
        self.journey = ()
        self.ledger_error = ""
        self.has_died = True

    def starts(self, text: str, *jobs: Job) -> None:
        """The next service begins, with the same jobs or with others."""
        until = self.when(text)
        self.mono += (until - self.wall).total_seconds()
        self.wall = until
        if jobs:
            self.config = replace(self.config, jobs=in_file(jobs))
        self._begin()

    def reloads(self, *jobs: Job, **settings: Any) -> None:
        """A new text of jobs.yaml is accepted."""
        self.config = replace(self.config, jobs=in_file(jobs), **settings)
        self.send(ev.Reloaded(self.clocks(), self.config))

    def refuses(self, message: str) -> None:
        """A new text of jobs.yaml has a mistake."""
        self.send(ev.ReloadRefused(self.clocks(), (Problem(14, 5, "jobs.a", message),)))

    def breaks_ledger(self, cause: str = "disk full") -> None:
        """From now on nothing can be written."""
        self.ledger_error = cause

    def mends_ledger(self, damage: str = "") -> None:
        """The ledger can be written again; what was held back is written first.

        damage: what became of the one that was written before.
        """
        self.ledger_error = ""
        for action in self.held_back:
            self._write(action)
        self.held_back.clear()
        self.send(ev.Recorded(self.clocks(), damage))

    def asks(self, request: asks.Request) -> asks.Reply:
        """A person (uid 1000) asks; there is exactly one reply."""
        before = len(self.actions)
        self.send(ev.Asked(self.clocks(), 7, Peer(1000, 1), request))
        [reply] = [each for each in self.actions[before:] if isinstance(each, asks.Reply)]
        return reply

    @property
    def is_up(self) -> bool:
        """Whether a service lives."""
        return not self.has_died and not self.has_stopped

    # --- what became of it ------------------------------------------------------

    def runs(self, name: str) -> list[Run]:
        """All rows of a job, oldest first."""
        return [run for run in self.ledger.runs.values() if run.job == name]

    def run(self, name: str) -> Run:
        """The newest row of a job."""
        return self.runs(name)[-1]

    def states(self, name: str) -> list[str]:
        """The states of a job's rows, oldest first."""
        return [str(run.state) for run in self.runs(name)]

    def slots(self, name: str) -> list[str]:
        """`05 02:00` of each of a job's rows that fulfils a slot."""
        return [f"{run.slot:%d %H:%M}" for run in self.runs(name) if run.slot]

    def words(self, name: str = "") -> list[str]:
        """`exit opened`: kind and word of each alert about a job ("": the service)."""
        return [f"{each.kind} {each.word}" for each in self.ledger.alerts if each.job == name]

    def incidents(self, name: str = "") -> list[Incident]:
        """The open incidents of a job ("": of the service)."""
        return [
            each
            for each in self.ledger.incidents.values()
            if each.job == name and each.closed_at is None
        ]

    def notes(self) -> list[str]:
        """Every line for the log."""
        return [action.text for action in self.actions if isinstance(action, effects.Note)]

    def status(self) -> Status:
        """What `nightshift status` would show."""
        facts = Facts("0", 1, self.wall, "jobs.yaml", self.wall)
        return showing.status(self.world, facts, self.wall)

    def waits(self, name: str) -> str:
        """What `status` says that the job's open run waits for."""
        return next(run.cause for run in self.status().runs if run.job == name)

    def next_at(self, name: str) -> datetime | None:
        """What `status` says about the job's next slot."""
        return next(each.next_at for each in self.status().jobs if each.name == name)

    # --- actions ----------------------------------------------------------------

    def send(self, event: ev.Event) -> tuple[effects.Action, ...]:
        """Decide about an event, do what is asked for, and return that."""
        self.world, actions = decide(self.world, event)
        self.actions.extend(actions)
        unlaunched = [key for action in actions if (key := self._perform(action))]
        has_news = unlaunched or (self.ledger_error and self.held_back)
        if has_news and not self.world.ledger_trouble:
            self.send(ev.Unrecorded(self.clocks(), tuple(unlaunched), self.ledger_error))
        return actions

    def _begin(self, damage: str = "") -> None:
        self.actions.clear()
        self.journey = ()
        self.has_stopped = False
        ledger, self.world = self.ledger, World(self.config)
        memory = ev.Memory(
            runs=tuple(self._remembered()),
            attempts=tuple(a for a in ledger.attempts.values() if a.ended_at is None),
            marks=tuple(ledger.marks.values()),
            incidents=tuple(i for i in ledger.incidents.values() if _is_remembered(i)),
            outbox=tuple(a for a in ledger.alerts if not (a.delivered_at or a.withheld)),
            paused=ledger.paused,
            last_tick=ledger.tick.at if ledger.tick else None,
            silent_until=ledger.tick.silent_until if ledger.tick else None,
            next_run=max(ledger.runs, default=0) + 1,
            next_incident=max(ledger.incidents, default=0) + 1,
            next_alert=len(ledger.alerts) + 1,
        )
        crashed, self.has_died = self.has_died, False
        at = self.clocks()
        self.send(ev.Restored(at, self.config, memory, self.has_calendar, crashed, damage=damage))

    def _remembered(self) -> list[Run]:
        """The runs that the ledger tells a new service of: as `store.memory` does."""
        kept = {run.id for run in self.ledger.runs.values() if run.state.is_open}
        for name in {run.job for run in self.ledger.runs.values()}:
            ids = [run.id for run in self.runs(name) if run.reason is not Reason.OVERLAP]
            good = [run.id for run in self.runs(name) if run.state is State.SUCCESS]
            kept.update(ids[-REMEMBERED:], good[-1:])
        return [run for run in self.ledger.runs.values() if run.id in kept]

    def _perform(self, action: effects.Action) -> tuple[int, int] | None:
        """Do it; the attempt, if it was a launch that must not be."""
        match action:
            case effects.Launch(run) if self.ledger_error:
                return run.id, run.attempt
            case effects.Launch(run, definition):
                assert self.ledger.runs[run.id] == run, "recorded before it is launched"
                self.processes[run.id, run.attempt] = Process(definition, run)
            case effects.Signal(run_id, number, force):
                self._force((run_id, number), force)
            case effects.Deliver(alerts):
                assert not self.journey, "one journey at a time"
                self.journey = alerts
            case Beat():
                self.beats.append(action)
            case effects.Stop():
                self.has_stopped = True
            case (
                effects.Record()
                | effects.RecordPause()
                | effects.RecordTick()
                | effects.ReleaseSlots()
            ) if self.ledger_error:
                self.held_back.append(action)
            case _:
                self._write(action)
        return None

    def _force(self, key: tuple[int, int], force: effects.Force) -> None:
        if key in self.processes:
            self.processes[key].forces.append(str(force))

    def _write(self, action: effects.Action) -> None:
        ledger = self.ledger
        match action:
            case effects.Record(Run() as row):
                ledger.runs[row.id] = row
            case effects.Record(Attempt() as row):
                ledger.attempts[row.run, row.number] = row
            case effects.Record(Mark() as row):
                ledger.marks[row.job] = row
            case effects.Record(Incident() as row):
                ledger.incidents[row.id] = row
            case effects.Record(Gap() as row):
                ledger.gaps.append(row)
            case effects.Record(Alert() as row):
                ledger.alerts[row.id - 1 : row.id] = [row]
            case effects.Record(Asking() as row):
                ledger.askings.append(row)
            case effects.RecordPause(pause):
                ledger.paused = pause
            case effects.RecordTick():
                ledger.tick = action
            case effects.ReleaseSlots(name, after):
                for run in self.runs(name):
                    if run.slot is not None and run.slot > after:
                        ledger.runs[run.id] = replace(run, slot=None)
            case _:
                pass


def ran_before(name: str, until: str, state: State = State.SUCCESS) -> Ledger:
    """A ledger in which the job has been seen until then, its last slot with this end."""
    seen = instant(until)
    last = Run(1, name, seen, Trigger.SCHEDULE, state, slot=seen, attempt=1, ended_at=seen)
    return Ledger(runs={1: last}, marks={name: Mark(name, seen)})


def _is_remembered(incident: Incident) -> bool:
    """Whether a new service is told of it: as `store.memory` does."""
    return bool(incident.closed_at is None or incident.recovery_at or incident.acked_until)
