"""Core values: jobs, runs, attempts, the config and rows of the ledger.

Frozen; change a value with `replace`, which is exported here. They are msgspec structs
rather than dataclasses: defining, making and replacing them is ten times as fast.
Instants are aware datetimes in UTC. Durations are seconds, with names that end in `_s`.
Defaults of jobs.yaml are resolved before a value is made: None always means "none".
Incidents and alerts are in `alert_model.py`, the views of the API in `views.py`.
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct
from msgspec.structs import replace as replace


class State(StrEnum):
    """State of a run; all but the first three are final."""

    PENDING = "pending"  # due; waits for dependencies, group, pool or ledger
    RUNNING = "running"  # the process of an attempt is alive
    RETRYING = "retrying"  # an attempt failed or was interrupted; the next is not due yet
    SUCCESS = "success"  # the run's own process succeeded
    FAILED = "failed"  # no attempts are left
    SKIPPED = "skipped"  # due, but not allowed to run
    MISSED = "missed"  # due while no supervisor could run it
    CANCELLED = "cancelled"  # ended by a user, a reload or a replacement
    INTERRUPTED = "interrupted"  # ended for good by a shutdown or a crash

    @property
    def is_open(self) -> bool:
        """Return whether the run can still change state by itself."""
        return self in OPEN


OPEN = frozenset({State.PENDING, State.RUNNING, State.RETRYING})
FINAL = frozenset(State) - OPEN


class Trigger(StrEnum):
    """Origin of a run."""

    SCHEDULE = "schedule"
    MANUAL = "manual"
    CATCH_UP = "catch_up"
    STARTUP = "startup"


class Reason(StrEnum):
    """Reason for the state of a run, from a closed list."""

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
    """Rule for a slot that comes due while a run of its job is open."""

    SKIP = "skip"
    QUEUE = "queue"
    REPLACE = "replace"


class CatchUp(StrEnum):
    """Rule for slots that came due while no supervisor was running."""

    NONE = "none"
    LATEST = "latest"


class ShellUse(StrEnum):
    """Rule for a command that is a text: when /bin/sh runs it."""

    AUTO = "auto"  # unless the shell would only look up and execute one program
    ALWAYS = "always"


class Severity(StrEnum):
    """Severity of an incident, in ascending order."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    CRITICAL = "critical"


# A severity in an answer of the API, which a newer supervisor may know alone.
SeverityName = Annotated[str, Meta(extra_json_schema={"enum": list(Severity)})]


class Limits(Struct, frozen=True):
    """Resource limits of a job's processes, set before they start; None: inherited."""

    address_space: int | None = None
    open_files: int | None = None
    cpu_seconds: int | None = None
    file_size: int | None = None
    processes: int | None = None


class Job(Struct, frozen=True):
    """Job definition from jobs.yaml: defaults resolved, variables replaced, types checked.

    Exactly one of worker, argv and shell is set. `params_json` is the `with`
    block as a JSON object. `exclusive` is the name of a group. `place` is the position
    in the file, from 0. `cwd` and `python` are absolute paths.
    """

    name: str
    place: int
    worker: str | None = None
    argv: tuple[str, ...] | None = None
    shell: str | None = None
    shell_use: ShellUse = ShellUse.AUTO
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


class QuietHours(Struct, frozen=True):
    """Part of each day, in minutes after midnight; since may be later than until."""

    since_min: int
    until_min: int
    timezone: str


class Channel(Struct, frozen=True):
    """A place to which alerts are sent.

    kind: the module in `notifications/channels/` that sends to it; unknown to the core.
    url: its address, a secret. settings_json: its other settings, as a JSON object.
    min_severity: alerts of a lower severity are not sent to it.
    jobs, groups: alerts about other jobs are not sent to it; both empty: about all.
    quiet: alerts wait until these hours are over. summary: whether it gets the summary.
    """

    name: str
    kind: str
    url: str
    settings_json: str = "{}"
    min_severity: Severity = Severity.ERROR
    jobs: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    quiet: QuietHours | None = None
    summary: bool = True

    @property
    def target(self) -> tuple[str, str, str]:
        """Return what decides where a message goes, and how."""
        return self.kind, self.url, self.settings_json


class Notify(Struct, frozen=True):
    """The channels of alerts, in the order of the file; summary: when one is sent (cron)."""

    channels: tuple[Channel, ...] = ()
    summary: tuple[str, ...] = ()

    def channel(self, name: str) -> Channel | None:
        """Return the channel of this name, or None."""
        return next((each for each in self.channels if each.name == name), None)


class History(Struct, frozen=True):
    """Retention limits of the history; the limit that is reached first applies."""

    days: int = 90
    runs: int = 1000
    log_bytes: int = 2 * 1024**3


class Api(Struct, frozen=True):
    """Permissions of the API socket."""

    socket_mode: int = 0o600
    socket_group: str | None = None


class Config(Struct, frozen=True):
    """One accepted version of jobs.yaml; `secrets` are texts to mask everywhere."""

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
    """Problem in jobs.yaml; line and column count from 1.

    `path` is dotted (`jobs.backup.timeout`). A warning does not prevent loading.
    """

    line: int
    column: int
    path: str
    message: str
    hint: str = ""
    severity: SeverityName = Severity.ERROR


class Progress(Struct, frozen=True):
    """Progress reported by a run; total None: unknown.

    per_second: rate of `done` since the attempt began; None while no time has passed.
    """

    done: float
    total: float | None = None
    unit: str = ""
    per_second: float | None = None


class Attempt(Struct, frozen=True):
    """One process of a run; `number` counts from 1.

    strays: processes found alive after the attempt's own process had ended, each as
    `pid argv`. wait_status: as returned by waitpid.
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
    """One execution of a job for a slot, a request or a start-up.

    slot: the scheduled instant; None for manual and start-up runs.
    due: the slot or, without one, when the run was opened; dependencies and the
        order of the queue are based on it.
    place: order among runs with the same due.
    attempt: number of attempts begun. retries_used and interruptions are counted
        separately, because an interruption uses no retry.
    after: the dependencies that still apply to this run; None: those of its job.
    batch: a name shared by runs that must run one at a time; "": none.
    set_json: parameters given with a request, which override the job's `with`.
    blocked_by: for a run skipped because of overlap, the run that blocked it.
    next_attempt_at: for RETRYING, when the next attempt is due.
    result_json: the result that the worker sent with `done`.
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


class MissedRange(Struct, frozen=True):
    """Slots of one job in (since, until] that have no rows of their own, and the cause."""

    job: str
    since: datetime
    until: datetime
    count: int
    cause: str


class Pause(Struct, frozen=True):
    """Pause in force; until None: without an end."""

    until: datetime | None
    by: str
    reason: str = ""


class JobRecord(Struct, frozen=True):
    """Ledger row of a job; slots up to seen_until are not opened again.

    removed_at: since when jobs.yaml does not define the job; None: it does.
    fixed_until: fixed times up to here are done, though interval-like ones after
        seen_until are not (the clock was put back); None: there is no such difference.
    """

    job: str
    seen_until: datetime
    pause: Pause | None = None
    removed_at: datetime | None = None
    fixed_until: datetime | None = None


class Peer(Struct, frozen=True):
    """Client of the API socket: uid and pid as reported by the kernel (SO_PEERCRED).

    user: the person for whom the client asks, as the client says; "": not said.
    """

    uid: int
    pid: int
    user: str = ""

    def __str__(self) -> str:
        return f"{self.user} (uid {self.uid})" if self.user else f"uid {self.uid}"


class AuditEntry(Struct, frozen=True):
    """Row of the table `actions`: a request, its time, its client and the answer."""

    at: datetime
    peer: Peer
    verb: str
    what: str
    answer: str


class ReloadEntry(Struct, frozen=True):
    """Row of the table `reloads`: a text of jobs.yaml that was read, and the outcome.

    sha256: of the bytes of the file, in hex; "" if it could not be read.
    said: the number of jobs, or the first problem of a refused text.
    """

    at: datetime
    sha256: str
    accepted: bool
    said: str
