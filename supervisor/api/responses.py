"""What answers look like, where `core/views.py` has not said it already.

Values only: the routes send them, the document describes them.
"""

from datetime import datetime

from msgspec import Struct

from supervisor.config.definitions import Definition
from supervisor.core.model import AuditEntry, Problem
from supervisor.core.views import IncidentView, JobStatus, RunView


class Jobs(Struct, frozen=True):
    """The definitions in force, in the order of jobs.yaml."""

    jobs: tuple[Definition, ...]


class JobDetail(Definition, frozen=True, kw_only=True):
    """A definition, how the job stands, and its open runs.

    environment: only if it was asked for.
    """

    status: JobStatus
    runs: tuple[RunView, ...]
    environment: dict[str, str] | None = None


class Slots(Struct, frozen=True):
    """Coming slots, in the job's zone."""

    slots: tuple[datetime, ...]


class Explained(Struct, frozen=True):
    """Facts about a job, each a sentence."""

    job: str
    facts: tuple[str, ...]


class Runs(Struct, frozen=True):
    """Runs, newest first."""

    runs: tuple[RunView, ...]


class Incidents(Struct, frozen=True):
    """Incidents, newest first, open and closed."""

    incidents: tuple[IncidentView, ...]


class Actions(Struct, frozen=True):
    """Who asked what, newest first."""

    actions: tuple[AuditEntry, ...]


class Health(Struct, frozen=True):
    """The tick is alive."""

    healthy: bool
    tick_age_seconds: float


class Readiness(Struct, frozen=True):
    """Runs are admitted."""

    ready: bool


class Opened(Struct, frozen=True):
    """The run that was asked for; runs: the numbers of all that were opened with it."""

    run: RunView
    runs: tuple[int, ...]


class OpenedAll(Struct, frozen=True):
    """The numbers of the runs that were opened, in their order."""

    runs: tuple[int, ...]


class Cancelled(Struct, frozen=True):
    """The numbers of the runs that end."""

    cancelled: tuple[int, ...]


class Paused(Struct, frozen=True):
    """What is paused: a job, or `all`."""

    paused: str


class Resumed(Struct, frozen=True):
    """What is resumed: a job, or `all`."""

    resumed: str


class Acked(Struct, frozen=True):
    """The incident that sends no reminders for a time."""

    acked: int


class Delivered(Struct, frozen=True):
    """The channel that took a test alert."""

    delivered: str


class Stopping(Struct, frozen=True):
    """The service is ending."""

    stopping: bool


class ErrorBody(Struct, frozen=True):
    """Why the answer is no, and what may help ("": nothing known)."""

    error: str
    hint: str


class ReloadError(Struct, frozen=True):
    """Why jobs.yaml is refused, or why the request is (no problems then)."""

    error: str
    hint: str
    problems: tuple[Problem, ...] = ()
