"""Time: timers, then the slots of every minute since the last look.

Nothing polls: a turn comes at each full minute and at the instants that
`next_wakeup` names.
"""

from datetime import timedelta

from supervisor.core import attempts, beating, clockwatch, schedule, stopping
from supervisor.core.opening import check_late, open_due
from supervisor.core.turn import Turn
from supervisor.core.world import Life, World


def time_passed(turn: Turn) -> None:
    """Timers first, then the slots of every minute since the last look."""
    attempts.expire(turn)
    attempts.wake_retries(turn)
    stopping.stop_if_over(turn)
    if turn.world.life is Life.SERVING and turn.world.has_calendar:
        _tick(turn)
    turn.may_admit = True


def _tick(turn: Turn) -> None:
    world = turn.world
    clockwatch.read(turn)
    since = schedule.at_minute(world.last_tick or turn.now)
    until = schedule.at_minute(turn.now)
    if until == since:
        check_late(turn)
        return
    for job in turn.take_due(_due_minutes(world, since, until)):
        mark = world.marks.get(job.name)
        seen = mark.seen_until if mark is not None else turn.now - timedelta(minutes=1)
        # Slots of a newer text before the last tick were never due.
        unsettled = seen if world.last_tick is None else max(seen, world.last_tick)
        open_due(
            turn, job, unsettled, "the supervisor was not running or the clock was put forward"
        )
        turn.expect(job, turn.now)
    turn.ticked()
    check_late(turn)
    turn.settle()
    turn.remind()
    turn.actions.extend(beating.ticked(world.config.heartbeat))


def _due_minutes(world: World, since: int, until: int) -> list[int]:
    """The minutes of the agenda up to `until`."""
    if 0 <= until - since <= len(world.agenda):
        return [minute for minute in range(since + 1, until + 1) if minute in world.agenda]
    return sorted(minute for minute in world.agenda if minute <= until)
