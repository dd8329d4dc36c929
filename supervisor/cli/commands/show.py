"""`nightshift show`: print one job with its definition, last result and next slots."""

import sys
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

import click

from supervisor.cli.command import command, json_option, service, utc_option
from supervisor.cli.commands.status import _ABOUT
from supervisor.cli.decode import decode
from supervisor.cli.job_names import job_name
from supervisor.cli.output import clean, columns, echo, echo_wrapped, print_json
from supervisor.cli.run_text import detail
from supervisor.cli.time_format import TimeFormat, time_format
from supervisor.core import responses
from workers.units import format_duration

# `next` lists more.
SHOWN_SLOTS = 5
# PyYAML breaks a line after the word that exceeds the width.
_WIDE, _WORD = 100, 20
_ROUTINE = frozenset({"name", "status", "runs", "environment"})


@command("show")
@click.argument("job", type=job_name)
@click.option("--env", is_flag=True, help="Also show the environment of its process, masked.")
@json_option
@utc_option
def show(job: str, env: bool, as_json: bool, utc: bool) -> int:
    """One job: its definition, last result and next slots.

    \b
    Example:
      nightshift show sync-missing-sets --env
    """
    client = service()
    body = client.get("v1", "jobs", job, env="1" if env else None)
    if as_json:
        print_json(body)
        return 0
    shown = decode(body, dict[str, Any])
    found = decode(body, responses.JobDetail)
    slots = decode(client.get("v1", "jobs", job, "next", n=SHOWN_SLOTS), responses.Slots)
    _show_definition(shown)
    echo()
    when = time_format("UTC" if utc else found.timezone)
    for line in _standing(found, slots.slots, when):
        echo_wrapped(line, _ABOUT)
    if found.environment is not None:
        echo()
        for name, value in sorted(found.environment.items()):
            echo(f"{name}={clean(value)}")
    return 0


def _show_definition(shown: dict[str, Any]) -> None:
    """Print the definition with the keys of jobs.yaml; empty values are left out."""
    # Late: PyYAML is slow to import.
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
        echo(line)


def _filled(value: dict[str, Any]) -> dict[str, Any]:
    """Return the mapping without nulls, empty texts, empty lists and empty mappings."""
    inner = {key: _filled(item) if isinstance(item, dict) else item for key, item in value.items()}
    return {
        key: item for key, item in inner.items() if item is not None and item not in ({}, [], "")
    }


def _standing(
    found: responses.JobDetail, slots: Sequence[datetime], when: TimeFormat
) -> Iterator[str]:
    status = found.status
    for run in found.runs:
        said = clean(detail(run))
        yield f"now     run {run.id} is {run.state}{': ' if said else ''}{said}"
    if status.last is None:
        yield "last    has not run yet"
    else:
        last = status.last
        cause = f": {clean(last.cause)}" if last.cause else ""
        ended = f", {when.relative(last.ended_at)}" if last.ended_at else ""
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
        yield f"next    {when.slot(slot)}, {when.relative(slot)}"
