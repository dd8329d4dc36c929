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
from workers.units import format_count

# Time after SIGKILL at a stop until surviving processes are left to their keepers.
STOP_MARGIN_S = 1.0


def stop_asked(turn: Turn, event: StopAsked) -> None:
    """Stop on a signal; kill all trees at once on a second one."""
    if turn.scheduler.life is ServicePhase.STOPPING:
        for live in turn.scheduler.live_attempts.values():
            turn.actions.append(Signal(live.run, live.attempt.number, KillStep.KILL))
        turn.scheduler.stop_by = turn.at.mono + STOP_MARGIN_S
    else:
        stop(turn)


def stop(turn: Turn) -> None:
    """Admit no more runs; SIGTERM every tree now, SIGKILL after the grace."""
    scheduler = turn.scheduler
    if scheduler.life in (ServicePhase.STOPPING, ServicePhase.STOPPED):
        return
    scheduler.life = ServicePhase.STOPPING
    grace_s = scheduler.config.shutdown_grace_s
    scheduler.stop_by = turn.at.mono + grace_s + STOP_MARGIN_S
    count = len(scheduler.live_attempts)
    turn.note(f"stopping: {format_count(count, 'run is', 'runs are')} in progress")
    for live in scheduler.live_attempts.values():
        forced = live.forced_verdict or verdict.interrupted(Reason.SHUTDOWN)
        attempts.request_end(turn, live, forced, grace_s)
    stop_if_idle(turn)


def drain(turn: Turn, drain_s: float) -> None:
    """Admit no more runs, and let live ones finish for at most `drain_s`."""
    if turn.scheduler.life is ServicePhase.SERVING:
        turn.scheduler.life = ServicePhase.DRAINING
        turn.scheduler.stop_by = turn.at.mono + drain_s
        count = len(turn.scheduler.live_attempts)
        turn.note(f"draining: {format_count(count, 'run is', 'runs are')} in progress")
    stop_if_idle(turn)


def stop_if_idle(turn: Turn) -> None:
    """End the drain or the stop when there is nothing left to wait for, or its time is up."""
    scheduler = turn.scheduler
    is_over = scheduler.stop_by is not None and turn.at.mono >= scheduler.stop_by
    if scheduler.life is ServicePhase.DRAINING and (is_over or not scheduler.live_attempts):
        stop(turn)
    elif scheduler.life is ServicePhase.STOPPING and (
        is_over or not (scheduler.live_attempts or scheduler.has_unsent_alerts)
    ):
        scheduler.life = ServicePhase.STOPPED
        for live in scheduler.live_attempts.values():
            turn.note(
                f"run {live.run} of {live.job.name} has not exited by the end of the stop",
                "warning",
            )
        turn.actions.append(Stop())
