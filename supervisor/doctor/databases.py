"""Checks of SQLite databases and of the age of their backups.

Calls the workers' own code, so that a problem is worded like the error of a run.
"""

import os
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from supervisor.core import schedule
from supervisor.core.config_model import Job
from supervisor.doctor.context import DoctorContext, parameters, path_in
from supervisor.doctor.finding import Finding, error, info, ok
from workers import sqlite
from workers.backup import filenames, listing
from workers.backup.errors import BackupError
from workers.units import format_duration

# How much later than its interval a copy may be: the health worker's limit for a daily one.
LATE_S = 86400.0
_MAKERS = ("sync.missing_sets", "sync.missing_cards")


@dataclass(frozen=True, slots=True)
class Source:
    """A SQLite database and the jobs that use it.

    error: why a run would refuse it, without the subject; empty if it would not.
    made_by: the job that creates it, empty if there is none.
    """

    path: Path
    jobs: tuple[str, ...]
    exists: bool
    error: str
    made_by: str


@dataclass(frozen=True, slots=True)
class Copies:
    """The newest verified copy of one backup job.

    age_s: None if there is no copy; `why` is the reason. expected_s: its maximum age.
    is_new: whether no supervisor has run here yet.
    """

    job: str
    age_s: float | None
    why: str
    expected_s: float
    is_new: bool


def sources(context: DoctorContext) -> list[Source]:
    """Return each database that a built-in worker opens."""
    users: dict[Path, list[Job]] = {}
    for job in context.jobs:
        given = parameters(job)
        if job.worker is not None and ":" not in job.worker and given.get("database"):
            users.setdefault(path_in(job, given["database"]), []).append(job)
    return [_source(path, jobs) for path, jobs in users.items()]


def judge_sources(found: Iterable[Source]) -> Iterator[Finding]:
    """Check that each database is readable, and that our -wal and -shm lock no owner out."""
    found = list(found)
    for source in found:
        more = f" and {len(source.jobs) - 2} more" if len(source.jobs) > 2 else ""
        jobs = ", ".join(source.jobs[:2]) + more
        if not source.error:
            yield ok(f"{source.path}, of {jobs}")
        elif not source.exists and source.made_by:
            run = f"nightshift run {source.made_by} --wait"
            yield info(f"{source.path} is not there yet; {source.made_by} makes it", run)
        elif not source.exists:
            where = f"its true path, in the `with` of {jobs}"
            yield error(f"{source.path} does not exist", "a SQLite database", where)
        else:
            remedy = f"as the sentence says; who may what: ls -l {shlex.quote(str(source.path))}"
            yield error(f"{source.path} {source.error}", f"what {jobs} can open", remedy)
    if not found:
        yield ok("no job of ours opens one")


def copies(context: DoctorContext) -> list[Copies]:
    """Return the newest verified copy of each backup job."""
    return [
        _copies(job, path_in(job, given["database"]), path_in(job, given["directory"]), context)
        for job, given in context.of_worker("backup.run")
    ]


def judge_copies(found: Iterable[Copies]) -> Iterator[Finding]:
    """Check that no copy is older than its schedule implies."""
    found = list(found)
    for each in found:
        run = f"nightshift run {each.job} --wait"
        expected = f"one of the last {format_duration(each.expected_s)}"
        if each.age_s is None and each.is_new:
            yield info(f"{each.job}: no verified copy yet", run)
        elif each.age_s is None:
            yield error(f"{each.job}: no verified copy: {each.why}", expected, run)
        elif each.age_s > each.expected_s:
            age = format_duration(round(each.age_s))
            yield error(f"{each.job}: the newest verified copy is {age} old", expected, run)
        else:
            age = format_duration(round(each.age_s))
            yield ok(f"{each.job}: the newest verified copy is {age} old")
    if not found:
        yield ok("no job makes any")


def _source(path: Path, jobs: list[Job]) -> Source:
    error = ""
    try:
        sqlite.refuse_lockout(sqlite.inspect(path))
    except sqlite.DatabaseError as refused:
        error = refused.reason
    made_by = next((job.name for job in jobs if job.worker in _MAKERS), "")
    return Source(path, tuple(job.name for job in jobs), os.path.exists(path), error, made_by)


def _copies(job: Job, path: Path, folder: Path, context: DoctorContext) -> Copies:
    now, why = datetime.now(UTC), f"none in {folder}"
    newest = None
    try:
        stem = filenames.stem(path)
        fine = listing.State.VERIFIED
        found = [one for one in listing.list_backups(folder) if one.stem == stem]
        present = (
            one for one in found if one.state is fine and not listing.is_in_future(one, now)
        )
        newest = max((one.taken_at for one in present), default=None)
    except (BackupError, ValueError) as error:
        why = str(error)
    age_s = max(0.0, (now - newest).total_seconds()) if newest is not None else None
    return Copies(job.name, age_s, why, _interval_s(job, now) + LATE_S, context.is_new)


def _interval_s(job: Job, now: datetime) -> float:
    """Return the seconds between the next two slots; a week for a job without cron."""
    week_s = 7 * 86400.0
    if not job.cron:
        return week_s
    coming = schedule.calendar(job.cron, job.timezone).slots_after(now)
    slots = list(islice(coming, 2))
    return (slots[1] - slots[0]).total_seconds() if len(slots) == 2 else week_s
