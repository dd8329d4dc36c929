"""Which runs came into a new state by a turn: what is told and counted of it.

Pure. A run is recorded more often than it changes its state (its account comes
after its end); only a new state, or a new attempt, is a transition.
"""

from collections.abc import Iterable

from supervisor.core.effects import Action, Record
from supervisor.core.model import Run
from supervisor.core.world import World


def transitions(before: World, actions: Iterable[Action]) -> list[Run]:
    """The runs as they came into each new state, in order.

    before: the world that the actions were decided in.
    """
    found: list[Run] = []
    latest: dict[int, Run] = {}
    for action in actions:
        if isinstance(action, Record) and isinstance(action.row, Run):
            run = action.row
            known = latest.get(run.id) or before.runs.get(run.id)
            if known is None:
                # Neither open nor new: it had ended before, and this is its account.
                is_new = run.id >= before.next_run
            else:
                is_new = (known.state, known.attempt) != (run.state, run.attempt)
            if is_new:
                latest[run.id] = run
                found.append(run)
    return found
