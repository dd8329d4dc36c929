"""Types of the supervisor's responses, as the command line reads them.

A field that an older supervisor does not send takes its default. A field that a newer
one adds is ignored. All datetimes are timezone-aware.
"""

from datetime import datetime
from typing import Any, TypeVar

import msgspec

from supervisor.cli.errors import CliError, ExitCode
from workers.units import format_size

A = TypeVar("A")
_BYTES = "bytes"
# From this value on decimals are noise.
_WHOLE = 10
FINAL = frozenset({"success", "failed", "skipped", "missed", "cancelled", "interrupted"})


class Progress(msgspec.Struct):
    """Progress of a run, as its worker reports it."""

    done: float
    total: float | None = None
    unit: str = ""
    per_second: float | None = None

    def __str__(self) -> str:
        """Return `30 of 120 sets (2.5/s)`; bytes are formatted as sizes."""
        of = f" of {self._amount(self.total)}" if self.total is not None else ""
        rate = f" ({self._amount(self.per_second)}/s)" if self.per_second else ""
        unit = "" if self.unit == _BYTES else f" {self.unit}".rstrip()
        return f"{self._amount(self.done)}{of}{unit}{rate}"

    def _amount(self, value: float) -> str:
        if self.unit == _BYTES:
            return format_size(value)
        return f"{value:.0f}" if value.is_integer() or value >= _WHOLE else f"{value:.2g}"


class Run(msgspec.Struct):
    """A run: response of `GET /v1/runs/{run}`."""

    id: int
    job: str
    state: str
    due: datetime
    trigger: str = ""
    cause: str = ""
    attempt: int = 0
    started_at: datetime | None = None
    ended_at: datetime | None = None
    duration_seconds: float | None = None
    progress: Progress | None = None
    result: dict[str, Any] | None = None
    dry_run: bool = False

    @property
    def is_final(self) -> bool:
        """Return whether the state can no longer change."""
        return self.state in FINAL

    @property
    def detail(self) -> str:
        """Return the progress while the run reports any, else the cause of its state."""
        return self.cause if self.progress is None or self.is_final else str(self.progress)


class Runs(msgspec.Struct):
    """Response of `GET /v1/runs`."""

    runs: list[Run]


class Last(msgspec.Struct):
    """The newest result of a job."""

    run: int
    state: str
    cause: str = ""
    ended_at: datetime | None = None
    duration_seconds: float | None = None


class JobStatus(msgspec.Struct):
    """The state of one job in `GET /v1/status`."""

    name: str
    enabled: bool = True
    is_paused: bool = False
    paused_until: datetime | None = None
    next_at: datetime | None = None
    last: Last | None = None


class Incident(msgspec.Struct):
    """An incident, open or closed."""

    id: int
    job: str
    kind: str
    severity: str
    cause: str
    opened_at: datetime
    count: int = 1
    closed_at: datetime | None = None
    acked_until: datetime | None = None
    ack_by: str = ""
    recovery_at: datetime | None = None
    undelivered: int = 0


class Incidents(msgspec.Struct):
    """Response of `GET /v1/incidents`."""

    incidents: list[Incident]


class Problem(msgspec.Struct):
    """An error in jobs.yaml."""

    line: int
    column: int
    path: str
    message: str
    hint: str = ""


class Alerts(msgspec.Struct):
    """Alerts that are not delivered yet."""

    waiting: int = 0
    error: str = ""
    next_at: datetime | None = None


class ConfigStatus(msgspec.Struct):
    """The configuration in use, and the problems of the file on disk."""

    path: str
    loaded_at: datetime
    problems: list[Problem] = []


class Tick(msgspec.Struct):
    """The last full minute that the scheduler handled."""

    last_at: datetime | None = None


class Pool(msgspec.Struct):
    """Limit, running and pending runs of the pool."""

    max: int
    running: int
    pending: int


class Pause(msgspec.Struct):
    """A pause of all jobs."""

    until: datetime | None = None
    by: str = ""
    reason: str = ""


class Listening(msgspec.Struct):
    """TCP address of /metrics, and the error if it cannot listen."""

    address: str
    error: str = ""


class Status(msgspec.Struct):
    """Response of `GET /v1/status`."""

    version: str
    pid: int
    started_at: datetime
    timezone: str
    config: ConfigStatus
    pool: Pool
    life: str = "serving"
    tick: Tick = msgspec.field(default_factory=Tick)
    paused: Pause | None = None
    notes: list[str] = []
    ledger_error: str = ""
    metrics: Listening | None = None
    strays_killed: int = 0
    heartbeat_failures: int = 0
    alerts: Alerts = msgspec.field(default_factory=Alerts)
    jobs: list[JobStatus] = []
    runs: list[Run] = []
    incidents: list[Incident] = []


class Zone(msgspec.Struct):
    """The time zone from `GET /v1/status`."""

    timezone: str


class Slots(msgspec.Struct):
    """Response of `GET /v1/jobs/{job}/next`."""

    slots: list[datetime]


class Job(msgspec.Struct):
    """One job definition in `GET /v1/jobs`."""

    name: str
    worker: str | None = None
    command: str | list[str] | None = None
    cron: list[str] = []
    timezone: str = "UTC"
    deps: list[str] = []
    enabled: bool = True
    description: str = ""


class Shown(msgspec.Struct):
    """Response of `GET /v1/jobs/{job}`, without the definition."""

    timezone: str
    status: JobStatus
    runs: list[Run] = []
    environment: dict[str, str] | None = None


class Jobs(msgspec.Struct):
    """Response of `GET /v1/jobs`."""

    jobs: list[Job]


class Opened(msgspec.Struct):
    """Response of `POST /v1/jobs/{job}/run`: the requested run, and all runs opened for it."""

    run: Run
    runs: list[int] = []


class Numbers(msgspec.Struct):
    """Response of `POST /v1/run-all` and `…/cancel`: run ids."""

    runs: list[int] = []
    cancelled: list[int] = []


class Rescheduled(msgspec.Struct):
    """A job whose schedule changed."""

    job: str
    before: datetime | None = None
    after: datetime | None = None


class DroppedSlot(msgspec.Struct):
    """A slot of today that no longer exists."""

    job: str
    slot: datetime


class Changes(msgspec.Struct):
    """Response of `POST /v1/reload`."""

    added: list[str] = []
    removed: list[str] = []
    rescheduled: list[Rescheduled] = []
    changed: list[str] = []
    dropped_slots: list[DroppedSlot] = []
    at_next_start: list[str] = []


class Refused(msgspec.Struct):
    """Response of `POST /v1/reload` when the file is rejected."""

    error: str
    problems: list[Problem] = []


class Peer(msgspec.Struct):
    """Uid and pid of the client that sent a request."""

    uid: int
    pid: int


class AuditEntry(msgspec.Struct):
    """One request: client, time, verb and reply."""

    at: datetime
    peer: Peer
    verb: str
    what: str
    answer: str


class Actions(msgspec.Struct):
    """Response of `GET /v1/actions`."""

    actions: list[AuditEntry]


class Explained(msgspec.Struct):
    """Response of `GET /v1/jobs/{job}/explain` and `GET /v1/runs/{run}/explain`."""

    job: str
    facts: list[str]


class Health(msgspec.Struct):
    """Response of `GET /healthz`."""

    tick_age_seconds: float


def read(body: bytes, kind: type[A]) -> A:
    """Return the response body decoded as `kind`.

    Raises:
        CliError: the body does not match `kind`.
    """
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        hint = "is the supervisor of another version? nightshift stop, then start"
        raise CliError(ExitCode.NO, f"the answer cannot be read: {error}", hint) from error
