"""`nightshift stop`: stop the supervisor and wait until it is gone."""

import select
import sys
import time
from os import pidfd_open

import click

from supervisor.cli.client import Client
from supervisor.cli.command import command, duration, json_option, supervisor
from supervisor.cli.errors import CliError, ExitCode
from supervisor.cli.output import echo, print_json
from workers.units import format_duration

# After the drain the supervisor needs its shutdown grace, which may be this long.
STOP_LIMIT_S = 3600.0
LOOK_EVERY_S = 0.1


@command("stop")
@click.option("--drain", type=duration, help="Let open runs finish first, for at most this long.")
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
        return ExitCode.DETACHED
    if not is_gone:
        raise CliError(ExitCode.NO, f"pid {pid} is still running after {format_duration(limit_s)}")
    print_json(body) if as_json else echo("stopped")
    return ExitCode.YES


def _process(pid: int) -> int | None:
    """Return a pidfd that is readable when the process ends; None if it is not visible."""
    try:
        return pidfd_open(pid)
    except OSError:
        return None


def _ended(process: int, within_s: float) -> bool:
    return bool(select.select([process], [], [], within_s)[0])


def _silent(client: Client, within_s: float) -> bool:
    """Return whether the socket closes in time; for a supervisor in another pid namespace."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        try:
            client.supervisor_pid()
        except CliError as failure:
            if failure.status is ExitCode.NO_SUPERVISOR:
                return True
        time.sleep(LOOK_EVERY_S)
    return False
