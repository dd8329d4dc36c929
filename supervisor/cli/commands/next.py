"""`nightshift next`: list upcoming slots of jobs, or of a cron expression without a supervisor."""

import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from operator import attrgetter

import click

from supervisor.cli.command import Number, command, json_option, service, utc_option
from supervisor.cli.decode import decode
from supervisor.cli.errors import CliError, ExitCode
from supervisor.cli.job_names import job_name
from supervisor.cli.output import Table, echo, print_json, print_value
from supervisor.cli.time_format import TimeFormat, time_format
from supervisor.core import responses
from supervisor.core.calendar_views import Upcoming, UpcomingSlot
from supervisor.core.views import Definition

DEFAULT_COUNT = 10
ICAL_DAYS = 30
# The API's limit; without a supervisor a higher limit applies.
MOST_ASKED = 1000
MOST = 1_000_000


@command("next")
@click.argument("jobs", nargs=-1, type=job_name, metavar="[JOB]")
@click.option("-n", "count", type=Number(1, MOST), help="How many slots (default 10).")
@click.option(
    "--cron", multiple=True, metavar="EXPR", help="Slots of this expression; needs no supervisor."
)
@click.option(
    "--timezone", metavar="TZ", help="Time zone of the expression (default: the machine's)."
)
@click.option(
    "--from", "since", metavar="TIME", help="Only slots after this instant (default: now)."
)
@click.option(
    "--days",
    type=Number(1, 366),
    metavar="N",
    help="Only slots within N days.",
)
@click.option("--ical", is_flag=True, help="Print a calendar (RFC 5545) of any JOBs' slots.")
@json_option
@utc_option
def next_(
    jobs: tuple[str, ...],
    count: int | None,
    cron: tuple[str, ...],
    timezone: str | None,
    since: str | None,
    days: int | None,
    ical: bool,
    as_json: bool,
    utc: bool,
) -> int:
    """Upcoming slots of JOB, or of all jobs.

    With --ical, at most 1000 events: of all jobs the first 200 of each, in 30 days.

    \b
    Examples:
      nightshift next backup-database -n 3
      nightshift next --cron "30 2 * * *" --timezone Europe/Berlin --from 2026-03-28
      nightshift next --ical --days 30 > slots.ics
    """
    if ical:
        if cron or timezone or since or as_json or utc or count is not None:
            raise click.UsageError("--ical goes with JOBs and --days only")
        _ical(jobs, days or ICAL_DAYS)
        return 0
    if len(jobs) > 1:
        raise click.UsageError("next takes one JOB, or several with --ical")
    job = jobs[0] if jobs else None
    if days is not None and (job is not None or cron):
        raise click.UsageError("--days goes without JOB and --cron")
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
        _of_all(count or DEFAULT_COUNT, days, as_json, utc)
    return 0


def _ical(jobs: tuple[str, ...], days: int) -> None:
    # Late: other commands need neither.
    from supervisor import __version__
    from supervisor.core import ical

    client, now = service(), datetime.now(UTC)
    until = now + timedelta(days=days)
    found: list[UpcomingSlot] = []
    if jobs:
        for job in dict.fromkeys(jobs):
            body = client.get("v1", "jobs", job, "next", n=MOST_ASKED)
            found += [UpcomingSlot(job, slot) for slot in decode(body, responses.Slots).slots]
        found = sorted((each for each in found if each.slot <= until), key=attrgetter("slot"))
    else:
        asked = client.get("v1", "next", days=days, n=ical.PER_JOB, limit=MOST_ASKED)
        found += decode(asked, Upcoming).slots
    known = decode(client.get("v1", "jobs"), responses.Jobs).jobs
    texts = {job.name: job.description for job in known}
    about = ical.about(days, len(found) >= ical.MOST_EVENTS, per_job=not jobs)
    events = found[: ical.MOST_EVENTS]
    sys.stdout.buffer.write(ical.calendar(events, texts, now, __version__, about))
    sys.stdout.flush()


def _of_expressions(
    cron: tuple[str, ...], timezone: str | None, since: str | None, count: int, as_json: bool
) -> None:
    # Late: other commands do not need the calendar.
    from supervisor.core import schedule

    name = timezone or _zone_of_machine()
    try:
        zone = schedule.zone(name)
        when = TimeFormat(zone, datetime.now(UTC))
        start = when.now if since is None else when.instant(since, "--from")
        calendar = schedule.Calendar(cron, name)
        slots = [slot.astimezone(zone) for slot in islice(calendar.slots_after(start), count)]
    except OverflowError as error:
        text = f'--from: expected a time with slots before the year 9999, got "{since}"'
        raise CliError(ExitCode.USAGE, text) from error
    except schedule.CronError as error:
        raise CliError(ExitCode.USAGE, str(error)) from error
    _print(slots, when, as_json)


def _zone_of_machine() -> str:
    # Late, as above.
    from supervisor.config.problems import BadValueError
    from supervisor.config.timezones import system_zone

    try:
        found = system_zone(os.environ)
    except BadValueError as wrong:
        raise CliError(ExitCode.USAGE, wrong.message, "--timezone stands before TZ") from wrong
    if found.error:
        click.echo(f"{found.error}; UTC is used", err=True)
    return found.name


def _of_job(job: str, count: int, as_json: bool, utc: bool) -> None:
    client = service()
    body = client.get("v1", "jobs", job, "next", n=count)
    if as_json:
        print_json(body)
        return
    slots = decode(body, responses.Slots).slots
    if not slots:
        echo(f"{job} has no coming slots (nightshift show {job})")
        return
    zone = UTC if utc else slots[0].tzinfo or UTC
    if not utc:
        definition = decode(client.get("v1", "jobs", job), Definition)
        zone = time_format(definition.timezone).zone
    _print(slots, TimeFormat(zone, datetime.now(UTC)), as_json=False)


def _of_all(count: int, days: int | None, as_json: bool, utc: bool) -> None:
    body = service().get("v1", "next", days=days, limit=count)
    found = decode(body, Upcoming)
    when = time_format("UTC" if utc else found.timezone)
    if as_json:
        named = [
            {"job": each.job, "slot": each.slot.astimezone(when.zone)} for each in found.slots
        ]
        print_value({"slots": named})
        return
    table = Table("SLOT", "WHEN", "JOB")
    for each in found.slots:
        table.add(when.slot(each.slot), when.relative(each.slot), each.job)
    table.show()


def _print(slots: Sequence[datetime], when: TimeFormat, as_json: bool) -> None:
    if as_json:
        print_value({"slots": slots})
        return
    table = Table("SLOT", "WHEN")
    for slot in slots:
        table.add(when.slot(slot), when.relative(slot))
    table.show()
