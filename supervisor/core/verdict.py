"""How an attempt ended -> what that means, in a sentence.

Pure. One value made by named constructors, so that impossible combinations
cannot be built. Precedence: what we did to it (a timeout, a person) explains
an ending better than the status it left behind.
"""

import os
import signal

from msgspec import Struct

from supervisor.core import signal_words
from supervisor.core.model import Job, Reason, State
from workers.protocol import Done, Failed, Garbage
from workers.units import format_duration

_OF_SHELLS = {126: "not executable", 127: "command not found"}
# A shell ends with this and the number of the signal that ended its last command.
_KILLED_IN_A_SHELL = 128
# How programs end that cannot go on without memory.
_SHORT_OF_MEMORY = (signal.SIGABRT, signal.SIGSEGV, signal.SIGBUS, signal.SIGKILL)


class Verdict(Struct, frozen=True):
    """An attempt's end: `state` is what the run becomes if nothing is tried again.

    reason and cause are for the ledger and people; exit_status is None after
    a signal.
    """

    state: State
    reason: Reason | None
    cause: str
    exit_status: int | None = None


class Heard(Struct, frozen=True):
    """What a worker said last: `done`, `failed`, garbage, or nothing yet."""

    done: Done | None = None
    failed: Failed | None = None
    garbage: Garbage | None = None


def timed_out(job: Job) -> Verdict:
    """Its time was up and it was killed."""
    return Verdict(
        State.FAILED, Reason.TIMEOUT, f"timeout after {format_duration(job.timeout_s or 0)}"
    )


def not_launched(error: str) -> Verdict:
    """No process came of it."""
    return Verdict(State.FAILED, Reason.LAUNCH, error)


def interrupted(by: Reason) -> Verdict:
    """The end of the supervisor ended it; uses no retry."""
    words = {
        Reason.SHUTDOWN: "the supervisor was stopped",
        Reason.CRASH: "the supervisor died",
    }
    return Verdict(State.INTERRUPTED, by, words[by])


def keeper_lost() -> Verdict:
    """The process that watched over its tree died under it; uses no retry."""
    return Verdict(State.INTERRUPTED, Reason.CRASH, "the process that kept it died")


def cancelled(reason: Reason, cause: str) -> Verdict:
    """A person, a reload or a replacement ended it."""
    return Verdict(State.CANCELLED, reason, cause)


def ended(job: Job, wait_status: int, heard: Heard, cpu_s: float = 0.0) -> Verdict:
    """What a process's own ending means.

    wait_status: as waitpid returns it. cpu_s: CPU time that the process used.
    """
    if os.WIFSIGNALED(wait_status):
        return _killed(job, os.WTERMSIG(wait_status), cpu_s)
    status = os.waitstatus_to_exitcode(wait_status)
    return _command(job, status) if job.worker is None else _worker(status, heard)


def _command(job: Job, status: int) -> Verdict:
    if status in job.success_exit_status:
        return Verdict(State.SUCCESS, None, "", status)
    return Verdict(State.FAILED, Reason.EXIT, f"exit status {status}{_hint(job, status)}", status)


def _worker(status: int, heard: Heard) -> Verdict:
    if heard.failed is not None:
        reason = Reason.PERMANENT if heard.failed.permanent else Reason.ERROR
        return Verdict(State.FAILED, reason, heard.failed.error, status)
    if heard.garbage is not None:
        return Verdict(
            State.FAILED, Reason.PROTOCOL, f"the worker sent {heard.garbage.why}", status
        )
    if heard.done is None:
        said = f"the worker ended with exit status {status} without a word"
        return Verdict(State.FAILED, Reason.PROTOCOL, said, status)
    if status != 0:
        said = f"exit status {status} after the worker had said done"
        return Verdict(State.FAILED, Reason.EXIT, said, status)
    warnings = heard.done.result.get("warnings")
    # `True` is an int to Python, and no count.
    counted = warnings if isinstance(warnings, int) and warnings is not True else 0
    cause = f"{counted} warning{'' if counted == 1 else 's'}" if counted else ""
    return Verdict(State.SUCCESS, None, cause, 0)


def _killed(job: Job, number: int, cpu_s: float) -> Verdict:
    name = signal_words.name(number)
    limit = _limit_met(job, number, cpu_s)
    if limit:
        return Verdict(State.FAILED, Reason.SIGNAL, f"{limit} ({name})")
    meaning = signal_words.meaning(number)
    if number in _SHORT_OF_MEMORY and job.limits.address_space is not None:
        meaning += "; limits.address_space?"
    # SIGKILL is the one that a process hardly ever sends to itself.
    origin = " from outside" if number == signal.SIGKILL else ""
    explained = f" ({meaning})" if meaning else ""
    return Verdict(State.FAILED, Reason.SIGNAL, f"killed by {name}{origin}{explained}")


def _limit_met(job: Job, number: int, cpu_s: float) -> str:
    """Which of the job's own limits this signal stands for; "": none."""
    cpu_seconds, file_size = job.limits.cpu_seconds, job.limits.file_size
    if cpu_seconds is not None and (
        number == signal.SIGXCPU or (number == signal.SIGKILL and cpu_s >= cpu_seconds)
    ):
        return f"limits.cpu_seconds: a process used more than {cpu_seconds} s of CPU time"
    if file_size is not None and number == signal.SIGXFSZ:
        return f"limits.file_size: a file would have become larger than {file_size} bytes"
    return ""


def _hint(job: Job, status: int) -> str:
    """What an exit status says by the conventions of shells."""
    if status in _OF_SHELLS:
        return f" ({_OF_SHELLS[status]})"
    number = status - _KILLED_IN_A_SHELL
    if not signal_words.meaning(number):
        return ""
    limit = _limit_met(job, number, 0.0)
    return f" ({signal_words.name(number)}: {limit or signal_words.meaning(number)})"
