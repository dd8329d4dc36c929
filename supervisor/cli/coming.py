"""next: upcoming slots, of one job, of all, or of an expression without a supervisor."""

import heapq
import os
from datetime import UTC, datetime
from itertools import islice

import click

from supervisor.cli import answers
from supervisor.cli.client import Client
from supervisor.cli.failure import Exit, Failure
from supervisor.cli.moments import Moments, moments
from supervisor.cli.naming import job_name
from supervisor.cli.printing import Table, print_json, print_value, say
from supervisor.cli.verb import json_option, supervisor, utc_option, verb

DEFAULT_COUNT = 10
# The API's limit; without a supervisor only patience is one.
MOST_ASKED = 1000
MOST = 1_000_000


@verb("next")
@click.argument("job", type=job_name, required=False)
@click.option("-n", "count", type=click.IntRange(1, MOST), help="How many slots (10).")
@click.option("--cron", multiple=True, metavar="EXPR", help="Of this expression; no supervisor.")
@click.option("--timezone", metavar="TZ", help="Zone of the expression (the machine's).")
@click.option("--from", "since", metavar="TIME", help="Strictly after this instant (now).")
@json_option
@utc_option
def coming(
    job: str | None,
    count: int | None,
    cron: tuple[str, ...],
    timezone: str | None,
    since: str | None,
    as_json: bool,
    utc: bool,
) -> int:
    """Upcoming slots of JOB, or of all jobs.

    \b
    Examples:
      nightshift next backup-database -n 3
      nightshift next --cron "30 2 * * *" --timezone Europe/Berlin --from 2026-03-28
    """
    if cron:
        if job is not None:
            raise click.UsageError("next takes a JOB or --cron, not both")
        _of_expressions(cron, timezone, since, count or DEFAULT_COUNT, as_json)
        return 0
    if timezone is not None or since is not None:
        raise click.UsageError("--timezone and --from go with --cron")
    if count is not None and count > MOST_ASKED:
        raise click.UsageError(f"-n: expected at most {MOST_ASKED}, got {count}")
    if job is not None:
        _of_job(job, count or DEFAULT_COUNT, as_json, utc)
    else:
        _of_all(count or DEFAULT_COUNT, as_json, utc)
    return 0


def _of_expressions(
    cron: tuple[str, ...], timezone: str | None, since: str | None, count: int, as_json: bool
) -> None:
    # Late: other verbs know no calendar.
    from supervisor.core import schedule

    name = timezone or _zone_of_machine()
    try:
        zone = schedule.zone(name)
        when = Moments(zone, datetime.now(UTC))
        start = when.now if since is None else when.instant(since)
        calendar = schedule.Calendar(cron, name)
        slots = [slot.astimezone(zone) for slot in islice(calendar.slots_after(start), count)]
    except OverflowError as error:
        text = f'--from: expected a time with slots before the year 9999, got "{since}"'
        raise Failure(Exit.USAGE, text) from error
    except schedule.BadCron as error:
        raise Failure(Exit.USAGE, str(error)) from error
    _print(slots, when, as_json)


def _zone_of_machine() -> str:
    # Late, as above.
    from supervisor.config.problems import Wrong
    from supervisor.config.zones import machine_zone

    try:
        found = machine_zone(os.environ)
    except Wrong as wrong:
        raise Failure(Exit.USAGE, wrong.message, "--timezone stands before TZ") from wrong
    if found.trouble:
        click.echo(f"{found.trouble}; UTC is used", err=True)
    return found.name


def _of_job(job: str, count: int, as_json: bool, utc: bool) -> None:
    client = supervisor()
    body = client.get("v1", "jobs", job, "next", n=count)
    if as_json:
        print_json(body)
        return
    slots = answers.read(body, answers.Slots).slots
    if not slots:
        say(f"{job} has no coming slots (nightshift show {job})")
        return
    zone = UTC if utc else slots[0].tzinfo or UTC
    if not utc:
        definition = answers.read(client.get("v1", "jobs", job), answers.Job)
        zone = moments(definition.timezone).zone
    _print(slots, Moments(zone, datetime.now(UTC)), as_json=False)


def _of_all(count: int, as_json: bool, utc: bool) -> None:
    client = supervisor()
    found = answers.read(client.get("v1", "status"), answers.Status)
    when = moments("UTC" if utc else found.timezone)
    slots = _earliest(client, found.jobs, count)
    if as_json:
        named = [{"job": job, "slot": slot.astimezone(when.zone)} for slot, job in slots]
        print_value({"slots": named})
        return
    table = Table("SLOT", "WHEN", "JOB")
    for slot, job in slots:
        table.add(when.slot(slot), when.near(slot), job)
    table.show()


def _earliest(
    client: Client, jobs: list[answers.JobStatus], count: int
) -> list[tuple[datetime, str]]:
    """The next slots of all; they can only be of the `count` jobs that are due first."""
    due = [(job.next_at, job.name) for job in jobs if job.next_at is not None]
    slots: list[tuple[datetime, str]] = []
    for first, name in heapq.nsmallest(count, due):
        if len(slots) == count and first > slots[-1][0]:
            break
        body = client.get("v1", "jobs", name, "next", n=count)
        slots += [(slot, name) for slot in answers.read(body, answers.Slots).slots]
        slots = heapq.nsmallest(count, slots)
    return slots


def _print(slots: list[datetime], when: Moments, as_json: bool) -> None:
    if as_json:
        print_value({"slots": slots})
        return
    table = Table("SLOT", "WHEN")
    for slot in slots:
        table.add(when.slot(slot), when.near(slot))
    table.show()
