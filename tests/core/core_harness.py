"""Simulate a service for tests: `decide` with a simulated clock, processes and ledger.

`Harness` performs the actions of `decide`, like `random_events.py`, but without chance:
time advances only when the test says so, timer by timer and minute by minute as in the
loop (minutes in which nothing can happen are left out), and a process does only what the
test says. What survives a crash is in `ledger`; everything else is lost with `dies`.

    harness = Harness(job("a", cron="0 2 * * *"), job("b", cron="0 3 * * *", deps=["a"]))
    harness.at("02:00")
    harness.ends("a", status=1)
    harness.at("03:00")
    assert harness.run("b").state == "skipped"
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from supervisor.core import control_requests, effects, schedule
from supervisor.core import events as ev
from supervisor.core.alert_model import Alert, HeartbeatCall
from supervisor.core.config_model import Config, Job, Problem
from supervisor.core.decide import decide, next_minute, next_wakeup
from supervisor.core.model import Peer, replace
from supervisor.core.simulation.engine import next_moment
from supervisor.core.state import SchedulerState
from tests.core.harness_results import Results
from tests.core.simulated_ledger import Ledger
from tests.core.simulated_processes import Process, SimulatedProcesses
from tests.core.state_changes import Change, listed_changes

MINUTE = timedelta(minutes=1)
MIDNIGHT = "2026-01-05 00:00"  # a Monday, the default start


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


class Harness(SimulatedProcesses, Results):
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
        super().__init__()
        settings.setdefault("max_concurrent", 10)
        self.config = Config(in_file(jobs), **settings)
        self.ledger = remembers or Ledger()
        self.wall, self.mono, self.dice = instant(start), 1000.0, 0.5
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
            assert self.is_up, "no service is running: continue with `starts`"
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
            self._arrives(name, self.batches.pop(name))

    def cannot_deliver(
        self, cause: str = "no answer", after: int = 0, channel: str = "", **said: Any
    ) -> None:
        """Deliver the first `after` alerts in flight, and fail the next one."""
        name = channel or next(iter(self.batches), "slack")
        arrived = self.batches.pop(name, ())[:after]
        if arrived:
            self._arrives(name, arrived)
        self.send(ev.Undelivered(self.clocks(), cause, name, **said))

    def _arrives(self, channel: str, alerts: tuple[Alert, ...]) -> None:
        self.arrived += alerts
        numbers = tuple(row.id for row in alerts)
        self.send(ev.Delivered(self.clocks(), numbers, channel))

    def waiting(self) -> list[str]:
        """Return `exit opened`: kind and word of each undelivered alert."""
        return [f"{each.kind} {each.word}" for each in self.ledger.waiting()]

    # --- the service ------------------------------------------------------------

    def stops(self) -> None:
        """Send SIGTERM to the service; every process ends."""
        self.send(ev.StopAsked(self.clocks()))
        for name in self.live():
            self.ends(name, signal=15)
        assert self.has_stopped, "the service has not ended though no process is left"

    def dies(self) -> None:
        """Kill the service with SIGKILL, and its processes with it."""
        self.processes.clear()
        self.held_back.clear()
        self.ledger.lose_soon()
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
            self.ledger.write(action)
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
        self.scheduler, memory = SchedulerState(self.config), self.ledger.memory()
        crashed, self.has_died = self.has_died, False
        at = self.clocks()
        self.send(ev.Restored(at, self.config, memory, self.has_calendar, crashed, damage=damage))

    def _perform(self, action: effects.Action) -> tuple[int, int] | None:
        """Perform an action; return the attempt if a launch was refused."""
        match action:
            case (
                effects.Record()
                | effects.RecordTick()
                | effects.RecordPause()
                | effects.ReleaseSlots()
            ):
                self.held_back.append(action) if self.ledger_error else self.ledger.write(action)
            case effects.Launch(run) if self.ledger_error:
                return run.id, run.attempt
            case effects.Launch(run, definition):
                assert self.ledger.runs[run.id] == run, "launched before it was recorded"
                self.processes[run.id, run.attempt] = Process(definition, run)
            case effects.Signal(run_id, number, force):
                self.takes_signal((run_id, number), force)
            case effects.Deliver(channel, alerts):
                assert channel.name not in self.batches, "two batches at a time"
                self.batches[channel.name] = alerts
            case HeartbeatCall():
                self.beats.append(action)
            case effects.Stop():
                self.has_stopped = True
        return None


class EveryMinute(Harness):
    """A service that ticks at each full minute, as the loop does."""

    def next_tick(self, until: datetime) -> datetime:
        """Return the next full minute."""
        return next_minute(self.wall)
