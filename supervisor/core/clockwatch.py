"""A clock that was put back: how long jobs stay silent, and saying so."""

from datetime import timedelta

from supervisor.core import incident
from supervisor.core.opening import words
from supervisor.core.turn import Turn

# A clock put back by more than this silences jobs long enough to say so.
CLOCK_STEP = timedelta(hours=1)


def read(turn: Turn) -> None:
    """Compare this turn's wall clock with the latest one seen; small steps back add up."""
    world = turn.world
    latest = world.latest_wall or turn.now
    world.latest_wall = max(latest, turn.now)
    if turn.now < latest - CLOCK_STEP:
        world.latest_wall = turn.now
        look_ahead(turn)
    elif world.silent_until is not None and turn.now >= world.silent_until:
        world.silent_until = None
        turn.mend("", incident.CLOCK)


def look_ahead(turn: Turn) -> None:
    """Say until when jobs stay silent, if slots far ahead count as done."""
    seen = [
        mark.seen_until
        for mark in turn.world.marks.values()
        if mark.job in turn.world.jobs and turn.world.jobs[mark.job].cron
    ]
    latest = max(seen, default=turn.now)
    if latest <= turn.now + CLOCK_STEP:
        turn.mend("", incident.CLOCK)
    else:
        turn.world.silent_until = latest
        turn.trouble(
            "",
            incident.CLOCK,
            f"the clock went back: slots up to {words(latest)} count as done, and jobs "
            "stay silent until then (nightshift resume --from-now ends that)",
        )
