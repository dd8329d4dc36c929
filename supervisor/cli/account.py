"""history, logs, explain: what the ledger knows."""

import io
import sys

import click

from supervisor.cli import answers
from supervisor.cli.client import Client
from supervisor.cli.failure import Exit, Failure
from supervisor.cli.moments import Moments, moments_of
from supervisor.cli.naming import job_name
from supervisor.cli.printing import Table, clean, print_json, say, tell, took
from supervisor.cli.verb import json_option, supervisor, utc_option, verb
from supervisor.cli.waiting import outcome
from supervisor.core.escape import keep_colours

STATES = (*sorted(answers.FINAL), "pending", "running", "retrying")
COUNT = click.IntRange(1, 1000)
# Among so many of a job's newest runs the one is sought whose log is meant.
RECENT = 50


@verb("history")
@click.argument("job", type=job_name, required=False)
@click.option("--since", metavar="TIME", help="Due since then: 7d, or a time.")
@click.option("--state", metavar="STATE", help=f"Only these: {', '.join(STATES)}.")
@click.option("--actions", is_flag=True, help="Instead of runs, who asked for what.")
@click.option("-n", "count", type=COUNT, default=20, help="At most so many, the newest (20).")
@json_option
@utc_option
def history(
    job: str | None,
    since: str | None,
    state: str | None,
    actions: bool,
    count: int,
    as_json: bool,
    utc: bool,
) -> int:
    """What ran, was skipped or missed, and how it ended; newest first.

    \b
    Examples:
      nightshift history sync-missing-sets --since 7d
      nightshift history --state failed
    """
    client = supervisor()
    if actions:
        if job or since or state:
            raise click.UsageError("--actions goes without JOB, --since and --state")
        return _actions(client, count, as_json, utc)
    if state is not None and state not in STATES:
        hint = ": the state folder goes before the verb" if "/" in state else ""
        text = f'expected one of {", ".join(STATES)}, got "{state}"{hint}'
        raise click.BadParameter(text, param_hint="--state")
    when = None if as_json and since is None else moments_of(client, utc)
    after = when.since(since).isoformat() if when is not None and since is not None else None
    body = client.get("v1", "runs", job=job, state=state, since=after, limit=count)
    runs = answers.read(body, answers.Runs).runs
    if not runs and job is not None:
        client.get("v1", "jobs", job)  # 404, if nobody knows it
    if as_json:
        print_json(body)
    elif when is not None:
        # Where it is narrow: the instants to whoever asked for them, else the ages.
        _show_history(runs, when, "WHEN" if utc else "DUE")
    return Exit.YES


@verb("logs")
@click.argument("which", metavar="JOB|RUN", type=job_name)
@click.option("-f", "--follow", is_flag=True, help="Go on until the run ends.")
@click.option("-n", "count", type=click.IntRange(0), help="Only the last lines (all).")
@click.option("--raw", is_flag=True, help="Every byte, also commands to the terminal.")
def logs(which: str, follow: bool, count: int | None, raw: bool) -> int:
    """What a run printed: the run of this number, or the newest one of a job.

    On a terminal colours are kept, and other sequences that control it are left out.

    \b
    Examples:
      nightshift logs backup-database -n 20
      nightshift logs 41 -f
    """
    client = supervisor()
    run = which if which.isdigit() else str(_newest(client, which))
    write = _write if raw or not sys.stdout.isatty() else _write_safely
    if not follow:
        write(_last_lines(client.get("v1", "runs", run, "log"), count))
        return Exit.YES
    skipped = 0
    if count is not None:
        so_far = client.get("v1", "runs", run, "log")
        skipped = len(so_far) - len(_last_lines(so_far, count))
    for piece in client.stream("v1", "runs", run, "log", follow=1):
        write(piece[skipped:])
        skipped = max(0, skipped - len(piece))
    return Exit.YES


@verb("explain")
@click.argument("which", metavar="JOB|RUN", type=job_name)
@click.option("--at", metavar="TIME", help="About the slot or request of this instant.")
@click.option("--run", type=click.IntRange(1), metavar="RUN", help="About the run of this number.")
@json_option
def explain(which: str, at: str | None, run: int | None, as_json: bool) -> int:
    """Why a job or a run ran, waits, was skipped or missed: facts from the ledger.

    \b
    Examples:
      nightshift explain sync-missing-cards --at 03:00
      nightshift explain 41
    """
    client = supervisor()
    if at is not None and (run is not None or which.isdigit()):
        raise click.UsageError("--at goes with a JOB, not with a run")
    if which.isdigit() and run is not None and run != int(which):
        raise click.UsageError(f"expected one run, got {which} and {run}")
    if run is not None or which.isdigit():
        body = client.get("v1", "runs", which if run is None else str(run), "explain")
        job = answers.read(body, answers.Explained).job
        if not which.isdigit() and job != which:
            raise Failure(Exit.NO, f"run {run} is one of {job}", f"nightshift explain {run}")
    else:
        instant = None if at is None else moments_of(client, utc=False).instant(at).isoformat()
        body = client.get("v1", "jobs", which, "explain", at=instant)
    if as_json:
        print_json(body)
        return Exit.YES
    for fact in answers.read(body, answers.Explained).facts:
        tell(clean(fact), 2)
    return Exit.YES


def _show_history(runs: list[answers.Run], when: Moments, first_to_go: str) -> None:
    headers = ("RUN", "JOB", "DUE", "WHEN", "TRIGGER", "STATE", "TOOK", "DETAIL")
    table = Table(*headers, spare=(first_to_go, "TRIGGER", "TOOK"))
    for run in runs:
        lasted = took(run.duration_seconds)
        due = (when.full(run.due), when.near(run.due))
        table.add(str(run.id), run.job, *due, run.trigger, run.state, lasted, outcome(run))
    table.show() if runs else say("no runs")


def _actions(client: Client, count: int, as_json: bool, utc: bool) -> int:
    body = client.get("v1", "actions", limit=count)
    if as_json:
        print_json(body)
        return Exit.YES
    when = moments_of(client, utc)
    table = Table("AT", "WHEN", "WHO", "VERB", "WHAT", "ANSWER", spare=("AT", "WHO"))
    for each in answers.read(body, answers.Actions).actions:
        who = f"uid {each.peer.uid}, pid {each.peer.pid}"
        at = (when.full(each.at), when.near(each.at))
        table.add(*at, who, each.verb, each.what or "-", each.answer)
    table.show()
    return Exit.YES


def _newest(client: Client, job: str) -> int:
    """The newest run of a job that was begun, or its newest one. Raises: Failure."""
    runs = answers.read(client.get("v1", "runs", job=job, limit=RECENT), answers.Runs).runs
    if not runs:
        client.get("v1", "jobs", job)  # 404, if nobody knows it
        raise Failure(Exit.NO, f"{job} has not run yet", f"nightshift run {job}")
    return next((run.id for run in runs if run.attempt), runs[0].id)


def _last_lines(text: bytes, count: int | None) -> bytes:
    if count is None:
        return text
    # Unlike splitlines, readlines takes no progress bar for a hundred lines.
    return b"".join(io.BytesIO(text).readlines()[-count:]) if count else b""


def _write_safely(piece: bytes) -> None:
    _write(keep_colours(piece.decode(errors="replace")).encode())


def _write(piece: bytes) -> None:
    """Bytes as they are: what a job printed may be in any encoding."""
    sys.stdout.flush()
    sys.stdout.buffer.write(piece)
    sys.stdout.buffer.flush()
