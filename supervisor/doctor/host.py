"""Checks of the machine: kernel, Python, file descriptors, clock, container root."""

import os
import re
import resource
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from supervisor.doctor.context import DoctorContext, in_container
from supervisor.doctor.finding import Finding, error, ok, warning
from supervisor.ledger import unattended
from supervisor.ledger.queries import History, RunFilter
from workers import volume
from workers.units import format_duration

# pidfd_open, which is used to wait for the end of a process.
OLDEST_KERNEL = (5, 3)
OLDEST_PYTHON = (3, 11)
# Per run: a socket and two pipes in this process, and a keeper that inherits none of them.
FILES_A_RUN, FILES_OF_OURS = 8, 256
# LEDGER_AHEAD_S: a run may end some milliseconds after the clock was read here.
LEDGER_AHEAD_S, FILE_SKEW_S, JUMP_S = 60.0, 5.0, 0.1
_WATCHED_S, _READINGS = 0.2, 9


@dataclass(frozen=True, slots=True)
class Python:
    """The versions of the interpreter and of its SQLite."""

    version: tuple[int, ...]
    sqlite: str


@dataclass(frozen=True, slots=True)
class Descriptors:
    """The hard limit of open files (-1: no limit), and the maximum of concurrent runs."""

    hard: int
    places: int


@dataclass(frozen=True, slots=True)
class Clock:
    """The wall clock compared with other clocks, in seconds.

    ledger_ahead_s: how far the newest time in the ledger lies in the future.
    file_skew_s: how far the clock of the state folder's file system is ahead.
    jump_s: what the wall clock gained on the monotonic clock during the measurement.
    """

    ledger_ahead_s: float | None
    file_skew_s: float | None
    jump_s: float


@dataclass(frozen=True, slots=True)
class Root:
    """The root file system, and whether this is a container."""

    in_container: bool
    read_only: bool


def kernel(_context: DoctorContext) -> str:
    """Return the release of the kernel."""
    return os.uname().release


def judge_kernel(release: str) -> Iterator[Finding]:
    """Check that the kernel supports pidfds."""
    number = re.match(r"(\d+)\.(\d+)", release)
    if number and (int(number[1]), int(number[2])) >= OLDEST_KERNEL:
        yield ok(f"Linux {release}")
    else:
        oldest = ".".join(map(str, OLDEST_KERNEL))
        yield error(f"Linux {release}", f"{oldest} or newer (pidfds)", "boot a newer kernel")


def python(_context: DoctorContext) -> Python:
    """Return the version of the running interpreter."""
    return Python(tuple(sys.version_info[:3]), sqlite3.sqlite_version)


def judge_python(found: Python) -> Iterator[Finding]:
    """Check that the Python version is supported."""
    value = f"{'.'.join(map(str, found.version))}, SQLite {found.sqlite}"
    if found.version[:2] >= OLDEST_PYTHON:
        yield ok(value)
    else:
        oldest = ".".join(map(str, OLDEST_PYTHON))
        yield error(value, f"{oldest} or newer", "install into an environment of a newer Python")


def descriptors(context: DoctorContext) -> Descriptors:
    """Return the limit of the supervisor's process if readable, else of this process."""
    places = context.config.max_concurrent if context.config is not None else 3
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if context.running is not None and context.running.pid:
        try:
            limits = Path(f"/proc/{context.running.pid}/limits").read_text()
        except OSError:
            return Descriptors(hard, places)
        found = re.search(r"Max open files\s+\S+\s+(\d+|unlimited)", limits)
        if found:
            hard = -1 if found[1] == "unlimited" else int(found[1])
    return Descriptors(hard, places)


def judge_descriptors(found: Descriptors) -> Iterator[Finding]:
    """Check that the limit suffices for the maximum of concurrent runs."""
    needed = FILES_OF_OURS + FILES_A_RUN * found.places
    if found.hard < 0 or found.hard >= needed:
        yield ok("no limit" if found.hard < 0 else f"up to {found.hard}")
    else:
        yield error(
            f"up to {found.hard}",
            f"{needed} for max_concurrent: {found.places}",
            "LimitNOFILE=65536 in the unit, ulimits: {nofile: 65536} in compose",
        )


def clock(context: DoctorContext) -> Clock:
    """Compare the wall clock with the ledger, the file system and the monotonic clock."""
    before = _wall_beside_monotonic_s()
    ahead_s, skew_s = _ledger_ahead_s(context), _file_skew_s(context)
    time.sleep(_WATCHED_S)
    return Clock(ahead_s, skew_s, _wall_beside_monotonic_s() - before)


def judge_clock(found: Clock) -> Iterator[Finding]:
    """Check that the clock agrees with the ledger and the file system, and does not jump."""
    is_well = True
    if found.ledger_ahead_s is not None and found.ledger_ahead_s > LEDGER_AHEAD_S:
        is_well = False
        behind = format_duration(found.ledger_ahead_s)
        yield error(
            f"stands {behind} before the ledger's newest entry",
            "a clock that never goes back",
            "timedatectl set-ntp true; then nightshift history shows what ran meanwhile",
        )
    if found.file_skew_s is not None and abs(found.file_skew_s) > FILE_SKEW_S:
        is_well = False
        yield error(
            f"the file system of the state folder differs by {found.file_skew_s:+.0f} s",
            f"at most {FILE_SKEW_S:.0f} s",
            "set the clock of its server (chronyc makestep), or of this machine",
        )
    if abs(found.jump_s) > JUMP_S:
        is_well = False
        yield warning(f"moved by {found.jump_s:+.1f} s within a moment", "a clock that is slewed")
    if is_well:
        yield ok(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC, agrees with ledger and files")


def root(_context: DoctorContext) -> Root:
    """Return whether / is mounted read-only, and whether this is a container."""
    return Root(in_container(), volume.is_read_only(Path("/")))


def judge_root(found: Root) -> Iterator[Finding]:
    """Check that / is read-only in a container; elsewhere anything is accepted."""
    if found.read_only or not found.in_container:
        yield ok("read-only" if found.read_only else "not in a container")
    else:
        yield warning("writable, in a container", "read-only", "read_only: true in compose")


def _wall_beside_monotonic_s() -> float:
    """Return wall clock minus monotonic clock, from the reading with the shortest interval."""
    read = [(time.monotonic(), time.time(), time.monotonic()) for _ in range(_READINGS)]
    first, wall, last = min(read, key=lambda each: each[2] - each[0])
    return wall - (first + last) / 2


def _ledger_ahead_s(context: DoctorContext) -> float | None:
    if context.is_new:
        return None
    history = History(context.state, connect=unattended.connect)
    try:
        runs = history.runs(RunFilter(limit=100))
    finally:
        history.close()
    known = [at for run in runs for at in (run.opened_at, run.started_at, run.ended_at) if at]
    return (max(known) - datetime.now(UTC)).total_seconds() if known else None


def _file_skew_s(context: DoctorContext) -> float | None:
    try:
        with tempfile.TemporaryFile(dir=context.state) as file:
            return os.fstat(file.fileno()).st_mtime - time.time()
    except OSError:  # reported by the check `state`
        return None
