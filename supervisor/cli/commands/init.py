"""`nightshift init`: write a jobs.yaml from a template."""

import os
import shlex
from pathlib import Path

import click

from supervisor.cli import init_templates
from supervisor.cli.command import command, paths
from supervisor.cli.errors import CliError, ExitCode
from supervisor.cli.output import echo
from supervisor.config import SCHEMA_FILE, parse
from supervisor.config.crontab.job_names import JobNames
from supervisor.config.parse_job import RESERVED_NAMES
from supervisor.core.config_model import Severity

FILE = click.Path(path_type=Path)
EACH_MINUTE = "* * * * *"
EACH_NIGHT = "0 0 * * *"


@command("init")
@click.option("--command", "text", metavar="TEXT", help="Run this command of the shell.")
@click.option("--sqlite", type=FILE, metavar="PATH", help="Back up this SQLite database.")
@click.option(
    "--schedule",
    metavar="CRON",
    help="When (default: the command each minute, the backup at midnight).",
)
@click.option(
    "--notify",
    metavar="URL",
    help="Send alerts there: a webhook of Slack, Discord or Teams, or a URL of apprise.",
)
def init(text: str | None, sqlite: Path | None, schedule: str | None, notify: str | None) -> int:
    """Write a short jobs.yaml that runs as it is; never overwrites.

    \b
    Examples:
      nightshift init
      nightshift init --command 'df -h / >> disk.txt' --schedule '*/5 * * * *'
      nightshift init --sqlite /srv/shop/shop.sqlite3 --notify https://hooks.slack.com/services/...
    """
    path = paths().new_config
    jobs = []
    if text is not None:
        name = JobNames(RESERVED_NAMES).of(text)
        jobs.append(init_templates.command(name, text, schedule or EACH_MINUTE))
    if sqlite is not None:
        database = _from_the_folder_of(path, sqlite)
        jobs.append(init_templates.backup(database, "backups", schedule or EACH_NIGHT))
    if schedule is not None and not jobs:
        raise click.UsageError("--schedule goes with --command or --sqlite")
    whole = init_templates.head(SCHEMA_FILE.as_uri())
    whole += init_templates.notify(notify) if notify else ""
    whole += init_templates.jobs(*jobs or [init_templates.COMMANDS])
    _write(path, _checked(whole, path), is_secret=bool(notify))
    _say_what_is_next(path, is_backup=sqlite is not None and text is None)
    return ExitCode.YES


def _from_the_folder_of(path: Path, database: Path) -> str:
    """Return the database as jobs.yaml must name it: relative paths start from its folder.

    Raises:
        CliError: it is a folder, or an empty text, which Path reads as the current folder.
    """
    if database.is_dir():
        hint = "the file need not exist yet, but the path has to be of a file"
        text = f"nothing is written: --sqlite {shlex.quote(str(database))} is a folder"
        raise CliError(ExitCode.USAGE, text, hint)
    is_beside = path.absolute().parent == Path.cwd()
    return str(database if is_beside or database.is_absolute() else database.absolute())


def _checked(text: str, path: Path) -> bytes:
    """Return the file's bytes.

    Raises:
        CliError: an option makes a jobs.yaml with mistakes.
    """
    raw = text.encode()
    problems = parse(raw, path, os.environ).problems
    wrong = [
        f"{each.path}: {each.message}" for each in problems if each.severity == Severity.ERROR
    ]
    if wrong:
        raise CliError(ExitCode.USAGE, f"nothing is written: {'; '.join(wrong)}")
    return raw


def _write(path: Path, raw: bytes, is_secret: bool) -> None:
    """Create the file, for its owner alone if it holds the URL of a channel.

    Raises:
        CliError: it is there already, or cannot be written.
    """
    mode = 0o600 if is_secret else 0o666
    try:
        with open(path, "xb", opener=lambda name, flags: os.open(name, flags, mode)) as file:
            file.write(raw)
    except FileExistsError as error:
        hint = "nightshift check shows its jobs"
        raise CliError(ExitCode.NO, f"{path} is there already and stays as it is", hint) from error
    except OSError as error:
        raise CliError(ExitCode.NO, f"write {path}: {error.strerror}") from error


def _say_what_is_next(path: Path, is_backup: bool) -> None:
    rows = [
        ("start", "the supervisor, in this terminal; Ctrl-C stops it"),
        ("status", "in another terminal: what ran, what runs next"),
        ("web", "the same as a page"),
    ]
    if is_backup:
        first = ("run backup-database --local", "makes a copy now, without a supervisor")
        rows = [first, ("backups", "lists the copies, and which are verified"), *rows]
    width = max(len(words) for words, _ in rows)
    echo(f"{path} is written. Next:")
    for words, meaning in rows:
        echo(f"  nightshift {words:<{width}}  {meaning}")
