"""`nightshift run`: start runs, and watch them if asked to."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from supervisor.cli.command import command, json_option, service
from supervisor.cli.decode import decode
from supervisor.cli.errors import CliError, ExitCode
from supervisor.cli.job_names import job_name
from supervisor.cli.output import clean, echo, print_json, say_output
from supervisor.cli.run_options import RunOptions
from supervisor.cli.run_text import detail
from supervisor.cli.watch_runs import display, print_outcomes, until_final
from supervisor.core import responses
from workers.units import format_count

if TYPE_CHECKING:
    from supervisor.cli.client import Client


@command("run")
@click.argument("jobs", nargs=-1, type=job_name, metavar="[JOB]...")
@click.option("--all", "every", is_flag=True, help="Run every enabled job once, one at a time.")
@click.option(
    "--only",
    multiple=True,
    type=job_name,
    metavar="JOB",
    help="With --all, run only JOB; repeatable.",
)
@click.option("--wait", is_flag=True, help="Wait until the runs end; Ctrl-C leaves them running.")
@click.option("--with-deps", is_flag=True, help="Run their dependencies first.")
@click.option("--dry-run", is_flag=True, help="Show what the worker would do; change nothing.")
@click.option(
    "--set", "given", multiple=True, metavar="KEY=VALUE", help="Replace a parameter; repeatable."
)
@click.option(
    "--on", "on_host", metavar="HOST", default="", help="Only on this host of the cluster."
)
@click.option(
    "--local", "is_local", is_flag=True, help="Run in this process, without a supervisor."
)
@click.option("--yes", is_flag=True, help="Do not ask before --all.")
@click.option("--log-level", metavar="LEVEL", help="Log level of --local (default: warning).")
@json_option
def run(**options: Any) -> int:
    """Run jobs now; exit status 0 only if they begin (with --wait: if all succeed).

    With --json, one answer a line.

    \b
    Examples:
      nightshift run backup-database --wait
      nightshift run rotate-backups --dry-run --set max_delete=50
      nightshift run --all --yes --local
    """
    run_options = RunOptions(**options)
    if run_options.is_local:
        # Late: only --local needs to import the whole service.
        from supervisor.cli.run_local import run_local

        return run_local(run_options)
    client = service()
    if not run_options.every:
        return _run_jobs(client, run_options)
    found = decode(client.get("v1", "jobs"), responses.Jobs).jobs
    if not run_options.is_confirmed(run_options.chosen(found), sys.stdin.isatty()):
        echo("nothing is run")
        return ExitCode.NO
    body = client.post("v1", "run-all", body={"only": run_options.only})
    numbers = decode(body, responses.OpenedAll).runs
    if run_options.wait:
        return _wait(client, numbers, run_options)
    print_json(body) if run_options.as_json else echo(
        f"{format_count(len(numbers), 'run')} opened: nightshift status"
    )
    return ExitCode.YES


def _run_jobs(client: "Client", run_options: RunOptions) -> int:
    if len(run_options.jobs) > 1:
        for job in run_options.jobs:
            client.get("v1", "jobs", job)  # raises on 404 before any run starts
    waits = run_options.wait or run_options.dry_run
    numbers: list[int] = []
    status = ExitCode.YES
    for job in run_options.jobs:
        try:
            body = client.post("v1", "jobs", job, "run", body=run_options.body)
        except CliError as failure:
            if len(run_options.jobs) == 1 or failure.status is ExitCode.NO_SUPERVISOR:
                raise
            failure.show(run_options.as_json)
            status = max(status, failure.status)
            continue
        opened = decode(body, responses.Opened)
        numbers += opened.runs or [opened.run.id]
        if not waits:
            _say_opened(body, opened, run_options.as_json)
    return max(status, _wait(client, numbers, run_options)) if waits and numbers else status


def _say_opened(body: bytes, opened: responses.Opened, as_json: bool) -> None:
    if as_json:
        print_json(body)
        return
    run = opened.run
    said = clean(detail(run))
    more = len(opened.runs) - 1
    others = f", with {format_count(more, 'dependency', 'dependencies')}" if more > 0 else ""
    echo(f"run {run.id} of {run.job} is {run.state}{': ' if said else ''}{said}{others}")


def _wait(client: "Client", numbers: Sequence[int], run_options: RunOptions) -> int:
    shown = display(run_options.as_json)
    try:
        bodies = until_final(client, numbers, shown)
    except KeyboardInterrupt:
        shown.close()
        runs = " ".join(map(str, numbers))
        print(f"\nnightshift: run {runs} goes on; nightshift logs -f shows it", file=sys.stderr)
        return ExitCode.DETACHED
    finally:
        shown.close()
    if run_options.dry_run and not run_options.as_json:
        for number in numbers:
            printed = client.get("v1", "runs", str(number), "log")
            say_output(printed.decode(errors="replace").rstrip())
    return ExitCode.YES if print_outcomes(bodies, run_options.as_json) else ExitCode.NO
