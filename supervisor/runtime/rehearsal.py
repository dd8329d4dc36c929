"""Prepares for a minute in which jobs are due, so that the first of them starts at once.

Shortly before it, keepers are made for the launches that will come, and the decision is
made once and thrown away: after a quiet minute its code and data are in no cache. Both
cost a launch milliseconds. The last millisecond is slept by itself, since the selector
counts in whole ones and rounds up.
"""

import contextlib
import selectors
import time
from datetime import datetime

from supervisor.containment.processes import Processes
from supervisor.core import events as ev
from supervisor.core.schedule import at_minute
from supervisor.core.state import SchedulerState
from supervisor.runtime.turns import Decide

LEAD_S = 0.2
# A decision about more jobs would last too long to make it twice.
MOST_DUE = 100
SELECTOR_STEP_S = 0.001


def select_precisely(
    selector: selectors.BaseSelector, timeout_s: float
) -> list[tuple[selectors.SelectorKey, int]]:
    """Return what is ready within the timeout; do not round a short one up."""
    if timeout_s < SELECTOR_STEP_S:
        time.sleep(timeout_s)
        timeout_s = 0.0
    return selector.select(timeout_s)


class Rehearsal:
    """The preparation of one minute after the other."""

    def __init__(self, processes: Processes, decide: Decide) -> None:
        self._processes = processes
        self._decide = decide
        self._prepared: datetime | None = None

    def next_instant(self, scheduler: SchedulerState, minute: datetime, at: ev.At) -> float | None:
        """Return the monotonic time to wake before this minute; None if it needs nothing."""
        if at_minute(minute) not in scheduler.jobs_by_minute:
            return None
        lead_s = SELECTOR_STEP_S if self._prepared == minute else LEAD_S
        left_s = (minute - at.wall).total_seconds()
        return at.mono + left_s - lead_s if left_s > lead_s else None

    def prepare(self, scheduler: SchedulerState, minute: datetime, at: ev.At) -> None:
        """Prepare once for the minute, if it is near and jobs are due in it."""
        left_s = (minute - at.wall).total_seconds()
        due = len(scheduler.jobs_by_minute.get(at_minute(minute), ()))
        if not due or self._prepared == minute or left_s > LEAD_S:
            return
        self._prepared = minute
        self._processes.expect(
            min(due, scheduler.config.max_concurrent - len(scheduler.live_attempts))
        )
        if due <= MOST_DUE:
            # An error is reported when the minute has come.
            with contextlib.suppress(Exception):
                self._decide(scheduler, ev.TimePassed(ev.At(minute, at.mono + left_s, at.dice)))
