"""init, check, schema: jobs.yaml before a supervisor reads it."""

import os
import sys
from importlib.util import find_spec
from pathlib import Path

import click

from supervisor.cli import checking, mistakes, sample
from supervisor.cli.failure import Exit, Failure
from supervisor.cli.moments import moments
from supervisor.cli.printing import count, print_value, say
from supervisor.cli.verb import coming_days, json_option, places, supervisor, utc_option, verb
from supervisor.config import load, schema
from supervisor.core.model import Severity

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
    text = sample.commands() if sqlite is None else _of_database(sqlite, path)
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


@verb("check")
@click.argument("file", type=FILE, required=False)
@click.option(
    "--simulate", type=coming_days, metavar="DAYS", help="Also how so many days would differ."
)
@json_option
@utc_option
def check(file: Path | None, simulate: int | None, as_json: bool, utc: bool) -> int:
    """All mistakes of FILE (or of jobs.yaml), or when its jobs will run.

    Beside a living supervisor also what would change.

    \b
    Examples:
      nightshift check new.yaml && mv new.yaml jobs.yaml
      nightshift check new.yaml --simulate 30
    """
    path = file or places().config
    loaded = load(path, os.environ)
    findings = checking.findings(loaded, supervisor(), utc, simulate)
    if as_json:
        print_value(findings)
        return Exit.YES if findings.ok else Exit.USAGE
    for line in mistakes.in_lines(loaded.problems, str(path)):
        say(line)
    errors = sum(problem.severity is Severity.ERROR for problem in loaded.problems)
    if errors:
        sys.stdout.flush()
        raise Failure(Exit.USAGE, f"{path}: {count(errors, 'mistake')}")
    warnings = f", {count(len(loaded.problems), 'warning')}" if loaded.problems else ""
    say(f"{path}: {count(len(findings.jobs), 'job')}, no mistakes{warnings}")
    zone = "UTC" if utc or loaded.config is None else loaded.config.timezone
    checking.show(findings, moments(zone))
    return Exit.YES


@verb("schema")
def print_schema() -> int:
    """JSON Schema of jobs.yaml, for editors.

    \b
    Example:
      nightshift schema > jobs.schema.json
    """
    print_value(schema())
    return Exit.YES


def _of_database(database: Path, path: Path) -> str:
    if find_spec("workers.backup") is None:
        raise Failure(Exit.NO, "there is no worker backup.run in this version yet")
    # Relative paths in jobs.yaml start from its own folder.
    is_beside = path.absolute().parent == Path.cwd()
    named = database if is_beside or database.is_absolute() else database.absolute()
    return sample.backup(str(named), "backups")
