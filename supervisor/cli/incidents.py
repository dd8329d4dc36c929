"""incidents, notify: what is in trouble, and whether anybody is told of it."""

import click

from supervisor.cli import answers
from supervisor.cli.account import COUNT
from supervisor.cli.failure import Exit
from supervisor.cli.moments import Moments, dates, moments_of
from supervisor.cli.printing import Table, print_json, say
from supervisor.cli.verb import (
    Family,
    Verb,
    duration,
    json_option,
    supervisor,
    utc_option,
    verb,
)
from workers.text import readable
from workers.units import format_duration

# Longer than the supervisor waits for what came of a test alert.
TEST_S = 60.0


@click.group("incidents", cls=Family, invoke_without_command=True)
@click.option("-n", "most", type=COUNT, default=20, help="At most so many, the newest (20).")
@json_option
@utc_option
@click.pass_context
def incidents(context: click.Context, most: int, as_json: bool, utc: bool) -> int:
    """What is in trouble, and what was; newest first.

    \b
    Examples:
      nightshift incidents
      nightshift incidents ack 7 --for 3d --reason "disk is ordered"
    """
    if context.invoked_subcommand is not None:
        return Exit.YES
    client = supervisor()
    body = client.get("v1", "incidents", limit=most)
    if as_json:
        print_json(body)
        return Exit.YES
    found = answers.read(body, answers.Incidents).incidents
    when = dates() if utc else moments_of(client, utc)
    headers = ("ID", "JOB", "SEVERITY", "KIND", "SINCE", "STANDS", "TIMES", "ALERTS", "CAUSE")
    table = Table(*headers, spare=("SEVERITY", "TIMES", "ALERTS"))
    for each in found:
        waits = f"{each.undelivered} wait" if each.undelivered else "-"
        table.add(
            *(str(each.id), each.job or "-", each.severity, each.kind),
            *(when.near(each.opened_at), _stands(each, when), str(each.count), waits, each.cause),
        )
    table.show() if found else say("no incidents")
    return Exit.YES


@incidents.command("ack", cls=Verb)
@click.argument("incident", metavar="ID", type=click.IntRange(1))
@click.option("--for", "for_s", type=duration, default="1d", help="For so long (1d).")
@click.option("--reason", default="", help="Why, for the others.")
@json_option
def ack(incident: int, for_s: float, reason: str, as_json: bool) -> int:
    """No reminders of an incident for a time.

    \b
    Example:
      nightshift incidents ack 7 --for 3d --reason "disk is ordered"
    """
    asked = {"for_seconds": for_s, "reason": readable(reason)}
    body = supervisor().post("v1", "incidents", str(incident), "ack", body=asked)
    print_json(body) if as_json else say(
        f"incident {incident}: no reminders for {format_duration(for_s)}"
    )
    return Exit.YES


@verb("notify")
@click.option("--test", "is_test", is_flag=True, help="One test alert, whatever min_severity.")
@json_option
def notify(is_test: bool, as_json: bool) -> int:
    """Send a test alert the way alerts go, and wait for what comes of it.

    \b
    Example:
      nightshift notify --test
    """
    if not is_test:
        raise click.UsageError("notify sends what it is told to: --test sends a test alert")
    body = supervisor().post("v1", "notify-test", body={}, limit_s=TEST_S)
    print_json(body) if as_json else say("the test alert has arrived")
    return Exit.YES


def _stands(incident: answers.Incident, when: Moments) -> str:
    if incident.closed_at is not None:
        closed = f"closed {when.near(incident.closed_at)}"
        if incident.recovery_at is None:
            return closed
        # It may open again until then; nobody has been told that it is over.
        return f"{closed}, recovers {when.near(incident.recovery_at)}"
    if incident.acked_until is not None and incident.acked_until > when.now:
        return f"acked, reminds {when.near(incident.acked_until)}"
    return "open"
