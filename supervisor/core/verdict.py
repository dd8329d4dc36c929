"""How an attempt ended -> its verdict: state, reason and a cause as a sentence.

Pure. Verdicts are made by named constructors, so that impossible combinations cannot
be built. Precedence: what the supervisor did to the attempt (a timeout, a
cancellation) explains an end better than the exit status.
"""

import os
import signal

from msgspec import Struct

from supervisor.core import incidents, signal_words
from supervisor.core.config_model import Job
from supervisor.core.model import Reason, Run, State
from workers.protocol import Done, Failed, Garbage
from workers.units import format_count, format_duration

_OF_SHELLS = {126: "not executable", 127: "command not found"}
# A shell exits with this plus the number of the signal that ended its last command.
_KILLED_IN_A_SHELL = 128
# Signals that typically end a program that runs out of memory.
_SHORT_OF_MEMORY = (signal.SIGABRT, signal.SIGSEGV, signal.SIGBUS, signal.SIGKILL)


class Verdict(Struct, frozen=True):
    """End of an attempt; `state` is what the run becomes without another attempt.

    reason and cause are for the ledger and people; exit_status is None after
    a signal. problem: what part of a successful run failed, else "". incident: the
    kind of incident of a failure, "" for that of its reason.
    """

    state: State
    reason: Reason | None
    cause: str
    exit_status: int | None = None
    problem: str = ""
    incident: str = ""


class WorkerMessages(Struct, frozen=True):
    """What a worker sent about its end: `done`, `failed`, garbage, or nothing yet."""

    done: Done | None = None
    failed: Failed | None = None
    garbage: Garbage | None = None


def timed_out(job: Job) -> Verdict:
    """Return the verdict of an attempt that was killed at its timeout."""
    return Verdict(
        State.FAILED, Reason.TIMEOUT, f"timeout after {format_duration(job.timeout_s or 0)}"
    )


def not_launched(error: str) -> Verdict:
    """Return the verdict of a launch that started no process."""
    return Verdict(State.FAILED, Reason.LAUNCH, error)


def interrupted(by: Reason) -> Verdict:
    """Return the verdict of an attempt that the supervisor's end ended; uses no retry."""
    words = {
        Reason.SHUTDOWN: "the supervisor was stopped",
        Reason.CRASH: "the supervisor died",
    }
    return Verdict(State.INTERRUPTED, by, words[by])


def keeper_lost() -> Verdict:
    """Return the verdict of an attempt whose keeper process died; uses no retry."""
    return Verdict(State.INTERRUPTED, Reason.CRASH, "the process that kept it died")


def cancelled(reason: Reason, cause: str) -> Verdict:
    """Return the verdict of a run ended by a user, a reload or a replacement."""
    return Verdict(State.CANCELLED, reason, cause)


def of_cancelled(run: Run) -> Verdict | None:
    """Return the verdict of a run that was cancelled and whose end is not recorded, or None."""
    if run.state is State.RUNNING and run.reason in (Reason.PERSON, Reason.REPLACED):
        return cancelled(run.reason, run.cause)
    return None


def from_wait_status(
    job: Job, wait_status: int, reported: WorkerMessages, cpu_s: float = 0.0
) -> Verdict:
    """Return the verdict that follows from a process's own end.

    wait_status: as returned by waitpid. cpu_s: CPU time that the process used.
    """
    if os.WIFSIGNALED(wait_status):
        number = os.WTERMSIG(wait_status)
        if job.shell is not None and _KILLED_IN_A_SHELL + number in job.success_exit_status:
            # A program without a shell around it ends as the shell would have reported.
            return _command(job, _KILLED_IN_A_SHELL + number)
        return _killed(job, number, cpu_s)
    status = os.waitstatus_to_exitcode(wait_status)
    return _command(job, status) if job.worker is None else _worker(status, reported)


def _command(job: Job, status: int) -> Verdict:
    if status in job.success_exit_status:
        return Verdict(State.SUCCESS, None, "", status)
    return Verdict(State.FAILED, Reason.EXIT, f"exit status {status}{_hint(job, status)}", status)


def _worker(status: int, reported: WorkerMessages) -> Verdict:
    if reported.failed is not None:
        reason = Reason.PERMANENT if reported.failed.permanent else Reason.ERROR
        kind = reported.failed.incident
        incident = kind if kind in incidents.REPORTED else ""
        return Verdict(State.FAILED, reason, reported.failed.error, status, incident=incident)
    if reported.garbage is not None:
        return Verdict(
            State.FAILED, Reason.PROTOCOL, f"the worker sent {reported.garbage.why}", status
        )
    if reported.done is None:
        said = f"the worker ended with exit status {status} without a word"
        return Verdict(State.FAILED, Reason.PROTOCOL, said, status)
    if status != 0:
        said = f"exit status {status} after the worker had said done"
        return Verdict(State.FAILED, Reason.EXIT, said, status)
    warnings = reported.done.result.get("warnings")
    # `True` is an int in Python, but not a count.
    counted = warnings if isinstance(warnings, int) and warnings is not True else 0
    cause = format_count(counted, "warning") if counted else ""
    problem = reported.done.result.get("problem")
    said = problem if isinstance(problem, str) else ""
    return Verdict(State.SUCCESS, None, said or cause, 0, said)


def _killed(job: Job, number: int, cpu_s: float) -> Verdict:
    name = signal_words.name(number)
    limit = _limit_met(job, number, cpu_s)
    if limit:
        return Verdict(State.FAILED, Reason.SIGNAL, f"{limit} ({name})")
    meaning = signal_words.meaning(number)
    if number in _SHORT_OF_MEMORY and job.limits.address_space is not None:
        meaning += "; limits.address_space?"
    # A process hardly ever sends SIGKILL to itself.
    origin = " from outside" if number == signal.SIGKILL else ""
    explained = f" ({meaning})" if meaning else ""
    return Verdict(State.FAILED, Reason.SIGNAL, f"killed by {name}{origin}{explained}")


def _limit_met(job: Job, number: int, cpu_s: float) -> str:
    """Return which of the job's own limits this signal means; "": none."""
    cpu_seconds, file_size = job.limits.cpu_seconds, job.limits.file_size
    if cpu_seconds is not None and (
        number == signal.SIGXCPU or (number == signal.SIGKILL and cpu_s >= cpu_seconds)
    ):
        return f"limits.cpu_seconds: a process used more than {cpu_seconds} s of CPU time"
    if file_size is not None and number == signal.SIGXFSZ:
        return f"limits.file_size: a file would have become larger than {file_size} bytes"
    return ""


def _hint(job: Job, status: int) -> str:
    """Return what an exit status means by the conventions of shells; "": unknown."""
    if status in _OF_SHELLS:
        return f" ({_OF_SHELLS[status]})"
    number = status - _KILLED_IN_A_SHELL
    if not signal_words.meaning(number):
        return ""
    limit = _limit_met(job, number, 0.0)
    return f" ({signal_words.name(number)}: {limit or signal_words.meaning(number)})"
