"""What a decision asks of the world (actions), as values.

The actions of a turn are performed in the order given; a `Record` stands before its
`Launch`. `supervisor/effects.py` performs them.
"""

from datetime import datetime
from enum import StrEnum

from msgspec import Struct

from supervisor.core.alert_model import Alert, Beat, Incident
from supervisor.core.asks import Reply
from supervisor.core.model import (
    Asking,
    Attempt,
    Gap,
    Job,
    Mark,
    Pause,
    Run,
)

Row = Run | Attempt | Gap | Mark | Incident | Alert | Asking


class Force(StrEnum):
    """What is done to an attempt's tree."""

    TERM = "term"  # SIGTERM to the session of the run's own process
    KILL = "kill"  # SIGKILL to the whole tree, until the kernel says there is none
    ABANDON = "abandon"  # kill its keeper, too; `Emptied` or `Survived` answers


class Record(Struct, frozen=True):
    """Write this value, in place of an earlier one of its key; soon: half a second will do."""

    row: Row
    soon: bool = False


class RecordPause(Struct, frozen=True):
    """Write the pause over all jobs (None: lifted)."""

    pause: Pause | None


class RecordTick(Struct, frozen=True):
    """Write that the service acted on the slots up to this instant.

    An absence begins here. silent_until: as `World` has it.
    """

    at: datetime
    silent_until: datetime | None


class ReleaseSlots(Struct, frozen=True):
    """Rows of the job's slots after this instant no longer stand for them."""

    job: str
    after: datetime


class Launch(Struct, frozen=True):
    """Begin attempt `run.attempt` of a run with this definition."""

    run: Run
    job: Job


class Signal(Struct, frozen=True):
    """Use force on an attempt's tree."""

    run: int
    attempt: int
    force: Force


class Deliver(Struct, frozen=True):
    """Send these alerts in this order, none after one that does not arrive."""

    alerts: tuple[Alert, ...]


class Note(Struct, frozen=True):
    """A line for the log."""

    level: str
    text: str
    job: str = ""
    run: int = 0
    attempt: int = 0


class Stop(Struct, frozen=True):
    """Nothing lives any more and the service is to end."""


Action = (
    Record
    | RecordPause
    | RecordTick
    | ReleaseSlots
    | Launch
    | Signal
    | Reply
    | Deliver
    | Beat
    | Note
    | Stop
)
