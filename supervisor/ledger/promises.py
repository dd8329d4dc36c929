"""Launches that the ledger has promised: they need not wait for the disk.

While the pool is full, a commit that waits for the disk also names the attempts that come
next. Their launches, and the ends in between, are then committed without that wait. Such a
commit survives a crash of the process, but not a power cut. After a power cut (the machine
has booted since), an attempt that was promised may have begun, though its run still counts
as pending: it is read as one that has begun. So there is no launch without a record.
A promise ends with the next commit that waits for the disk, which may hold the next one.
"""

import contextlib
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import msgspec

from supervisor.core.admission import next_attempts
from supervisor.core.model import Run, State, replace
from supervisor.core.state import SchedulerState

# Attempts in one promise: with 8 at a time, one commit in eight waits for the disk.
MOST = 64
META_KEY = "promised"
AttemptKey = tuple[int, int]  # the run's id and the attempt's number
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Promise(msgspec.Struct, frozen=True):
    """The attempts that may begin before a further record is on the disk.

    boot: of the machine.
    """

    boot: str
    attempts: tuple[AttemptKey, ...]


def boot_id() -> str:
    """Return the kernel's name for this boot; "" if it does not say."""
    with contextlib.suppress(OSError):
        return _BOOT_ID.read_text().strip()
    return ""


def next_of(scheduler: SchedulerState) -> Callable[[], tuple[AttemptKey, ...]]:
    """Return what to call for the attempts that a promise names now."""
    return partial(next_attempts, scheduler, MOST)


def begun(runs: Iterable[Run], promise: Promise | None, boot: str) -> list[Run]:
    """Return the runs, with those as running that a power cut has left as promised.

    boot: the present one.
    """
    if promise is None or promise.boot == boot != "":
        return list(runs)
    attempts = frozenset(promise.attempts)
    return [_as_begun(run) if _next_attempt(run) in attempts else run for run in runs]


def _next_attempt(run: Run) -> AttemptKey | None:
    return (run.id, run.attempt + 1) if run.state is State.PENDING else None


def _as_begun(run: Run) -> Run:
    return replace(run, state=State.RUNNING, attempt=run.attempt + 1)
