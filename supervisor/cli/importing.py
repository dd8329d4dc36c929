"""import: what other schedulers were told -> jobs.yaml on standard output."""

import os
import pwd
import sys
from pathlib import Path

import click

from supervisor.cli.failure import Exit, Failure
from supervisor.cli.printing import clean, count
from supervisor.cli.verb import Family, Verb
from supervisor.config import crontab as lines
from supervisor.config import from_crontab
from supervisor.config.crontab_settings import Lost
from supervisor.config.files import Unreadable, read_regular
from supervisor.config.loading import LARGEST_BYTES

_STDIN = "-"
_SYSTEM_TABLE, _SYSTEM_TABLES = Path("/etc/crontab"), Path("/etc/cron.d")


@click.group("import", cls=Family)
def import_() -> int:
    """Make a jobs.yaml of what another scheduler was told.

    \b
    Example:
      crontab -l | nightshift import crontab - > jobs.yaml
    """
    return Exit.YES


@import_.command("crontab", cls=Verb)
@click.argument("file", metavar="[-|FILE]", default=_STDIN)
@click.option("--system", is_flag=True, help="With a column of users, as /etc/crontab has.")
@click.option("--user", metavar="NAME", help="Keep this user's lines of it (your own).")
def crontab(file: str, system: bool, user: str | None) -> int:
    """Write a jobs.yaml that does what this crontab does.

    What differs stands in it as comments. A line that cannot be kept stays as a
    comment, is named on standard error, and makes the exit status 1.

    \b
    Examples:
      crontab -l | nightshift import crontab > jobs.yaml && nightshift check
      nightshift import crontab /etc/crontab --user root
    """
    if file == _STDIN and sys.stdin.isatty():
        raise click.UsageError('expected a FILE, or a crontab in a pipe: "crontab -l | ..."')
    text = _text(file)
    is_system = system or _is_system_file(file) or lines.is_system(text, _users())
    if user is not None and not is_system:
        raise click.UsageError("--user goes with a system crontab (--system)")
    if not is_system and lines.may_be_system(text):
        print(f"{_shown(file)}: if its sixth column names users: --system", file=sys.stderr)
    items = lines.read(text, (user or _own_name()) if is_system else None)
    print(from_crontab.jobs_yaml(items), end="")
    sys.stdout.flush()
    lost = [item for item in items if isinstance(item, Lost)]
    for item in lost:
        said = f"{_shown(file)}:{item.line}: not kept: {item.reason}: {clean(item.text)}"
        print(said.encode(errors="replace").decode(), file=sys.stderr)
    kept = sum(isinstance(item, lines.Entry) for item in items)
    if lost or not kept:
        text = f"{_shown(file)}: {count(kept, 'job')}; {count(len(lost), 'line')} not kept"
        raise Failure(Exit.NO, text)
    return Exit.YES


def _text(file: str) -> str:
    """The whole crontab; what is no UTF-8 in it stays to be told of. Raises: Failure."""
    try:
        if file == _STDIN:
            content = sys.stdin.buffer.read(LARGEST_BYTES + 1)
            if len(content) > LARGEST_BYTES:
                raise Unreadable(f"is larger than {LARGEST_BYTES // 1024**2} MiB")
        else:
            content = read_regular(Path(file), LARGEST_BYTES)
    except Unreadable as error:
        raise Failure(Exit.USAGE, f"{_shown(file)}: {error}") from error
    except OSError as error:
        raise Failure(Exit.USAGE, f"{_shown(file)}: {error.strerror}") from error
    return content.removeprefix(b"\xef\xbb\xbf").decode(errors="surrogateescape")


def _is_system_file(file: str) -> bool:
    path = Path(os.path.realpath(file))
    return file != _STDIN and (path == _SYSTEM_TABLE or path.parent == _SYSTEM_TABLES)


def _users() -> frozenset[str]:
    return frozenset(entry.pw_name for entry in pwd.getpwall())


def _own_name() -> str:
    """The name of this process' user; its number where it has none."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def _shown(file: str) -> str:
    return "standard input" if file == _STDIN else file
