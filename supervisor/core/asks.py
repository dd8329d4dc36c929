"""What people may ask over the socket, and how they are told what became of it.

Values only; the rules by which a request is granted stand in `answering.py`.
"""

from enum import StrEnum

from msgspec import Struct


class RunJobs(Struct, frozen=True):
    """Run these jobs now; with_deps: their dependencies first, under one instant."""

    jobs: tuple[str, ...]
    with_deps: bool = False
    set_json: str = "{}"
    dry_run: bool = False


class RunAll(Struct, frozen=True):
    """Run every enabled job once (or only these), one at a time."""

    only: tuple[str, ...] = ()


class CancelJob(Struct, frozen=True):
    """End the open runs of a job."""

    job: str


class CancelRun(Struct, frozen=True):
    """End one open run."""

    run: int


class PauseJob(Struct, frozen=True):
    """No slots of this job ("": of any job) until resumed or for_s is over."""

    job: str
    for_s: float | None
    reason: str = ""


class ResumeJob(Struct, frozen=True):
    """Lift a pause; from_now: also forget that later slots were seen."""

    job: str
    from_now: bool = False


class AckIncident(Struct, frozen=True):
    """Send no reminders of an incident for a time."""

    incident: int
    for_s: float
    reason: str = ""


class StopService(Struct, frozen=True):
    """Stop the service; drain_s: let living runs finish first, at most so long."""

    drain_s: float | None = None


class RestoreBackup(Struct, frozen=True):
    """Put a backup in place of a database; both paths are absolute.

    force: the target may exist; what is there is copied aside first.
    unproven: the file may be one that has no manifest beside it.
    """

    file: str
    target: str
    force: bool = False
    unproven: bool = False


class NotifyTest(Struct, frozen=True):
    """See whether alerts arrive; granted if there is a channel, whatever comes of it."""


Request = (
    RunJobs
    | RunAll
    | CancelJob
    | CancelRun
    | PauseJob
    | ResumeJob
    | AckIncident
    | RestoreBackup
    | NotifyTest
    | StopService
)


class Answer(StrEnum):
    """How a request was received; the API turns it into a status code."""

    OK = "ok"
    UNKNOWN = "unknown"
    CONFLICT = "conflict"
    BAD = "bad"
    UNAVAILABLE = "unavailable"


class Reply(Struct, frozen=True):
    """Answer a request: ids of runs, or an error with a hint."""

    token: int
    answer: Answer
    runs: tuple[int, ...] = ()
    error: str = ""
    hint: str = ""
