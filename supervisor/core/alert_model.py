"""Values of notifications: incidents, alerts and heartbeats. Frozen, as in `model.py`."""

from datetime import datetime
from enum import StrEnum

from msgspec import Struct
from msgspec.structs import replace as replace

from supervisor.core.config_model import Severity


class Incident(Struct, frozen=True):
    """A problem of a job or of the service, from its first failure to its recovery.

    job: "" for an incident of the service itself.
    kind: for example `exit`, `timeout`, `late`, `missed` or `reload`.
    count: failures so far. reminders: reminders sent so far.
    reminded_count: `count` in the last alert, 0 if an ack withheld even the first alert.
    recovery_at: set while closed; the recovery is announced at this time unless the
        problem fails again. successes: consecutive successes since it was closed.
    """

    id: int
    job: str
    kind: str
    severity: Severity
    opened_at: datetime
    last_at: datetime
    cause: str
    count: int = 1
    run: int | None = None
    reminders: int = 0
    reminded_count: int = 1
    next_reminder_at: datetime | None = None
    closed_at: datetime | None = None
    acked_until: datetime | None = None
    ack_by: str = ""
    ack_reason: str = ""
    recovery_at: datetime | None = None
    successes: int = 0


class Alert(Struct, frozen=True):
    """A row of the outbox: one message about one incident to one channel.

    An alert is waiting while it is neither delivered nor withheld.
    word: `opened`, `reminder` or `recovered` (see `AlertKind`).
    attempts: failed deliveries so far. error: cause of the last failure.
    next_at: earliest time of the next attempt. withheld: why it is not sent, or "".
    folded: number of earlier alerts about the same problem that it replaces.
    channel: its name, or "" if there was none.
    """

    id: int
    incident: int
    word: str
    severity: Severity
    job: str
    kind: str
    cause: str
    count: int
    run: int | None
    at: datetime
    lasted_s: float = 0.0
    delivered_at: datetime | None = None
    attempts: int = 0
    next_at: datetime | None = None
    error: str = ""
    folded: int = 0
    withheld: str = ""
    channel: str = ""


class HeartbeatKind(StrEnum):
    """The kind of a heartbeat."""

    START = "start"
    SUCCESS = "success"
    FAIL = "fail"


class HeartbeatCall(Struct, frozen=True):
    """Action that calls a heartbeat URL.

    job: "" for the heartbeat of the service itself. cause: only for FAIL.
    """

    job: str
    url: str
    pulse: HeartbeatKind
    cause: str = ""
