"""run, cancel, pause, resume: what is asked of the supervisor."""

import sys
from typing import Any

import click

from supervisor.cli import answers
from supervisor.cli.client import Client
from supervisor.cli.failure import Exit, Failure
from supervisor.cli.naming import job_name
from supervisor.cli.printing import clean, count, print_json, say, say_output
from supervisor.cli.verb import duration, json_option, supervisor, verb
from supervisor.cli.waiting import display, give_account, until_final
from supervisor.cli.wish import Wish
from workers.text import readable
from workers.units import format_duration


@verb("run")
@click.argument("jobs", nargs=-1, type=job_name, metavar="[JOB]...")
@click.option("--all", "every", is_flag=True, help="Every enabled job once, one at a time.")
@click.option("--only", multiple=True, type=job_name, metavar="JOB", help="Of --all only these.")
@click.option("--wait", is_flag=True, help="Until they end; Ctrl-C leaves them running.")
@click.option("--with-deps", is_flag=True, help="Their dependencies first.")
@click.option("--dry-run", is_flag=True, help="A worker's plan; nothing is changed.")
@click.option("--set", "given", multiple=True, metavar="KEY=VALUE", help="Another parameter.")
@click.option("--local", "is_local", is_flag=True, help="In this process, without a supervisor.")
@click.option("--yes", is_flag=True, help="Do not ask before --all.")
@click.option("--log-level", metavar="LEVEL", help="Of --local (warning).")
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
    wish = Wish(**options)
    if wish.is_local:
        # Late: the whole service is only for those who run it.
        from supervisor.cli.local import run_local

        return run_local(wish)
    client = supervisor()
    if not wish.every:
        return _run_jobs(client, wish)
    found = answers.read(client.get("v1", "jobs"), answers.Jobs).jobs
    if not wish.is_confirmed(wish.chosen(found), sys.stdin.isatty()):
        say("nothing is run")
        return Exit.NO
    body = client.post("v1", "run-all", body={"only": wish.only})
    numbers = answers.read(body, answers.Numbers).runs
    if wish.wait:
        return _wait(client, numbers, wish)
    print_json(body) if wish.as_json else say(
        f"{count(len(numbers), 'run')} opened: nightshift status"
    )
    return Exit.YES


@verb("cancel")
@click.argument("which", metavar="JOB|RUN", type=job_name)
@json_option
def cancel(which: str, as_json: bool) -> int:
    """End the open runs of a job, or the run of this number.

    \b
    Example:
      nightshift cancel sync-missing-cards
    """
    kind = "runs" if which.isdigit() else "jobs"
    body = supervisor().post("v1", kind, which, "cancel", body={})
    numbers = answers.read(body, answers.Numbers).cancelled
    print_json(body) if as_json else say(f"cancelled: run {', '.join(map(str, numbers))}")
    return Exit.YES


@verb("pause")
@click.argument("job", type=job_name, required=False)
@click.option("--for", "for_s", type=duration, help="For so long; otherwise until resumed.")
@click.option("--reason", default="", help="Why, for the others.")
@json_option
def pause(job: str | None, for_s: float | None, reason: str, as_json: bool) -> int:
    """No slots of a job, or of any; open and requested runs go on.

    \b
    Example:
      nightshift pause sync-missing-sets --for 2h --reason "the catalogue moves"
    """
    asked = {"for_seconds": for_s, "reason": readable(reason)}
    body = supervisor().post(*_about(job), "pause", body=asked)
    until = "until resumed" if for_s is None else f"for {format_duration(for_s)}"
    print_json(body) if as_json else say(f"{job or 'every job'} is paused {until}")
    return Exit.YES


@verb("resume")
@click.argument("job", type=job_name, required=False)
@click.option("--from-now", is_flag=True, help="Also slots seen before the clock went back.")
@json_option
def resume(job: str | None, from_now: bool, as_json: bool) -> int:
    """Lift a pause; without JOB the one over all, not those of single jobs.

    \b
    Example:
      nightshift resume sync-missing-sets
    """
    body = supervisor().post(*_about(job), "resume", body={"from_now": from_now})
    print_json(body) if as_json else say(f"{job or 'every job'} is resumed")
    return Exit.YES


def _about(job: str | None) -> tuple[str, ...]:
    return ("v1",) if job is None else ("v1", "jobs", job)


def _run_jobs(client: Client, wish: Wish) -> int:
    if len(wish.jobs) > 1:
        for job in wish.jobs:
            client.get("v1", "jobs", job)  # 404, before any of them begins
    waits = wish.wait or wish.dry_run
    numbers: list[int] = []
    status = Exit.YES
    for job in wish.jobs:
        try:
            body = client.post("v1", "jobs", job, "run", body=wish.body)
        except Failure as failure:
            if len(wish.jobs) == 1 or failure.status is Exit.NOBODY:
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
    say(f"run {run.id} of {run.job} is {run.state}{detail}{others}")


def _wait(client: Client, numbers: list[int], wish: Wish) -> int:
    shown = display(wish.as_json)
    try:
        bodies = until_final(client, numbers, shown)
    except KeyboardInterrupt:
        shown.close()
        runs = " ".join(map(str, numbers))
        print(f"\nnightshift: run {runs} goes on; nightshift logs -f shows it", file=sys.stderr)
        return Exit.DETACHED
    finally:
        shown.close()
    if wish.dry_run and not wish.as_json:
        for number in numbers:
            printed = client.get("v1", "runs", str(number), "log")
            say_output(printed.decode(errors="replace").rstrip())
    return Exit.YES if give_account(bodies, wish.as_json) else Exit.NO
