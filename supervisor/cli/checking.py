"""What `check` finds in a file without mistakes, and beside a living supervisor."""

from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice

from supervisor.cli.client import Client
from supervisor.cli.difference import Difference, difference, in_force
from supervisor.cli.difference import show as show_difference
from supervisor.cli.failure import Exit, Failure
from supervisor.cli.moments import Moments
from supervisor.cli.printing import Table, say, tell
from supervisor.cli.verb import places
from supervisor.config import Loaded, zone_hints
from supervisor.core import forecast, moves, schedule
from supervisor.core.model import Config, Job, Problem

NEXT_SLOTS = 2


@dataclass(frozen=True, slots=True)
class Outlook:
    """When a job will run: in words, the next slots, and what daylight saving does.

    notes: steps that are less regular than they look, a zone whose name misleads.
    """

    name: str
    enabled: bool
    cron: tuple[str, ...]
    words: tuple[str, ...]
    timezone: str
    next: tuple[datetime, ...]
    daylight_saving: tuple[str, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Findings:
    """All that `check` knows. difference None: no supervisor to compare with.

    fares: the jobs that would fare otherwise in the coming `days`, if that was asked.
    """

    ok: bool
    problems: tuple[Problem, ...]
    jobs: tuple[Outlook, ...] = ()
    difference: Difference | None = None
    days: int | None = None
    fares: tuple[forecast.Difference, ...] | None = None


def findings(loaded: Loaded, client: Client, utc: bool, days: int | None) -> Findings:
    """What came of reading the file, its calendar as seen from now.

    days: also simulate so many, with the definitions in force and with the file's.

    Raises:
        Failure: there is nobody to compare the days with.
    """
    if loaded.config is None:
        return Findings(False, loaded.problems)
    now = datetime.now(UTC)
    jobs = tuple(_outlook(job, now, utc) for job in loaded.config.jobs)
    before = in_force(client, loaded.config)
    if before is None:
        if days is not None:
            text = f"there is no supervisor at {client.path} to compare with"
            hint = "nightshift simulate tells the coming days of the file alone"
            raise Failure(Exit.NOBODY, text, hint)
        return Findings(True, loaded.problems, jobs)
    changed = difference(before, loaded.config)
    fares = None if days is None else _fares(before, loaded.config, now, days)
    return Findings(True, loaded.problems, jobs, changed, days, fares)


def show(found: Findings, when: Moments) -> None:
    """Print the jobs, what daylight saving does to them, and what would change."""
    table = Table("JOB", "SCHEDULE", "NEXT", "AFTER THAT", spare=("AFTER THAT",))
    for job in found.jobs:
        slots = [f"{slot:%a %Y-%m-%d %H:%M %Z} ({when.near(slot)})" for slot in job.next[:1]]
        slots += [f"{slot:%a %Y-%m-%d %H:%M %Z}" for slot in job.next[1:]]
        words = "; ".join(job.words) or "by request only"
        table.add(job.name, words if job.enabled else "disabled", *(*slots, "-", "-")[:2])
    table.show()
    _list("Notes:", [f"{job.name}: {note}" for job in found.jobs for note in job.notes])
    said = [f"{job.name}: {words}" for job in found.jobs for words in job.daylight_saving]
    _list("Daylight saving:", said)
    if found.difference is not None:
        show_difference(found.difference, when)
    if found.fares is not None:
        # Late, as in `_fares`.
        from supervisor.cli import foretold

        foretold.show_differences(found.fares, found.days or 0)


def _list(title: str, lines: list[str]) -> None:
    """Print a title and what stands below it, if there is any."""
    if lines:
        say()
        say(title)
    for line in lines:
        tell(f"  {line}", 4)


def _outlook(job: Job, now: datetime, utc: bool) -> Outlook:
    zone = UTC if utc else schedule.zone(job.timezone)
    slots: list[datetime] = []
    if job.cron and job.enabled:
        coming = schedule.calendar(job.cron, job.timezone).slots_after(now)
        slots = [slot.astimezone(zone) for slot in islice(coming, NEXT_SLOTS)]
    words = tuple(schedule.explain(each) for each in job.cron)
    told = tuple(moves.in_words(job, now)) if job.enabled else ()
    notes = [said for each in job.cron for said in schedule.uneven_steps(each)]
    misleading = zone_hints.warning(job.timezone)
    notes += [misleading] if misleading and job.cron else []
    return Outlook(
        job.name, job.enabled, job.cron, words, job.timezone, tuple(slots), told, tuple(notes)
    )


def _fares(
    before: Config, after: Config, now: datetime, days: int
) -> tuple[forecast.Difference, ...]:
    # Late: a simulation needs the workers' own plans, `check` alone does not.
    from supervisor.cli.past import past
    from supervisor.cli.simulating import in_days

    names = {job.name: None for config in (before, after) for job in config.jobs}
    known = past(places(), names, now, {})
    old, new = (in_days(config, known, now, days, 0).forecast for config in (before, after))
    return forecast.compare(old, new)
