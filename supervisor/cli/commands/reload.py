"""`nightshift reload`: read jobs.yaml again and print the changes."""

from collections.abc import Iterator

import click

from supervisor.cli import answers
from supervisor.cli.client import RELOAD_S, Client
from supervisor.cli.command import command, json_option, supervisor, utc_option
from supervisor.cli.errors import CliError, ExitCode
from supervisor.cli.output import echo, print_json
from supervisor.cli.time_format import TimeFormat, time_format


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
    zone = "UTC" if utc else answers.read(client.get("v1", "status"), answers.Zone).timezone
    said = list(_changes(answers.read(body, answers.Changes), time_format(zone)))
    for line in said or ["jobs.yaml is read again: nothing changed"]:
        echo(line)
    return ExitCode.YES


def _refusal(client: Client, failure: CliError) -> str:
    """Return the rejection of a jobs.yaml with all its errors."""
    from supervisor.cli import output
    from supervisor.core.model import Problem

    refused = answers.read(failure.body, answers.Refused)
    problems = [Problem(p.line, p.column, p.path, p.message, p.hint) for p in refused.problems]
    if not problems:
        return failure.text
    path = answers.read(client.get("v1", "status"), answers.Status).config.path
    return "\n".join([failure.text, *output.in_lines(problems, path)])


def _changes(changes: answers.Changes, when: TimeFormat) -> Iterator[str]:
    # Late: it imports definitions, which `stop` and `healthcheck` do not need.
    from supervisor.cli import definition_diff

    yield from definition_diff.format_lines(changes, when)
    for name in changes.changed:
        yield f"changed      {name}"
