"""Simulate a service for tests: `decide` with a simulated clock, processes and ledger.

`Harness` performs the actions of `decide`, like `random_events.py`, but without chance:
time advances only when the test says so, timer by timer and minute by minute as in the
loop (minutes in which nothing can happen are left out), and a process does only what the
test says. What survives a crash is in `ledger`;
everything else is lost with `dies`.

    harness = Harness(job("a", cron="0 2 * * *"), job("b", cron="0 3 * * *", deps=["a"]))
    harness.at("02:00")
    harness.ends("a", status=1)
    harness.at("03:00")
    assert harness.run("b").state == "skipped"
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from supervisor.core import build_views, control_requests, effects, schedule
from supervisor.core import events as ev
from supervisor.core.alert_model import Alert, HeartbeatCall, Incident
from supervisor.core.config_model import Config, Job, Problem
from supervisor.core.decide import decide, next_minute, next_wakeup
from supervisor.core.dependencies import MOST_RECENT
from supervisor.core.model import (
    Attempt,
    AuditEntry,
    JobRecord,
    MissedRange,
    Pause,
    Peer,
    Reason,
    ReloadEntry,
    Run,
    State,
    Trigger,
    replace,
)
from supervisor.core.simulation.engine import next_moment
from supervisor.core.state import SchedulerState
from supervisor.core.views import Facts, Status
from tests.core.state_changes import Change, listed_changes
from workers import protocol

WRITTEN = (effects.Record, effects.RecordPause, effects.RecordTick, effects.ReleaseSlots)
MINUTE = timedelta(minutes=1)
MIDNIGHT = "2026-01-05 00:00"  # a Monday; the default start


def instant(text: str) -> datetime:
    """Parse `2026-01-05 02:00` or `2026-01-05 02:00:30` as UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def job(name: str, cron: str | Sequence[str] = (), deps: Sequence[str] = (), **fields: Any) -> Job:
    """Return a job that runs a command and has no time limit, unless `fields` say otherwise."""
    if not fields.get("worker"):
        fields.setdefault("argv", ("x",))
    fields.setdefault("timeout_s", None)
    expressions = (cron,) if isinstance(cron, str) else tuple(cron)
    return Job(name, 0, cron=expressions, deps=tuple(deps), **fields)


def in_file(jobs: Sequence[Job]) -> tuple[Job, ...]:
    """Return the jobs numbered by their place in the file."""
    return tuple(replace(each, place=place) for place, each in enumerate(jobs))


@dataclass
class Process:
    """A simulated attempt: its process, and the signals sent to its tree."""

    job: Job
    run: Run
    forces: list[str] = field(default_factory=list)
    exited: bool = False


@dataclass
class Ledger:
    """State that survives a crash."""

    runs: dict[int, Run] = field(default_factory=dict)
    attempts: dict[tuple[int, int], Attempt] = field(default_factory=dict)
    marks: dict[str, JobRecord] = field(default_factory=dict)
    gaps: list[MissedRange] = field(default_factory=list)
    incidents: dict[int, Incident] = field(default_factory=dict)
    alerts: list[Alert] = field(default_factory=list)
    askings: list[AuditEntry] = field(default_factory=list)
    texts: list[ReloadEntry] = field(default_factory=list)
    paused: Pause | None = None
    tick: effects.RecordTick | None = None


class Harness:
    """A simulated service that starts at `start` with these jobs.

    remembers: the ledger that it finds; without one it is the first start.
    damage: description of the damage of the previous ledger.
    calendar False: as in `run --local`.
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
        self.batches: dict[str, tuple[Alert, ...]] = {}
        self.arrived: list[Alert] = []
        self.beats: list[HeartbeatCall] = []
        self.actions: list[effects.Action] = []
        self.held_back: list[effects.Action] = []
        self.changes: set[Change] = set()
        self.ledger_error = ""
        self.has_calendar = calendar
        self.has_died = False
        self.has_stopped = False
        self.scheduler = SchedulerState(self.config)
        self._begin(damage)

    # --- time -------------------------------------------------------------------

    def at(self, text: str) -> None:
        """Advance time to an instant; `02:00` is the next 02:00 (or now)."""
        self._pass_until(self.when(text))

    def _pass_until(self, until: datetime) -> None:
        while self.wall < until:
            assert self.is_up, "time goes on with `starts` while no service lives"
            minute = min(self.next_tick(until), until)
            to_minute_s = (minute - self.wall).total_seconds()
            wake = next_wakeup(self.scheduler)
            if wake is not None and wake - self.mono < to_minute_s:
                self.wall += timedelta(seconds=max(0.0, wake - self.mono))
                self.mono = max(self.mono, wake)
            else:
                self.wall, self.mono = minute, self.mono + to_minute_s
            self.send(ev.TimePassed(self.clocks()))

    def next_tick(self, until: datetime) -> datetime:
        """Return the full minute of the next tick: the first that may change anything.

        Minutes in which nothing can happen are left out as in a simulation, up to the last
        one before `until`. `EveryMinute` leaves out none.
        """
        following = next_minute(self.wall)
        if until - following < MINUTE or self._waits_for_other_things():
            return following
        moments = [until.replace(second=0, microsecond=0)]
        if moment := next_moment(self.scheduler, self.wall, self._wall_at):
            # The tick before what is due is the last one that the ledger has.
            moments.append(moment - MINUTE)
        if self.config.notify.summary:
            summary = schedule.calendar(self.config.notify.summary, self.config.timezone)
            moments.extend(slot - MINUTE for slot in summary.slots(self.wall, until))
        return max(following, min(moments))

    def _wall_at(self, mono: float) -> datetime:
        return self.wall + timedelta(seconds=mono - self.mono)

    def _waits_for_other_things(self) -> bool:
        """Return whether something waits that `next_moment` does not know."""
        outboxes = self.scheduler.outboxes
        waiting = (outboxes.get(each.name) for each in self.config.notify.channels if each.quiet)
        is_maybe_quiet = any(box is not None and box.waiting for box in waiting)
        return is_maybe_quiet or bool(self.held_back)

    def after(self, **length: float) -> None:
        """Advance time by a timedelta with these fields."""
        self._pass_until(self.wall + timedelta(**length))

    def sleeps_until(self, text: str) -> None:
        """Suspend the machine: nothing happens until this instant."""
        until = self.when(text)
        self.mono += (until - self.wall).total_seconds()
        self.wall = until
        self.send(ev.TimePassed(self.clocks()))

    def clock_is_set_to(self, text: str) -> None:
        """Set the wall clock, forward or back; one second passes."""
        self.wall, self.mono = instant(text), self.mono + 1
        self.send(ev.TimePassed(self.clocks()))

    def when(self, text: str) -> datetime:
        """Return the instant of a text, relative to the current time."""
        if len(text) > 8:
            return instant(text)
        found = instant(f"{self.wall:%Y-%m-%d} {text}")
        return found if found >= self.wall else found + timedelta(days=1)

    def clocks(self) -> ev.At:
        """Return one reading of the clocks and the random number."""
        return ev.At(self.wall, self.mono, self.dice)

    # --- processes --------------------------------------------------------------

    def ends(
        self, name: str, status: int = 0, signal: int = 0, strays: Sequence[str] = ()
    ) -> None:
        """End the job's process and its whole tree at once."""
        self.exits(name, status, signal)
        self.empties(name, strays)

    def exits(self, name: str, status: int = 0, signal: int = 0) -> None:
        """End the job's process; its tree still has members."""
        key = self._living(name, exited=False)
        self.processes[key].exited = True
        self.send(ev.Exited(self.clocks(), *key, signal or status << 8))

    def empties(self, name: str, strays: Sequence[str] = ()) -> None:
        """End the rest of the job's tree."""
        key = self._living(name, exited=None)
        del self.processes[key]
        self.send(ev.TreeEmpty(self.clocks(), *key, strays=tuple(strays), cpu_s=1.5))

    def survives(self, name: str, *left: str) -> None:
        """Report that part of the tree lives after SIGKILL and is abandoned."""
        key = self._living(name, exited=None)
        del self.processes[key]
        self.send(ev.Survived(self.clocks(), *key, left))

    def says(self, name: str, message: protocol.Message | protocol.Garbage) -> None:
        """Send a message of the job's worker."""
        self.send(ev.MessageReceived(self.clocks(), *self._living(name, exited=False), message))

    def loses(self, name: str) -> None:
        """Kill the keeper of the job's process, and the whole tree with it."""
        key = self._living(name, exited=False)
        del self.processes[key]
        self.send(ev.KeeperLost(self.clocks(), *key))
        self.send(ev.TreeEmpty(self.clocks(), *key))

    def cannot_launch(self, name: str, error: str = "no such file") -> None:
        """Fail the job's launch."""
        key = self._living(name, exited=False)
        del self.processes[key]
        self.send(ev.LaunchFailed(self.clocks(), *key, error))

    def live(self) -> list[str]:
        """Return the names of jobs with a process, in launch order."""
        return [process.job.name for process in self.processes.values() if not process.exited]

    def forces(self, name: str) -> list[str]:
        """Return the signals sent to the job's living tree: `term`, `kill`, `abandon`."""
        return self.processes[self._living(name, exited=None)].forces

    def _living(self, name: str, exited: bool | None) -> tuple[int, int]:
        found = [
            key
            for key, process in self.processes.items()
            if process.job.name == name and exited in (None, process.exited)
        ]
        assert found, f"no process of {name} lives at {self.wall}: {self.live()} do"
        return found[-1]

    # --- the channels -----------------------------------------------------------

    @property
    def batch(self) -> tuple[Alert, ...]:
        """Return the alerts in flight to all channels."""
        return tuple(row for batch in self.batches.values() for row in batch)

    def delivers(self, at_most: int = 1000, channel: str = "") -> None:
        """Deliver the alerts in flight to a channel ("": to all), and any that follow."""
        for _ in range(at_most):
            name = next((each for each in self.batches if channel in ("", each)), None)
            if name is None:
                return
            arrived = self.batches.pop(name)
            self.arrived += arrived
            numbers = tuple(row.id for row in arrived)
            self.send(ev.Delivered(self.clocks(), numbers, name))

    def cannot_deliver(
        self, cause: str = "no answer", after: int = 0, channel: str = "", **said: Any
    ) -> None:
        """Deliver the first `after` alerts in flight, and fail the next one."""
        name = channel or next(iter(self.batches), "slack")
        arrived = self.batches.pop(name, ())[:after]
        if arrived:
            self.arrived += arrived
            numbers = tuple(row.id for row in arrived)
            self.send(ev.Delivered(self.clocks(), numbers, name))
        self.send(ev.Undelivered(self.clocks(), cause, name, **said))

    def waiting(self) -> list[str]:
        """Return `exit opened`: kind and word of each undelivered alert."""
        rows = [each for each in self.ledger.alerts if not (each.delivered_at or each.withheld)]
        return [f"{each.kind} {each.word}" for each in rows]

    # --- the service ------------------------------------------------------------

    def stops(self) -> None:
        """Send SIGTERM to the service; every process ends."""
        self.send(ev.StopAsked(self.clocks()))
        for name in self.live():
            self.ends(name, signal=15)
        assert self.has_stopped, "nothing lives, so the service has ended"

    def dies(self) -> None:
        """Kill the service with SIGKILL, and its processes with it."""
        self.processes.clear()
        self.held_back.clear()
        self.batches = {}
        self.ledger_error = ""
        self.has_died = True

    def starts(self, text: str, *jobs: Job) -> None:
        """Start the next service, with the same jobs or with others."""
        until = self.when(text)
        self.mono += (until - self.wall).total_seconds()
        self.wall = until
        if jobs:
            self.config = replace(self.config, jobs=in_file(jobs))
        self._begin()

    def reloads(self, *jobs: Job, **settings: Any) -> None:
        """Reload jobs.yaml with a valid text."""
        self.config = replace(self.config, jobs=in_file(jobs), **settings)
        self.send(ev.Reloaded(self.clocks(), self.config))

    def refuses(self, message: str) -> None:
        """Reload jobs.yaml with an invalid text."""
        self.send(ev.ReloadRefused(self.clocks(), (Problem(14, 5, "jobs.a", message),)))

    def breaks_ledger(self, cause: str = "disk full") -> None:
        """Make every write to the ledger fail."""
        self.ledger_error = cause

    def fixes_ledger(self, damage: str = "") -> None:
        """Make the ledger writable again, after writing the held back actions.

        damage: description of the damage of the previous ledger.
        """
        self.ledger_error = ""
        for action in self.held_back:
            self._write(action)
        self.held_back.clear()
        self.send(ev.LedgerRecovered(self.clocks(), damage))

    def asks(self, request: control_requests.Request) -> control_requests.Reply:
        """Send a request as uid 1000 and return its one reply."""
        before = len(self.actions)
        self.send(ev.Requested(self.clocks(), 7, Peer(1000, 1), request))
        [reply] = [
            each for each in self.actions[before:] if isinstance(each, control_requests.Reply)
        ]
        return reply

    @property
    def is_up(self) -> bool:
        """Return whether the service is running."""
        return not self.has_died and not self.has_stopped

    # --- what became of it ------------------------------------------------------

    def runs(self, name: str) -> list[Run]:
        """Return all runs of a job, oldest first."""
        return [run for run in self.ledger.runs.values() if run.job == name]

    def run(self, name: str) -> Run:
        """Return the newest run of a job."""
        return self.runs(name)[-1]

    def states(self, name: str) -> list[str]:
        """Return the states of a job's runs, oldest first."""
        return [str(run.state) for run in self.runs(name)]

    def slots(self, name: str) -> list[str]:
        """Return `05 02:00` for each run of a job that fulfils a slot."""
        return [f"{run.slot:%d %H:%M}" for run in self.runs(name) if run.slot]

    def words(self, name: str = "") -> list[str]:
        """Return `exit opened`: kind and word of each alert about a job ("": the service)."""
        return [f"{each.kind} {each.word}" for each in self.ledger.alerts if each.job == name]

    def incidents(self, name: str = "") -> list[Incident]:
        """Return the open incidents of a job ("": of the service)."""
        return [
            each
            for each in self.ledger.incidents.values()
            if each.job == name and each.closed_at is None
        ]

    def notes(self) -> list[str]:
        """Return all log lines."""
        return [action.text for action in self.actions if isinstance(action, effects.Note)]

    def status(self) -> Status:
        """Return the data that `nightshift status` shows."""
        facts = Facts("0", 1, self.wall, "jobs.yaml", self.wall)
        return build_views.status(self.scheduler, facts, self.wall)

    def waits(self, name: str) -> str:
        """Return what the job's open run waits for, according to `status`."""
        return next(run.cause for run in self.status().runs if run.job == name)

    def next_at(self, name: str) -> datetime | None:
        """Return the job's next slot, according to `status`."""
        return next(each.next_at for each in self.status().jobs if each.name == name)

    # --- actions ----------------------------------------------------------------

    def send(self, event: ev.Event) -> tuple[effects.Action, ...]:
        """Decide on an event, perform the actions, and return them."""
        before = self.scheduler
        self.scheduler, actions = decide(before, event)
        self.changes |= listed_changes(before, event, actions)
        self.actions.extend(actions)
        unlaunched = [key for action in actions if (key := self._perform(action))]
        has_news = unlaunched or (self.ledger_error and self.held_back)
        if has_news and not self.scheduler.ledger_error:
            self.send(ev.LedgerWriteFailed(self.clocks(), tuple(unlaunched), self.ledger_error))
        return actions

    def _begin(self, damage: str = "") -> None:
        self.actions.clear()
        self.batches = {}
        self.has_stopped = False
        ledger, self.scheduler = self.ledger, SchedulerState(self.config)
        memory = ev.Memory(
            runs=tuple(self._remembered()),
            attempts=tuple(a for a in ledger.attempts.values() if a.ended_at is None),
            marks=tuple(ledger.marks.values()),
            incidents=tuple(i for i in ledger.incidents.values() if _is_remembered(i)),
            outbox=tuple(a for a in ledger.alerts if not (a.delivered_at or a.withheld)),
            paused=ledger.paused,
            last_tick=ledger.tick.at if ledger.tick else None,
            silent_until=ledger.tick.silent_until if ledger.tick else None,
            last_reload=ledger.texts[-1] if ledger.texts else None,
            next_run=max(ledger.runs, default=0) + 1,
            next_incident=max(ledger.incidents, default=0) + 1,
            next_alert=len(ledger.alerts) + 1,
        )
        crashed, self.has_died = self.has_died, False
        at = self.clocks()
        self.send(ev.Restored(at, self.config, memory, self.has_calendar, crashed, damage=damage))

    def _remembered(self) -> list[Run]:
        """Return the runs that a new service reads back: as `startup_memory.memory` does."""
        kept = {run.id for run in self.ledger.runs.values() if run.state.is_open}
        for name in {run.job for run in self.ledger.runs.values()}:
            ids = [run.id for run in self.runs(name) if run.reason is not Reason.OVERLAP]
            good = [run.id for run in self.runs(name) if run.state is State.SUCCESS]
            kept.update(ids[-MOST_RECENT:], good[-1:])
        return [run for run in self.ledger.runs.values() if run.id in kept]

    def _perform(self, action: effects.Action) -> tuple[int, int] | None:
        """Perform an action; return the attempt if a launch was refused."""
        match action:
            case (
                effects.Record()
                | effects.RecordTick()
                | effects.RecordPause()
                | (effects.ReleaseSlots())
            ):
                self.held_back.append(action) if self.ledger_error else self._write(action)
            case effects.Launch(run) if self.ledger_error:
                return run.id, run.attempt
            case effects.Launch(run, definition):
                assert self.ledger.runs[run.id] == run, "recorded before it is launched"
                self.processes[run.id, run.attempt] = Process(definition, run)
            case effects.Signal(run_id, number, force):
                self._force((run_id, number), force)
            case effects.Deliver(channel, alerts):
                assert channel.name not in self.batches, "one batch at a time"
                self.batches[channel.name] = alerts
            case HeartbeatCall():
                self.beats.append(action)
            case effects.Stop():
                self.has_stopped = True
        return None

    def _force(self, key: tuple[int, int], force: effects.KillStep) -> None:
        if key in self.processes:
            self.processes[key].forces.append(str(force))

    def _write(self, action: effects.Action) -> None:
        ledger = self.ledger
        match action:
            case effects.Record(Run() as row):
                ledger.runs[row.id] = row
            case effects.Record(Attempt() as row):
                ledger.attempts[row.run, row.number] = row
            case effects.Record(JobRecord() as row):
                ledger.marks[row.job] = row
            case effects.Record(Incident() as row):
                ledger.incidents[row.id] = row
            case effects.Record(MissedRange() as row):
                ledger.gaps.append(row)
            case effects.Record(Alert() as row):
                ledger.alerts[row.id - 1 : row.id] = [row]
            case effects.Record(AuditEntry() as row):
                ledger.askings.append(row)
            case effects.Record(ReloadEntry() as row):
                ledger.texts.append(row)
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


class EveryMinute(Harness):
    """A service that ticks at each full minute, as the loop does."""

    def next_tick(self, until: datetime) -> datetime:
        """Return the next full minute."""
        return next_minute(self.wall)


def ran_before(name: str, until: str, state: State = State.SUCCESS) -> Ledger:
    """Return a ledger where the job was seen up to `until`, with a run in `state` at that slot."""
    seen = instant(until)
    last = Run(1, name, seen, Trigger.SCHEDULE, state, slot=seen, attempt=1, ended_at=seen)
    return Ledger(runs={1: last}, marks={name: JobRecord(name, seen)})


def _is_remembered(incident: Incident) -> bool:
    """Return whether a new service reads it back: as `startup_memory.memory` does."""
    return bool(incident.closed_at is None or incident.recovery_at or incident.acked_until)
