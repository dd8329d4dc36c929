"""What the command line reads of the supervisor's answers.

Values only. A field that an older supervisor does not send has its default,
one that a newer one adds is ignored. Instants are aware.
"""

from datetime import datetime
from typing import Any, TypeVar

import msgspec

from supervisor.cli.failure import Exit, Failure
from workers.units import format_size

A = TypeVar("A")
_BYTES = "bytes"
# From here on nobody reads what stands after the point.
_WHOLE = 10
FINAL = frozenset({"success", "failed", "skipped", "missed", "cancelled", "interrupted"})


class Progress(msgspec.Struct):
    """How far a run says it is."""

    done: float
    total: float | None = None
    unit: str = ""
    per_second: float | None = None

    def __str__(self) -> str:
        """`30 of 120 sets (2.5/s)`; bytes are written as sizes."""
        of = f" of {self._amount(self.total)}" if self.total is not None else ""
        rate = f" ({self._amount(self.per_second)}/s)" if self.per_second else ""
        unit = "" if self.unit == _BYTES else f" {self.unit}".rstrip()
        return f"{self._amount(self.done)}{of}{unit}{rate}"

    def _amount(self, value: float) -> str:
        if self.unit == _BYTES:
            return format_size(value)
        return f"{value:.0f}" if value.is_integer() or value >= _WHOLE else f"{value:.2g}"


class Run(msgspec.Struct):
    """A run."""

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
        """Whether nothing more will happen to it."""
        return self.state in FINAL

    @property
    def detail(self) -> str:
        """`30 of 120 sets` while it says so, else the cause of its state."""
        return self.cause if self.progress is None or self.is_final else str(self.progress)


class Runs(msgspec.Struct):
    """`GET /v1/runs`."""

    runs: list[Run]


class Last(msgspec.Struct):
    """A job's newest result."""

    run: int
    state: str
    cause: str = ""
    ended_at: datetime | None = None
    duration_seconds: float | None = None


class JobStatus(msgspec.Struct):
    """A job in one line of `status`."""

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
    """`GET /v1/incidents`."""

    incidents: list[Incident]


class Problem(msgspec.Struct):
    """A mistake in jobs.yaml."""

    line: int
    column: int
    path: str
    message: str
    hint: str = ""


class Alerts(msgspec.Struct):
    """Alerts that wait to be delivered."""

    waiting: int = 0
    error: str = ""
    next_at: datetime | None = None


class ConfigStatus(msgspec.Struct):
    """The text in force, and what is wrong with the one on disk."""

    path: str
    loaded_at: datetime
    problems: list[Problem] = []


class Tick(msgspec.Struct):
    """The last full minute that was acted on."""

    last_at: datetime | None = None


class Pool(msgspec.Struct):
    """Places and who waits for them."""

    max: int
    running: int
    pending: int


class Pause(msgspec.Struct):
    """A pause over all jobs."""

    until: datetime | None = None
    by: str = ""
    reason: str = ""


class Listening(msgspec.Struct):
    """Where /metrics may be read by TCP."""

    address: str
    error: str = ""


class Status(msgspec.Struct):
    """`GET /v1/status`."""

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
    """`GET /v1/status`, for those who only want to tell the time."""

    timezone: str


class Slots(msgspec.Struct):
    """`GET /v1/jobs/{job}/next`."""

    slots: list[datetime]


class Job(msgspec.Struct):
    """A definition in one line of `jobs`."""

    name: str
    worker: str | None = None
    command: str | list[str] | None = None
    cron: list[str] = []
    timezone: str = "UTC"
    deps: list[str] = []
    enabled: bool = True
    description: str = ""


class Shown(msgspec.Struct):
    """`GET /v1/jobs/{job}`, beside the definition."""

    timezone: str
    status: JobStatus
    runs: list[Run] = []
    environment: dict[str, str] | None = None


class Jobs(msgspec.Struct):
    """`GET /v1/jobs`."""

    jobs: list[Job]


class Opened(msgspec.Struct):
    """`POST /v1/jobs/{job}/run`: the run asked for, and all that were opened with it."""

    run: Run
    runs: list[int] = []


class Numbers(msgspec.Struct):
    """`POST /v1/run-all` and `…/cancel`: ids of runs."""

    runs: list[int] = []
    cancelled: list[int] = []


class Rescheduled(msgspec.Struct):
    """A job whose calendar changed."""

    job: str
    before: datetime | None = None
    after: datetime | None = None


class DroppedSlot(msgspec.Struct):
    """A slot of today that will now not come."""

    job: str
    slot: datetime


class Changes(msgspec.Struct):
    """`POST /v1/reload`."""

    added: list[str] = []
    removed: list[str] = []
    rescheduled: list[Rescheduled] = []
    changed: list[str] = []
    dropped_slots: list[DroppedSlot] = []
    at_next_start: list[str] = []


class Refused(msgspec.Struct):
    """`POST /v1/reload` of a text that is refused."""

    error: str
    problems: list[Problem] = []


class Peer(msgspec.Struct):
    """Who asked."""

    uid: int
    pid: int


class Asking(msgspec.Struct):
    """Who asked what, when, and what was answered."""

    at: datetime
    peer: Peer
    verb: str
    what: str
    answer: str


class Actions(msgspec.Struct):
    """`GET /v1/actions`."""

    actions: list[Asking]


class Explained(msgspec.Struct):
    """`GET /v1/jobs/{job}/explain`, `GET /v1/runs/{run}/explain`."""

    job: str
    facts: list[str]


class Health(msgspec.Struct):
    """`GET /healthz`."""

    tick_age_seconds: float


def read(body: bytes, kind: type[A]) -> A:
    """The body as a value. Raises: Failure, if it is nothing of the kind."""
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        hint = "is the supervisor of another version? nightshift stop, then start"
        raise Failure(Exit.NO, f"the answer cannot be read: {error}", hint) from error
