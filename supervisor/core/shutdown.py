"""Shutdown: stop admitting runs, SIGTERM every tree at once, SIGKILL after the grace.

A drain lets live runs finish first. Alerts are delivered meanwhile; one that
has not been tried yet is waited for, within the grace. `Stop` is the last action of
a service.
"""

from supervisor.core import attempts, verdict
from supervisor.core.effects import KillStep, Signal, Stop
from supervisor.core.events import StopAsked
from supervisor.core.model import Reason
from supervisor.core.state import ServicePhase
from supervisor.core.turn import Turn

# Time after SIGKILL at a stop until surviving processes are left to their keepers.
STOP_MARGIN_S = 1.0


def stop_asked(turn: Turn, event: StopAsked) -> None:
    """Stop on a signal; kill all trees at once on a second one."""
    if turn.world.life is ServicePhase.STOPPING:
        for living in turn.world.living.values():
            turn.actions.append(Signal(living.run, living.attempt.number, KillStep.KILL))
        turn.world.stop_by = turn.at.mono + STOP_MARGIN_S
    else:
        stop(turn)


def stop(turn: Turn) -> None:
    """Admit no more runs; SIGTERM every tree now, SIGKILL after the grace."""
    world = turn.world
    if world.life in (ServicePhase.STOPPING, ServicePhase.STOPPED):
        return
    world.life = ServicePhase.STOPPING
    grace_s = world.config.shutdown_grace_s
    world.stop_by = turn.at.mono + grace_s + STOP_MARGIN_S
    turn.note(f"stopping: {len(world.living)} runs live")
    for living in list(world.living.values()):
        wish = living.forced_verdict or verdict.interrupted(Reason.SHUTDOWN)
        attempts.request_end(turn, living, wish, grace_s)
    stop_if_idle(turn)


def drain(turn: Turn, drain_s: float) -> None:
    """Admit no more runs, and let live ones finish for at most `drain_s`."""
    if turn.world.life is ServicePhase.SERVING:
        turn.world.life = ServicePhase.DRAINING
        turn.world.stop_by = turn.at.mono + drain_s
        turn.note(f"draining: {len(turn.world.living)} runs live")
    stop_if_idle(turn)


def stop_if_idle(turn: Turn) -> None:
    """End the drain or the stop when there is nothing left to wait for, or its time is up."""
    world = turn.world
    is_over = world.stop_by is not None and turn.at.mono >= world.stop_by
    if world.life is ServicePhase.DRAINING and (is_over or not world.living):
        stop(turn)
    elif world.life is ServicePhase.STOPPING and (
        is_over or not (world.living or world.has_unsent_alerts)
    ):
        world.life = ServicePhase.STOPPED
        for living in world.living.values():
            turn.note(
                f"run {living.run} of {living.job.name} is not gone at the end of the stop",
                "warning",
            )
        turn.actions.append(Stop())
