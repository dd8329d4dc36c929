"""`nightshift pause` and `nightshift resume`: stop and resume scheduling jobs."""

import click

from supervisor.cli.command import command, json_option, service, some_time
from supervisor.cli.errors import ExitCode
from supervisor.cli.job_names import job_name
from supervisor.cli.output import echo, print_json
from workers.text import readable
from workers.units import format_duration


@command("pause")
@click.argument("job", type=job_name, required=False)
@click.option(
    "--for",
    "for_s",
    metavar="DURATION",
    type=some_time,
    help="Duration, such as 2h (default: until resumed).",
)
@click.option("--reason", default="", help="Reason, shown in status and history.")
@json_option
def pause(job: str | None, for_s: float | None, reason: str, as_json: bool) -> int:
    """No slots of a job, or of any; open and requested runs go on.

    \b
    Example:
      nightshift pause sync-missing-sets --for 2h --reason "the catalogue moves"
    """
    asked = {"for_seconds": for_s, "reason": readable(reason)}
    body = service().post(*_about(job), "pause", body=asked)
    until = "until resumed" if for_s is None else f"for {format_duration(for_s)}"
    print_json(body) if as_json else echo(f"{job or 'every job'} is paused {until}")
    return ExitCode.YES


@command("resume")
@click.argument("job", type=job_name, required=False)
@click.option("--from-now", is_flag=True, help="Also slots seen before the clock went back.")
@json_option
def resume(job: str | None, from_now: bool, as_json: bool) -> int:
    """Lift a pause; without JOB the one over all, not those of single jobs.

    \b
    Example:
      nightshift resume sync-missing-sets
    """
    body = service().post(*_about(job), "resume", body={"from_now": from_now})
    print_json(body) if as_json else echo(f"{job or 'every job'} is resumed")
    return ExitCode.YES


def _about(job: str | None) -> tuple[str, ...]:
    return ("v1",) if job is None else ("v1", "jobs", job)
