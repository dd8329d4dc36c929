"""Each check in a process of its own, all at once, each with a limit.

The process that asks has one thread and no descriptor worth guarding, so a fork is
enough. What hangs is killed; what cannot be killed, in a dead mount, is not waited for.
What a check started carries a mark, by which daemons are found and killed, too.
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

from supervisor.containment import marks, tree
from supervisor.core.model import replace
from supervisor.doctor.finding import Check, Finding, mend
from supervisor.doctor.ground import Ground

LIMIT_S = 10.0
SWEEP_S = 1.0
_LARGEST_BYTES = 1024**2


@dataclass(frozen=True, slots=True)
class Examination:
    """A check that has begun; `answer` is a pipe that ends with its process."""

    check: Check[Any]
    pid: int
    answer: int


def examine(
    checks: Sequence[Check[Any]], ground: Ground, limit_s: float = LIMIT_S
) -> Iterator[Finding]:
    """What the checks find, in their order."""
    deadline = time.monotonic() + limit_s
    instance = f"doctor-{os.getpid()}-{time.monotonic_ns()}"
    begun = [_begin(check, ground, instance) for check in checks]
    try:
        for each in begun:
            found = _heard(each, deadline, limit_s)
            yield from (replace(finding, check=each.check.name) for finding in found)
    finally:
        for each in begun:
            _end(each)
        tree.sweep(instance, SWEEP_S)


def _begin(check: Check[Any], ground: Ground, instance: str) -> Examination:
    ours, theirs = os.pipe2(os.O_CLOEXEC)
    asker = os.getpid()
    pid = os.fork()
    if pid == 0:
        marks.put_on(0, instance)
        os.environ[marks.VARIABLE] = instance
        _answer(check, ground, theirs, asker)
    os.close(theirs)
    return Examination(check, pid, ours)


def _answer(check: Check[Any], ground: Ground, pipe: int, asker: int) -> NoReturn:
    """The life of the child; whatever it imports may print, raise or hang."""
    try:
        if not tree.hear_of_death(asker, signal.SIGKILL):
            os._exit(1)  # nobody listens any more
        os.setpgid(0, 0)
        nowhere = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(nowhere, descriptor)
        os.write(pipe, msgspec.json.encode(_findings(check, ground))[:_LARGEST_BYTES])
    finally:
        os._exit(0)


def _findings(check: Check[Any], ground: Ground) -> list[Finding]:
    try:
        return list(check.judge(check.measure(ground)))
    # The outermost edge of a process: it must answer, whatever it meets.
    except Exception as error:
        return [_unmeasured(f"{type(error).__name__}: {error}")]


def _heard(each: Examination, deadline: float, limit_s: float) -> list[Finding]:
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
    return mend(f"cannot be measured: {why}", "an answer", hint)


def _end(each: Examination) -> None:
    os.close(each.answer)
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(each.pid, signal.SIGKILL)
    with suppress(ProcessLookupError):
        os.kill(each.pid, signal.SIGKILL)
    with suppress(ChildProcessError):
        os.waitpid(each.pid, os.WNOHANG)
