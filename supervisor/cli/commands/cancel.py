"""`nightshift cancel`: end open runs."""

import click

from supervisor.cli.command import command, json_option, service
from supervisor.cli.decode import decode
from supervisor.cli.errors import ExitCode
from supervisor.cli.job_names import job_name
from supervisor.cli.output import echo, print_json
from supervisor.core import responses
from workers.units import is_whole


@command("cancel")
@click.argument("which", metavar="JOB|RUN", type=job_name)
@json_option
def cancel(which: str, as_json: bool) -> int:
    """End the open runs of a job, or the run of this number.

    \b
    Example:
      nightshift cancel sync-missing-cards
    """
    kind = "runs" if is_whole(which) else "jobs"
    body = service().post("v1", kind, which, "cancel", body={})
    numbers = decode(body, responses.Cancelled).cancelled
    print_json(body) if as_json else echo(f"cancelled: run {', '.join(map(str, numbers))}")
    return ExitCode.YES
