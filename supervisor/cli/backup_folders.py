"""The backup folders that a command works on, and the copies in them.

These are the folders of the `backup.run` jobs in jobs.yaml, or the one given on the
command line. If one of several cannot be read, its error is collected and the others
are used.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from supervisor.cli.command import paths
from supervisor.cli.errors import CliError, ExitCode
from supervisor.cli.run_local import definitions
from workers.backup import listing
from workers.backup.errors import BackupError
from workers.backup.listing import Backup

_MAKER = "backup.run"


def folders(directory: Path | None) -> list[Path]:
    """Return the folders to work on: `directory`, or those in jobs.yaml.

    Raises:
        CliError: jobs.yaml is missing or invalid, or has no `backup.run` job.
    """
    if directory is not None:
        return [directory]
    try:
        config = paths().config
    except CliError as failure:
        hint = f"--directory names a folder of copies; {failure.hint}"
        raise CliError(failure.status, failure.text, hint) from failure
    makers = [job for job in definitions(config).jobs if job.worker == _MAKER]
    if not makers:
        hint = "--directory names a folder"
        raise CliError(ExitCode.USAGE, f"no job of jobs.yaml has the worker {_MAKER}", hint)
    configured = [(job.cwd, msgspec.json.decode(job.params_json)["directory"]) for job in makers]
    return list(dict.fromkeys(Path(os.path.join(cwd, folder)) for cwd, folder in configured))


def copies(directory: Path | None) -> tuple[list[Backup], list[str]]:
    """Return the copies in all folders, newest first, and an error for each unreadable folder.

    Raises:
        BackupError: the only folder cannot be read.
    """
    found: list[Backup] = []
    dead: list[str] = []
    meant = folders(directory)
    for folder in meant:
        with or_unreadable(dead, alone=len(meant) == 1):
            found += listing.list_backups(folder)
    return sorted(found, key=lambda one: one.order, reverse=True), dead


@contextmanager
def or_unreadable(dead: list[str], alone: bool) -> Iterator[None]:
    """Append a BackupError to `dead`; re-raise it if `alone`."""
    try:
        yield
    except BackupError as problem:
        if alone:
            raise
        dead.append(str(problem))


def path_of(file: Path, directory: Path | None) -> Path:
    """Return `file` if it exists, else the copy of that name in one of the folders."""
    if file.exists() or file.name != str(file):
        return file
    found = [folder / file for folder in folders(directory) if (folder / file).exists()]
    return found[0] if found else file
