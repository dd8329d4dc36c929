"""Checks of the service: its config file, socket, processes, and shutdown time."""

import contextlib
import os
import re
import shlex
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from supervisor.containment import process_tree
from supervisor.doctor.context import ChannelState, DoctorContext, in_container
from supervisor.doctor.finding import Finding, error, info, ok, warning
from workers.units import format_count, format_duration, parse_duration

# Default timeout of docker stop; and the time that the shutdown needs after the grace.
DOCKER_STOP_S, MARGIN_S = 10.0, 2.0
_SYSTEMCTL_S = 3.0
_UNITS_S = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0, "day": 86400.0}


@dataclass(frozen=True, slots=True)
class Init:
    """Process 1, the supervisor, and the handling of orphans.

    first: the name of process 1. pid: of the supervisor, 0 if none answers.
    adopts: whether the kernel permits PR_SET_CHILD_SUBREAPER. zombies: the number of
    children that the supervisor has not reaped.
    """

    first: str
    pid: int
    adopts: bool
    zombies: int


@dataclass(frozen=True, slots=True)
class Stop:
    """How long the service takes to stop, and how long it is given.

    unit: its systemd unit, if any. unit_s: the unit's stop timeout; None: unknown or
    infinite.
    """

    grace_s: float
    unit: str
    unit_s: float | None
    in_container: bool


def file(context: DoctorContext) -> DoctorContext:
    """Return the context: jobs.yaml was already read."""
    return context


def judge_file(context: DoctorContext) -> Iterator[Finding]:
    """Check that jobs.yaml exists and has no errors."""
    if context.file is None:
        yield error(context.no_file, "a jobs.yaml", "nightshift init")
    elif context.config is None:
        mistakes = format_count(context.mistakes, "mistake")
        check = f"nightshift check {shlex.quote(str(context.file))}"
        yield error(f"{context.file}: {mistakes}; jobs are not looked at", "none", check)
    else:
        jobs = format_count(len(context.config.jobs), "job")
        yield ok(f"{context.file}: {len(context.jobs)} of {jobs} enabled")


def answers(context: DoctorContext) -> DoctorContext:
    """Return the context: the supervisor was already queried."""
    return context


def judge_answers(context: DoctorContext) -> Iterator[Finding]:
    """Check that a supervisor of this version answers, and that its alerts are delivered."""
    if context.running is None and context.is_new:
        yield info(f"no supervisor has run at {context.state} yet", "nightshift start")
    elif context.running is None:
        yield error(context.silence, "a supervisor that answers", context.way_out)
    else:
        yield ok(f"answers at {context.socket}")
        yield from _of_version(context.running.version, context.version)
        yield from _of_channels(context.running.channels)


def _of_channels(channels: Sequence[ChannelState]) -> Iterator[Finding]:
    working = [channel.name for channel in channels if not channel.error]
    for channel in channels:
        if channel.error:
            waits = format_count(channel.waiting, "alert waits", "alerts wait")
            waiting = f"{waits} for {channel.name}: {channel.error}"
            yield error(waiting, "delivered alerts", f"nightshift notify --test {channel.name}")
    if working:
        yield ok(f"no alert has failed to reach {', '.join(working)}")


def init(context: DoctorContext) -> Init:
    """Return process 1, the supervisor, and its number of zombies."""
    pid = context.running.pid if context.running is not None else 0
    try:
        process_tree.adopt_orphans()
        adopts = True
    except OSError:
        adopts = False
    try:
        first = Path("/proc/1/comm").read_text().strip()
    except OSError:
        first = "unknown"
    return Init(first, pid, adopts, zombies(pid) if pid else 0)


def judge_init(found: Init) -> Iterator[Finding]:
    """Check that orphans are adopted and dead children are reaped."""
    first = "nightshift is process 1" if found.pid == 1 else f"process 1 is {found.first}"
    if not found.adopts:
        yield error(
            "the kernel refuses PR_SET_CHILD_SUBREAPER: what a job leaves behind gets away",
            "keepers that adopt orphans",
            "allow prctl in the seccomp profile (docker's own does)",
        )
    if found.zombies > 1:
        value = f"{found.zombies} dead children of pid {found.pid} are not reaped"
        yield error(value, "at most one, for a moment", "nightshift stop, then start")
    elif found.adopts:
        yield ok(f"{first}; keepers adopt orphans; nothing dead lies about")


def stop(context: DoctorContext) -> Stop:
    """Return the shutdown grace, and the stop timeout of systemd."""
    grace_s = context.config.shutdown_grace_s if context.config is not None else 30.0
    typed = context.environ.get("NIGHTSHIFT_SHUTDOWN_GRACE", "")
    with contextlib.suppress(ValueError):  # `nightshift start` reports an invalid value
        grace_s = parse_duration(typed) if typed else grace_s
    unit = _unit(context.running.pid) if context.running is not None else ""
    return Stop(grace_s, unit, _timeout_stop_s(unit) if unit else None, in_container())


def judge_stop(found: Stop) -> Iterator[Finding]:
    """Check that systemd or docker waits longer than the shutdown takes."""
    grace = format_duration(found.grace_s)
    needed_s = found.grace_s + MARGIN_S
    if found.unit_s is not None and found.unit_s < needed_s:
        yield error(
            f"{found.unit} is killed after {format_duration(found.unit_s)}, the grace is {grace}",
            f"at least {format_duration(needed_s)}",
            f"systemctl edit {found.unit}, with TimeoutStopSec={needed_s:.0f} below [Service]",
        )
    elif found.in_container and needed_s > DOCKER_STOP_S:
        yield warning(
            f"the grace is {grace}; docker kills after {DOCKER_STOP_S:.0f}s unless it is set",
            f"at least {format_duration(needed_s)}",
            f"stop_grace_period: {needed_s:.0f}s in compose, or NIGHTSHIFT_SHUTDOWN_GRACE=7s",
        )
    else:
        by = f", {found.unit} waits {format_duration(found.unit_s)}" if found.unit_s else ""
        yield ok(f"the grace is {grace}{by}")


def _of_version(theirs: str, ours: str) -> Iterator[Finding]:
    if theirs != ours:
        restart = "nightshift stop, then start (systemctl restart nightshift)"
        yield error(f"it is version {theirs}, this command is {ours}", "one version", restart)


def zombies(pid: int) -> int:
    """Return the number of zombie children of a process, as far as they are visible."""
    found = 0
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            # The name may contain blanks and brackets; after it: state, parent pid (proc(5)).
            fields = Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        found += fields[0] == "Z" and fields[1] == str(pid)
    return found


def _unit(pid: int) -> str:
    """Return the systemd service of a process, empty if there is none."""
    try:
        text = Path(f"/proc/{pid}/cgroup").read_text()
    except OSError:
        return ""
    found = re.search(r"/([^/\n]+\.service)$", text, re.MULTILINE)
    return found[1] if found else ""


def _timeout_stop_s(unit: str) -> float | None:
    """Return the stop timeout of a unit in seconds; None: infinite or unknown."""
    words = ["systemctl", "show", "--value", "-p", "TimeoutStopUSec", "--", unit]
    try:
        done = subprocess.run(
            words, capture_output=True, text=True, timeout=_SYSTEMCTL_S, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return seconds_of(done.stdout)


def seconds_of(text: str) -> float | None:
    """Parse a systemd duration such as `1min 30s` to seconds; None if it is not one."""
    found = 0.0
    for word in text.split():
        match = re.fullmatch(r"(\d+)([a-z]+)", word)
        if match is None or match[2] not in _UNITS_S:
            return None
        found += int(match[1]) * _UNITS_S[match[2]]
    return found or None
