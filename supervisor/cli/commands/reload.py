"""`nightshift reload`: read jobs.yaml again and print the changes."""

from collections.abc import Iterator

import click

from supervisor.cli.client import RELOAD_S, Client
from supervisor.cli.command import command, json_option, supervisor, utc_option
from supervisor.cli.decode import decode
from supervisor.cli.errors import CliError, ExitCode
from supervisor.cli.output import echo, in_lines, print_json
from supervisor.cli.time_format import TimeFormat, time_format
from supervisor.core import responses
from supervisor.core.views import Status


@command("reload")
@click.option("--previous", is_flag=True, help="Go back to the version accepted before.")
@json_option
@utc_option
def reload(previous: bool, as_json: bool, utc: bool) -> int:
    """Read jobs.yaml again now; a bad file changes nothing.

    \b
    Example:
      nightshift reload
    """
    client = supervisor()
    try:
        body = client.post("v1", "reload", body={"previous": previous}, limit_s=RELOAD_S)
    except CliError as failure:
        if failure.body and not as_json:
            failure.text = _refusal(client, failure)
        raise
    if as_json:
        print_json(body)
        return ExitCode.YES
    zone = "UTC" if utc else decode(client.get("v1", "status"), Status).timezone
    said = list(_changes(body, time_format(zone)))
    for line in said or ["jobs.yaml is read again: nothing changed"]:
        echo(line)
    return ExitCode.YES


def _refusal(client: Client, failure: CliError) -> str:
    """Return the rejection of a jobs.yaml with all its errors."""
    problems = decode(failure.body, responses.ReloadError).problems
    if not problems:
        return failure.text
    path = decode(client.get("v1", "status"), Status).config.path
    return "\n".join([failure.text, *in_lines(problems, path)])


def _changes(body: bytes, when: TimeFormat) -> Iterator[str]:
    # Late: --json needs neither definitions nor calendars.
    from supervisor.cli import definition_diff
    from supervisor.core.config_diff import Changes

    changes = decode(body, Changes)
    yield from definition_diff.format_lines(changes, when)
    for name in changes.changed:
        yield f"changed      {name}"
