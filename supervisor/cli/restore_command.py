"""`nightshift backups restore`: put a copy back, from a backup folder or from a place.

A restore is a run: it is recorded in the ledger and waits for other runs that use the data.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import click
import msgspec

from supervisor.cli import backup_folders, placed_backups, restore_without_config
from supervisor.cli.backup_options import (
    database_option,
    folder_option,
    identity_option,
    in_words,
    place_option,
    warn,
    zone,
)
from supervisor.cli.command import Command, json_option, paths, supervisor
from supervisor.cli.decode import decode
from supervisor.cli.errors import CliError, ExitCode
from supervisor.cli.run_local import serve
from supervisor.cli.watch_runs import display, print_outcomes, until_final
from supervisor.core import responses
from supervisor.core.control_requests import RestoreBackup
from workers.backup import selection
from workers.backup.listing import Backup


@click.command("restore", cls=Command)
@click.argument("file", metavar="[latest|FILE]", required=False)
@click.option("--at", metavar="TIME", help='The newest of that time: "Tue 08:00".')
@click.option("--target", type=Path, required=True, metavar="PATH", help="Destination path.")
@click.option(
    "--force", is_flag=True, help="Replace an existing database; it is kept aside first."
)
@click.option("--unproven", is_flag=True, help="Accept a gzip file that has no manifest.")
@click.option("--local", "is_local", is_flag=True, help="Without a supervisor.")
@folder_option
@place_option
@identity_option
@database_option
@json_option
def restore(
    file: str | None,
    at: str | None,
    target: Path,
    force: bool,
    unproven: bool,
    is_local: bool,
    directory: Path | None,
    place: str | None,
    identity: Path | None,
    database: Path | None,
    as_json: bool,
) -> int:
    """Put a copy back: to a new path, or with --force into a living database.

    \b
    Examples:
      nightshift backups restore latest --target /tmp/look.sqlite3
      nightshift backups restore --at "Tue 08:00" --target var/cards.db --force
      nightshift backups restore cards.gz --target new.db --unproven --local
    """
    if (file is None) == (at is None):
        raise click.UsageError("expected one of latest, FILE and --at")
    _require_time(at)
    if place is not None:
        named = None if file in (None, selection.LATEST) else Path(str(file))
        target = target.absolute()
        with (
            in_words(),
            placed_backups.fetched(
                place, named, at or selection.LATEST, database, identity, target, zone()
            ) as copy,
        ):
            return _put_back(copy, target, force, unproven, is_local, as_json)
    with in_words():
        copy = _chosen(file, at, directory, database)
    return _put_back(copy, target, force, unproven, is_local, as_json)


def _require_time(at: str | None) -> None:
    """Refuse a text that means no time before anything is read. Raises: click.BadParameter."""
    if at is None or at == selection.LATEST:
        return
    try:
        selection.instant(at, datetime.now(UTC), zone())
    except selection.NoTimeError as wrong:
        raise click.BadParameter(str(wrong), param_hint="--at") from wrong


def _put_back(
    copy: Path, target: Path, force: bool, unproven: bool, is_local: bool, as_json: bool
) -> int:
    """Restore the copy by the supervisor, or with `is_local` without one."""
    wanted = RestoreBackup(str(copy.absolute()), str(target.absolute()), force, unproven)
    if is_local and restore_without_config.is_bare(paths()):
        with in_words():
            return restore_without_config.restore(wanted, as_json)
    if is_local:
        return serve(wanted, as_json)
    return _asked(wanted, as_json)


def _asked(wanted: RestoreBackup, as_json: bool) -> int:
    """Have the supervisor restore, and watch the run.

    Raises:
        CliError: no supervisor answers, or the request is rejected.
    """
    client = supervisor()
    try:
        body = client.post("v1", "restore", body=msgspec.to_builtins(wanted))
    except CliError as failure:
        if failure.status is not ExitCode.NO_SUPERVISOR:
            raise
        hint = f"--local restores without one; {failure.hint}"
        raise CliError(failure.status, failure.text, hint) from failure
    number = decode(body, responses.Opened).run.id
    shown = display(as_json)
    return (
        ExitCode.YES
        if print_outcomes(until_final(client, [number], shown), as_json)
        else ExitCode.NO
    )


def _chosen(
    file: str | None, at: str | None, directory: Path | None, database: Path | None
) -> Path:
    if file is not None and file != selection.LATEST:
        return backup_folders.path_of(Path(file), directory)
    known, dead = backup_folders.copies(directory)
    warn(dead)
    found: Sequence[Backup] = selection.of_database(known, database)
    return selection.choose(found, at or selection.LATEST, datetime.now(UTC), zone()).path
