"""`nightshift explain`: print why a job ran, waits, was skipped or missed."""

import click

from supervisor.cli.command import Number, command, history_source, json_option
from supervisor.cli.decode import decode
from supervisor.cli.errors import CliError, ExitCode
from supervisor.cli.job_names import job_name
from supervisor.cli.output import clean, echo_wrapped, print_json
from supervisor.cli.time_format import TimeFormat, time_option
from supervisor.core import responses
from workers.units import is_whole


@command("explain")
@click.argument("which", metavar="JOB|RUN", type=job_name)
@time_option("--at", TimeFormat.instant, "The slot or request of this instant.")
@click.option("--run", type=Number(1), metavar="RUN", help="The run with this number.")
@json_option
def explain(which: str, at: str | None, run: int | None, as_json: bool) -> int:
    """Why a job or a run ran, waits, was skipped or missed: facts from the ledger.

    \b
    Examples:
      nightshift explain sync-missing-cards --at 03:00
      nightshift explain 41
    """
    source = history_source()
    if at is not None and (run is not None or is_whole(which)):
        raise click.UsageError("--at goes with a JOB, not with a run")
    if is_whole(which) and run is not None and str(run) != which.lstrip("0"):
        raise click.UsageError(f"expected one run, got {which} and {run}")
    if run is not None or is_whole(which):
        body = source.get("v1", "runs", which if run is None else str(run), "explain")
        job = decode(body, responses.Explained).job
        if not is_whole(which) and job != which:
            raise CliError(ExitCode.NO, f"run {run} is one of {job}", f"nightshift explain {run}")
    else:
        when = None if at is None else source.time_format(utc=False).instant(at, "--at")
        instant = None if when is None else when.isoformat()
        body = source.get("v1", "jobs", which, "explain", at=instant)
    if as_json:
        print_json(body)
        return ExitCode.YES
    for fact in decode(body, responses.Explained).facts:
        echo_wrapped(clean(fact), 2)
    return ExitCode.YES
