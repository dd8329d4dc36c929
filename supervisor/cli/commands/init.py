"""init, check, schema: jobs.yaml before a supervisor reads it."""

from importlib.util import find_spec
from pathlib import Path

import click

from supervisor.cli import init_templates
from supervisor.cli.command import places, verb
from supervisor.cli.errors import Exit, Failure
from supervisor.cli.output import say

FILE = click.Path(path_type=Path)


@verb("init")
@click.option("--sqlite", type=FILE, metavar="PATH", help="Backups of this SQLite database.")
def init(sqlite: Path | None) -> int:
    """Write a short jobs.yaml that runs as it is; never overwrites.

    \b
    Examples:
      nightshift init
      nightshift init --sqlite /srv/shop/shop.sqlite3
    """
    path = places().new_config
    text = init_templates.commands() if sqlite is None else _of_database(sqlite, path)
    try:
        with open(path, "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        hint = "nightshift check says what is in it"
        raise Failure(Exit.NO, f"{path} is there already and stays as it is", hint) from error
    except OSError as error:
        raise Failure(Exit.NO, f"write {path}: {error.strerror}") from error
    say(f"{path} is written; next: nightshift check, nightshift run --all --local")
    return Exit.YES


def _of_database(database: Path, path: Path) -> str:
    if find_spec("workers.backup") is None:
        raise Failure(Exit.NO, "there is no worker backup.run in this version yet")
    # Relative paths in jobs.yaml start from its own folder.
    is_beside = path.absolute().parent == Path.cwd()
    named = database if is_beside or database.is_absolute() else database.absolute()
    return init_templates.backup(str(named), "backups")
