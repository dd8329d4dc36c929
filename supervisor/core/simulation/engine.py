"""Run the coming days through the real rules, with a simulated clock and processes.

Pure: `decide` gets the events that the loop would send; nothing is read, waited for
or random. An injected `OutcomeSampler` says how each attempt ends unless something
ends it earlier. A process obeys SIGTERM at once, and a sent alert is delivered. A
`TickStrategy` returns the full minute of the next tick: `next_moment` skips minutes
in which nothing can happen, `every_minute` skips none, and both must give the same
outcome. Enter at `simulate`; `forecast.py` summarises its steps.
"""

import math
import signal
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from heapq import heappop, heappush

from msgspec import Struct

from supervisor.core import incidents, schedule
from supervisor.core.decide import decide, next_minute, next_wakeup
from supervisor.core.effects import Action, Deliver, KillStep, Launch, Signal, Stop
from supervisor.core.events import (
    At,
    Delivered,
    Event,
    Exited,
    MessageReceived,
    Restored,
    Started,
    TimePassed,
    TreeEmpty,
)
from supervisor.core.state import SchedulerState
from workers.protocol import Message

_MINUTE = timedelta(minutes=1)
_SOON = 30


class Ending(Struct, frozen=True):
    """End of an attempt if nothing ends it earlier; after_s inf: never.

    message: the last message of its worker.
    """

    after_s: float
    wait_status: int = 0
    message: Message | None = None


class Step(Struct, frozen=True):
    """One turn: the event, the state after it, and the actions."""

    event: Event
    scheduler: SchedulerState
    actions: tuple[Action, ...]


OutcomeSampler = Callable[[Launch], Ending]
# (state, wall clock of the last tick, monotonic seconds -> wall) -> the next tick
TickStrategy = Callable[[SchedulerState, datetime, Callable[[float], datetime]], datetime | None]


def every_minute(
    scheduler: SchedulerState, since: datetime, wall: Callable[[float], datetime]
) -> datetime | None:
    """Return the next full minute, as the loop ticks."""
    return next_minute(since)


def next_moment(
    scheduler: SchedulerState, since: datetime, wall: Callable[[float], datetime]
) -> datetime | None:
    """Return the first full minute after `since` at which a tick may change anything.

    A timer counts as the minute that contains it, since the first `TimePassed` of a
    minute is its tick. No minute is skipped if the service has a heartbeat, or if
    something due was not done: what it waits for (the end of a pause) is not known here.
    """
    if scheduler.config.heartbeat is not None:
        return next_minute(since)
    minutes = [instant for instant in _instants(scheduler, wall) if instant is not None]
    if scheduler.jobs_by_minute:
        minute = _first_in_agenda(scheduler, schedule.at_minute(since))
        minutes.append(datetime.fromtimestamp(minute * 60, since.tzinfo))
    if not minutes:
        return None
    return max(min(minutes), next_minute(since))


def simulate(
    restored: Restored, until: datetime, foresee: OutcomeSampler, pace: TickStrategy = next_moment
) -> Iterator[Step]:
    """Yield every turn from the start of the service up to `until`, in order."""
    days = _Days(restored, foresee)
    yield days.turn(restored)
    for event in days.events(until, pace):
        yield days.turn(event)


def _first_in_agenda(scheduler: SchedulerState, since: int) -> int:
    """Return the next minute that has a slot.

    Minutes up to _SOON ahead are tried first: with many slots one is near, and with few
    the search of all of them is short.
    """
    soon = (
        minute
        for minute in range(since + 1, since + 1 + _SOON)
        if minute in scheduler.jobs_by_minute
    )
    return next(soon, None) or min(scheduler.jobs_by_minute)


def _instants(
    scheduler: SchedulerState, wall: Callable[[float], datetime]
) -> Iterator[datetime | None]:
    """Yield the minutes of timers, late checks, reminders, recoveries and `silent_until`."""
    wake = next_wakeup(scheduler)
    if wake is not None:
        yield wall(wake).replace(second=0, microsecond=0)
    for name, slot in scheduler.late.items():
        job = scheduler.jobs.get(name)
        late_s = 0.0 if job is None or job.late_after_s is None else job.late_after_s
        yield _full_minute(slot + timedelta(seconds=late_s))
    for each in scheduler.incidents.values():
        at = incidents.next_alert_at(each)
        yield None if at is None else _full_minute(at)
    for each in scheduler.closed.values():
        yield None if each.recovery_at is None else _full_minute(each.recovery_at)
    yield None if scheduler.silent_until is None else _full_minute(scheduler.silent_until)


def _full_minute(instant: datetime) -> datetime:
    """Return the first full minute at or after an instant."""
    floor = instant.replace(second=0, microsecond=0)
    return floor if floor == instant else floor + _MINUTE


class _Days:
    """The service, its simulated clock, and the ends that are still to come."""

    def __init__(self, restored: Restored, foresee: OutcomeSampler) -> None:
        self._start = restored.at
        self._foresee = foresee
        self._scheduler = SchedulerState(restored.config)
        self._now = restored.at.mono
        self._looked_at = restored.at.wall
        # (monotonic instant, order of launch, run, attempt, ending)
        self._ends: list[tuple[float, int, int, int, Ending]] = []
        self._living: dict[tuple[int, int], int] = {}
        # events that follow at once
        self._follow: list[Event] = []
        self._launched = 0
        self._is_over = False

    def turn(self, event: Event) -> Step:
        """Decide about an event, and plan the ends of what it launched or signalled."""
        self._scheduler, actions = decide(self._scheduler, event)
        for action in actions:
            match action:
                case Launch():
                    self._launch(action, event.at)
                case Signal(run, attempt, force):
                    self._force(run, attempt, force, event.at)
                case Deliver(channel, alerts):
                    arrived = tuple(alert.id for alert in alerts)
                    self._follow.append(Delivered(event.at, arrived, channel.name))
                case Stop():
                    self._is_over = True
        return Step(event, self._scheduler, actions)

    def events(self, until: datetime, pace: TickStrategy) -> Iterator[Event]:
        """Yield the next events, one by one; each must be passed to `turn`."""
        last = self._mono(until)
        while not self._is_over:
            while self._follow:
                yield self._follow.pop(0)
            minute = pace(self._scheduler, self._looked_at, self._wall)
            tick = math.inf if minute is None else self._mono(minute)
            wake = next_wakeup(self._scheduler)
            timer = math.inf if wake is None else wake
            end = self._ends[0][0] if self._ends else math.inf
            self._now = min(tick, timer, end)
            if self._now > last:
                return
            if end <= self._now:
                yield from self._end()
            else:
                at = self._at(self._now)
                self._looked_at = at.wall
                yield TimePassed(at)

    def _end(self) -> Iterator[Event]:
        _, _, run, attempt, ending = heappop(self._ends)
        if self._living.pop((run, attempt), None) is None:
            return  # something ended it earlier
        at = self._at(self._now)
        if ending.message is not None:
            yield MessageReceived(at, run, attempt, ending.message)
        yield Exited(at, run, attempt, ending.wait_status)
        yield TreeEmpty(at, run, attempt)

    def _launch(self, launch: Launch, at: At) -> None:
        self._launched += 1
        key = (launch.run.id, launch.run.attempt)
        self._living[key] = self._launched
        self._follow.append(Started(at, *key, pid=1))
        ending = self._foresee(launch)
        if ending.after_s != math.inf:
            heappush(self._ends, (at.mono + ending.after_s, self._launched, *key, ending))

    def _force(self, run: int, attempt: int, force: KillStep, at: At) -> None:
        place = self._living.get((run, attempt))
        if place is None:
            return
        if force is KillStep.ABANDON:
            del self._living[run, attempt]
            self._follow.append(TreeEmpty(at, run, attempt))
            return
        status = signal.SIGTERM if force is KillStep.TERM else signal.SIGKILL
        heappush(self._ends, (at.mono, place, run, attempt, Ending(0.0, int(status))))

    def _at(self, mono: float) -> At:
        return At(self._wall(mono), mono, self._start.dice)

    def _wall(self, mono: float) -> datetime:
        return self._start.wall + timedelta(seconds=mono - self._start.mono)

    def _mono(self, wall: datetime) -> float:
        return self._start.mono + (wall - self._start.wall).total_seconds()
