"""What a start reads from the ledger, as one value."""

from datetime import datetime

from msgspec import Struct

from supervisor.core.alert_model import Alert, Incident
from supervisor.core.model import Attempt, JobRecord, Pause, ReloadEntry, Run


class Memory(Struct, frozen=True):
    """State read from the ledger at the start.

    runs: open runs and the newest final runs of each job, oldest first.
    attempts: attempts without a recorded end. outbox: waiting alerts, oldest first.
    incidents: open ones, closed ones whose recovery is not announced yet, and closed
        ones with an ack. last_tick: the last minute that was processed, None if it was
        never recorded. silent_until: see `SchedulerState`. last_reload: the newest entry.
    """

    runs: tuple[Run, ...] = ()
    attempts: tuple[Attempt, ...] = ()
    marks: tuple[JobRecord, ...] = ()
    incidents: tuple[Incident, ...] = ()
    outbox: tuple[Alert, ...] = ()
    paused: Pause | None = None
    last_tick: datetime | None = None
    silent_until: datetime | None = None
    last_reload: ReloadEntry | None = None
    next_run: int = 1
    next_incident: int = 1
    next_alert: int = 1
