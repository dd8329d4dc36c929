"""The folders of copies that a command is about, and the copies in them.

They are those of the `backup.run` jobs in jobs.yaml, or one that was typed. Of
several, one that cannot be read is noted, and the others serve.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from supervisor.cli.failure import Exit, Failure
from supervisor.cli.local import definitions
from supervisor.cli.verb import places
from workers.backup import catalogue
from workers.backup.catalogue import Backup
from workers.backup.trouble import Trouble

_MAKER = "backup.run"


def folders(directory: Path | None) -> list[Path]:
    """The folders that are meant. Raises: Failure."""
    if directory is not None:
        return [directory]
    try:
        config = places().config
    except Failure as failure:
        hint = f"--directory names a folder of copies; {failure.hint}"
        raise Failure(failure.status, failure.text, hint) from failure
    makers = [job for job in definitions(config).jobs if job.worker == _MAKER]
    if not makers:
        hint = "--directory names a folder"
        raise Failure(Exit.USAGE, f"no job of jobs.yaml has the worker {_MAKER}", hint)
    told = [(job.cwd, msgspec.json.decode(job.params_json)["directory"]) for job in makers]
    return list(dict.fromkeys(Path(os.path.join(cwd, folder)) for cwd, folder in told))


def copies(directory: Path | None) -> tuple[list[Backup], list[str]]:
    """The copies in all folders, and of each folder that cannot be read, why.

    Raises:
        Trouble: there is one folder, and it cannot be read.
    """
    found: list[Backup] = []
    dead: list[str] = []
    meant = folders(directory)
    for folder in meant:
        with or_unreadable(dead, alone=len(meant) == 1):
            found += catalogue.list_backups(folder)
    return sorted(found, key=lambda one: one.order, reverse=True), dead


@contextmanager
def or_unreadable(dead: list[str], alone: bool) -> Iterator[None]:
    """One place of several may be dead, which is noted; the only one may not."""
    try:
        yield
    except Trouble as trouble:
        if alone:
            raise
        dead.append(str(trouble))


def path_of(file: Path, directory: Path | None) -> Path:
    """A copy by its path, or by its name in one of the folders."""
    if file.exists() or file.name != str(file):
        return file
    found = [folder / file for folder in folders(directory) if (folder / file).exists()]
    return found[0] if found else file
