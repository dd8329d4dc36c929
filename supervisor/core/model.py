"""Core values of the ledger: runs, attempts, job records, who asked for what.

Frozen; change a value with `replace`, which is exported here. They are msgspec structs
rather than dataclasses: defining, making and replacing them is ten times as fast.
Instants are aware datetimes in UTC. Durations are seconds, with names that end in `_s`.
What jobs.yaml defines is in `config_model.py`. Incidents and alerts are in
`alert_model.py`, the views of the API in `views.py`.
"""

from datetime import datetime
from enum import StrEnum

from msgspec import Struct
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
    ASSIGNED = "assigned"  # an attempt of a run that the leader of a cluster decides


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
    LOST = "lost"  # its host was silent for too long
    ALONE = "alone"  # this host had no word from its cluster


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
    on_host: the only host of a cluster that may run it; "": any that fits.
    incident: the kind of incident that its worker gave to a failure; "": that of `reason`.
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
    on_host: str = ""
    incident: str = ""


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


class JobChange(Struct, frozen=True):
    """What a text of jobs.yaml did to a job ("": to the file's own keys).

    what: `added`, `removed` or `changed`. keys: of a changed one, as in jobs.yaml; no
    values, which may be secrets.
    """

    job: str
    what: str
    keys: tuple[str, ...] = ()


class ReloadEntry(Struct, frozen=True):
    """Row of the table `reloads`: a text of jobs.yaml that was read, and the outcome.

    sha256: of the bytes of the file, in hex; "" if it could not be read.
    said: the number of jobs, or the first problem of a refused text.
    changes: beside the text before, at most `config_diff.MOST_CHANGES`; () if it was read
    at a start. changes_left_out: how many more there were.
    """

    at: datetime
    sha256: str
    accepted: bool
    said: str
    changes: tuple[JobChange, ...] = ()
    changes_left_out: int = 0
