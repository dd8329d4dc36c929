"""`nightshift backups`: list, verify, restore, keep and prune the copies of `backup.run` jobs.

They run in this process, on the folders in jobs.yaml, or with `--place` on a place of
second copies. `restore_command.py` has `restore`.
"""

from collections.abc import Sequence
from pathlib import Path

import click

from supervisor.cli import backup_folders, placed_backups
from supervisor.cli.backup_options import (
    folder_option,
    identity_option,
    in_words,
    place_option,
    warn,
    zone,
)
from supervisor.cli.command import Command, CommandGroup, Number, json_option, utc_option
from supervisor.cli.errors import ExitCode
from supervisor.cli.output import Table, echo, print_value
from supervisor.cli.restore_command import restore
from supervisor.cli.time_format import time_format
from workers.backup import marks
from workers.backup.verify_all import verify_all
from workers.rotation import Pruned
from workers.rotation import prune as pruning
from workers.units import format_size


@click.group("backups", cls=CommandGroup, invoke_without_command=True)
@folder_option
@place_option
@json_option
@utc_option
@click.pass_context
def backups(
    ctx: click.Context, directory: Path | None, place: str | None, as_json: bool, utc: bool
) -> int:
    """List the backups, newest first, with the state of each.

    \b
    Examples:
      nightshift backups
      nightshift backups --place s3://bucket/path
      nightshift backups restore latest --target /tmp/look.sqlite3
    """
    ctx.obj = directory
    if ctx.invoked_subcommand is not None:
        return ExitCode.YES
    with in_words():
        if place is not None:
            found, dead = placed_backups.copies(place)
        else:
            found, dead = backup_folders.copies(directory)
    status = ExitCode.NO if dead else ExitCode.YES
    if as_json:
        print_value({"backups": found} | ({"unreadable": dead} if dead else {}))
        return status
    table = Table("COPY", "TAKEN", "WHEN", "SIZE", "STATE", "DETAIL", spare=("SIZE", "TAKEN"))
    when = time_format("UTC" if utc else zone())
    for one in found:
        detail = "; ".join(filter(None, ("kept by hand" * one.kept, one.why)))
        at = (when.full(one.taken_at), when.relative(one.taken_at))
        table.add(one.shown, *at, format_size(one.size_bytes), one.state, detail or "-")
    table.show() if found else echo("no backups")
    warn(dead)
    return status


@backups.command("verify", cls=Command)
@click.argument("file", metavar="[FILE]", type=Path, required=False)
@click.option("--all", "every", is_flag=True, help="Every backup.")
@folder_option
@place_option
@identity_option
@json_option
def verify(
    file: Path | None,
    every: bool,
    directory: Path | None,
    place: str | None,
    identity: Path | None,
    as_json: bool,
) -> int:
    """Prove copies again: read, unpack, check, count. Exit status 1 if any fails.

    \b
    Example:
      nightshift backups verify --all
    """
    if every == (file is not None):
        raise click.UsageError("expected FILE or --all")
    dead: list[str] = []
    if place is not None:
        with in_words():
            return _print_proven(placed_backups.prove(place, file, identity), as_json)
    with in_words():
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
    warn(dead)
    return ExitCode.NO if dead or any(one.error for one in verdicts) else ExitCode.YES


backups.add_command(restore)


@backups.command("keep", cls=Command)
@click.argument("file", metavar="FILE", type=Path)
@click.option("--release", is_flag=True, help="Let rotation delete it again.")
@folder_option
@place_option
def keep_(file: Path, release: bool, directory: Path | None, place: str | None) -> int:
    """Exempt a copy from rotation.

    \b
    Example:
      nightshift backups keep cards-2026-02-09T00-00-00Z.sqlite3.db.gz
    """
    with in_words():
        if place is not None:
            echo(placed_backups.keep(place, file, release))
            return ExitCode.YES
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
    type=Number(1),
    required=True,
    metavar="N",
    help="How many backups to keep of each database.",
)
@click.option("--dry-run", is_flag=True, help="Only show what would be deleted.")
@folder_option
@place_option
@json_option
def prune(
    keep_last: int, dry_run: bool, directory: Path | None, place: str | None, as_json: bool
) -> int:
    """Keep only the newest verified copies: the way out of a full disk.

    \b
    Example:
      nightshift backups prune --keep-last 2 --dry-run
    """
    done: list[Pruned] = []
    dead: list[str] = []
    with in_words():
        if place is not None:
            done = placed_backups.prune(place, keep_last, dry_run)
        meant = backup_folders.folders(directory) if place is None else []
        for folder in meant:
            with backup_folders.or_unreadable(dead, alone=len(meant) == 1):
                done.append(pruning(folder, keep_last, "UTC", dry_run))
    stuck = [*dead, *(each for one in done for each in (*one.failed, *one.locked))]
    status = ExitCode.NO if stuck else ExitCode.YES
    if as_json:
        print_value({"pruned": done} | ({"unreadable": dead} if dead else {}))
        return status
    for pruned in done:
        for one in pruned.decisions:
            echo(f"{'keep' if one.keep else 'remove'} {one.backup.shown}: {one.reason}")
    freed = format_size(sum(pruned.freed_bytes for pruned in done))
    echo("nothing was removed (--dry-run)" if dry_run else f"{freed} freed")
    warn(stuck)
    return status


def _print_proven(verdicts: Sequence[placed_backups.Proven], as_json: bool) -> int:
    if as_json:
        print_value({"verified": verdicts})
    else:
        for one in verdicts:
            sealed = "its hash is as sent; not opened, which needs --identity FILE"
            echo(f"{one.file}: {one.error or ('verified' if one.is_opened else sealed)}")
    return ExitCode.NO if any(one.error for one in verdicts) else ExitCode.YES
