"""`nightshift run`: start runs, and watch them if asked to."""

import sys
from typing import Any

import click

from supervisor.cli import answers
from supervisor.cli.client import Client
from supervisor.cli.command import command, json_option, supervisor
from supervisor.cli.errors import CliError, ExitCode
from supervisor.cli.job_names import job_name
from supervisor.cli.output import clean, count, echo, print_json, say_output
from supervisor.cli.run_options import RunOptions
from supervisor.cli.watch_runs import display, print_outcomes, until_final


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
    wish = RunOptions(**options)
    if wish.is_local:
        # Late: only --local needs to import the whole service.
        from supervisor.cli.run_local import run_local

        return run_local(wish)
    client = supervisor()
    if not wish.every:
        return _run_jobs(client, wish)
    found = answers.read(client.get("v1", "jobs"), answers.Jobs).jobs
    if not wish.is_confirmed(wish.chosen(found), sys.stdin.isatty()):
        echo("nothing is run")
        return ExitCode.NO
    body = client.post("v1", "run-all", body={"only": wish.only})
    numbers = answers.read(body, answers.Numbers).runs
    if wish.wait:
        return _wait(client, numbers, wish)
    print_json(body) if wish.as_json else echo(
        f"{count(len(numbers), 'run')} opened: nightshift status"
    )
    return ExitCode.YES


def _run_jobs(client: Client, wish: RunOptions) -> int:
    if len(wish.jobs) > 1:
        for job in wish.jobs:
            client.get("v1", "jobs", job)  # raises on 404 before any run starts
    waits = wish.wait or wish.dry_run
    numbers: list[int] = []
    status = ExitCode.YES
    for job in wish.jobs:
        try:
            body = client.post("v1", "jobs", job, "run", body=wish.body)
        except CliError as failure:
            if len(wish.jobs) == 1 or failure.status is ExitCode.NO_SUPERVISOR:
                raise
            failure.show(wish.as_json)
            status = max(status, failure.status)
            continue
        opened = answers.read(body, answers.Opened)
        numbers += opened.runs or [opened.run.id]
        if not waits:
            _say_opened(body, opened, wish.as_json)
    return max(status, _wait(client, numbers, wish)) if waits and numbers else status


def _say_opened(body: bytes, opened: answers.Opened, as_json: bool) -> None:
    if as_json:
        print_json(body)
        return
    run = opened.run
    detail = f": {clean(run.detail)}" if run.detail else ""
    others = f", with {len(opened.runs) - 1} dependencies" if len(opened.runs) > 1 else ""
    echo(f"run {run.id} of {run.job} is {run.state}{detail}{others}")


def _wait(client: Client, numbers: list[int], wish: RunOptions) -> int:
    shown = display(wish.as_json)
    try:
        bodies = until_final(client, numbers, shown)
    except KeyboardInterrupt:
        shown.close()
        runs = " ".join(map(str, numbers))
        print(f"\nnightshift: run {runs} goes on; nightshift logs -f shows it", file=sys.stderr)
        return ExitCode.DETACHED
    finally:
        shown.close()
    if wish.dry_run and not wish.as_json:
        for number in numbers:
            printed = client.get("v1", "runs", str(number), "log")
            say_output(printed.decode(errors="replace").rstrip())
    return ExitCode.YES if print_outcomes(bodies, wish.as_json) else ExitCode.NO
