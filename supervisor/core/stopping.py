"""The end: admit nothing, TERM to every tree at once, KILL after the grace.

A drain lets living runs finish first. Alerts are delivered meanwhile; one that
has not been tried yet is waited for, within the grace. The last action of a
service is `Stop`.
"""

from supervisor.core import attempts, verdict
from supervisor.core.effects import Force, Signal, Stop
from supervisor.core.events import StopAsked
from supervisor.core.model import Reason
from supervisor.core.turn import Turn
from supervisor.core.world import Life

# What lives after SIGKILL at a stop is left to the keepers after this.
LAST_WORD_S = 1.0


def stop_asked(turn: Turn, event: StopAsked) -> None:
    """A signal: stop; a second one kills at once."""
    if turn.world.life is Life.STOPPING:
        for living in turn.world.living.values():
            turn.actions.append(Signal(living.run, living.attempt.number, Force.KILL))
        turn.world.stop_by = turn.at.mono + LAST_WORD_S
    else:
        stop(turn)


def stop(turn: Turn) -> None:
    """Admit nothing more; TERM to every tree at once, KILL after the grace."""
    world = turn.world
    if world.life in (Life.STOPPING, Life.STOPPED):
        return
    world.life = Life.STOPPING
    grace_s = world.config.shutdown_grace_s
    world.stop_by = turn.at.mono + grace_s + LAST_WORD_S
    turn.note(f"stopping: {len(world.living)} runs live")
    for living in list(world.living.values()):
        wish = living.wish or verdict.interrupted(Reason.SHUTDOWN)
        attempts.end(turn, living, wish, grace_s)
    stop_if_over(turn)


def drain(turn: Turn, drain_s: float) -> None:
    """Admit nothing more and let living runs finish, at most so long."""
    if turn.world.life is Life.SERVING:
        turn.world.life = Life.DRAINING
        turn.world.stop_by = turn.at.mono + drain_s
        turn.note(f"draining: {len(turn.world.living)} runs live")
    stop_if_over(turn)


def stop_if_over(turn: Turn) -> None:
    """End the drain or the stop when nothing lives, or its time is up."""
    world = turn.world
    is_over = world.stop_by is not None and turn.at.mono >= world.stop_by
    if world.life is Life.DRAINING and (is_over or not world.living):
        stop(turn)
    elif world.life is Life.STOPPING and (is_over or not (world.living or world.has_news)):
        world.life = Life.STOPPED
        for living in world.living.values():
            turn.note(
                f"run {living.run} of {living.job.name} is not gone at the end of the stop",
                "warning",
            )
        turn.actions.append(Stop())
