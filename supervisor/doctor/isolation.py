"""Runs each check in its own process, all at once, with a time limit.

The parent has one thread and no descriptor that needs protection, so a plain fork is
enough. A check that hangs is killed; one that cannot be killed, in a dead mount, is
not waited for. All processes of a check carry a mark, so that daemons are killed too.
"""

import os
import select
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NoReturn

import msgspec

from supervisor.containment import instance_mark, process_tree
from supervisor.core.model import replace
from supervisor.doctor.context import DoctorContext
from supervisor.doctor.finding import Check, Finding, error

LIMIT_S = 10.0
SWEEP_S = 1.0
_LARGEST_BYTES = 1024**2


@dataclass(frozen=True, slots=True)
class RunningCheck:
    """A check that was started; `answer` is the read end of a pipe from its process."""

    check: Check[Any]
    pid: int
    answer: int


def examine(
    checks: Sequence[Check[Any]], context: DoctorContext, limit_s: float = LIMIT_S
) -> Iterator[Finding]:
    """Run the checks and yield their findings, in the order of the checks."""
    deadline = time.monotonic() + limit_s
    instance = f"doctor-{os.getpid()}-{time.monotonic_ns()}"
    begun = [_begin(check, context, instance) for check in checks]
    try:
        for each in begun:
            found = _findings_of(each, deadline, limit_s)
            yield from (replace(finding, check=each.check.name) for finding in found)
    finally:
        for each in begun:
            _end(each)
        process_tree.kill_stray_instance(instance, SWEEP_S)


def _begin(check: Check[Any], context: DoctorContext, instance: str) -> RunningCheck:
    ours, theirs = os.pipe2(os.O_CLOEXEC)
    asker = os.getpid()
    pid = os.fork()
    if pid == 0:
        instance_mark.put_on(0, instance)
        os.environ[instance_mark.VARIABLE] = instance
        _answer(check, context, theirs, asker)
    os.close(theirs)
    return RunningCheck(check, pid, ours)


def _answer(check: Check[Any], context: DoctorContext, pipe: int, asker: int) -> NoReturn:
    """Run the check in the child and write its findings; imports may print, raise or hang."""
    try:
        if not process_tree.set_parent_death_signal(asker, signal.SIGKILL):
            os._exit(1)  # the parent has already exited
        os.setpgid(0, 0)
        nowhere = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(nowhere, descriptor)
        os.write(pipe, msgspec.json.encode(_findings(check, context))[:_LARGEST_BYTES])
    finally:
        os._exit(0)


def _findings(check: Check[Any], context: DoctorContext) -> list[Finding]:
    try:
        return list(check.judge(check.measure(context)))
    # Outermost handler of the child: every error must become a finding.
    except Exception as error:
        return [_unmeasured(f"{type(error).__name__}: {error}")]


def _findings_of(each: RunningCheck, deadline: float, limit_s: float) -> list[Finding]:
    said = b""
    while True:
        left_s = max(0.0, deadline - time.monotonic())
        if not select.select([each.answer], [], [], left_s)[0]:
            return [_unmeasured(f"no answer for {limit_s:g} s")]
        piece = os.read(each.answer, 65536)
        if not piece:
            break
        said += piece
    try:
        return msgspec.json.decode(said, type=list[Finding])
    except msgspec.MsgspecError:
        return [_unmeasured("its process died")]


def _unmeasured(why: str) -> Finding:
    hint = "look at what it names: a dead mount, a file that may not be read"
    return error(f"cannot be measured: {why}", "an answer", hint)


def _end(each: RunningCheck) -> None:
    os.close(each.answer)
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(each.pid, signal.SIGKILL)
    with suppress(ProcessLookupError):
        os.kill(each.pid, signal.SIGKILL)
    with suppress(ChildProcessError):
        os.waitpid(each.pid, os.WNOHANG)
