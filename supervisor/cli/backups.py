"""backups: the copies that `backup.run` jobs made; proven again, put back, kept, thinned out.

Listing, proving, keeping and pruning are done in this process, on the folders
that jobs.yaml names. A restore is a run: it stands in the ledger and waits for
whatever else touches the data.
"""

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import click
import msgspec

from supervisor.cli import answers, backup_folders, bare_restore
from supervisor.cli.failure import Exit, Failure
from supervisor.cli.local import definitions, serve
from supervisor.cli.moments import moments
from supervisor.cli.printing import Table, clean, print_value, say
from supervisor.cli.verb import Family, Verb, json_option, places, supervisor, utc_option
from supervisor.cli.waiting import display, give_account, until_final
from supervisor.config.problems import Wrong
from supervisor.config.zones import machine_zone
from supervisor.core.asks import RestoreBackup
from workers.backup import choice, keep
from workers.backup import verify as proof
from workers.backup.catalogue import Backup, State
from workers.backup.trouble import Trouble
from workers.database import DatabaseTrouble
from workers.rotation import Pruned
from workers.rotation import prune as pruning
from workers.units import format_size

folder_option = click.option(
    "--directory", type=Path, metavar="DIR", help="This folder, not those of jobs.yaml."
)
database_option = click.option(
    "--database", type=Path, metavar="PATH", help="Of this database, where there are several."
)


@click.group("backups", cls=Family, invoke_without_command=True)
@folder_option
@json_option
@utc_option
@click.pass_context
def backups(ctx: click.Context, directory: Path | None, as_json: bool, utc: bool) -> int:
    """The copies there are, newest first, and what each is worth.

    \b
    Examples:
      nightshift backups
      nightshift backups restore latest --target /tmp/look.sqlite3
    """
    ctx.obj = directory
    if ctx.invoked_subcommand is not None:
        return Exit.YES
    with _in_words():
        found, dead = backup_folders.copies(directory)
    status = Exit.NO if dead else Exit.YES
    if as_json:
        print_value({"backups": found} | ({"unreadable": dead} if dead else {}))
        return status
    table = Table("COPY", "TAKEN", "WHEN", "SIZE", "STATE", "DETAIL", spare=("SIZE", "TAKEN"))
    when = moments("UTC" if utc else _zone())
    for one in found:
        detail = "; ".join(filter(None, ("kept by hand" * one.kept, one.why)))
        at = (when.full(one.taken_at), when.near(one.taken_at))
        table.add(str(one.path), *at, format_size(one.size_bytes), one.state, detail or "-")
    table.show() if found else say("no backups")
    _warn(dead)
    return status


@backups.command("verify", cls=Verb)
@click.argument("file", metavar="[FILE]", type=Path, required=False)
@click.option("--all", "every", is_flag=True, help="Every copy.")
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
    results = [(path, *_prove(path)) for path in paths]
    if as_json:
        print_value(
            {
                "verified": [
                    {"file": str(path), "error": error} | ({"warnings": more} if more else {})
                    for path, error, more in results
                ]
            }
        )
    else:
        for path, error, more in results:
            said = error or "; ".join(["verified", *more])
            say(f"{path}: {said}")
    _warn(dead)
    return Exit.NO if dead or any(error for _, error, _ in results) else Exit.YES


@backups.command("restore", cls=Verb)
@click.argument("file", metavar="[latest|FILE]", required=False)
@click.option("--at", metavar="TIME", help='The newest of that time: "Tue 08:00".')
@click.option("--target", type=Path, required=True, metavar="PATH", help="Where it is to stand.")
@click.option("--force", is_flag=True, help="Into an existing database; it is kept aside first.")
@click.option("--unproven", is_flag=True, help="Also a gzip file with nothing beside it.")
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
    if is_local and bare_restore.is_bare(places()):
        with _in_words():
            return bare_restore.restore(wanted, as_json)
    if is_local:
        return serve(wanted, as_json)
    return _asked(wanted, as_json)


@backups.command("keep", cls=Verb)
@click.argument("file", metavar="FILE", type=Path)
@click.option("--release", is_flag=True, help="Let rotation judge it again.")
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
            say(f"{path}: {'rotation judges it again' if keep.release(path) else 'was not kept'}")
        else:
            keep.keep(path)
            say(f"{path}: kept by hand")
    return Exit.YES


@backups.command("prune", cls=Verb)
@click.option("--keep-last", type=click.IntRange(1), required=True, metavar="N", help="Of each.")
@click.option("--dry-run", is_flag=True, help="Say what would go.")
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
    status = Exit.NO if stuck else Exit.YES
    if as_json:
        print_value({"pruned": done} | ({"unreadable": dead} if dead else {}))
        return status
    for pruned in done:
        for one in pruned.decisions:
            say(f"{'keep' if one.keep else 'remove'} {one.backup.path}: {one.reason}")
    freed = format_size(sum(pruned.freed_bytes for pruned in done))
    say("nothing was removed (--dry-run)" if dry_run else f"{freed} freed")
    _warn(stuck)
    return status


@contextmanager
def _in_words() -> Iterator[None]:
    """What copies and folders may be up to, as an ending of the verb."""
    try:
        yield
    except (Trouble, DatabaseTrouble) as trouble:
        raise Failure(Exit.NO, str(trouble)) from trouble
    except (OSError, sqlite3.Error) as error:
        raise Failure(Exit.NO, f"backups: {error}") from error


def _warn(sentences: Sequence[str]) -> None:
    for sentence in sentences:
        click.echo(clean(sentence), err=True)


def _asked(wanted: RestoreBackup, as_json: bool) -> int:
    """Have the supervisor do it, and watch. Raises: Failure."""
    client = supervisor()
    try:
        body = client.post("v1", "restore", body=msgspec.to_builtins(wanted))
    except Failure as failure:
        if failure.status is not Exit.NOBODY:
            raise
        hint = f"--local restores without one; {failure.hint}"
        raise Failure(failure.status, failure.text, hint) from failure
    number = answers.read(body, answers.Opened).run.id
    shown = display(as_json)
    return Exit.YES if give_account(until_final(client, [number], shown), as_json) else Exit.NO


def _chosen(
    file: str | None, at: str | None, directory: Path | None, database: Path | None
) -> Path:
    if file is not None and file != choice.LATEST:
        return backup_folders.path_of(Path(file), directory)
    known, dead = backup_folders.copies(directory)
    _warn(dead)
    found: Sequence[Backup] = choice.of_database(known, database)
    return choice.choose(found, at or choice.LATEST, datetime.now(UTC), _zone()).path


def _prove(path: Path) -> tuple[str, list[str]]:
    """What speaks against a copy, empty if nothing does; and its warnings."""
    try:
        return "", proof.verify(path).content.warnings
    except (Trouble, OSError, sqlite3.Error) as error:
        return str(error) or State.DAMAGED, []


def _zone() -> str:
    """The zone of jobs.yaml; where there is none, that of the machine."""
    try:
        return definitions(places().config).timezone
    except Failure:
        return _machine_zone()


def _machine_zone() -> str:
    try:
        return machine_zone(os.environ).name
    except Wrong as wrong:
        raise Failure(Exit.USAGE, f"the environment variable TZ: {wrong.message}") from wrong
