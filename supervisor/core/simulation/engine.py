"""Run the coming days through the real rules, with a simulated clock and processes.

Pure: `decide` gets the events that the loop would send; nothing is read, waited for
or random. An injected `OutcomeSampler` says how each attempt ends unless something
ends it earlier. A process obeys SIGTERM at once, and a sent alert is delivered. A
`TickStrategy` returns the full minute of the next tick: `next_moment` skips minutes
in which nothing can happen; a test compares it with a strategy that skips none.
Enter at `simulate`; `forecast.py` summarises its steps.
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
    """One turn: the event, the state after it, and the actions.

    host: whose turn it was in a cluster (cluster.py); "": the leader's, or there is none.
    """

    event: Event
    scheduler: SchedulerState
    actions: tuple[Action, ...]
    host: str = ""


OutcomeSampler = Callable[[Launch], Ending]
# (state, wall clock of the last tick, monotonic seconds -> wall) -> the next tick
TickStrategy = Callable[[SchedulerState, datetime, Callable[[float], datetime]], datetime | None]


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
    days = Days(restored, foresee, pace)
    yield days.turn(restored)
    last = days.mono(until)
    while (instant := days.next_instant()) <= last:
        for event in days.events_at(instant):
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


class Days:
    """The service, its simulated clock, and the ends that are still to come.

    Instants are seconds of the monotonic clock.
    """

    def __init__(
        self, restored: Restored, foresee: OutcomeSampler, pace: TickStrategy = next_moment
    ) -> None:
        self._start = restored.at
        self._foresee, self._pace = foresee, pace
        self.scheduler = SchedulerState(restored.config)
        self._now = restored.at.mono
        self._looked_at = restored.at.wall
        # (monotonic instant, order of launch, run, attempt, ending)
        self._ends: list[tuple[float, int, int, int, Ending]] = []
        self._living: dict[tuple[int, int], int] = {}
        # events that follow at once
        self.follow: list[Event] = []
        self._launched = 0
        self._is_over = False

    def turn(self, event: Event) -> Step:
        """Decide about an event, and plan the ends of what it launched or signalled."""
        self.scheduler, actions = decide(self.scheduler, event)
        for action in actions:
            match action:
                case Launch():
                    self.launch(action, event.at)
                case Signal(run, attempt, force):
                    self.force(run, attempt, force, event.at)
                case Deliver(channel, alerts):
                    arrived = tuple(alert.id for alert in alerts)
                    self.follow.append(Delivered(event.at, arrived, channel.name))
                case Stop():
                    self._is_over = True
        return Step(event, self.scheduler, actions)

    def next_instant(self) -> float:
        """Return when something happens next; inf: never."""
        if self.follow:
            return self.follow[0].at.mono
        if self._is_over:
            return math.inf
        minute = self._pace(self.scheduler, self._looked_at, self.wall)
        tick = math.inf if minute is None else self.mono(minute)
        wake = next_wakeup(self.scheduler)
        end = self._ends[0][0] if self._ends else math.inf
        return min(tick, math.inf if wake is None else wake, end)

    def events_at(self, instant: float) -> Iterator[Event]:
        """Yield what happens at the next instant; each must be passed to `turn` at once."""
        if self.follow:
            yield self.follow.pop(0)
            return
        self._now = instant
        if self._ends and self._ends[0][0] <= instant:
            yield from self._end()
        else:
            at = self.at(instant)
            self._looked_at = at.wall
            yield TimePassed(at)

    def _end(self) -> Iterator[Event]:
        _, _, run, attempt, ending = heappop(self._ends)
        if self._living.pop((run, attempt), None) is None:
            return  # something ended it earlier
        at = self.at(self._now)
        if ending.message is not None:
            yield MessageReceived(at, run, attempt, ending.message)
        yield Exited(at, run, attempt, ending.wait_status)
        yield TreeEmpty(at, run, attempt)

    def launch(self, launch: Launch, at: At) -> None:
        """Start an attempt, and plan its end."""
        self._launched += 1
        key = (launch.run.id, launch.run.attempt)
        self._living[key] = self._launched
        self.follow.append(Started(at, *key, pid=1))
        ending = self._foresee(launch)
        if ending.after_s != math.inf:
            heappush(self._ends, (at.mono + ending.after_s, self._launched, *key, ending))

    def force(self, run: int, attempt: int, force: KillStep, at: At) -> None:
        """End an attempt by a signal."""
        place = self._living.get((run, attempt))
        if place is None:
            return
        if force is KillStep.ABANDON:
            del self._living[run, attempt]
            self.follow.append(TreeEmpty(at, run, attempt))
            return
        status = signal.SIGTERM if force is KillStep.TERM else signal.SIGKILL
        heappush(self._ends, (at.mono, place, run, attempt, Ending(0.0, int(status))))

    def at(self, mono: float) -> At:
        """Return the clocks at an instant."""
        return At(self.wall(mono), mono, self._start.dice)

    def wall(self, mono: float) -> datetime:
        """Return the wall clock at an instant."""
        return self._start.wall + timedelta(seconds=mono - self._start.mono)

    def mono(self, wall: datetime) -> float:
        """Return the instant of a wall clock."""
        return self._start.mono + (wall - self._start.wall).total_seconds()
