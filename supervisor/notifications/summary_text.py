"""What a summary says: runs, failures, what was late, ages of backups and replicas, disk.

The numbers come from the ledger and from what workers have reported; nothing is measured
here, because a dead volume must not delay an alert.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta

import msgspec

from supervisor.core import incidents, schedule
from supervisor.core.alert_model import Alert
from supervisor.core.model import Run, State
from supervisor.core.state import SchedulerState
from supervisor.ledger.queries import History
from supervisor.notifications.alert_text import moment
from workers.units import format_days, format_duration

MOST_NAMES = 10
# The period over which the rate is taken at which a disk fills.
DISK_DAYS = 30
_BACKUP, _REPLICATION, _HEALTH = "backup.run", "replication.run", "health.run"
_FREE, _LAG = "disk_free_ratio", "replication_lag_seconds"


def summary_of(
    alert: Alert, scheduler: SchedulerState, history: History
) -> Iterator[tuple[str, str]]:
    """Yield names and texts for the period of the alert. Raises: sqlite3.Error."""
    now = alert.at
    since = alert.at - timedelta(seconds=alert.lasted_s)
    until = moment(alert.at, schedule.zone(scheduler.config.timezone))
    yield "Period", f"{format_duration(round(alert.lasted_s))} until {until}"
    counts = history.outcome_counts(since, alert.at)
    yield "Runs", _runs(counts)
    for name, states in (
        ("Failed", (State.FAILED, State.INTERRUPTED)),
        ("Missed or skipped", (State.MISSED, State.SKIPPED)),
    ):
        by_job = Counter[str]()
        for (job, state), count in counts.items():
            by_job[job] += count if state in states else 0
        yield name, _names(by_job)
    found = history.incidents_since(since, alert.at)
    yield "Late", _names(Counter(each.job for each in found if each.kind == incidents.LATE))
    yield (
        "Open incidents",
        _names(Counter(each.job or "the service" for each in scheduler.incidents.values())),
    )
    for name, parts in (
        ("Backups", [f"{job}: {age}" for job, age in _ages(scheduler, _BACKUP, now)]),
        ("Replicas", list(_replicas(scheduler, now))),
        ("Disks", list(_disks(scheduler, history, now))),
    ):
        if parts:
            yield name, "; ".join(parts[:MOST_NAMES])


def _runs(counts: dict[tuple[str, str], int]) -> str:
    begun = {State.SUCCESS, State.FAILED, State.CANCELLED, State.INTERRUPTED}
    total = sum(count for (_, state), count in counts.items() if state in begun)
    good = sum(count for (_, state), count in counts.items() if state == State.SUCCESS)
    jobs = len({job for job, state in counts if state in begun})
    return f"{good} of {total} succeeded, of {jobs} jobs" if total else "none"


def _names(found: "Counter[str]") -> str:
    """Return `backup (2), sync`, the most frequent first."""
    parts = [
        f"{name} ({count})" if count > 1 else name for name, count in found.most_common() if count
    ]
    more = f" and {len(parts) - MOST_NAMES} more" if len(parts) > MOST_NAMES else ""
    return ", ".join(parts[:MOST_NAMES]) + more or "none"


def _ages(scheduler: SchedulerState, worker: str, now: datetime) -> Iterator[tuple[str, str]]:
    """Yield each job of a worker and the age of its last success."""
    for job in scheduler.jobs.values():
        if job.worker == worker:
            last = scheduler.last_success.get(job.name)
            yield job.name, "none known" if last is None else f"{_age(last, now)} old"


def _replicas(scheduler: SchedulerState, now: datetime) -> Iterator[str]:
    for job, age in _ages(scheduler, _REPLICATION, now):
        lag_s = scheduler.metrics[job].get(_LAG) if job in scheduler.metrics else None
        behind = "" if lag_s is None else f", then {format_duration(round(lag_s))} behind"
        yield f"{job}: {age}{behind}"


def _disks(scheduler: SchedulerState, history: History, now: datetime) -> Iterator[str]:
    """Yield the free part of the fullest disk that each health check measures."""
    for job in scheduler.jobs.values():
        if job.worker != _HEALTH:
            continue
        runs = history.ends_of(job.name, now - timedelta(days=DISK_DAYS))
        free = [(run.due, ratio) for run in runs if (ratio := _free_ratio(run)) is not None]
        if free:
            yield f"{free[-1][1]:.0%} free ({job.name}){_days_left(free)}"


def _days_left(free: list[tuple[datetime, float]]) -> str:
    (began, before), (ended, after) = free[0], free[-1]
    days = (ended - began).total_seconds() / 86400
    if days <= 0 or after >= before:
        return ""
    left = after / ((before - after) / days)
    return f", full in {format_days(left)} at the rate of the last {format_days(max(1.0, days))}"


def _free_ratio(run: Run) -> float | None:
    with suppress(msgspec.MsgspecError, UnicodeError):
        result = msgspec.json.decode(run.result_json or "{}")
        ratio = result.get(_FREE) if isinstance(result, dict) else None
        if isinstance(ratio, int | float) and 0 <= ratio <= 1:
            return float(ratio)
    return None


def _age(last: datetime, now: datetime) -> str:
    return format_duration(max(0, round((now - last).total_seconds())))
