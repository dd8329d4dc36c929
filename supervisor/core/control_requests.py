"""Values of the control requests that clients send over the socket, and of the replies.

`control.py` decides whether a request is granted.
"""

from datetime import datetime
from enum import StrEnum

from msgspec import Struct

from supervisor.core.assignment_key import AssignmentKey


class RunJobs(Struct, frozen=True):
    """Request to run these jobs now.

    with_deps: run their dependencies first, with the same due time.
    on_host: the only host of the cluster that may run them (not their dependencies); "": any.
    """

    jobs: tuple[str, ...]
    with_deps: bool = False
    set_json: str = "{}"
    dry_run: bool = False
    on_host: str = ""


class RunAll(Struct, frozen=True):
    """Request to run each enabled job once, or only these, one at a time."""

    only: tuple[str, ...] = ()


class CancelJob(Struct, frozen=True):
    """Request to cancel the open runs of a job."""

    job: str


class CancelRun(Struct, frozen=True):
    """Request to cancel one open run."""

    run: int


class PauseJob(Struct, frozen=True):
    """Request to stop scheduling a job ("": all jobs) until resumed or for `for_s` seconds."""

    job: str
    for_s: float | None
    reason: str = ""


class ResumeJob(Struct, frozen=True):
    """Request to lift a pause. from_now: also let slots after now run again if already done."""

    job: str
    from_now: bool = False


class AckIncident(Struct, frozen=True):
    """Request to withhold reminders of an incident for `for_s` seconds."""

    incident: int
    for_s: float
    reason: str = ""


class StopService(Struct, frozen=True):
    """Request to stop the service. drain_s: seconds to let live runs finish first."""

    drain_s: float | None = None


class RestoreBackup(Struct, frozen=True):
    """Request to restore a backup over a database; both paths are absolute.

    force: overwrite an existing target after copying it aside.
    unproven: accept a file without a manifest beside it.
    """

    file: str
    target: str
    force: bool = False
    unproven: bool = False


class VerifyBackup(Struct, frozen=True):
    """Request to verify a copy again; file: its absolute path."""

    file: str


class NotifyTest(Struct, frozen=True):
    """Request to test a channel ("": all); granted if it is configured, whatever the result."""

    channel: str = ""


class AssignRun(Struct, frozen=True):
    """Request of this host's agent to run an attempt that the leader has assigned to it.

    key: names the attempt in the cluster; asked for again, the same run is meant.
    """

    job: str
    key: AssignmentKey
    due: datetime
    set_json: str = "{}"
    dry_run: bool = False


class ConfirmHost(Struct, frozen=True):
    """Report of this host's agent that the cluster knows it, and for how long that holds.

    grace_s: from SIGTERM to SIGKILL, at most, if no further report comes in that time.
    """

    for_s: float
    grace_s: float


Request = (
    RunJobs
    | RunAll
    | CancelJob
    | CancelRun
    | PauseJob
    | ResumeJob
    | AckIncident
    | RestoreBackup
    | VerifyBackup
    | NotifyTest
    | StopService
    | AssignRun
    | ConfirmHost
)


class ReplyStatus(StrEnum):
    """Outcome of a request; the API maps it to an HTTP status code."""

    OK = "ok"
    UNKNOWN = "unknown"
    CONFLICT = "conflict"
    BAD = "bad"
    UNAVAILABLE = "unavailable"


class Reply(Struct, frozen=True):
    """Action that answers a request with ids of runs, or with an error and a hint."""

    token: int
    answer: ReplyStatus
    runs: tuple[int, ...] = ()
    error: str = ""
    hint: str = ""
