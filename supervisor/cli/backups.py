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

from supervisor.cli import answers
from supervisor.cli.failure import Exit, Failure
from supervisor.cli.local import definitions, serve
from supervisor.cli.moments import Moments, moments
from supervisor.cli.printing import Table, print_value, say
from supervisor.cli.verb import Family, Verb, json_option, places, supervisor, utc_option
from supervisor.cli.waiting import display, give_account, until_final
from supervisor.core.asks import RestoreBackup
from workers.backup import catalogue, choice, keep
from workers.backup import verify as proof
from workers.backup.catalogue import Backup, State
from workers.backup.trouble import Trouble
from workers.rotation import prune as pruning
from workers.units import format_size

_MAKER = "backup.run"
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
        found = _all(directory)
    if as_json:
        print_value({"backups": found})
        return Exit.YES
    table = Table("COPY", "TAKEN", "WHEN", "SIZE", "STATE", "DETAIL", spare=("SIZE", "TAKEN"))
    when = _when("UTC" if utc else "")
    for one in found:
        detail = "; ".join(filter(None, ("kept by hand" * one.kept, one.why)))
        at = (when.full(one.taken_at), when.near(one.taken_at))
        table.add(str(one.path), *at, format_size(one.size_bytes), one.state, detail or "-")
    table.show() if found else say("no backups")
    return Exit.YES


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
    with _in_words():
        paths = [one.path for one in _all(directory)] if file is None else [_path(file, directory)]
    results = [_prove(path) for path in paths]
    if as_json:
        print_value({"verified": [{"file": str(p), "error": error} for p, error in results]})
    else:
        for path, error in results:
            say(f"{path}: {error or 'verified'}")
    return Exit.NO if any(error for _, error in results) else Exit.YES


@backups.command("restore", cls=Verb)
@click.argument("file", metavar="[latest|FILE]", required=False)
@click.option("--at", metavar="TIME", help='The newest of that time: "Tue 08:00".')
@click.option("--target", type=Path, required=True, metavar="PATH", help="Where it is to stand.")
@click.option("--force", is_flag=True, help="Into an existing database; it is kept aside first.")
@click.option("--local", "is_local", is_flag=True, help="Without a supervisor.")
@folder_option
@database_option
@json_option
def restore(
    file: str | None,
    at: str | None,
    target: Path,
    force: bool,
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
    """
    if (file is None) == (at is None):
        raise click.UsageError("expected one of latest, FILE and --at")
    with _in_words():
        copy = _chosen(file, at, directory, database)
    wanted = RestoreBackup(str(copy.absolute()), str(target.absolute()), force)
    if is_local:
        return serve(wanted, as_json)
    client = supervisor()
    body = client.post("v1", "restore", body=msgspec.to_builtins(wanted))
    number = answers.read(body, answers.Opened).run.id
    shown = display(as_json)
    return Exit.YES if give_account(until_final(client, [number], shown), as_json) else Exit.NO


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
        path = _path(file, directory)
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
    with _in_words():
        done = [pruning(folder, keep_last, "UTC", dry_run) for folder in _folders(directory)]
    if as_json:
        print_value({"pruned": done})
        return Exit.YES
    for pruned in done:
        for one in pruned.decisions:
            say(f"{'keep' if one.keep else 'remove'} {one.backup.path}: {one.reason}")
    freed = format_size(sum(pruned.freed_bytes for pruned in done))
    say("nothing was removed (--dry-run)" if dry_run else f"{freed} freed")
    return Exit.YES


@contextmanager
def _in_words() -> Iterator[None]:
    """What copies and folders may be up to, as an ending of the verb."""
    try:
        yield
    except Trouble as trouble:
        raise Failure(Exit.NO, str(trouble)) from trouble
    except (OSError, sqlite3.Error) as error:
        raise Failure(Exit.NO, f"backups: {error}") from error


def _folders(directory: Path | None) -> list[Path]:
    """The folders that are meant. Raises: Failure."""
    if directory is not None:
        return [directory]
    makers = [job for job in definitions(places().config).jobs if job.worker == _MAKER]
    if not makers:
        hint = "--directory names a folder"
        raise Failure(Exit.USAGE, f"no job of jobs.yaml has the worker {_MAKER}", hint)
    told = [(job.cwd, msgspec.json.decode(job.params_json)["directory"]) for job in makers]
    return list(dict.fromkeys(Path(os.path.join(cwd, folder)) for cwd, folder in told))


def _all(directory: Path | None) -> list[Backup]:
    found = [one for folder in _folders(directory) for one in catalogue.list_backups(folder)]
    return sorted(found, key=lambda one: one.order, reverse=True)


def _path(file: Path, directory: Path | None) -> Path:
    """A copy by its path, or by its name in one of the folders."""
    if file.exists() or file.name != str(file):
        return file
    found = [folder / file for folder in _folders(directory) if (folder / file).exists()]
    return found[0] if found else file


def _chosen(
    file: str | None, at: str | None, directory: Path | None, database: Path | None
) -> Path:
    if file is not None and file != choice.LATEST:
        return _path(Path(file), directory)
    found: Sequence[Backup] = choice.of_database(_all(directory), database)
    zone = "UTC" if directory is not None else definitions(places().config).timezone
    return choice.choose(found, at or choice.LATEST, datetime.now(UTC), zone).path


def _prove(path: Path) -> tuple[Path, str]:
    try:
        proof.verify(path)
    except (Trouble, OSError, sqlite3.Error) as error:
        return path, str(error) or State.DAMAGED
    return path, ""


def _when(zone: str) -> Moments:
    return moments(zone or definitions(places().config).timezone)
