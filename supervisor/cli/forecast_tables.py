"""Print a forecast of the coming days as tables."""

from collections.abc import Callable, Mapping, Sequence

from supervisor.cli.output import Table, echo, echo_wrapped, format_seconds
from supervisor.cli.simulated_rotation import Rotation
from supervisor.cli.simulation_input import ASSUMED_S
from supervisor.cli.time_format import TimeFormat
from supervisor.core.simulation.forecast import Count, Difference, Forecast
from supervisor.core.simulation.sampling import DurationProfile
from workers.units import format_count

# Rows of the longest waits and first losses; --json has all of them.
MOST_ROWS = 20


def show(
    found: Forecast,
    habits: Mapping[str, DurationProfile],
    sources: Sequence[str],
    when: TimeFormat,
) -> None:
    """Print the period, the totals per job, and the notable waits and losses.

    sources: where durations and hosts are known from, a line each.
    """
    days = (found.until - found.since).days
    echo_wrapped(
        f"{format_count(days, 'day')} from {when.slot(found.since)} to {when.slot(found.until)}"
    )
    for source in sources:
        echo_wrapped(source)
    assumed = sum(not habit.seen for habit in habits.values())
    if assumed:
        jobs = format_count(assumed, "job")
        echo_wrapped(f"{format_seconds(ASSUMED_S)} is assumed for {jobs} without a success")
    echo()
    for said in found.unplaced:
        echo_wrapped(f"NO HOST {said}", 2)
    _show_jobs(found, habits)
    _show_waits(found, when)
    _show_losses(found, when)
    if found.daylight_saving:
        echo()
        echo("Daylight saving:")
    for moved in found.daylight_saving:
        echo_wrapped(f"  {moved.job}: {moved.words}", 4)
    _show_pool(found, when)


def show_rotation(rotations: Sequence[Rotation], when: TimeFormat) -> None:
    """Print what each rotation job would keep in its folder."""
    for one in rotations:
        copies = format_count(len(one.kept), "copy", "copies")
        did = f"{one.made} made, {one.removed} removed"
        echo()
        echo(f"{one.job} leaves {copies} in {one.directory} ({did}):")
        if one.refusals:
            echo_wrapped(f"  it refuses {format_count(one.refusals, 'time')}: {one.refusal}", 4)
        table = Table("TAKEN", "DETAIL")
        for kept in one.kept:
            table.add(when.full(kept.taken_at), kept.reason + "; is there today" * kept.is_there)
        table.show()


def show_differences(found: Sequence[Difference], days: int) -> None:
    """Print the jobs whose outcome would differ in the coming days."""
    echo()
    echo(f"In the coming {format_count(days, 'day')}, through the rules themselves:")
    if not found:
        echo("  no job would fare otherwise")
    table = Table(
        "JOB", "RUNS", "SUCCESS", "FAILED", "SKIPPED", "WAITED", spare=("SUCCESS", "FAILED")
    )
    for one in found:
        table.add(
            one.job,
            _change(one, lambda of: str(of.runs)),
            _change(one, lambda of: str(of.success)),
            _change(one, lambda of: str(of.failed)),
            _change(one, lambda of: str(of.skipped)),
            _change(one, lambda of: format_seconds(of.waited_s)),
        )
    table.show()


def _show_jobs(found: Forecast, habits: Mapping[str, DurationProfile]) -> None:
    columns = ("JOB", "RUNS", "SUCCESS", "FAILED", "SKIPPED", "OTHER", "WAITED", "BUSY", "TAKES")
    table = Table(*columns, spare=("OTHER", "BUSY", "TAKES", "WAITED"))
    for of in found.jobs:
        habit = habits[of.job]
        ends = (of.runs, of.success, of.failed, of.skipped, of.other)
        takes = (
            format_seconds(habit.usual_s)
            if habit.seen
            else f"{format_seconds(habit.usual_s)} (assumed)"
        )
        if habit.slow_s != habit.usual_s:
            takes += f" to {format_seconds(habit.slow_s)}"
        name = f"{of.job} (on {of.host})" if of.host else of.job
        table.add(name, *map(str, ends), str(of.waited or "-"), format_seconds(of.busy_s), takes)
    table.show()
    if found.open_runs:
        echo_wrapped(f"{format_count(found.open_runs, 'run')} not ended by then")


def _show_waits(found: Forecast, when: TimeFormat) -> None:
    if not found.waits:
        return
    echo()
    echo("Waits:")
    table = Table("JOB", "WHAT", "TIMES", "TOGETHER", "LONGEST", "OF", spare=("TOGETHER", "OF"))
    for wait in found.waits[:MOST_ROWS]:
        together, longest = format_seconds(wait.total_s), format_seconds(wait.longest_s)
        slot = when.slot(wait.longest)
        table.add(wait.job, wait.waited_for, str(wait.times), together, longest, slot)
    table.show()
    _say_more(len(found.waits))


def _show_losses(found: Forecast, when: TimeFormat) -> None:
    if not found.losses:
        return
    echo()
    echo("Without success:")
    table = Table("JOB", "STATE", "TIMES", "FIRST", "LAST", "CAUSE", spare=("LAST", "FIRST"))
    for loss in found.losses[:MOST_ROWS]:
        first, last = when.slot(loss.first), when.slot(loss.last)
        table.add(loss.job, loss.state, str(loss.times), first, last, loss.cause)
    table.show()
    _say_more(len(found.losses))


def _show_pool(found: Forecast, when: TimeFormat) -> None:
    full = f", all of them for {format_seconds(found.full_s)} in all" if found.full_s else ""
    places = format_count(found.max_concurrent, "place")
    echo()
    echo(f"Pool: at most {found.most_living} of {places} taken{full}")
    for host in found.hosts:
        taken = f"at most {host.most_living} of {format_count(host.max_concurrent, 'place')} taken"
        full = f", all of them for {format_seconds(host.full_s)} in all" if host.full_s else ""
        echo_wrapped(f"  {host.name}: {taken}{full} ({' '.join(host.labels)})", 4)
    for minute in found.busiest:
        begun = ", ".join(dict.fromkeys(minute.jobs))
        often = f"{format_count(minute.times, 'time')}, first" if minute.times > 1 else "once,"
        what = format_count(len(minute.jobs), "attempt begins", "attempts begin")
        echo_wrapped(f"  {what} in one minute, {often} {when.slot(minute.first)}: {begun}", 4)


def _say_more(rows: int) -> None:
    if rows > MOST_ROWS:
        echo(f"and {rows - MOST_ROWS} more (--json)")


def _change(one: Difference, render: Callable[[Count], str]) -> str:
    """Return `7`, `7 -> 14` or `- -> 7`."""
    before = "-" if one.before is None else render(one.before)
    after = "-" if one.after is None else render(one.after)
    return before if before == after else f"{before} -> {after}"
