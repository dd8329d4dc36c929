"""`nightshift status`: print the service, its open runs and the state of each job."""

from collections.abc import Iterator, Sequence

from supervisor.cli.command import command, json_option, service, utc_option
from supervisor.cli.decode import decode
from supervisor.cli.output import (
    Table,
    clean,
    echo,
    echo_wrapped,
    format_seconds,
    print_json,
)
from supervisor.cli.run_text import detail
from supervisor.cli.time_format import TimeFormat, date_format, time_format
from supervisor.core.views import ChannelView, JobStatus, PauseView, Status
from workers.units import format_count, format_duration

# `jobs` cuts longer texts; `show JOB` prints them whole.
_SHORT, _SHORT_COMMAND = 100, 60
# Column where the text after a name such as `config` starts.
_ABOUT = 8


@command("status")
@json_option
@utc_option
def status(as_json: bool, utc: bool) -> int:
    """Show the supervisor, its open runs, and each job's last result and next slot.

    \b
    Example:
      nightshift status
    """
    body = service().get("v1", "status")
    if as_json:
        print_json(body)
        return 0
    found = decode(body, Status)
    when = date_format() if utc else time_format(found.timezone)
    for line in _about(found, when):
        echo_wrapped(line, _ABOUT)
    _show_runs(found, when)
    # Two dates and a name do not fit into 60 columns.
    _show_jobs(found, when, ("TOOK", "ENDED") if utc else ("TOOK",))
    _show_incidents(found, when)
    return 0


def _shortened(text: str, most: int) -> str:
    """Return the text on one line, with `...` in place of everything beyond `most`."""
    # A command may be megabytes long: only process the part that can be shown.
    words = " ".join(text[: 4 * most].split())
    is_whole = len(text) <= 4 * most and len(words) <= most
    return words if is_whole else f"{words[: most - 3].rstrip()}..."


def _about(found: Status, when: TimeFormat) -> Iterator[str]:
    life = "" if found.life == "serving" else f", {found.life}"
    up = format_duration(round((when.now - found.started_at).total_seconds()))
    yield f"nightshift {found.version}, pid {found.pid}, up {up}{life}, times in {when.zone}"
    yield f"config  {found.config.path}, read {when.relative(found.config.loaded_at)}"
    pool, places = found.pool, format_count(found.pool.max, "place")
    yield f"pool    {pool.running} of {places} taken, {pool.pending} pending"
    yield f"tick    {when.relative(found.tick.last_at) if found.tick.last_at else 'none yet'}"
    for note in found.notes:
        yield f"note    {clean(note)}"
    if found.paused is not None:
        yield f"paused  {_pause(found.paused, when)}"
    if found.metrics is not None:
        problem = f" cannot be had: {clean(found.metrics.error)}" if found.metrics.error else ""
        yield f"metrics http://{found.metrics.address}/metrics{problem}"
    if found.ledger_error:
        yield f"LEDGER  cannot be written: {clean(found.ledger_error)}"
    yield from _channels(found.alerts.channels, when)
    if found.heartbeat_failures:
        beats = format_count(found.heartbeat_failures, "heartbeat")
        yield f"beats   {beats} failed since the start"
    if found.config.problems:
        first = found.config.problems[0]
        mistakes = format_count(len(found.config.problems), "mistake")
        yield (
            f"REFUSED {mistakes} in jobs.yaml, an older text runs; "
            f"the first: line {first.line}: {clean(first.message)} (nightshift check has all)"
        )


def _channels(channels: Sequence[ChannelView], when: TimeFormat) -> Iterator[str]:
    """Yield a line for each channel that does not deliver, or waits until quiet hours end."""
    for channel in channels:
        waits = format_count(channel.waiting, "alert")
        to = f" to {channel.name}" if len(channels) > 1 else ""
        if channel.error:
            again = f", next try {when.relative(channel.next_at)}" if channel.next_at else ""
            yield f"ALERTS  {waits} not delivered{to}: {clean(channel.error)}{again}"
        elif channel.waiting and channel.quiet_until is not None:
            end = when.relative(channel.quiet_until)
            yield f"alerts  {waits} for {channel.name} until its quiet hours end {end}"


def _pause(pause: PauseView, when: TimeFormat) -> str:
    until = f"until {when.full(pause.until)}" if pause.until else "until resumed"
    why = f": {clean(pause.reason)}" if pause.reason else ""
    return f"all jobs, {until}, by {pause.by}{why}"


def _show_runs(found: Status, when: TimeFormat) -> None:
    table = Table("RUN", "JOB", "STATE", "SINCE", "DETAIL")
    for run in found.runs:
        since = when.relative(run.started_at or run.due)
        table.add(str(run.id), run.job, run.state, since, detail(run))
    if found.runs:
        echo()
    table.show()


def _show_jobs(found: Status, when: TimeFormat, spare: Sequence[str]) -> None:
    table = Table("JOB", "LAST", "ENDED", "TOOK", "NEXT", "CAUSE", spare=spare)
    for job in found.jobs:
        last = job.last
        table.add(
            job.name,
            last.state if last else "-",
            when.relative(last.ended_at) if last else "-",
            format_seconds(last.duration_seconds) if last else "-",
            _next(job, when),
            last.cause if last else "",
        )
    echo()
    table.show()


def _next(job: JobStatus, when: TimeFormat) -> str:
    if not job.enabled:
        return "disabled"
    if job.is_paused and job.next_at is None:
        return "paused"
    return when.relative(job.next_at)


def _show_incidents(found: Status, when: TimeFormat) -> None:
    headers = ("INCIDENT", "JOB", "SEVERITY", "KIND", "OPENED", "CAUSE")
    table = Table(*headers, spare=("KIND", "SEVERITY"))
    for each in found.incidents:
        opened = when.relative(each.opened_at)
        table.add(str(each.id), each.job or "-", each.severity, each.kind, opened, each.cause)
    if found.incidents:
        echo()
    table.show()
