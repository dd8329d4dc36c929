"""status, jobs, show: the service and its definitions, as they are now."""

import sys
from collections.abc import Iterator, Sequence
from typing import Any

import click

from supervisor.cli import answers
from supervisor.cli.moments import Moments, dates, moments
from supervisor.cli.naming import job_name
from supervisor.cli.printing import Table, clean, columns, count, print_json, say, tell, took
from supervisor.cli.verb import json_option, supervisor, utc_option, verb
from workers.units import format_duration

# `show` names so many slots; `next` has more.
SHOWN_SLOTS = 5
# `jobs` shows the beginning of what is longer; `show JOB` has all of it.
_SHORT, _SHORT_COMMAND = 100, 60
# Where the words begin that stand beside a name such as `config`.
_ABOUT = 8
# YAML breaks a line behind the word with which it is too long.
_WIDE, _WORD = 100, 20
_ROUTINE = frozenset({"name", "status", "runs", "environment"})


@verb("status")
@json_option
@utc_option
def status(as_json: bool, utc: bool) -> int:
    """The supervisor, its open runs, and each job's last result and next slot.

    \b
    Example:
      nightshift status
    """
    body = supervisor().get("v1", "status")
    if as_json:
        print_json(body)
        return 0
    found = answers.read(body, answers.Status)
    when = dates() if utc else moments(found.timezone)
    for line in _about(found, when):
        tell(line, _ABOUT)
    _show_runs(found, when)
    # Two instants and a name are too much for 60 columns.
    _show_jobs(found, when, ("TOOK", "ENDED") if utc else ("TOOK",))
    _show_incidents(found, when)
    return 0


@verb("jobs")
@json_option
def jobs(as_json: bool) -> int:
    """The definitions in force, in the order of jobs.yaml.

    \b
    Example:
      nightshift jobs
    """
    body = supervisor().get("v1", "jobs")
    if as_json:
        print_json(body)
        return 0
    headers = ("JOB", "SCHEDULE", "TIMEZONE", "RUNS", "AFTER", "DESCRIPTION")
    table = Table(*headers, spare=("TIMEZONE", "AFTER", "DESCRIPTION"))
    for job in answers.read(body, answers.Jobs).jobs:
        schedule = " | ".join(job.cron) or "-"
        table.add(
            job.name,
            _shortened(schedule, _SHORT) if job.enabled else "disabled",
            job.timezone,
            _shortened(what_it_runs(job), _SHORT_COMMAND),
            _shortened(" ".join(job.deps), _SHORT) or "-",
            _shortened(job.description, _SHORT),
        )
    table.show()
    return 0


@verb("show")
@click.argument("job", type=job_name)
@click.option("--env", is_flag=True, help="Also the environment of its process, masked.")
@json_option
@utc_option
def show(job: str, env: bool, as_json: bool, utc: bool) -> int:
    """One job: its definition, last result and next slots.

    \b
    Example:
      nightshift show sync-missing-sets --env
    """
    client = supervisor()
    body = client.get("v1", "jobs", job, env="1" if env else None)
    if as_json:
        print_json(body)
        return 0
    shown = answers.read(body, dict[str, Any])
    found = answers.read(body, answers.Shown)
    slots = answers.read(client.get("v1", "jobs", job, "next", n=SHOWN_SLOTS), answers.Slots)
    _show_definition(shown)
    say()
    when = moments("UTC" if utc else found.timezone)
    for line in _standing(found, slots.slots, when):
        tell(line, _ABOUT)
    if found.environment is not None:
        say()
        for name, value in sorted(found.environment.items()):
            say(f"{name}={clean(value)}")
    return 0


def what_it_runs(job: answers.Job) -> str:
    """A job's worker, or its command as one would type it."""
    if job.worker is not None:
        return job.worker
    # Late: only those who look at commands pay for it.
    import shlex

    return job.command if isinstance(job.command, str) else shlex.join(job.command or [])


def _shortened(text: str, most: int) -> str:
    """The text on one line, its end replaced by `...` where it is longer than `most`."""
    # A command of megabytes is looked at no further than it is shown.
    words = " ".join(text[: 4 * most].split())
    is_whole = len(text) <= 4 * most and len(words) <= most
    return words if is_whole else f"{words[: most - 3].rstrip()}..."


def _about(found: answers.Status, when: Moments) -> Iterator[str]:
    life = "" if found.life == "serving" else f", {found.life}"
    up = format_duration(round((when.now - found.started_at).total_seconds()))
    yield f"nightshift {found.version}, pid {found.pid}, up {up}{life}, times in {when.zone}"
    yield f"config  {found.config.path}, read {when.near(found.config.loaded_at)}"
    pool = found.pool
    yield f"pool    {pool.running} of {pool.max} places taken, {pool.pending} pending"
    yield f"tick    {when.near(found.tick.last_at) if found.tick.last_at else 'none yet'}"
    for note in found.notes:
        yield f"note    {clean(note)}"
    if found.paused is not None:
        yield f"paused  {_pause(found.paused, when)}"
    if found.metrics is not None:
        trouble = f" cannot be had: {clean(found.metrics.error)}" if found.metrics.error else ""
        yield f"metrics http://{found.metrics.address}/metrics{trouble}"
    if found.ledger_error:
        yield f"LEDGER  cannot be written: {clean(found.ledger_error)}"
    if found.alerts.error:
        waits = count(found.alerts.waiting, "alert")
        again = f", next try {when.near(found.alerts.next_at)}" if found.alerts.next_at else ""
        yield f"ALERTS  {waits} not delivered: {clean(found.alerts.error)}{again}"
    if found.heartbeat_failures:
        yield f"beats   {count(found.heartbeat_failures, 'heartbeat')} failed since the start"
    if found.config.problems:
        first, mistakes = found.config.problems[0], count(len(found.config.problems), "mistake")
        yield (
            f"REFUSED {mistakes} in jobs.yaml, an older text runs; "
            f"the first: line {first.line}: {clean(first.message)} (nightshift check has all)"
        )


def _pause(pause: answers.Pause, when: Moments) -> str:
    until = f"until {when.full(pause.until)}" if pause.until else "until resumed"
    why = f": {clean(pause.reason)}" if pause.reason else ""
    return f"all jobs, {until}, by {pause.by}{why}"


def _show_runs(found: answers.Status, when: Moments) -> None:
    table = Table("RUN", "JOB", "STATE", "SINCE", "DETAIL")
    for run in found.runs:
        since = when.near(run.started_at or run.due)
        table.add(str(run.id), run.job, run.state, since, run.detail)
    if found.runs:
        say()
    table.show()


def _show_jobs(found: answers.Status, when: Moments, spare: Sequence[str]) -> None:
    table = Table("JOB", "LAST", "ENDED", "TOOK", "NEXT", "CAUSE", spare=spare)
    for job in found.jobs:
        last = job.last
        table.add(
            job.name,
            last.state if last else "-",
            when.near(last.ended_at) if last else "-",
            took(last.duration_seconds) if last else "-",
            _next(job, when),
            last.cause if last else "",
        )
    say()
    table.show()


def _next(job: answers.JobStatus, when: Moments) -> str:
    if not job.enabled:
        return "disabled"
    if job.is_paused and job.next_at is None:
        return "paused"
    return when.near(job.next_at)


def _show_incidents(found: answers.Status, when: Moments) -> None:
    headers = ("INCIDENT", "JOB", "SEVERITY", "KIND", "OPENED", "CAUSE")
    table = Table(*headers, spare=("KIND", "SEVERITY"))
    for each in found.incidents:
        opened = when.near(each.opened_at)
        table.add(str(each.id), each.job or "-", each.severity, each.kind, opened, each.cause)
    if found.incidents:
        say()
    table.show()


def _show_definition(shown: dict[str, Any]) -> None:
    """The definition in the words of jobs.yaml; what is empty is left out."""
    # Late: `status` must not pay for YAML.
    import yaml

    definition = {}
    for key, value in _filled(shown).items():
        if key in _ROUTINE:
            continue
        if key.endswith("_seconds"):
            definition[key.removesuffix("_seconds")] = format_duration(value)
        elif key == "cron" and len(value) == 1:
            definition[key] = value[0]
        else:
            definition[key] = value
    named = {shown["name"]: definition}
    text = yaml.safe_dump(
        named,
        sort_keys=False,
        allow_unicode=True,
        default_flow_style=None,
        width=max((columns(sys.stdout) or _WIDE + _WORD) - _WORD, _WORD),
    )
    for line in text.splitlines():
        say(line)


def _filled(value: dict[str, Any]) -> dict[str, Any]:
    """What says something: no nulls, no empty texts, lists and mappings."""
    inner = {key: _filled(item) if isinstance(item, dict) else item for key, item in value.items()}
    return {
        key: item for key, item in inner.items() if item is not None and item not in ({}, [], "")
    }


def _standing(found: answers.Shown, slots: list[Any], when: Moments) -> Iterator[str]:
    status = found.status
    for run in found.runs:
        detail = clean(run.detail)
        yield f"now     run {run.id} is {run.state}{': ' if detail else ''}{detail}"
    if status.last is None:
        yield "last    has not run yet"
    else:
        last = status.last
        cause = f": {clean(last.cause)}" if last.cause else ""
        ended = f", {when.near(last.ended_at)}" if last.ended_at else ""
        yield f"last    run {last.run}: {last.state}{cause}{ended}"
    if status.is_paused:
        until = (
            f"until {when.full(status.paused_until)}" if status.paused_until else "until resumed"
        )
        yield f"paused  {until}"
    if not status.enabled:
        yield "next    never: it is disabled in jobs.yaml"
    elif not slots:
        yield "next    none: it runs by request"
    for slot in slots:
        yield f"next    {when.slot(slot)}, {when.near(slot)}"
