"""Read crontab files and folders into parsed lines, according to the kind of each file."""

import os
import pwd
import re
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import click

from supervisor.cli.errors import CliError, ExitCode
from supervisor.cli.output import clean, complain
from supervisor.config.crontab import anacrontab, kind
from supervisor.config.crontab import parse as lines
from supervisor.config.crontab.dialects import Dialect
from supervisor.config.crontab.kind import Kind
from supervisor.config.crontab.parse import Entry, Item, Options
from supervisor.config.crontab.settings import Lost, Remark
from supervisor.config.load_file import LARGEST_BYTES
from workers.regular_file import UnreadableFileError, read_regular

STDIN = "-"
_PROGRAMS = "/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin:/usr/local/bin"
# In a folder cron reads only such names: no editor or package backups.
_NAME_IN_FOLDER = re.compile(r"[A-Za-z0-9_-]+")
_OF_SCRIPTS = re.compile(r"cron\.(hourly|daily|weekly|monthly|yearly)")


@dataclass(frozen=True, slots=True)
class Asked:
    """What the command line says about the tables.

    user: None if not given, "" for a user's own table, else a user name.
    """

    is_system: bool
    user: str | None
    dialect: Dialect


@dataclass(frozen=True, slots=True)
class Table:
    """The parsed lines of one file."""

    name: str
    items: tuple[Item, ...]


def installed_dialect() -> Dialect:
    """Return the dialect of the installed cron; Debian's if there is none."""
    found = shutil.which("crond", path=_PROGRAMS)
    is_cronie = found is not None and Path(os.path.realpath(found)).name == "crond"
    return Dialect.CRONIE if is_cronie else Dialect.DEBIAN


def read_tables(files: Sequence[str], asked: Asked) -> list[Table]:
    """Return the tables of all files, and of all files in the folders, in the given order.

    Raises:
        CliError: a file cannot be read, or its kind is ambiguous.
    """
    return [_table(file, asked) for given in files for file in _files(given)]


def shown(file: str) -> str:
    """Return the name of a file for messages."""
    return "standard input" if file == STDIN else file


def _files(given: str) -> Iterator[str]:
    """Yield the file itself, or the files of a folder that cron would read."""
    if given == STDIN or not os.path.isdir(given):
        yield given
        return
    if _OF_SCRIPTS.fullmatch(Path(os.path.abspath(given)).name):
        text = f"{given}: holds scripts for run-parts, no crontabs"
        raise CliError(ExitCode.USAGE, text, "import the table that runs them: /etc/crontab")
    try:
        names = sorted(os.listdir(given))
    except OSError as error:
        raise CliError(ExitCode.USAGE, f"{given}: {error.strerror}") from error
    for name in names:
        path = os.path.join(given, name)
        if os.path.isfile(path) and _NAME_IN_FOLDER.fullmatch(name):
            yield path
        elif not name.startswith("."):
            complain(clean(f"{path}: left out: cron does not read it either"))


def _table(file: str, asked: Asked) -> Table:
    text = _text(file)
    path = "" if file == STDIN else os.path.abspath(file)
    options = Options(None, asked.dialect, os.path.isdir)
    if path.endswith("/anacrontab") or anacrontab.is_anacrontab(text):
        said = Remark(0, "# read as an anacrontab: days that were missed are made up for")
        return Table(file, (said, *anacrontab.read_anacrontab(text, options)))
    keeper = asked.user or own_name()
    if _kind(file, path, text, asked) is Kind.SYSTEM:
        options = replace(options, user=keeper)
    items = tuple(lines.read(text, options))
    owner = kind.owner_of_path(path)
    if owner and owner != keeper:
        items = tuple(_of_another(item, owner, keeper) for item in items)
    if text and not text.endswith("\n") and text.rpartition("\n")[2].strip():
        number = text.count("\n") + 1
        why = "the last line has no newline: cron does not run it"
        items = (*items, Remark(number, f"# line {number}: {why}", why))
    return Table(file, items)


def _kind(file: str, path: str, text: str, asked: Asked) -> Kind:
    """Return whether the table has a user column.

    Raises:
        CliError: it cannot be determined from the path or the text.
    """
    if asked.is_system:
        return Kind.SYSTEM
    by_path = kind.kind_of_path(path)
    if by_path is not Kind.UNCLEAR:
        return by_path
    users = {entry.pw_name for entry in pwd.getpwall()}
    found = kind.kind_of_text(text, users, _is_program)
    if asked.user and kind.names_user(text, asked.user):
        return Kind.SYSTEM
    if found.kind is Kind.UNCLEAR and asked.user is None:
        where = f"{shown(file)}:{found.line}"
        text = f'{where}: "{found.word}" may be a user or a program'
        hint = "say --system for a table with a column of users, --user for a user's own"
        raise CliError(ExitCode.USAGE, text, hint)
    return Kind.SYSTEM if found.kind is Kind.SYSTEM and asked.user != "" else Kind.USER


def _is_program(word: str) -> bool:
    """Return whether cron would find this program, or the shell has it built in."""
    is_built_in = word in ("test", "cd", "echo", "exec", "export", "if", "for", "while", "sleep")
    return is_built_in or shutil.which(word, path=_PROGRAMS) is not None


def _of_another(item: Item, owner: str, keeper: str) -> Item:
    if not isinstance(item, Entry):
        return item
    why = f'it is of the crontab of "{owner}", and jobs of this service run as {keeper}'
    return Lost(item.line, f"{item.times} {item.command}", why)


def _text(file: str) -> str:
    """Return the whole table; invalid UTF-8 is kept as surrogate escapes.

    Raises:
        CliError: the file cannot be read or is too large.
    """
    try:
        if file == STDIN:
            content = sys.stdin.buffer.read(LARGEST_BYTES + 1)
            if len(content) > LARGEST_BYTES:
                raise UnreadableFileError(f"is larger than {LARGEST_BYTES // 1024**2} MiB")
        else:
            content = read_regular(Path(file), LARGEST_BYTES)
    except UnreadableFileError as error:
        raise CliError(ExitCode.USAGE, f"{shown(file)}: {error}") from error
    except OSError as error:
        raise CliError(ExitCode.USAGE, f"{shown(file)}: {error.strerror}") from error
    return content.removeprefix(b"\xef\xbb\xbf").decode(errors="surrogateescape")


def own_name() -> str:
    """Return the name of the process' user, or its uid if it has no name."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def files_and_user(files: tuple[str, ...], user: str | None) -> tuple[tuple[str, ...], str | None]:
    """Return files and user, treating the value of `--user` as a file if it can only be one.

    That is so if no other file is given, the value names an existing file, and no such
    user exists.

    Raises:
        click.UsageError: no file is given and standard input is a terminal.
    """
    if user and not files and os.path.exists(user) and not _is_user(user):
        files, user = (user,), ""
    if (not files or STDIN in files) and sys.stdin.isatty():
        raise click.UsageError('expected a FILE, or a crontab in a pipe: "crontab -l | ..."')
    return files or (STDIN,), user


def _is_user(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True
