"""Costs of the core for growth.py: a service with many jobs, or with many incidents."""

import time
import tracemalloc
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

import msgspec

from supervisor.core import build_views
from supervisor.core import events as ev
from supervisor.core.alert_model import Incident
from supervisor.core.config_model import Config, Job, Severity
from supervisor.core.decide import decide
from supervisor.core.model import replace
from supervisor.core.state import SchedulerState
from supervisor.core.views import Facts

NOON = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)
DUE, NOT_DUE = "1 12 * * *", "0 3 * * *"
# Short operations are repeated for this long.
LONG_ENOUGH_S = 0.2

T = TypeVar("T")


def cpu_s(act: Callable[[], object]) -> float:
    """Return the CPU seconds that one call takes, the least of a few repetitions."""
    least, left_s = float("inf"), LONG_ENOUGH_S
    while left_s > 0:
        began = time.process_time()
        act()
        took = time.process_time() - began
        least, left_s = min(least, took), left_s - max(took, 1e-3)
    return least


def of_jobs(number: int, _folder: Path) -> Iterator[tuple[str, float]]:
    """Yield the cost of a minute, a reload, the status and the memory with this many jobs."""
    tracemalloc.start()
    scheduler = begun(number, DUE)
    yield "memory", float(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    yield "all due at once", cpu_s(lambda: minute(scheduler))
    idle = begun(number, NOT_DUE)
    yield "none due", cpu_s(lambda: minute(idle))
    first, *others = idle.config.jobs
    edited = replace(idle.config, jobs=(replace(first, cron=("5 5 * * *",)), *others))
    reloaded = ev.Reloaded(at(1), edited, "0" * 64)
    yield "reload", cpu_s(lambda: decide(idle, reloaded))
    yield "status", cpu_s(lambda: status(idle))


def of_incidents(number: int, _folder: Path) -> Iterator[tuple[str, float]]:
    """Yield the cost of a minute and the status with this many open incidents."""
    scheduler = begun(number, NOT_DUE)
    incidents = tuple(
        Incident(n + 1, job.name, "exit", Severity.ERROR, NOON, NOON, "exit status 1")
        for n, job in enumerate(scheduler.config.jobs)
    )
    scheduler = begun(number, NOT_DUE, incidents)
    yield "a minute", cpu_s(lambda: minute(scheduler))
    yield "status", cpu_s(lambda: status(scheduler))


def at(minutes: int) -> ev.At:
    """Return a reading of the clocks, minutes after noon."""
    return ev.At(NOON + timedelta(minutes=minutes), 60.0 * minutes)


def begun(number: int, cron: str, incidents: tuple[Incident, ...] = ()) -> SchedulerState:
    """Return the state of a service that has begun at noon."""
    jobs = tuple(Job(f"job-{n:05d}", n, argv=("x",), cron=(cron,)) for n in range(number))
    config = Config(jobs, max_concurrent=8)
    memory = ev.Memory(incidents=incidents, next_incident=len(incidents) + 1)
    scheduler, _ = decide(SchedulerState(config), ev.Restored(at(0), config, memory))
    return scheduler


def minute(scheduler: SchedulerState) -> SchedulerState:
    """Return the state after the next minute, with all of its slots opened."""
    scheduler, _ = decide(scheduler, ev.TimePassed(at(1)))
    while scheduler.unopened:
        scheduler, _ = decide(scheduler, ev.TimePassed(at(1)))
    return scheduler


def status(scheduler: SchedulerState) -> bytes:
    """Return what `nightshift status` reads."""
    facts = Facts("0", 1, NOON, "jobs.yaml", NOON)
    return msgspec.json.encode(build_views.status(scheduler, facts, NOON, 0.0))
