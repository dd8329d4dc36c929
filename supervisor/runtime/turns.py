"""Turns: pass events through `decide` and perform the actions until no event follows.

The decision function is a parameter. An event that it cannot process is replaced
by its consequence (`internal_errors.in_its_place`), and the state from before the
event is kept. Only the loop's thread uses this module.
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import TypeGuard, get_args

from supervisor.api.bridge import TurnObserver
from supervisor.core import config_diff, effects
from supervisor.core import events as ev
from supervisor.core.config_model import Config, Problem
from supervisor.core.decide import next_wakeup
from supervisor.core.model import replace
from supervisor.core.state import SchedulerState
from supervisor.reloader import Reloader
from supervisor.runtime.effects import Effects
from supervisor.runtime.internal_errors import REST_S, InternalErrors, in_its_place

_OF_ATTEMPTS = frozenset(get_args(ev.AttemptEvent))

Decide = Callable[[SchedulerState, ev.Event], tuple[SchedulerState, tuple[effects.Action, ...]]]


class Turns:
    """The scheduler state and the turns that change it.

    publish: shows the state to other threads, with changed facts. mask: sets the mask
    to the secrets of these definitions.
    """

    def __init__(
        self,
        decide: Decide,
        effects: Effects,
        reloader: Reloader,
        errors: InternalErrors,
        observer: TurnObserver,
        publish: Callable[..., None],
        mask: Callable[[Config], None],
    ) -> None:
        self.scheduler: SchedulerState
        self._decide = decide
        self._effects = effects
        self._reloader = reloader
        self._errors = errors
        self._observer = observer
        self._publish = publish
        self._mask = mask
        self._wake_at: float | None = None
        self._rest_until = 0.0  # monotonic time until which failed timers are suspended

    def begin(self, restored: ev.Restored) -> None:
        """Run the first turn; with less memory if `decide` cannot process all of it."""
        try:
            self._take_in(restored)
        except Exception as error:
            # Rows that are intact but make no sense; they remain in the ledger.
            failure = self._errors.logged(error, "Restored", restored.at)
            self._take_in(replace(restored, memory=_without_rows(restored.memory)))
            self.turn([failure])

    def wake_at(self, mono: float) -> float | None:
        """Return the monotonic time of the next timer; None if there is none."""
        if self._wake_at is None or mono >= self._rest_until:
            return self._wake_at
        return max(self._wake_at, self._rest_until)

    def _take_in(self, restored: ev.Restored) -> None:
        before = SchedulerState(restored.config)
        self.scheduler, actions = self._decide(before, restored)
        self._observer.record(before, self.scheduler, actions)
        self.turn(self._effects.perform(list(actions), self.scheduler, restored.at))

    def turn(self, happened: Iterable[ev.Event]) -> None:
        """Decide about these events and the events that follow from them."""
        waiting = list(happened)
        while waiting:
            actions: list[effects.Action] = []
            rest = deque(_together(waiting))
            while rest:
                event, before = rest.popleft(), self.scheduler
                try:
                    self.scheduler, asked = self._decide(before, event)
                    self._observer.record(before, self.scheduler, asked)
                    actions += [*asked, *self._finish_reload(event, before)]
                except Exception as error:
                    self.scheduler = before
                    # Process the replacement first: the next event may concern the same run.
                    rest.extendleft(reversed(self._give_up(event, error)))
            at = waiting[-1].at
            waiting = self._effects.perform(actions, self.scheduler, at) if actions else []
        self._wake_at = next_wakeup(self.scheduler)
        self._publish()
        self._observer.publish()
        self._reloader.send_answers()

    def _give_up(self, event: ev.Event, error: Exception) -> list[ev.Event]:
        """Clean up after an event that could not be decided; return the events that replace it.

        Of several events, each is decided alone.
        """
        if isinstance(event, ev.AttemptEvents):
            return list(event.events)
        at, where = event.at, type(event).__name__
        failure = self._errors.logged(error, where, at)
        match event:
            case ev.TimePassed():  # a timer that stays in the past must not fire at once
                self._rest_until = at.mono + REST_S
            case ev.StopAsked():  # stopping must always work
                self._effects.is_over = True
            case ev.Requested(token=token):
                self._effects.refuse(token, f"internal error: {failure.cause}", self.scheduler)
            case ev.Reloaded() | ev.ReloadRefused():
                problem = Problem(1, 1, "", f"internal error: {failure.cause}")
                self._reloader.refused((problem,), at.wall)
        return in_its_place(event, failure)

    def _finish_reload(self, event: ev.Event, before: SchedulerState) -> list[effects.Record]:
        """Settle the requests for a reload; return their audit records."""
        if isinstance(event, ev.Reloaded):
            self._mask(event.config)
            self._publish(config_loaded_at=event.at.wall)
            found = config_diff.compare(before.jobs, self.scheduler.jobs, event.at.wall)
            later = config_diff.at_next_start(before.config, event.config)
            return self._reloader.accepted(replace(found, at_next_start=later), event.at.wall)
        if isinstance(event, ev.ReloadRefused) and event.error:
            return self._reloader.failed(event.error, event.at.wall)
        if isinstance(event, ev.ReloadRefused):
            return self._reloader.refused(event.problems, event.at.wall)
        return []


def _together(happened: Iterable[ev.Event]) -> list[ev.Event]:
    """Return the events, with those of attempts that follow each other as one."""
    found: list[ev.Event] = []
    group: list[ev.AttemptEvent] = []
    for event in happened:
        if _is_of_attempt(event):
            group.append(event)
        else:
            found += (*_as_one(group), event)
            group = []
    return [*found, *_as_one(group)]


def _as_one(group: list[ev.AttemptEvent]) -> Sequence[ev.Event]:
    return [ev.AttemptEvents(group[-1].at, tuple(group))] if len(group) > 1 else group


def _is_of_attempt(event: ev.Event) -> TypeGuard[ev.AttemptEvent]:
    return type(event) in _OF_ATTEMPTS


def _without_rows(memory: ev.Memory) -> ev.Memory:
    """Return the memory without rows: the pause and the numbers that must not be issued twice."""
    return ev.Memory(
        paused=memory.paused,
        next_run=memory.next_run,
        next_incident=memory.next_incident,
        next_alert=memory.next_alert,
    )
