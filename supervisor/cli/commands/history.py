"""`nightshift history`: list runs, API requests or texts of jobs.yaml from the ledger."""

from collections.abc import Sequence

import click

from supervisor.cli.command import (
    Number,
    command,
    history_source,
    json_option,
    service,
    utc_option,
)
from supervisor.cli.decode import decode
from supervisor.cli.errors import ExitCode
from supervisor.cli.history_source import HistorySource
from supervisor.cli.job_names import job_name
from supervisor.cli.output import Table, echo, format_seconds, print_json
from supervisor.cli.run_text import outcome
from supervisor.cli.time_format import TimeFormat, time_option
from supervisor.core import responses
from supervisor.core.model import FINAL
from supervisor.core.views import RunView

STATES = (*sorted(FINAL), "pending", "running", "retrying")
COUNT = Number(1, 1000)


@command("history")
@click.argument("job", type=job_name, required=False)
@time_option("--since", TimeFormat.since, "Only runs due since then: 7d, or a time.")
@time_option("--until", TimeFormat.since, "Only runs due before then.")
@click.option("--state", metavar="STATE", help=f"Only these: {', '.join(STATES)}.")
@click.option("--actions", is_flag=True, help="List who asked for what, instead of runs.")
@click.option("--reloads", is_flag=True, help="List the texts of jobs.yaml, instead of runs.")
@click.option(
    "--days",
    type=Number(1, 366),
    metavar="N",
    help="Count the runs of each job in the last N days, instead of listing them.",
)
@click.option("-n", "count", type=COUNT, default=20, help="How many of the newest (default 20).")
@json_option
@utc_option
def history(
    job: str | None,
    since: str | None,
    until: str | None,
    state: str | None,
    actions: bool,
    reloads: bool,
    days: int | None,
    count: int,
    as_json: bool,
    utc: bool,
) -> int:
    """List what ran, was skipped or missed, and how it ended; newest first.

    \b
    Examples:
      nightshift history sync-missing-sets --since 7d
      nightshift history --state failed
      nightshift history --days 30
    """
    source = history_source()
    if actions or reloads or days is not None:
        if job or since or until or state or actions + reloads + (days is not None) > 1:
            given = "--actions" if actions else "--reloads" if reloads else "--days"
            raise click.UsageError(
                f"{given} goes without JOB, --since, --until, --state and other lists"
            )
        if days is not None:
            return _days(days, as_json)
        return (_actions if actions else _reloads)(source, count, as_json, utc)
    if state is not None and state not in STATES:
        hint = ": the state folder goes before the verb" if "/" in state else ""
        text = f'expected one of {", ".join(STATES)}, got "{state}"{hint}'
        raise click.BadParameter(text, param_hint="--state")
    is_bare = as_json and since is None and until is None
    when = None if is_bare else source.time_format(utc)
    after, before = _sent(since, "--since", when), _sent(until, "--until", when)
    body = source.get("v1", "runs", job=job, state=state, since=after, until=before, limit=count)
    runs = decode(body, responses.Runs).runs
    if not runs and job is not None:
        source.get("v1", "jobs", job)  # raises on 404
    if as_json:
        print_json(body)
    elif when is not None:
        # On a narrow terminal keep the dates with --utc, else the ages.
        _show_history(runs, when, "WHEN" if utc else "DUE")
    return ExitCode.YES


def _sent(text: str | None, option: str, when: TimeFormat | None) -> str | None:
    """Return the time of an option as the API takes it; None if it was not given."""
    return None if text is None or when is None else when.since(text, option).isoformat()


def _show_history(runs: Sequence[RunView], when: TimeFormat, first_to_go: str) -> None:
    headers = ("RUN", "JOB", "DUE", "WHEN", "TRIGGER", "STATE", "TOOK", "DETAIL")
    table = Table(*headers, spare=(first_to_go, "TRIGGER", "TOOK"))
    for run in runs:
        lasted = format_seconds(run.duration_seconds)
        due = (when.full(run.due), when.relative(run.due))
        table.add(str(run.id), run.job, *due, run.trigger, run.state, lasted, outcome(run))
    table.show() if runs else echo("no runs")


def _days(days: int, as_json: bool) -> int:
    # Late: only this list needs the calendar.
    from supervisor.core.calendar_views import Days

    body = service().get("v1", "days", days=days)
    if as_json:
        print_json(body)
        return ExitCode.YES
    table = Table("JOB", "DAYS", "SUCCESS", "FAILED", "SKIPPED", "MISSED", "OTHER")
    for job in decode(body, Days).jobs:
        counts = [
            sum(getattr(day, state) for day in job.days)
            for state in ("success", "failed", "skipped", "missed")
        ]
        total = sum(sum(getattr(day, state) for state in STATES) for day in job.days)
        table.add(job.job, str(len(job.days)), *map(str, (*counts, total - sum(counts))))
    table.show()
    return ExitCode.YES


def _actions(source: HistorySource, count: int, as_json: bool, utc: bool) -> int:
    body = source.get("v1", "actions", limit=count)
    if as_json:
        print_json(body)
        return ExitCode.YES
    when = source.time_format(utc)
    table = Table("AT", "WHEN", "WHO", "VERB", "WHAT", "ANSWER", spare=("AT", "WHO"))
    for each in decode(body, responses.Actions).actions:
        peer = (each.peer.user, f"uid {each.peer.uid}", f"pid {each.peer.pid}")
        who = ", ".join(filter(None, peer))
        at = (when.full(each.at), when.relative(each.at))
        table.add(*at, who, each.verb, each.what or "-", each.answer)
    table.show()
    return ExitCode.YES


def _reloads(source: HistorySource, count: int, as_json: bool, utc: bool) -> int:
    body = source.get("v1", "reloads", limit=count)
    if as_json:
        print_json(body)
        return ExitCode.YES
    # Late, as above.
    from supervisor.core.config_diff import change_words

    when = source.time_format(utc)
    table = Table("AT", "WHEN", "TEXT", "OUTCOME", "DETAIL", spare=("AT", "TEXT"))
    found = decode(body, responses.Reloads).reloads
    for each in found:
        at = (when.full(each.at), when.relative(each.at))
        word = "accepted" if each.accepted else "refused"
        said = "; ".join(filter(None, (each.said, change_words(each))))
        table.add(*at, each.sha256[:12] or "-", word, said)
    table.show() if found else echo("no texts of jobs.yaml")
    return ExitCode.YES
