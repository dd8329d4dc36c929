"""Turns: events through the rules, and what comes of them, until nothing follows.

The rules are a function that is passed in. An event that they cannot take in is told
to the core by what it means (`internal_errors.in_its_place`); the world stays as it was
before it. It belongs to the loop's thread.
"""

from collections import deque
from collections.abc import Callable, Iterable

from supervisor.core import changes, effects
from supervisor.core import events as ev
from supervisor.core.decide import next_wakeup
from supervisor.core.model import Config, Problem, replace
from supervisor.core.world import World
from supervisor.effects import Effects
from supervisor.internal_errors import REST_S, InternalErrors, in_its_place
from supervisor.reload import Reloader
from supervisor.witness import Witness

Decide = Callable[[World, ev.Event], tuple[World, tuple[effects.Action, ...]]]


class Decisions:
    """The world, and the turns that change it.

    publish: shows the world to others, with facts that changed. mask: masks from now on
    what these definitions hold of secrets.
    """

    def __init__(
        self,
        decide: Decide,
        effects: Effects,
        reloader: Reloader,
        errors: InternalErrors,
        witness: Witness,
        publish: Callable[..., None],
        mask: Callable[[Config], None],
    ) -> None:
        self.world: World
        self._decide = decide
        self._effects = effects
        self._reloader = reloader
        self._errors = errors
        self._witness = witness
        self._publish = publish
        self._mask = mask
        self._wake_at: float | None = None
        self._rest_until = 0.0  # monotonic: timers that failed are left alone until then

    def begin(self, restored: ev.Restored) -> None:
        """The first turn; with less of the past if the rules cannot take all of it in."""
        try:
            self._take_in(restored)
        except Exception as error:
            # Rows that are whole and yet make no sense; what they say is still in the ledger.
            told = self._errors.logged(error, "Restored", restored.at)
            self._take_in(replace(restored, memory=_without_rows(restored.memory)))
            self.turn([told])

    def wake_at(self, mono: float) -> float | None:
        """When the nearest timer runs out, monotonic; None: there is none."""
        if self._wake_at is None or mono >= self._rest_until:
            return self._wake_at
        return max(self._wake_at, self._rest_until)

    def _take_in(self, restored: ev.Restored) -> None:
        before = World(restored.config)
        self.world, actions = self._decide(before, restored)
        self._witness.saw(before, self.world, actions)
        self.turn(self._effects.perform(list(actions), self.world, restored.at))

    def turn(self, happened: Iterable[ev.Event]) -> None:
        """Decide about each of these, and about what follows from it."""
        waiting = list(happened)
        while waiting:
            actions: list[effects.Action] = []
            rest = deque(waiting)
            while rest:
                event, before = rest.popleft(), self.world
                try:
                    self.world, asked = self._decide(before, event)
                    self._witness.saw(before, self.world, asked)
                    actions += [*asked, *self._tell_reloader(event, before)]
                except Exception as error:
                    self.world = before
                    # At once: the next event may be of the same run.
                    rest.extendleft(reversed(self._give_up(event, error)))
            at = waiting[-1].at
            waiting = self._effects.perform(actions, self.world, at) if actions else []
        self._wake_at = next_wakeup(self.world)
        self._publish()
        self._witness.tell()

    def _give_up(self, event: ev.Event, error: Exception) -> list[ev.Event]:
        """An event that could not be decided: what is owed for it, and what the core is told."""
        at, where = event.at, type(event).__name__
        told = self._errors.logged(error, where, at)
        match event:
            case ev.TimePassed():  # a timer that stays in the past must not be met at once
                self._rest_until = at.mono + REST_S
            case ev.StopAsked():  # whatever is wrong, the service can be stopped
                self._effects.is_over = True
            case ev.Asked(token=token):
                self._effects.refuse(token, f"internal error: {told.cause}", self.world)
            case ev.Reloaded() | ev.ReloadRefused():
                problem = Problem(1, 1, "", f"internal error: {told.cause}")
                self._reloader.refused((problem,), at.wall)
        return in_its_place(event, told)

    def _tell_reloader(self, event: ev.Event, before: World) -> list[effects.Record]:
        """Answer those who asked for a reload; what the ledger keeps of them."""
        if isinstance(event, ev.Reloaded):
            self._mask(event.config)
            self._publish(config_loaded_at=event.at.wall)
            found = changes.compare(before.jobs, self.world.jobs, event.at.wall)
            later = changes.at_next_start(before.config, event.config)
            return self._reloader.accepted(replace(found, at_next_start=later), event.at.wall)
        if isinstance(event, ev.ReloadRefused) and event.error:
            return self._reloader.failed(event.error, event.at.wall)
        if isinstance(event, ev.ReloadRefused):
            return self._reloader.refused(event.problems, event.at.wall)
        return []


def _without_rows(memory: ev.Memory) -> ev.Memory:
    """Only what must not be given out twice."""
    return ev.Memory(
        paused=memory.paused,
        next_run=memory.next_run,
        next_incident=memory.next_incident,
        next_alert=memory.next_alert,
    )
