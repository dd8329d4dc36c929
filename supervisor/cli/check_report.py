"""Findings of `check` for a valid file, and the comparison with a running supervisor."""

from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice

from supervisor.cli.client import Client
from supervisor.cli.command import paths
from supervisor.cli.definition_diff import Difference, difference, read_in_force
from supervisor.cli.definition_diff import show as show_difference
from supervisor.cli.errors import CliError, ExitCode
from supervisor.cli.output import Table, echo, echo_wrapped
from supervisor.cli.time_format import TimeFormat
from supervisor.config import Loaded, zone_hints
from supervisor.core import dst, schedule
from supervisor.core.config_model import Config, Job, Problem
from supervisor.core.simulation import forecast

NEXT_SLOTS = 2


@dataclass(frozen=True, slots=True)
class Outlook:
    """When a job will run: description, next slots, and effect of daylight saving.

    notes: steps that are less regular than they look, and misleading zone names.
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
    """The result of `check`.

    difference: None if no supervisor is running.
    fares: jobs with another outcome in the next `days` days; None if not requested.
    """

    ok: bool
    problems: tuple[Problem, ...]
    jobs: tuple[Outlook, ...] = ()
    difference: Difference | None = None
    days: int | None = None
    fares: tuple[forecast.Difference, ...] | None = None


def findings(loaded: Loaded, client: Client, utc: bool, days: int | None) -> Findings:
    """Return the findings for a loaded file, with slots computed from now.

    days: also simulate this many days, with the running definitions and with the file's.

    Raises:
        CliError: `days` is given but no supervisor is running.
    """
    if loaded.config is None:
        return Findings(False, loaded.problems)
    now = datetime.now(UTC)
    jobs = tuple(_outlook(job, now, utc) for job in loaded.config.jobs)
    before = read_in_force(client, loaded.config)
    if before is None:
        if days is not None:
            text = f"there is no supervisor at {client.path} to compare with"
            hint = "nightshift simulate tells the coming days of the file alone"
            raise CliError(ExitCode.NO_SUPERVISOR, text, hint)
        return Findings(True, loaded.problems, jobs)
    changed = difference(before, loaded.config)
    fares = None if days is None else _fares(before, loaded.config, now, days)
    return Findings(True, loaded.problems, jobs, changed, days, fares)


def show(found: Findings, when: TimeFormat) -> None:
    """Print the jobs, their daylight saving notes, and the changes."""
    table = Table("JOB", "SCHEDULE", "NEXT", "AFTER THAT", spare=("AFTER THAT",))
    for job in found.jobs:
        slots = [f"{slot:%a %Y-%m-%d %H:%M %Z} ({when.relative(slot)})" for slot in job.next[:1]]
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
        from supervisor.cli import forecast_tables

        forecast_tables.show_differences(found.fares, found.days or 0)


def _list(title: str, lines: list[str]) -> None:
    """Print `title` and the lines below it, if there are any lines."""
    if lines:
        echo()
        echo(title)
    for line in lines:
        echo_wrapped(f"  {line}", 4)


def _outlook(job: Job, now: datetime, utc: bool) -> Outlook:
    zone = UTC if utc else schedule.zone(job.timezone)
    slots: list[datetime] = []
    if job.cron and job.enabled:
        coming = schedule.calendar(job.cron, job.timezone).slots_after(now)
        slots = [slot.astimezone(zone) for slot in islice(coming, NEXT_SLOTS)]
    words = tuple(schedule.explain(each) for each in job.cron)
    clock_changes = tuple(dst.describe(job, now)) if job.enabled else ()
    notes = [said for each in job.cron for said in schedule.uneven_steps(each)]
    misleading = zone_hints.warning(job.timezone)
    notes += [misleading] if misleading and job.cron else []
    return Outlook(
        job.name,
        job.enabled,
        job.cron,
        words,
        job.timezone,
        tuple(slots),
        clock_changes,
        tuple(notes),
    )


def _fares(
    before: Config, after: Config, now: datetime, days: int
) -> tuple[forecast.Difference, ...]:
    # Late: a simulation needs the workers' own plans, `check` alone does not.
    from supervisor.cli.commands.simulate import in_days
    from supervisor.cli.simulated_hosts import hosts_of
    from supervisor.cli.simulation_input import read_input

    names = {job.name: None for config in (before, after) for job in config.jobs}
    known = read_input(paths(), names, now, {})
    hosts = hosts_of(after, ()).hosts
    old, new = (in_days(each, known, now, days, 0, hosts).forecast for each in (before, after))
    return forecast.compare(old, new)
