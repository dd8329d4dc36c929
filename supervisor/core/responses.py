"""Response bodies of the API that are not a single view of `views.py`.

The API encodes these types and the command line decodes them; `views.py` says what that
means for their fields. The docstrings appear in the OpenAPI document.
"""

from datetime import datetime

from msgspec import Struct

from supervisor.core.config_model import Problem
from supervisor.core.model import AuditEntry, ReloadEntry
from supervisor.core.views import Definition, IncidentView, JobStatus, RunView


class Jobs(Struct, frozen=True):
    """The definitions in force, in the order of jobs.yaml."""

    jobs: tuple[Definition, ...]


class JobDetail(Definition, frozen=True, kw_only=True):
    """A definition, the status of the job, and its open runs.

    environment: only if requested.
    """

    status: JobStatus
    runs: tuple[RunView, ...] = ()
    environment: dict[str, str] | None = None


class Slots(Struct, frozen=True):
    """Coming slots, in the job's time zone."""

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
    """Who requested what, newest first."""

    actions: tuple[AuditEntry, ...]


class Reloads(Struct, frozen=True):
    """Texts of jobs.yaml that were read and how that ended, newest first."""

    reloads: tuple[ReloadEntry, ...]


class Health(Struct, frozen=True, kw_only=True):
    """The last tick is recent."""

    healthy: bool = True
    tick_age_seconds: float


class Readiness(Struct, frozen=True):
    """Runs are admitted."""

    ready: bool


class Opened(Struct, frozen=True):
    """The run that was requested; runs: the numbers of all runs opened with it."""

    run: RunView
    runs: tuple[int, ...] = ()


class Confirmed(Struct, frozen=True):
    """How long this host of a cluster may run what it was assigned."""

    for_seconds: float


class OpenedAll(Struct, frozen=True):
    """The numbers of the runs that were opened, in order."""

    runs: tuple[int, ...]


class Cancelled(Struct, frozen=True):
    """The numbers of the runs that are being cancelled."""

    cancelled: tuple[int, ...]


class Paused(Struct, frozen=True):
    """What is paused: a job, or `all`."""

    paused: str


class Resumed(Struct, frozen=True):
    """What is resumed: a job, or `all`."""

    resumed: str


class Acked(Struct, frozen=True):
    """The incident whose reminders are suspended for a time."""

    acked: int


class Delivered(Struct, frozen=True):
    """The channels that accepted a test alert, separated by commas."""

    delivered: str


class Stopping(Struct, frozen=True):
    """The service is stopping."""

    stopping: bool


class ErrorBody(Struct, frozen=True):
    """Why the request failed, and a hint ("" if there is none)."""

    error: str
    hint: str = ""


class ReloadError(Struct, frozen=True):
    """Why jobs.yaml, or the request itself (then without problems), was refused."""

    error: str
    hint: str = ""
    problems: tuple[Problem, ...] = ()
