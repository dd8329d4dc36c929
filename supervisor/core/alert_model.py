"""The values of notifications: incidents, alerts and heartbeats. Frozen, as in `model.py`."""

from datetime import datetime
from enum import StrEnum

from msgspec import Struct
from msgspec.structs import replace as replace

from supervisor.core.model import Severity


class Incident(Struct, frozen=True):
    """One trouble from its opening to its recovery.

    job: "" where it is the service's own. kind: a word such as `exit`,
    `timeout`, `late`, `missed`, `reload`. count: how often it failed so far.
    reminders: how many were sent; reminded_count: the count the last alert told,
        0 where an ack kept back even the first. successes: in a row since it closed.
    recovery_at: it is closed, and announced then as recovered if it has not failed again.
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
    """A row of the outbox: one message about one incident.

    word: opened, reminder or recovered. It waits while it is neither delivered
    nor withheld. attempts: failed deliveries so far; error: why the last one
    failed, next_at: when the next may be tried. folded: how many earlier words
    about the same trouble it stands for. withheld: why it is not sent at all.
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


class Pulse(StrEnum):
    """What a heartbeat says."""

    START = "start"
    SUCCESS = "success"
    FAIL = "fail"


class Beat(Struct, frozen=True):
    """A heartbeat URL is to be called; job "": the service's own. cause: for FAIL."""

    job: str
    url: str
    pulse: Pulse
    cause: str = ""
