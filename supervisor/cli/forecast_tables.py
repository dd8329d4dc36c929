"""How the coming days are told: tables of a forecast, one after another."""

from collections.abc import Callable, Mapping, Sequence

from supervisor.cli.output import Table, count, say, tell, took
from supervisor.cli.simulated_rotation import Rotation
from supervisor.cli.simulation_input import ASSUMED_S
from supervisor.cli.time_format import Moments
from supervisor.core.simulation.forecast import Count, Difference, Forecast
from supervisor.core.simulation.sampling import Habit

# The longest waits and the first losses; --json tells all of them.
MOST_ROWS = 20


def show(found: Forecast, habits: Mapping[str, Habit], source: str, when: Moments) -> None:
    """The days, job by job, and what stands out in them."""
    days = (found.until - found.since).days
    tell(f"{count(days, 'day')} from {when.slot(found.since)} to {when.slot(found.until)}")
    tell(f"durations: {source}")
    assumed = sum(not habit.seen for habit in habits.values())
    if assumed:
        tell(f"{took(ASSUMED_S)} is assumed for {count(assumed, 'job')} without a success")
    say()
    _show_jobs(found, habits)
    _show_waits(found, when)
    _show_losses(found, when)
    if found.daylight_saving:
        say()
        say("Daylight saving:")
    for moved in found.daylight_saving:
        tell(f"  {moved.job}: {moved.words}", 4)
    _show_pool(found, when)


def show_rotation(rotations: Sequence[Rotation], when: Moments) -> None:
    """What each rotation job would leave in its folder."""
    for one in rotations:
        copies = f"{len(one.kept)} {'copy' if len(one.kept) == 1 else 'copies'}"
        did = f"{one.made} made, {one.removed} removed"
        say()
        say(f"{one.job} leaves {copies} in {one.directory} ({did}):")
        if one.refusals:
            tell(f"  it refuses {count(one.refusals, 'time')}: {one.refusal}", 4)
        table = Table("TAKEN", "DETAIL")
        for kept in one.kept:
            table.add(when.full(kept.taken_at), kept.reason + "; is there today" * kept.is_there)
        table.show()


def show_differences(found: Sequence[Difference], days: int) -> None:
    """Which jobs would fare otherwise in the coming days."""
    say()
    say(f"In the coming {count(days, 'day')}, through the rules themselves:")
    if not found:
        say("  no job would fare otherwise")
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
            _change(one, lambda of: took(of.waited_s)),
        )
    table.show()


def _show_jobs(found: Forecast, habits: Mapping[str, Habit]) -> None:
    columns = ("JOB", "RUNS", "SUCCESS", "FAILED", "SKIPPED", "OTHER", "WAITED", "BUSY", "TAKES")
    table = Table(*columns, spare=("OTHER", "BUSY", "TAKES", "WAITED"))
    for of in found.jobs:
        habit = habits[of.job]
        ends = (of.runs, of.success, of.failed, of.skipped, of.other)
        takes = took(habit.usual_s) if habit.seen else f"{took(habit.usual_s)} (assumed)"
        if habit.slow_s != habit.usual_s:
            takes += f" to {took(habit.slow_s)}"
        table.add(of.job, *map(str, ends), str(of.waited or "-"), took(of.busy_s), takes)
    table.show()
    if found.open_runs:
        tell(f"{count(found.open_runs, 'run')} not ended by then")


def _show_waits(found: Forecast, when: Moments) -> None:
    if not found.waits:
        return
    say()
    say("Waits:")
    table = Table("JOB", "WHAT", "TIMES", "TOGETHER", "LONGEST", "OF", spare=("TOGETHER", "OF"))
    for wait in found.waits[:MOST_ROWS]:
        together, longest = took(wait.total_s), took(wait.longest_s)
        slot = when.slot(wait.longest)
        table.add(wait.job, wait.waited_for, str(wait.times), together, longest, slot)
    table.show()
    _say_more(len(found.waits))


def _show_losses(found: Forecast, when: Moments) -> None:
    if not found.losses:
        return
    say()
    say("Without success:")
    table = Table("JOB", "STATE", "TIMES", "FIRST", "LAST", "CAUSE", spare=("LAST", "FIRST"))
    for loss in found.losses[:MOST_ROWS]:
        first, last = when.slot(loss.first), when.slot(loss.last)
        table.add(loss.job, loss.state, str(loss.times), first, last, loss.cause)
    table.show()
    _say_more(len(found.losses))


def _show_pool(found: Forecast, when: Moments) -> None:
    full = f", all of them for {took(found.full_s)} in all" if found.full_s else ""
    places = count(found.max_concurrent, "place")
    say()
    say(f"Pool: at most {found.most_living} of {places} taken{full}")
    for minute in found.busiest:
        begun = ", ".join(dict.fromkeys(minute.jobs))
        often = f"{count(minute.times, 'time')}, first" if minute.times > 1 else "once,"
        what = f"{len(minute.jobs)} attempts begin in one minute"
        tell(f"  {what}, {often} {when.slot(minute.first)}: {begun}", 4)


def _say_more(rows: int) -> None:
    if rows > MOST_ROWS:
        say(f"and {rows - MOST_ROWS} more (--json)")


def _change(one: Difference, told: Callable[[Count], str]) -> str:
    """`7`, `7 -> 14`, `- -> 7`."""
    before = "-" if one.before is None else told(one.before)
    after = "-" if one.after is None else told(one.after)
    return before if before == after else f"{before} -> {after}"
