"""stop, reload, healthcheck: the life of the supervisor, from outside."""

import select
import sys
import time
from collections.abc import Iterator
from os import pidfd_open

import click

from supervisor.cli import answers
from supervisor.cli.client import RELOAD_S, Client
from supervisor.cli.failure import Exit, Failure
from supervisor.cli.moments import Moments, moments
from supervisor.cli.printing import print_json, say
from supervisor.cli.verb import Question, duration, json_option, supervisor, utc_option, verb
from workers.units import format_duration

# Beyond its drain a supervisor needs its shutdown grace, which may be this long.
STOP_LIMIT_S = 3600.0
LOOK_EVERY_S = 0.1
HEALTH_S = 5.0


@verb("stop")
@click.option("--drain", type=duration, help="Let living runs finish first, at most so long.")
@json_option
def stop(drain: float | None, as_json: bool) -> int:
    """Stop the supervisor and all that it runs, and wait until it is gone.

    \b
    Examples:
      nightshift stop
      nightshift stop --drain 1h
    """
    client = supervisor()
    pid = client.supervisor_pid()
    process = _process(pid)
    body = client.post("v1", "stop", body={"drain_seconds": drain})
    limit_s = STOP_LIMIT_S + (drain or 0.0)
    try:
        is_gone = _ended(process, limit_s) if process is not None else _silent(client, limit_s)
    except KeyboardInterrupt:
        print("\nnightshift: it goes on stopping", file=sys.stderr)
        return Exit.DETACHED
    if not is_gone:
        raise Failure(Exit.NO, f"pid {pid} still lives after {format_duration(limit_s)}")
    print_json(body) if as_json else say("stopped")
    return Exit.YES


@verb("reload")
@click.option("--previous", is_flag=True, help="Go back to the text accepted before.")
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
    except Failure as failure:
        if failure.body and not as_json:
            failure.text = _refusal(client, failure)
        raise
    if as_json:
        print_json(body)
        return Exit.YES
    zone = "UTC" if utc else answers.read(client.get("v1", "status"), answers.Zone).timezone
    said = list(_changes(answers.read(body, answers.Changes), moments(zone)))
    for line in said or ["jobs.yaml is read again: nothing changed"]:
        say(line)
    return Exit.YES


@verb("healthcheck", Question)
@json_option
def healthcheck(as_json: bool) -> int:
    """Whether the supervisor ticks: exit status 0, else 1.

    \b
    Example, in a Dockerfile:
      HEALTHCHECK CMD ["nightshift", "healthcheck"]
    """
    body = supervisor().get("healthz", limit_s=HEALTH_S)
    if as_json:
        print_json(body)
    else:
        age_s = answers.read(body, answers.Health).tick_age_seconds
        say(f"healthy: the last tick was {format_duration(round(age_s))} ago")
    return Exit.YES


def _process(pid: int) -> int | None:
    """A descriptor that speaks when the process ends; None: it is out of our sight."""
    try:
        return pidfd_open(pid)
    except OSError:
        return None


def _ended(process: int, within_s: float) -> bool:
    return bool(select.select([process], [], [], within_s)[0])


def _silent(client: Client, within_s: float) -> bool:
    """Whether nobody listens any more; for a supervisor in another pid namespace."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        try:
            client.supervisor_pid()
        except Failure as failure:
            if failure.status is Exit.NOBODY:
                return True
        time.sleep(LOOK_EVERY_S)
    return False


def _refusal(client: Client, failure: Failure) -> str:
    """The refusal of a text with all its mistakes."""
    from supervisor.cli import mistakes
    from supervisor.core.model import Problem

    refused = answers.read(failure.body, answers.Refused)
    problems = [Problem(p.line, p.column, p.path, p.message, p.hint) for p in refused.problems]
    if not problems:
        return failure.text
    path = answers.read(client.get("v1", "status"), answers.Status).config.path
    return "\n".join([failure.text, *mistakes.in_lines(problems, path)])


def _changes(changes: answers.Changes, when: Moments) -> Iterator[str]:
    # Late: it knows definitions, which stop and healthcheck need not.
    from supervisor.cli import difference

    yield from difference.in_lines(changes, when)
    for name in changes.changed:
        yield f"changed      {name}"
