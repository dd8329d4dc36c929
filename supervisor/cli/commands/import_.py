"""`nightshift import`: convert the jobs of other schedulers to jobs.yaml on standard output."""

import sys
from collections.abc import Sequence

import click

from supervisor.cli import crontab_files, systemd_files
from supervisor.cli.command import Command, CommandGroup
from supervisor.cli.crontab_files import Asked, Table, shown
from supervisor.cli.errors import CliError, ExitCode
from supervisor.cli.output import clean, complain
from supervisor.config.crontab import convert as from_crontab
from supervisor.config.crontab.dialects import Dialect
from supervisor.config.crontab.parse import Entry, Item
from supervisor.config.crontab.settings import Lost, Remark
from supervisor.config.problems import BadValueError
from supervisor.config.systemd import convert as from_systemd
from supervisor.config.systemd.jobs import UnitJob, UnitLost, jobs_of, service_name
from supervisor.config.systemd.service import Machine
from workers.units import format_count


@click.group("import", cls=CommandGroup)
def import_() -> int:
    """Make a jobs.yaml from what another scheduler runs.

    \b
    Examples:
      crontab -l | nightshift import crontab - > jobs.yaml
      nightshift import systemd /etc/systemd/system > jobs.yaml
    """
    return ExitCode.YES


@import_.command("crontab", cls=Command)
@click.argument("files", metavar="[-|FILE|DIR]...", nargs=-1)
@click.option("--system", is_flag=True, help="The lines have a user column, as in /etc/crontab.")
@click.option(
    "--user",
    metavar="[NAME]",
    is_flag=False,
    flag_value="",
    help="A user's own crontab; of a system crontab, keep the lines of NAME (default: yours).",
)
@click.option(
    "--cron",
    type=click.Choice([each.value for each in Dialect]),
    help="Read it as this cron does (default: the installed one, else debian).",
)
def crontab(files: tuple[str, ...], system: bool, user: str | None, cron: str | None) -> int:
    """Write a jobs.yaml that does what these crontabs do.

    What differs stands in it as comments and is named on standard error. A line that
    cannot be kept stays as a comment, and makes the exit status 1.

    \b
    Examples:
      crontab -l | nightshift import crontab > jobs.yaml && nightshift check
      nightshift import crontab /etc/crontab /etc/cron.d --user root
    """
    files, user = crontab_files.files_and_user(files, user)
    dialect = Dialect(cron) if cron else crontab_files.installed_dialect()
    tables = crontab_files.read_tables(files, Asked(system, user, dialect))
    several = len(tables) > 1
    items = [item for table in tables for item in _headed(table, several)]
    print(from_crontab.jobs_yaml(items), end="")
    sys.stdout.flush()
    for table in tables:
        for item in table.items:
            _report(shown(table.name), item)
    name = shown(tables[0].name) if len(tables) == 1 else format_count(len(tables), "file")
    return conclude(name, items)


def _headed(table: Table, several: bool) -> Sequence[Item]:
    return [Remark(0, f"# --- {table.name}"), *table.items] if several else table.items


def _report(name: str, item: Item) -> None:
    """Print a line that is lost or differs on standard error."""
    match item:
        case Lost(line, text, reason):
            complain(clean(f"{name}:{line}: not kept: {reason}: {text}"))
        case Remark(line, _, warning) if warning:
            complain(clean(f"{name}:{line}: warning: {warning}"))
        case Entry():
            for note in item.notes:
                complain(clean(f"{name}:{item.line}: warning: {note}"))


def conclude(name: str, items: Sequence[Item]) -> int:
    """Return exit status 0, and print the counts if there are warnings.

    Raises:
        CliError: a line is lost, or there is no job.
    """
    kept = sum(isinstance(item, Entry) for item in items)
    lost = sum(isinstance(item, Lost) for item in items)
    warnings = sum(_warnings(item) for item in items)
    also = f"; {format_count(warnings, 'warning')}" if warnings else ""
    text = f"{name}: {format_count(kept, 'job')}; {format_count(lost, 'line')} not kept{also}"
    if lost or not kept:
        raise CliError(ExitCode.NO, text)
    if warnings:
        complain(f"nightshift: {text}")
    return ExitCode.YES


def _warnings(item: Item) -> int:
    if isinstance(item, Entry):
        return len(item.notes)
    return bool(item.warning) if isinstance(item, Remark) else 0


@import_.command("systemd", cls=Command)
@click.argument("units", metavar="DIR|UNIT...", nargs=-1, required=True)
def systemd(units: tuple[str, ...]) -> int:
    """Write a jobs.yaml that does what these timers of systemd do.

    UNIT is a path or a name such as backup.timer; DIR stands for all timers in it.
    What has no counterpart stands as a comment and is named on standard error. A timer
    that cannot be kept makes the exit status 1.

    \b
    Examples:
      nightshift import systemd /etc/systemd/system > jobs.yaml && nightshift check
      nightshift import systemd backup.timer
    """
    found = [each for named in units for each in systemd_files.timers(named)]
    made = [item for each in dict.fromkeys(found) for item in _of_timer(each)]
    items = [from_systemd.checked(item) for item in made]
    print(from_systemd.jobs_yaml(items), end="")
    sys.stdout.flush()
    for item in items:
        if isinstance(item, UnitLost):
            complain(clean(f"{item.unit}: not kept: {item.reason}"))
        else:
            for note in item.notes:
                complain(clean(f"{item.unit}: warning: {note}"))
    return conclude_units(units, items)


def conclude_units(units: Sequence[str], items: Sequence[UnitJob | UnitLost]) -> int:
    """Return exit status 0, and print the counts if there are warnings.

    Raises:
        CliError: a timer or a time is lost, or there is no job.
    """
    kept = [item for item in items if isinstance(item, UnitJob)]
    lost = len(items) - len(kept)
    times = sum(item.lost_times for item in kept)
    warnings = sum(len(item.notes) for item in kept)
    also = f"; {format_count(times, 'time')} not kept" if times else ""
    also += f"; {format_count(warnings, 'warning')}" if warnings else ""
    name = units[0] if len(units) == 1 else format_count(len(units), "unit")
    text = (
        f"{name}: {format_count(len(kept), 'job')}; {format_count(lost, 'timer')} not kept{also}"
    )
    if lost or times or not kept:
        raise CliError(ExitCode.NO, text)
    if warnings:
        complain(f"nightshift: {text}")
    return ExitCode.YES


def _of_timer(place: systemd_files.Found) -> list[UnitJob | UnitLost]:
    """Return the jobs of a timer; a unit that cannot be read loses this timer alone."""
    try:
        return _of_units(place)
    except BadValueError as wrong:
        return [UnitLost(place.name, wrong.message)]


def _of_units(place: systemd_files.Found) -> list[UnitJob | UnitLost]:
    """Return the jobs of a timer and its service. Raises: BadValueError."""
    if systemd_files.is_template(place.name):
        name = systemd_files.to_ask_for(place, place.name.replace("@", "@NAME", 1))
        return [UnitLost(place.name, f"a template without an instance: import {name}")]
    timer = systemd_files.unit(place, place.name)
    if timer is None:
        return [UnitLost(place.name, "it is masked")]
    machine = Machine(systemd_files.home(place), crontab_files.own_name())
    name = service_name(timer, machine.home)
    if not name.endswith(".service"):
        return [UnitLost(place.name, f"it starts {name}, which is no service")]
    service = systemd_files.unit(place, name)
    if service is None:
        return [UnitLost(place.name, f"its service {name} is not there")]
    return jobs_of(timer, service, machine)
