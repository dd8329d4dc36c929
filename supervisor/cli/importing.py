"""import: what other schedulers run -> jobs.yaml on standard output."""

import sys
from collections.abc import Sequence

import click

from supervisor.cli import crontab_files, systemd_files
from supervisor.cli.crontab_files import Asked, Table, shown
from supervisor.cli.failure import Exit, Failure
from supervisor.cli.printing import clean, complain, count
from supervisor.cli.verb import Family, Verb
from supervisor.config import from_crontab, from_systemd
from supervisor.config.cron_dialects import Dialect
from supervisor.config.crontab import Entry, Item
from supervisor.config.crontab_settings import Lost, Remark
from supervisor.config.problems import Wrong
from supervisor.config.systemd_jobs import UnitJob, UnitLost, jobs_of, service_name
from supervisor.config.systemd_service import Machine


@click.group("import", cls=Family)
def import_() -> int:
    """Make a jobs.yaml from what another scheduler runs.

    \b
    Examples:
      crontab -l | nightshift import crontab - > jobs.yaml
      nightshift import systemd /etc/systemd/system > jobs.yaml
    """
    return Exit.YES


@import_.command("crontab", cls=Verb)
@click.argument("files", metavar="[-|FILE|DIR]...", nargs=-1)
@click.option("--system", is_flag=True, help="With a column of users, as in /etc/crontab.")
@click.option(
    "--user",
    metavar="[NAME]",
    is_flag=False,
    flag_value="",
    help="A user's own crontab; NAME: of a system one, keep the lines of NAME (yours).",
)
@click.option(
    "--cron",
    type=click.Choice([each.value for each in Dialect]),
    help="Read it as this cron does (the one installed, else debian).",
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
    name = shown(tables[0].name) if len(tables) == 1 else count(len(tables), "file")
    return conclude(name, items)


def _headed(table: Table, several: bool) -> Sequence[Item]:
    return [Remark(0, f"# --- {table.name}"), *table.items] if several else table.items


def _report(name: str, item: Item) -> None:
    """Name a line that is lost or differs, on standard error."""
    match item:
        case Lost(line, text, reason):
            complain(clean(f"{name}:{line}: not kept: {reason}: {text}"))
        case Remark(line, _, warning) if warning:
            complain(clean(f"{name}:{line}: warning: {warning}"))
        case Entry():
            for note in item.notes:
                complain(clean(f"{name}:{item.line}: warning: {note}"))


def conclude(name: str, items: Sequence[Item]) -> int:
    """The exit status: 0 if all is kept; the counts are said where anything is to be said.

    Raises:
        Failure: a line is lost, or there is no job.
    """
    kept = sum(isinstance(item, Entry) for item in items)
    lost = sum(isinstance(item, Lost) for item in items)
    warnings = sum(_warnings(item) for item in items)
    also = f"; {count(warnings, 'warning')}" if warnings else ""
    text = f"{name}: {count(kept, 'job')}; {count(lost, 'line')} not kept{also}"
    if lost or not kept:
        raise Failure(Exit.NO, text)
    if warnings:
        complain(f"nightshift: {text}")
    return Exit.YES


def _warnings(item: Item) -> int:
    if isinstance(item, Entry):
        return len(item.notes)
    return bool(item.warning) if isinstance(item, Remark) else 0


@import_.command("systemd", cls=Verb)
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
    """The exit status, and the counts where anything is to be said. Raises: Failure."""
    kept = [item for item in items if isinstance(item, UnitJob)]
    lost = len(items) - len(kept)
    times = sum(item.lost_times for item in kept)
    warnings = sum(len(item.notes) for item in kept)
    also = f"; {count(times, 'time')} not kept" if times else ""
    also += f"; {count(warnings, 'warning')}" if warnings else ""
    name = units[0] if len(units) == 1 else count(len(units), "unit")
    text = f"{name}: {count(len(kept), 'job')}; {count(lost, 'timer')} not kept{also}"
    if lost or times or not kept:
        raise Failure(Exit.NO, text)
    if warnings:
        complain(f"nightshift: {text}")
    return Exit.YES


def _of_timer(place: systemd_files.Found) -> list[UnitJob | UnitLost]:
    if systemd_files.is_template(place.name):
        name = place.name.replace("@", "@NAME", 1)
        return [UnitLost(place.name, f"a template without an instance: import {name}")]
    timer = systemd_files.unit(place, place.name)
    if timer is None:
        return [UnitLost(place.name, "it is masked")]
    machine = Machine(systemd_files.home(place), crontab_files.own_name())
    try:
        name = service_name(timer, machine.home)
    except Wrong as wrong:
        return [UnitLost(place.name, wrong.message)]
    if not name.endswith(".service"):
        return [UnitLost(place.name, f"it starts {name}, which is no service")]
    service = systemd_files.unit(place, name)
    if service is None:
        return [UnitLost(place.name, f"its service {name} is not there")]
    return jobs_of(timer, service, machine)
