"""The values everything is said in: jobs, runs, attempts, incidents, marks.

Frozen; a change is `replace`, to be had here. They are structs of msgspec rather
than dataclasses: defined, made and replaced ten times as fast. Instants are aware
datetimes in UTC, durations are seconds and say so (`_s`). What the file may say
has its defaults resolved before it gets here: None always means "none".
"""

from datetime import datetime
from enum import StrEnum

from msgspec import Struct
from msgspec.structs import replace as replace


class State(StrEnum):
    """Where a run stands; the last five are final."""

    PENDING = "pending"  # due; waits for dependencies, group, place or ledger
    RUNNING = "running"  # an attempt's process lives
    RETRYING = "retrying"  # an attempt failed or was interrupted; the next waits
    SUCCESS = "success"  # the run's own process ended well
    FAILED = "failed"  # no attempt is left
    SKIPPED = "skipped"  # due, but forbidden
    MISSED = "missed"  # due while no supervisor could run it
    CANCELLED = "cancelled"  # a person, a reload or a replacement ended it
    INTERRUPTED = "interrupted"  # shutdown or a crash ended it for good

    @property
    def is_open(self) -> bool:
        """Whether the run may still change by itself."""
        return self in OPEN


OPEN = frozenset({State.PENDING, State.RUNNING, State.RETRYING})


class Trigger(StrEnum):
    """Why a run was opened."""

    SCHEDULE = "schedule"
    MANUAL = "manual"
    CATCH_UP = "catch_up"
    STARTUP = "startup"


class Reason(StrEnum):
    """The closed list of words for how a run came to its state."""

    EXIT = "exit"
    SIGNAL = "signal"
    TIMEOUT = "timeout"
    ERROR = "error"
    PERMANENT = "permanent"
    PROTOCOL = "protocol"
    LAUNCH = "launch"
    INTERNAL = "internal"
    OVERLAP = "overlap"
    DEPENDENCY = "dependency"
    DISABLED = "disabled"
    PAUSED = "paused"
    AWAY = "away"
    COVERED = "covered"
    PERSON = "person"
    REMOVED = "removed"
    REPLACED = "replaced"
    SHUTDOWN = "shutdown"
    CRASH = "crash"


class Overlap(StrEnum):
    """What a slot does that comes while a run of its job is open."""

    SKIP = "skip"
    QUEUE = "queue"
    REPLACE = "replace"


class CatchUp(StrEnum):
    """What is done about slots that came while no supervisor lived."""

    NONE = "none"
    LATEST = "latest"


class Severity(StrEnum):
    """How loud an incident is, in rising order."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    CRITICAL = "critical"


class Limits(Struct, frozen=True):
    """Resource limits of a job's processes, in force from the start; None: inherited."""

    address_space: int | None = None
    open_files: int | None = None
    cpu_seconds: int | None = None
    file_size: int | None = None
    processes: int | None = None


class Job(Struct, frozen=True):
    """A definition in jobs.yaml, defaults resolved, text replaced, types checked.

    Exactly one of worker, argv and shell is set. `params_json` is the `with`
    block as a JSON object. `exclusive` is the name of a group. `place` counts
    from 0 in the order of the file. `cwd` and `python` are absolute paths.
    """

    name: str
    place: int
    worker: str | None = None
    argv: tuple[str, ...] | None = None
    shell: str | None = None
    cron: tuple[str, ...] = ()
    timezone: str = "UTC"
    deps: tuple[str, ...] = ()
    timeout_s: float | None = 300.0
    kill_grace_s: float = 10.0
    retries: int = 0
    retry_delay_s: float = 60.0
    retry_backoff: float = 1.0
    retry_max_delay_s: float = 3600.0
    success_exit_status: tuple[int, ...] = (0,)
    exclusive: str | None = None
    overlap: Overlap = Overlap.SKIP
    catch_up: CatchUp = CatchUp.LATEST
    catch_up_window_s: float | None = None  # None: the larger of a day and one interval
    run_on_startup: bool = False
    enabled: bool = True
    params_json: str = "{}"
    env: tuple[tuple[str, str], ...] = ()
    inherit_env: bool = True
    cwd: str = "/"
    nice: int = 0
    limits: Limits = Limits()
    python: str | None = None
    late_after_s: float | None = None
    heartbeat: str | None = None
    description: str = ""
    docs: str = ""


class Notify(Struct, frozen=True):
    """Where alerts go and how loud they must be; slack None: nowhere."""

    slack: str | None = None
    min_severity: Severity = Severity.ERROR


class History(Struct, frozen=True):
    """How much of the past is kept: whichever limit is met first."""

    days: int = 90
    runs: int = 1000
    log_bytes: int = 2 * 1024**3


class Api(Struct, frozen=True):
    """Who may open the socket."""

    socket_mode: int = 0o600
    socket_group: str | None = None


class Config(Struct, frozen=True):
    """One accepted text of jobs.yaml. `secrets` are texts to mask everywhere."""

    jobs: tuple[Job, ...]
    timezone: str = "UTC"
    max_concurrent: int = 3
    shutdown_grace_s: float = 30.0
    notify: Notify = Notify()
    heartbeat: str | None = None
    history: History = History()
    api: Api = Api()
    metrics: str | None = None
    secrets: tuple[str, ...] = ()


class Problem(Struct, frozen=True):
    """One mistake in jobs.yaml; line and column count from 1.

    `path` is dotted (`jobs.backup.timeout`); a warning does not stop a load.
    """

    line: int
    column: int
    path: str
    message: str
    hint: str = ""
    severity: Severity = Severity.ERROR


class Progress(Struct, frozen=True):
    """How far a run says it is; total None: not known.

    per_second: of what is done, since the attempt began; None in its first instant.
    """

    done: float
    total: float | None
    unit: str
    per_second: float | None = None


class Attempt(Struct, frozen=True):
    """One process of a run; `number` counts from 1.

    `stray` processes are those found alive after the attempt's own had ended,
    as `pid argv`. `wait_status` is what waitpid said.
    """

    run: int
    number: int
    started_at: datetime
    pid: int | None = None
    ended_at: datetime | None = None
    reason: Reason | None = None
    cause: str = ""
    wait_status: int | None = None
    cpu_s: float | None = None
    max_rss_bytes: int | None = None
    strays: tuple[str, ...] = ()


class Run(Struct, frozen=True):
    """One fulfilment of a slot, of a request or of a start-up.

    slot: the instant of the calendar, None for manual and start-up runs.
    due: that instant; what dependencies and order are judged by.
    place: order among runs of one due instant.
    attempt: how many attempts were begun; retries_used and interruptions are
        counted apart, for an interruption uses no retry.
    after: the dependencies this run still heeds; None: those of its job.
    batch: a name shared by runs that are to go one at a time; "" for none.
    set_json: parameters given with a request, laid over the job's `with`.
    blocked_by: for an overlap skip, the run that stood in the way.
    next_attempt_at: for RETRYING, when the next attempt is due.
    result_json: what the worker said with `done`.
    """

    id: int
    job: str
    due: datetime
    trigger: Trigger
    state: State
    slot: datetime | None = None
    place: int = 0
    reason: Reason | None = None
    cause: str = ""
    attempt: int = 0
    retries_used: int = 0
    interruptions: int = 0
    after: tuple[str, ...] | None = None
    batch: str = ""
    set_json: str = "{}"
    dry_run: bool = False
    blocked_by: int | None = None
    opened_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    next_attempt_at: datetime | None = None
    progress: Progress | None = None
    result_json: str | None = None
    exit_status: int | None = None
    cpu_s: float | None = None
    max_rss_bytes: int | None = None
    strays: tuple[str, ...] = ()
    log_bytes: int = 0


class Gap(Struct, frozen=True):
    """Slots of one job in (since, until] that no row stands for, and why."""

    job: str
    since: datetime
    until: datetime
    count: int
    cause: str


class Pause(Struct, frozen=True):
    """A pause in force; until None: without an end."""

    until: datetime | None
    by: str
    reason: str = ""


class Mark(Struct, frozen=True):
    """What the ledger keeps of a job itself; no slot <= seen_until is opened again.

    removed_at: since when jobs.yaml does not define the job; None: it does.
    fixed_until: its fixed times up to here are done, though interval-like ones after
        seen_until are not (the clock was put back); None: there is no such difference.
    """

    job: str
    seen_until: datetime
    pause: Pause | None = None
    removed_at: datetime | None = None
    fixed_until: datetime | None = None


class Peer(Struct, frozen=True):
    """Who asked, as the kernel says (SO_PEERCRED)."""

    uid: int
    pid: int

    def __str__(self) -> str:
        return f"uid {self.uid}"


class Asking(Struct, frozen=True):
    """A row of `actions`: who asked what, when, and what was answered."""

    at: datetime
    peer: Peer
    verb: str
    what: str
    answer: str
