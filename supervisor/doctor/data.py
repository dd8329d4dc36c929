"""The data that jobs care for: may its owner go on using it, and how old is its newest copy.

Asks the workers themselves, in whose words a run would fail.
"""

import os
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from supervisor.core import schedule
from supervisor.core.model import Job
from supervisor.doctor.finding import Finding, mend, note, well
from supervisor.doctor.ground import Ground, parameters, path_in
from workers import database
from workers.backup import catalogue, names
from workers.backup.trouble import Trouble
from workers.units import format_duration

# Beyond its interval a copy may be as late as this: health's own limit for a daily one.
LATE_S = 86400.0
_MAKERS = ("sync.missing_sets", "sync.missing_cards")


@dataclass(frozen=True, slots=True)
class Source:
    """A SQLite database of some jobs.

    trouble: why a run would refuse it, without the subject; empty if none would.
    made_by: the job that will make it, empty if none will.
    """

    path: Path
    jobs: tuple[str, ...]
    exists: bool
    trouble: str
    made_by: str


@dataclass(frozen=True, slots=True)
class Copies:
    """The newest verified copy of one backup job; age_s None: there is none, and why.

    expected_s: how old it may be. is_new: no supervisor has lived here yet.
    """

    job: str
    age_s: float | None
    why: str
    expected_s: float
    is_new: bool


def sources(ground: Ground) -> list[Source]:
    """Every database that a worker of ours opens."""
    users: dict[Path, list[Job]] = {}
    for job in ground.jobs:
        given = parameters(job)
        if job.worker is not None and ":" not in job.worker and given.get("database"):
            users.setdefault(path_in(job, given["database"]), []).append(job)
    return [_source(path, jobs) for path, jobs in users.items()]


def judge_sources(found: Iterable[Source]) -> Iterator[Finding]:
    """There, SQLite, readable, and its owner is not locked out by our -wal and -shm."""
    found = list(found)
    for source in found:
        more = f" and {len(source.jobs) - 2} more" if len(source.jobs) > 2 else ""
        jobs = ", ".join(source.jobs[:2]) + more
        if not source.trouble:
            yield well(f"{source.path}, of {jobs}")
        elif not source.exists and source.made_by:
            run = f"nightshift run {source.made_by} --wait"
            yield note(f"{source.path} is not there yet; {source.made_by} makes it", "", run)
        elif not source.exists:
            where = f"its true path, in the `with` of {jobs}"
            yield mend(f"{source.path} does not exist", "a SQLite database", where)
        else:
            remedy = f"as the sentence says; who may what: ls -l {shlex.quote(str(source.path))}"
            yield mend(f"{source.path} {source.trouble}", f"what {jobs} can open", remedy)
    if not found:
        yield well("no job of ours opens one")


def copies(ground: Ground) -> list[Copies]:
    """Of each backup job, the newest verified copy."""
    return [
        _copies(job, path_in(job, given["database"]), path_in(job, given["directory"]), ground)
        for job, given in ground.of_worker("backup.run")
    ]


def judge_copies(found: Iterable[Copies]) -> Iterator[Finding]:
    """Not older than the calendar promises."""
    found = list(found)
    for each in found:
        run = f"nightshift run {each.job} --wait"
        expected = f"one of the last {format_duration(each.expected_s)}"
        if each.age_s is None and each.is_new:
            yield note(f"{each.job}: no verified copy yet", expected, run)
        elif each.age_s is None:
            yield mend(f"{each.job}: no verified copy: {each.why}", expected, run)
        elif each.age_s > each.expected_s:
            age = format_duration(round(each.age_s))
            yield mend(f"{each.job}: the newest verified copy is {age} old", expected, run)
        else:
            age = format_duration(round(each.age_s))
            yield well(f"{each.job}: the newest verified copy is {age} old")
    if not found:
        yield well("no job makes any")


def _source(path: Path, jobs: list[Job]) -> Source:
    trouble = ""
    try:
        database.refuse_lockout(database.look(path))
    except database.DatabaseTrouble as refused:
        trouble = refused.reason
    made_by = next((job.name for job in jobs if job.worker in _MAKERS), "")
    return Source(path, tuple(job.name for job in jobs), os.path.exists(path), trouble, made_by)


def _copies(job: Job, path: Path, folder: Path, ground: Ground) -> Copies:
    now, why = datetime.now(UTC), f"none in {folder}"
    newest = None
    try:
        stem = names.stem(path)
        fine = catalogue.State.VERIFIED
        found = [one for one in catalogue.list_backups(folder) if one.stem == stem]
        present = (one for one in found if one.state is fine and not catalogue.ahead(one, now))
        newest = max((one.taken_at for one in present), default=None)
    except (Trouble, ValueError) as error:
        why = str(error)
    age_s = max(0.0, (now - newest).total_seconds()) if newest is not None else None
    return Copies(job.name, age_s, why, _interval_s(job, now) + LATE_S, ground.is_new)


def _interval_s(job: Job, now: datetime) -> float:
    """From one slot to the next; a job without a calendar is asked for a copy a week."""
    week_s = 7 * 86400.0
    if not job.cron:
        return week_s
    coming = schedule.calendar(job.cron, job.timezone).slots_after(now)
    slots = list(islice(coming, 2))
    return (slots[1] - slots[0]).total_seconds() if len(slots) == 2 else week_s
