"""What the commands about backups share: options, the time zone, and errors in words."""

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import click

from supervisor.cli.command import paths
from supervisor.cli.errors import CliError, ExitCode
from supervisor.cli.output import clean
from supervisor.cli.run_local import definitions
from supervisor.config.problems import BadValueError
from supervisor.config.timezones import system_zone
from workers.backup.errors import BackupError
from workers.sqlite import DatabaseError

folder_option = click.option(
    "--directory", type=Path, metavar="DIR", help="Use this folder instead of those of jobs.yaml."
)
database_option = click.option(
    "--database", type=Path, metavar="PATH", help="Only backups of this database."
)


place_option = click.option(
    "--place",
    metavar="URL",
    help="Work on this place of second copies instead: one of `copies`, any URL, or all.",
)
identity_option = click.option(
    "--identity", type=Path, metavar="FILE", help="Private key for encrypted copies."
)


@contextmanager
def in_words() -> Iterator[None]:
    """Turn errors of backup, database and file access into a CliError."""
    try:
        yield
    except (BackupError, DatabaseError) as problem:
        raise CliError(ExitCode.NO, str(problem)) from problem
    except (OSError, sqlite3.Error) as error:
        raise CliError(ExitCode.NO, f"backups: {error}") from error


def warn(sentences: Sequence[str]) -> None:
    """Print the sentences to standard error."""
    for sentence in sentences:
        click.echo(clean(sentence), err=True)


def zone() -> str:
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
