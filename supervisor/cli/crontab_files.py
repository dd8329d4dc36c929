"""Files and folders with crontabs -> their lines, each read as what the file is."""

import os
import pwd
import re
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import click

from supervisor.cli.failure import Exit, Failure
from supervisor.cli.printing import clean, complain
from supervisor.config import anacrontab, crontab_kind
from supervisor.config import crontab as lines
from supervisor.config.cron_dialects import Dialect
from supervisor.config.crontab import Entry, Item, Options
from supervisor.config.crontab_kind import Kind
from supervisor.config.crontab_settings import Lost, Remark
from supervisor.config.files import Unreadable, read_regular
from supervisor.config.loading import LARGEST_BYTES

STDIN = "-"
_PROGRAMS = "/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin:/usr/local/bin"
# Of a folder cron reads such names only: no copies of editors and packages.
_NAME_IN_FOLDER = re.compile(r"[A-Za-z0-9_-]+")
_OF_SCRIPTS = re.compile(r"cron\.(hourly|daily|weekly|monthly|yearly)")


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked for on the command line.

    user: None where it was not said, "" for a user's own table, else a name.
    """

    is_system: bool
    user: str | None
    dialect: Dialect


@dataclass(frozen=True, slots=True)
class Table:
    """One file and what stands in it."""

    name: str
    items: tuple[Item, ...]


def installed_dialect() -> Dialect:
    """The cron of this machine; Debian's where there is none."""
    found = shutil.which("crond", path=_PROGRAMS)
    is_cronie = found is not None and Path(os.path.realpath(found)).name == "crond"
    return Dialect.CRONIE if is_cronie else Dialect.DEBIAN


def read_tables(files: Sequence[str], asked: Asked) -> list[Table]:
    """The tables of all files, and of the files in all folders, in this order.

    Raises:
        Failure: one cannot be read, or it is not clear what it is.
    """
    return [_table(file, asked) for given in files for file in _files(given)]


def shown(file: str) -> str:
    """A file as it is named in a message."""
    return "standard input" if file == STDIN else file


def _files(given: str) -> Iterator[str]:
    """The file itself, or those of a folder that cron would read."""
    if given == STDIN or not os.path.isdir(given):
        yield given
        return
    if _OF_SCRIPTS.fullmatch(Path(os.path.abspath(given)).name):
        text = f"{given}: holds scripts for run-parts, no crontabs"
        raise Failure(Exit.USAGE, text, "import the table that runs them: /etc/crontab")
    try:
        names = sorted(os.listdir(given))
    except OSError as error:
        raise Failure(Exit.USAGE, f"{given}: {error.strerror}") from error
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
    owner = crontab_kind.owner_of_path(path)
    if owner and owner != keeper:
        items = tuple(_of_another(item, owner, keeper) for item in items)
    if text and not text.endswith("\n") and text.rpartition("\n")[2].strip():
        number = text.count("\n") + 1
        why = "the last line has no newline: cron does not run it"
        items = (*items, Remark(number, f"# line {number}: {why}", why))
    return Table(file, items)


def _kind(file: str, path: str, text: str, asked: Asked) -> Kind:
    """Whether the table has a column of users. Raises: Failure."""
    if asked.is_system:
        return Kind.SYSTEM
    by_path = crontab_kind.kind_of_path(path)
    if by_path is not Kind.UNCLEAR:
        return by_path
    users = {entry.pw_name for entry in pwd.getpwall()}
    found = crontab_kind.kind_of_text(text, users, _is_program)
    if asked.user and crontab_kind.names_user(text, asked.user):
        return Kind.SYSTEM
    if found.kind is Kind.UNCLEAR and asked.user is None:
        where = f"{shown(file)}:{found.line}"
        text = f'{where}: "{found.word}" may be a user or a program'
        hint = "say --system for a table with a column of users, --user for a user's own"
        raise Failure(Exit.USAGE, text, hint)
    return Kind.SYSTEM if found.kind is Kind.SYSTEM and asked.user != "" else Kind.USER


def _is_program(word: str) -> bool:
    """Whether cron would find a program of this name, or the shell has it."""
    is_built_in = word in ("test", "cd", "echo", "exec", "export", "if", "for", "while", "sleep")
    return is_built_in or shutil.which(word, path=_PROGRAMS) is not None


def _of_another(item: Item, owner: str, keeper: str) -> Item:
    if not isinstance(item, Entry):
        return item
    why = f'it is of the crontab of "{owner}", and jobs of this service run as {keeper}'
    return Lost(item.line, f"{item.times} {item.command}", why)


def _text(file: str) -> str:
    """The whole table; what is no UTF-8 in it stays to be named. Raises: Failure."""
    try:
        if file == STDIN:
            content = sys.stdin.buffer.read(LARGEST_BYTES + 1)
            if len(content) > LARGEST_BYTES:
                raise Unreadable(f"is larger than {LARGEST_BYTES // 1024**2} MiB")
        else:
            content = read_regular(Path(file), LARGEST_BYTES)
    except Unreadable as error:
        raise Failure(Exit.USAGE, f"{shown(file)}: {error}") from error
    except OSError as error:
        raise Failure(Exit.USAGE, f"{shown(file)}: {error.strerror}") from error
    return content.removeprefix(b"\xef\xbb\xbf").decode(errors="surrogateescape")


def own_name() -> str:
    """The name of this process' user; its number where it has none."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def files_and_user(files: tuple[str, ...], user: str | None) -> tuple[tuple[str, ...], str | None]:
    """What `--user` took for a name is a file where no user is called so and a file is.

    Raises:
        click.UsageError: neither a file nor a pipe was given.
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
