"""`nightshift init`: write a jobs.yaml from a template."""

from importlib.util import find_spec
from pathlib import Path

import click

from supervisor.cli import init_templates
from supervisor.cli.command import command, paths
from supervisor.cli.errors import CliError, ExitCode
from supervisor.cli.output import echo
from supervisor.config import SCHEMA_FILE

FILE = click.Path(path_type=Path)


@command("init")
@click.option("--sqlite", type=FILE, metavar="PATH", help="Back up this SQLite database.")
def init(sqlite: Path | None) -> int:
    """Write a short jobs.yaml that runs as it is; never overwrites.

    \b
    Examples:
      nightshift init
      nightshift init --sqlite /srv/shop/shop.sqlite3
    """
    path = paths().new_config
    head = init_templates.head(SCHEMA_FILE.as_uri())
    text = head + (init_templates.COMMANDS if sqlite is None else _of_database(sqlite, path))
    try:
        with open(path, "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        hint = "nightshift check shows its jobs"
        raise CliError(ExitCode.NO, f"{path} is there already and stays as it is", hint) from error
    except OSError as error:
        raise CliError(ExitCode.NO, f"write {path}: {error.strerror}") from error
    echo(f"{path} is written; next: nightshift check, nightshift run --all --local")
    echo("then nightshift start, and nightshift web for a page to look at")
    return ExitCode.YES


def _of_database(database: Path, path: Path) -> str:
    if find_spec("workers.backup") is None:
        raise CliError(ExitCode.NO, "there is no worker backup.run in this version yet")
    # Relative paths in jobs.yaml start from its own folder.
    is_beside = path.absolute().parent == Path.cwd()
    named = database if is_beside or database.is_absolute() else database.absolute()
    return init_templates.backup(str(named), "backups")
