"""What the loop lets others see of its turns: changes of runs, and counts.

It belongs to the loop's thread. Changes are told after the turn's world is
published, so that whoever hears of one finds a world that knows it.
"""

from collections.abc import Sequence

from supervisor.core import tally
from supervisor.core.effects import Action
from supervisor.core.model import Run
from supervisor.core.transitions import transitions
from supervisor.core.world import World
from supervisor.desk import Desk


class Witness:
    """Sees each decision, counts it, and keeps its changes until they are told."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._changed: list[Run] = []

    def saw(self, before: World, after: World, actions: Sequence[Action]) -> None:
        """A decision: the world before and after it, and what it asked for."""
        if after.jobs is not before.jobs:
            self._desk.tally = tally.only(self._desk.tally, after)
        if not actions:
            return
        changed = transitions(before, actions)
        self._desk.tally = tally.count(self._desk.tally, changed, actions, after)
        self._changed += changed

    def saw_tick(self, lateness_s: float) -> None:
        """A full minute was acted on."""
        self._desk.tally = tally.tick(self._desk.tally, lateness_s)

    def tell(self) -> None:
        """Tell what changed since the last time."""
        if self._changed:
            self._desk.tell(self._changed)
            self._changed = []
