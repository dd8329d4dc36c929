"""Actions that `decide` returns, as values.

The actions of a turn are ordered; the `Record` of an attempt precedes its `Launch`.
`supervisor/runtime/effects.py` performs them.
"""

from datetime import datetime
from enum import StrEnum

from msgspec import Struct

from supervisor.core.alert_model import Alert, HeartbeatCall, Incident
from supervisor.core.config_model import Channel, Job
from supervisor.core.control_requests import Reply
from supervisor.core.model import (
    Attempt,
    AuditEntry,
    JobRecord,
    MissedRange,
    Pause,
    ReloadEntry,
    Run,
)

Row = Run | Attempt | MissedRange | JobRecord | Incident | Alert | AuditEntry | ReloadEntry


class KillStep(StrEnum):
    """Means of ending an attempt's process tree."""

    TERM = "term"  # SIGTERM to the session of the attempt's main process
    KILL = "kill"  # SIGKILL to the whole tree, until the kernel reports no process in it
    ABANDON = "abandon"  # also kill its keeper; `TreeEmpty` or `Survived` follows


class Record(Struct, frozen=True):
    """Action that writes a row to the ledger, replacing the row with the same key.

    soon: the write may be delayed by up to half a second.
    """

    row: Row
    soon: bool = False


class RecordPause(Struct, frozen=True):
    """Action that writes the pause of all jobs; None lifts the pause."""

    pause: Pause | None


class RecordTick(Struct, frozen=True):
    """Action that records that the slots up to this instant have been processed.

    If the service stops, its absence begins at this instant.
    silent_until: see `SchedulerState`.
    """

    at: datetime
    silent_until: datetime | None


class ReleaseSlots(Struct, frozen=True):
    """Action that clears `slot` in the job's rows for slots after this instant."""

    job: str
    after: datetime


class Launch(Struct, frozen=True):
    """Action that starts attempt `run.attempt` of a run with this definition."""

    run: Run
    job: Job


class Signal(Struct, frozen=True):
    """Action that signals or kills an attempt's process tree."""

    run: int
    attempt: int
    force: KillStep


class Deliver(Struct, frozen=True):
    """Action that sends alerts to a channel, in this order up to the first failure."""

    channel: Channel
    alerts: tuple[Alert, ...]


class Note(Struct, frozen=True):
    """Action that writes a line to the log."""

    level: str
    text: str
    job: str = ""
    run: int = 0
    attempt: int = 0


class Stop(Struct, frozen=True):
    """Action that ends the service."""


Action = (
    Record
    | RecordPause
    | RecordTick
    | ReleaseSlots
    | Launch
    | Signal
    | Reply
    | Deliver
    | HeartbeatCall
    | Note
    | Stop
)
