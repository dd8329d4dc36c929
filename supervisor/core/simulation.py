"""The coming days through the real rules: a clock that is told, processes that only end.

Pure: `decide` gets the events that the loop would send, and nothing is read,
waited for or thrown. An injected `Foresight` says how each attempt will end
where nobody ends it before; a process obeys SIGTERM at once, and an alert that
is sent has arrived. A `Pace` says at which full minute time is looked at next:
`next_moment` leaves out the minutes in which nothing can happen, `every_minute`
leaves out none, and both must tell the same story. What the story means is told
in `forecast.py`.
"""

import math
import signal
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from heapq import heappop, heappush

from msgspec import Struct

from supervisor.core import incident, schedule
from supervisor.core.decide import decide, next_minute, next_wakeup
from supervisor.core.effects import Action, Deliver, Force, Launch, Signal, Stop
from supervisor.core.events import (
    At,
    Delivered,
    Emptied,
    Event,
    Exited,
    Restored,
    Said,
    Started,
    TimePassed,
)
from supervisor.core.world import World
from workers.protocol import Message

_MINUTE = timedelta(minutes=1)
_SOON = 30


class Ending(Struct, frozen=True):
    """How an attempt ends if nobody ends it: after so long (inf: never), with this status.

    message: what its worker says last.
    """

    after_s: float
    wait_status: int = 0
    message: Message | None = None


class Step(Struct, frozen=True):
    """One turn: the event, the world after it, and what was asked for."""

    event: Event
    world: World
    actions: tuple[Action, ...]


Foresight = Callable[[Launch], Ending]
# (world, instant of the last look, monotonic seconds -> wall) -> the next look
Pace = Callable[[World, datetime, Callable[[float], datetime]], datetime | None]


def every_minute(
    world: World, since: datetime, wall: Callable[[float], datetime]
) -> datetime | None:
    """The next full minute, as the loop ticks."""
    return next_minute(since)


def next_moment(
    world: World, since: datetime, wall: Callable[[float], datetime]
) -> datetime | None:
    """The first full minute after `since` at which a tick may change anything.

    A timer counts with the minute it lies in, since the first look of a minute
    is its tick. No minute is left out where the service has a heartbeat, or
    where something is due that was not done: what it waits for (the end of a
    pause) is not known here.
    """
    if world.config.heartbeat is not None:
        return next_minute(since)
    minutes = [instant for instant in _instants(world, wall) if instant is not None]
    if world.agenda:
        minute = _first_in_agenda(world, schedule.at_minute(since))
        minutes.append(datetime.fromtimestamp(minute * 60, since.tzinfo))
    if not minutes:
        return None
    return max(min(minutes), next_minute(since))


def simulate(
    restored: Restored, until: datetime, foresee: Foresight, pace: Pace = next_moment
) -> Iterator[Step]:
    """Every turn from the start of the service up to `until`, in order."""
    days = _Days(restored, foresee)
    yield days.turn(restored)
    for event in days.events(until, pace):
        yield days.turn(event)


def _first_in_agenda(world: World, since: int) -> int:
    """A full agenda has a slot soon, and one without has few to look through."""
    soon = (minute for minute in range(since + 1, since + 1 + _SOON) if minute in world.agenda)
    return next(soon, None) or min(world.agenda)


def _instants(world: World, wall: Callable[[float], datetime]) -> Iterator[datetime | None]:
    """The minutes of timers, lateness, reminders, and of a clock that was put back."""
    wake = next_wakeup(world)
    if wake is not None:
        yield wall(wake).replace(second=0, microsecond=0)
    for name, slot in world.late.items():
        job = world.jobs.get(name)
        late_s = 0.0 if job is None or job.late_after_s is None else job.late_after_s
        yield _full_minute(slot + timedelta(seconds=late_s))
    for each in world.incidents.values():
        at = incident.speaks_at(each)
        yield None if at is None else _full_minute(at)
    for each in world.closed.values():
        yield None if each.recovery_at is None else _full_minute(each.recovery_at)
    yield None if world.silent_until is None else _full_minute(world.silent_until)


def _full_minute(instant: datetime) -> datetime:
    """The first full minute at or after an instant."""
    floor = instant.replace(second=0, microsecond=0)
    return floor if floor == instant else floor + _MINUTE


class _Days:
    """The service, its fake clock, and the ends that are still to come."""

    def __init__(self, restored: Restored, foresee: Foresight) -> None:
        self._start = restored.at
        self._foresee = foresee
        self._world = World(restored.config)
        self._now = restored.at.mono
        self._looked_at = restored.at.wall
        # (monotonic instant, order of launch, run, attempt, how)
        self._ends: list[tuple[float, int, int, int, Ending]] = []
        self._living: dict[tuple[int, int], int] = {}
        # what happens at once
        self._follow: list[Event] = []
        self._launched = 0
        self._is_over = False

    def turn(self, event: Event) -> Step:
        """Decide about an event, and foresee what it began or ended."""
        self._world, actions = decide(self._world, event)
        for action in actions:
            match action:
                case Launch():
                    self._launch(action, event.at)
                case Signal(run, attempt, force):
                    self._force(run, attempt, force, event.at)
                case Deliver(alerts):
                    arrived = tuple(alert.id for alert in alerts)
                    self._follow.append(Delivered(event.at, arrived))
                case Stop():
                    self._is_over = True
        return Step(event, self._world, actions)

    def events(self, until: datetime, pace: Pace) -> Iterator[Event]:
        """What happens next, again and again; each must be handed to `turn`."""
        last = self._mono(until)
        while not self._is_over:
            while self._follow:
                yield self._follow.pop(0)
            minute = pace(self._world, self._looked_at, self._wall)
            tick = math.inf if minute is None else self._mono(minute)
            wake = next_wakeup(self._world)
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
            return  # ended before its time
        at = self._at(self._now)
        if ending.message is not None:
            yield Said(at, run, attempt, ending.message)
        yield Exited(at, run, attempt, ending.wait_status)
        yield Emptied(at, run, attempt)

    def _launch(self, launch: Launch, at: At) -> None:
        self._launched += 1
        key = (launch.run.id, launch.run.attempt)
        self._living[key] = self._launched
        self._follow.append(Started(at, *key, pid=1))
        ending = self._foresee(launch)
        if ending.after_s != math.inf:
            heappush(self._ends, (at.mono + ending.after_s, self._launched, *key, ending))

    def _force(self, run: int, attempt: int, force: Force, at: At) -> None:
        place = self._living.get((run, attempt))
        if place is None:
            return
        if force is Force.ABANDON:
            del self._living[run, attempt]
            self._follow.append(Emptied(at, run, attempt))
            return
        status = signal.SIGTERM if force is Force.TERM else signal.SIGKILL
        heappush(self._ends, (at.mono, place, run, attempt, Ending(0.0, int(status))))

    def _at(self, mono: float) -> At:
        return At(self._wall(mono), mono, self._start.dice)

    def _wall(self, mono: float) -> datetime:
        return self._start.wall + timedelta(seconds=mono - self._start.mono)

    def _mono(self, wall: datetime) -> float:
        return self._start.mono + (wall - self._start.wall).total_seconds()
