"""`nightshift incidents`: list incidents, and acknowledge one."""

import click

from supervisor.cli.command import (
    Command,
    CommandGroup,
    Number,
    history_source,
    json_option,
    service,
    some_time,
    utc_option,
)
from supervisor.cli.commands.history import COUNT
from supervisor.cli.decode import decode
from supervisor.cli.errors import ExitCode
from supervisor.cli.output import Table, echo, print_json
from supervisor.cli.time_format import TimeFormat, date_format
from supervisor.core import responses
from supervisor.core.views import IncidentView
from workers.text import readable
from workers.units import format_duration


@click.group("incidents", cls=CommandGroup, invoke_without_command=True)
@click.option("-n", "most", type=COUNT, default=20, help="How many of the newest (default 20).")
@json_option
@utc_option
@click.pass_context
def incidents(context: click.Context, most: int, as_json: bool, utc: bool) -> int:
    """List the open and closed incidents, newest first.

    \b
    Examples:
      nightshift incidents
      nightshift incidents ack 7 --for 3d --reason "disk is ordered"
    """
    if context.invoked_subcommand is not None:
        return ExitCode.YES
    source = history_source()
    body = source.get("v1", "incidents", limit=most)
    if as_json:
        print_json(body)
        return ExitCode.YES
    found = decode(body, responses.Incidents).incidents
    when = date_format() if utc else source.time_format(utc)
    headers = ("ID", "JOB", "SEVERITY", "KIND", "SINCE", "STANDS", "TIMES", "ALERTS", "CAUSE")
    table = Table(*headers, spare=("SEVERITY", "TIMES", "ALERTS"))
    for each in found:
        waits = f"{each.undelivered} waiting" if each.undelivered else "-"
        table.add(
            *(str(each.id), each.job or "-", each.severity, each.kind),
            *(
                when.relative(each.opened_at),
                _stands(each, when),
                str(each.count),
                waits,
                each.cause,
            ),
        )
    table.show() if found else echo("no incidents")
    return ExitCode.YES


@incidents.command("ack", cls=Command)
@click.argument("incident", metavar="ID", type=Number(1))
@click.option(
    "--for",
    "for_s",
    metavar="DURATION",
    type=some_time,
    default="1d",
    help="Duration (default 1d).",
)
@click.option("--reason", default="", help="Reason, shown in status and history.")
@json_option
def ack(incident: int, for_s: float, reason: str, as_json: bool) -> int:
    """No reminders of an incident for a time.

    \b
    Example:
      nightshift incidents ack 7 --for 3d --reason "disk is ordered"
    """
    asked = {"for_seconds": for_s, "reason": readable(reason)}
    body = service().post("v1", "incidents", str(incident), "ack", body=asked)
    print_json(body) if as_json else echo(
        f"incident {incident}: no reminders for {format_duration(for_s)}"
    )
    return ExitCode.YES


def _stands(incident: IncidentView, when: TimeFormat) -> str:
    if incident.closed_at is not None:
        closed = f"closed {when.relative(incident.closed_at)}"
        if incident.recovery_at is None:
            return closed
        # It may reopen until then, and no recovery alert was sent yet.
        return f"{closed}, recovers {when.relative(incident.recovery_at)}"
    if incident.acked_until is not None and incident.acked_until > when.now:
        return f"acked, reminds {when.relative(incident.acked_until)}"
    return "open"
