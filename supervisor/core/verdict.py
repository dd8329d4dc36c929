"""How an attempt ended -> what that means, in a sentence.

Pure. One value made by named constructors, so that impossible combinations
cannot be built. Precedence: what we did to it (a timeout, a person) explains
an ending better than the status it left behind.
"""

import os
import signal

from msgspec import Struct

from supervisor.core.model import Job, Reason, State
from workers.protocol import Done, Failed, Garbage
from workers.units import format_duration


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
    """Shutdown, a crash or the loss of a keeper ended it; uses no retry."""
    words = {
        Reason.SHUTDOWN: "the supervisor was stopped",
        Reason.CRASH: "the process that kept it died",
    }
    return Verdict(State.INTERRUPTED, by, words[by])


def cancelled(reason: Reason, cause: str) -> Verdict:
    """A person, a reload or a replacement ended it."""
    return Verdict(State.CANCELLED, reason, cause)


def ended(job: Job, wait_status: int, heard: Heard) -> Verdict:
    """What a process's own ending means; `wait_status` is waitpid's."""
    if job.worker is None:
        return _command(job, wait_status)
    return _worker(wait_status, heard)


def _command(job: Job, wait_status: int) -> Verdict:
    if os.WIFSIGNALED(wait_status):
        return _killed(os.WTERMSIG(wait_status))
    status = os.waitstatus_to_exitcode(wait_status)
    if status in job.success_exit_status:
        return Verdict(State.SUCCESS, None, "", status)
    return Verdict(State.FAILED, Reason.EXIT, f"exit status {status}{_hint(status)}", status)


def _worker(wait_status: int, heard: Heard) -> Verdict:
    if os.WIFSIGNALED(wait_status):
        return _killed(os.WTERMSIG(wait_status))
    status = os.waitstatus_to_exitcode(wait_status)
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


def _killed(number: int) -> Verdict:
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = f"signal {number}"
    memory = " (out of memory?)" if number == signal.SIGKILL else ""
    return Verdict(State.FAILED, Reason.SIGNAL, f"killed by {name} from outside{memory}")


def _hint(status: int) -> str:
    return {126: " (not executable)", 127: " (command not found)"}.get(status, "")
