"""`nightshift backups`: list, verify, restore, keep and prune the copies of `backup.run` jobs.

Listing, verifying, keeping and pruning run in this process, on the folders in
jobs.yaml. A restore is a run: it is recorded in the ledger and waits for other runs
that use the data.
"""

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import click
import msgspec

from supervisor.cli import backup_folders, restore_without_config
from supervisor.cli.command import (
    Command,
    CommandGroup,
    json_option,
    paths,
    supervisor,
    utc_option,
)
from supervisor.cli.decode import decode
from supervisor.cli.errors import CliError, ExitCode
from supervisor.cli.output import Table, clean, echo, print_value
from supervisor.cli.run_local import definitions, serve
from supervisor.cli.time_format import time_format
from supervisor.cli.watch_runs import display, print_outcomes, until_final
from supervisor.config.problems import BadValueError
from supervisor.config.timezones import system_zone
from supervisor.core import responses
from supervisor.core.control_requests import RestoreBackup
from workers.backup import marks, selection
from workers.backup.errors import BackupError
from workers.backup.listing import Backup
from workers.backup.verify_all import verify_all
from workers.rotation import Pruned
from workers.rotation import prune as pruning
from workers.sqlite import DatabaseError
from workers.units import format_size

folder_option = click.option(
    "--directory", type=Path, metavar="DIR", help="Use this folder instead of those of jobs.yaml."
)
database_option = click.option(
    "--database", type=Path, metavar="PATH", help="Only backups of this database."
)


@click.group("backups", cls=CommandGroup, invoke_without_command=True)
@folder_option
@json_option
@utc_option
@click.pass_context
def backups(ctx: click.Context, directory: Path | None, as_json: bool, utc: bool) -> int:
    """List the backups, newest first, with the state of each.

    \b
    Examples:
      nightshift backups
      nightshift backups restore latest --target /tmp/look.sqlite3
    """
    ctx.obj = directory
    if ctx.invoked_subcommand is not None:
        return ExitCode.YES
    with _in_words():
        found, dead = backup_folders.copies(directory)
    status = ExitCode.NO if dead else ExitCode.YES
    if as_json:
        print_value({"backups": found} | ({"unreadable": dead} if dead else {}))
        return status
    table = Table("COPY", "TAKEN", "WHEN", "SIZE", "STATE", "DETAIL", spare=("SIZE", "TAKEN"))
    when = time_format("UTC" if utc else _zone())
    for one in found:
        detail = "; ".join(filter(None, ("kept by hand" * one.kept, one.why)))
        at = (when.full(one.taken_at), when.relative(one.taken_at))
        table.add(str(one.path), *at, format_size(one.size_bytes), one.state, detail or "-")
    table.show() if found else echo("no backups")
    _warn(dead)
    return status


@backups.command("verify", cls=Command)
@click.argument("file", metavar="[FILE]", type=Path, required=False)
@click.option("--all", "every", is_flag=True, help="Every backup.")
@folder_option
@json_option
def verify(file: Path | None, every: bool, directory: Path | None, as_json: bool) -> int:
    """Prove copies again: read, unpack, check, count. Exit status 1 if any fails.

    \b
    Example:
      nightshift backups verify --all
    """
    if every == (file is not None):
        raise click.UsageError("expected FILE or --all")
    dead: list[str] = []
    with _in_words():
        if file is None:
            found, dead = backup_folders.copies(directory)
            paths = [one.path for one in found]
        else:
            paths = [backup_folders.path_of(file, directory)]
    verdicts = list(verify_all(paths))
    if as_json:
        print_value(
            {
                "verified": [
                    {"file": str(one.path), "error": one.error}
                    | ({"warnings": one.warnings} if one.warnings else {})
                    for one in verdicts
                ]
            }
        )
    else:
        for one in verdicts:
            said = one.error or "; ".join(["verified", *one.warnings])
            echo(f"{one.path}: {said}")
    _warn(dead)
    return ExitCode.NO if dead or any(one.error for one in verdicts) else ExitCode.YES


@backups.command("restore", cls=Command)
@click.argument("file", metavar="[latest|FILE]", required=False)
@click.option("--at", metavar="TIME", help='The newest of that time: "Tue 08:00".')
@click.option("--target", type=Path, required=True, metavar="PATH", help="Destination path.")
@click.option(
    "--force", is_flag=True, help="Replace an existing database; it is kept aside first."
)
@click.option("--unproven", is_flag=True, help="Accept a gzip file that has no manifest.")
@click.option("--local", "is_local", is_flag=True, help="Without a supervisor.")
@folder_option
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
    with _in_words():
        copy = _chosen(file, at, directory, database)
    wanted = RestoreBackup(str(copy.absolute()), str(target.absolute()), force, unproven)
    if is_local and restore_without_config.is_bare(paths()):
        with _in_words():
            return restore_without_config.restore(wanted, as_json)
    if is_local:
        return serve(wanted, as_json)
    return _asked(wanted, as_json)


@backups.command("keep", cls=Command)
@click.argument("file", metavar="FILE", type=Path)
@click.option("--release", is_flag=True, help="Let rotation delete it again.")
@folder_option
def keep_(file: Path, release: bool, directory: Path | None) -> int:
    """Exempt a copy from rotation.

    \b
    Example:
      nightshift backups keep cards-2026-02-09T00-00-00Z.sqlite3.db.gz
    """
    with _in_words():
        path = backup_folders.path_of(file, directory)
        if release:
            echo(
                f"{path}: {'rotation judges it again' if marks.release(path) else 'was not kept'}"
            )
        else:
            marks.keep(path)
            echo(f"{path}: kept by hand")
    return ExitCode.YES


@backups.command("prune", cls=Command)
@click.option(
    "--keep-last",
    type=click.IntRange(1),
    required=True,
    metavar="N",
    help="How many backups to keep of each database.",
)
@click.option("--dry-run", is_flag=True, help="Only show what would be deleted.")
@folder_option
@json_option
def prune(keep_last: int, dry_run: bool, directory: Path | None, as_json: bool) -> int:
    """Keep only the newest verified copies: the way out of a full disk.

    \b
    Example:
      nightshift backups prune --keep-last 2 --dry-run
    """
    done: list[Pruned] = []
    dead: list[str] = []
    with _in_words():
        meant = backup_folders.folders(directory)
        for folder in meant:
            with backup_folders.or_unreadable(dead, alone=len(meant) == 1):
                done.append(pruning(folder, keep_last, "UTC", dry_run))
    stuck = [*dead, *(sentence for pruned in done for sentence in pruned.failed)]
    status = ExitCode.NO if stuck else ExitCode.YES
    if as_json:
        print_value({"pruned": done} | ({"unreadable": dead} if dead else {}))
        return status
    for pruned in done:
        for one in pruned.decisions:
            echo(f"{'keep' if one.keep else 'remove'} {one.backup.path}: {one.reason}")
    freed = format_size(sum(pruned.freed_bytes for pruned in done))
    echo("nothing was removed (--dry-run)" if dry_run else f"{freed} freed")
    _warn(stuck)
    return status


@contextmanager
def _in_words() -> Iterator[None]:
    """Turn errors of backup, database and file access into a CliError."""
    try:
        yield
    except (BackupError, DatabaseError) as problem:
        raise CliError(ExitCode.NO, str(problem)) from problem
    except (OSError, sqlite3.Error) as error:
        raise CliError(ExitCode.NO, f"backups: {error}") from error


def _warn(sentences: Sequence[str]) -> None:
    for sentence in sentences:
        click.echo(clean(sentence), err=True)


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
    _warn(dead)
    found: Sequence[Backup] = selection.of_database(known, database)
    return selection.choose(found, at or selection.LATEST, datetime.now(UTC), _zone()).path


def _zone() -> str:
    """Return the time zone of jobs.yaml, or of the machine if there is no jobs.yaml."""
    try:
        return definitions(paths().config).timezone
    except CliError:
        return _machine_zone()


def _machine_zone() -> str:
    try:
        return system_zone(os.environ).name
    except BadValueError as wrong:
        raise CliError(ExitCode.USAGE, f"the environment variable TZ: {wrong.message}") from wrong
