"""Views for the API, the CLI and the status page: plain values.

Field names are the contract of the API. Durations are named `*_seconds`, instants
are aware UTC. Nothing here is stored; `build_views.py` makes views from the state.
"""

from datetime import datetime
from typing import Any

from msgspec import Struct, field

from supervisor.core.model import Problem, Progress, Reason, Severity, State, Trigger


class AttemptView(Struct, frozen=True):
    """One process of a run."""

    number: int
    pid: int | None
    started_at: datetime
    ended_at: datetime | None
    reason: Reason | None
    cause: str
    cpu_seconds: float | None
    max_rss_bytes: int | None
    strays: tuple[str, ...]


class RunView(Struct, frozen=True):
    """A run in the API; `attempts` is filled only when a single run is requested."""

    id: int
    job: str
    slot: datetime | None
    due: datetime
    trigger: Trigger
    state: State
    reason: Reason | None
    cause: str
    attempt: int
    pid: int | None
    started_at: datetime | None
    ended_at: datetime | None
    duration_seconds: float | None
    next_attempt_at: datetime | None
    progress: Progress | None
    result: dict[str, Any] | None
    exit_status: int | None
    cpu_seconds: float | None
    max_rss_bytes: int | None
    strays: tuple[str, ...]
    log_bytes: int
    dry_run: bool
    attempts: tuple[AttemptView, ...] = ()


class LastRun(Struct, frozen=True):
    """A job's newest result."""

    run: int
    state: State
    cause: str
    started_at: datetime | None
    ended_at: datetime | None
    duration_seconds: float | None


class JobStatus(Struct, frozen=True):
    """A job as one line of `status`."""

    name: str
    enabled: bool
    paused_until: datetime | None
    is_paused: bool
    next_at: datetime | None
    last: LastRun | None


class IncidentView(Struct, frozen=True):
    """An incident in the API.

    recovery_at: when a closed incident is announced as recovered, unless it fails again.
    """

    id: int
    job: str
    kind: str
    severity: Severity
    cause: str
    count: int
    run: int | None
    opened_at: datetime
    last_at: datetime
    closed_at: datetime | None
    acked_until: datetime | None
    ack_by: str
    ack_reason: str
    recovery_at: datetime | None
    undelivered: int = 0


class AlertsView(Struct, frozen=True):
    """Alerts that wait, and why the oldest was not delivered; "": not tried yet."""

    channel: str
    waiting: int
    failures: int
    error: str
    next_at: datetime | None


class ConfigStatus(Struct, frozen=True):
    """The version of jobs.yaml in force, and the problems of the one on disk."""

    path: str
    loaded_at: datetime
    error: str
    problems: tuple[Problem, ...]


class Tick(Struct, frozen=True):
    """The last full minute that was handled, and how late."""

    last_at: datetime | None
    lateness_seconds: float


class Pool(Struct, frozen=True):
    """Places in the pool, and runs that hold or wait for one."""

    max: int
    running: int
    pending: int


class PauseView(Struct, frozen=True):
    """A pause of all jobs."""

    until: datetime | None
    by: str
    reason: str


class Listening(Struct, frozen=True):
    """TCP address of /metrics; error: why it cannot be read there."""

    address: str
    error: str


class Facts(Struct, frozen=True):
    """What the runtime knows and `SchedulerState` does not."""

    version: str
    pid: int
    started_at: datetime
    config_path: str
    config_loaded_at: datetime
    tick: Tick = field(default_factory=lambda: Tick(None, 0.0))
    metrics: Listening | None = None
    log_lines_dropped: int = 0
    keeper_deaths: int = 0
    heartbeat_failures: int = 0


class Status(Struct, frozen=True):
    """Response of `GET /v1/status`.

    notes: sentences about the whole service that matter for the rest of the response.
    """

    version: str
    pid: int
    started_at: datetime
    life: str
    timezone: str
    config: ConfigStatus
    tick: Tick
    pool: Pool
    paused: PauseView | None
    notes: tuple[str, ...]
    ledger_error: str
    metrics: Listening | None
    strays_killed: int
    keeper_deaths: int
    log_lines_dropped: int
    heartbeat_failures: int
    alerts: AlertsView
    jobs: tuple[JobStatus, ...]
    runs: tuple[RunView, ...]
    incidents: tuple[IncidentView, ...]
