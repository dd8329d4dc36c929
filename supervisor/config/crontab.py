"""The text of a crontab -> its lines as values: what is due when, under which settings.

Pure. Read as Debian's cron or cronie reads it: settings hold for the lines below
them, an unescaped `%` ends the command and begins its input, only blanks and tabs
are blanks. A line that we cannot keep is `Lost`, with the reason; nothing is
dropped in silence. `from_crontab.py` writes jobs.yaml of what is found here.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from supervisor.config import scalars
from supervisor.config.cron_dialects import Dialect, collapses_backslashes, read_times
from supervisor.config.crontab_comments import description_of
from supervisor.config.crontab_settings import Lost, Remark, Settings, assign, words
from supervisor.config.problems import Wrong, shown
from supervisor.config.shell_text import in_foreground
from supervisor.core import schedule

REBOOT = "@reboot"
BLANKS = " \t"

ASSIGNMENT = re.compile(r"""("[^"]*"|'[^']*'|[^\s=]+)\s*=\s*(.*)""", re.DOTALL)
JOB = re.compile(r"(-?)(@[^ \t]+|[^ \t]+(?:[ \t]+[^ \t]+){4})[ \t]+([^ \t].*)", re.DOTALL)
USER_AND_COMMAND = re.compile(r"([^ \t]+)[ \t]+([^ \t].*)", re.DOTALL)
_TIME_FIELD = re.compile(r"[0-9*?][0-9*,/?-]*")


@dataclass(frozen=True, slots=True)
class Options:
    """How a table is read.

    user: None for a user's own crontab; for a system one, with its column of
    users, the one whose lines are kept. is_folder: whether a HOME can be a cwd.
    """

    user: str | None = None
    dialect: Dialect = Dialect.DEBIAN
    is_folder: Callable[[str], bool] = field(default=lambda path: path.startswith("/"))


@dataclass(frozen=True, slots=True)
class Entry:
    """A line that becomes a job.

    stdin: None, or its input with all newlines. notes: what is otherwise than the
    line says. catch_up_days: how long a missed slot is made up for; 0: never.
    """

    line: int
    times: str
    command: str
    stdin: str | None
    settings: Settings
    description: str = ""
    notes: tuple[str, ...] = ()
    catch_up_days: int = 0
    name: str = ""


Item = Entry | Remark | Lost


def read(text: str, options: Options | None = None) -> list[Item]:
    """All lines of a crontab but the blank ones, in order."""
    options = options or Options()
    items: list[Item] = []
    block: list[Remark] = []
    settings = Settings()
    for number, line in _lines(text):
        if line.startswith("#"):
            block.append(Remark(number, line))
            continue
        found, settings = _line(number, line, options, settings) if line else (None, settings)
        description = description_of(block, is_switched_off) if isinstance(found, Entry) else ""
        if isinstance(found, Entry) and description:
            found, block = replace(found, description=description), []
        items += [*block, *([] if found is None else [found])]
        block = []
    return [*items, *block]


def job_lines(text: str) -> Iterator[tuple[int, str]]:
    """The number of each line that is a job, and what stands behind its times."""
    for number, line in _lines(text):
        job = JOB.fullmatch(line)
        if job and not line.startswith("#") and not ASSIGNMENT.fullmatch(line):
            yield number, job[3]


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """The lines without blanks around them; one that is a carriage return alone is blank."""
    for number, raw in enumerate(text.split("\n"), 1):
        line = raw.strip(BLANKS)
        yield number, "" if line == "\r" else line


def _line(
    number: int, line: str, options: Options, settings: Settings
) -> tuple[Item | None, Settings]:
    """What a line that is no comment is, and the settings below it."""
    # Behind a value cron takes every kind of blank away, behind a command none.
    assignment = ASSIGNMENT.fullmatch(line.rstrip(" \t\r\f\v"))
    bad = unfit(assignment[0] if assignment else line)
    if bad:
        return Lost(number, line, bad), settings
    if assignment:
        return assign(number, assignment, options.dialect, options.is_folder, settings)
    try:
        return _entry(number, line, options, settings), settings
    except Wrong as wrong:
        return Lost(number, line, words(wrong)), settings


def unfit(line: str) -> str:
    """Why a line can be no command of jobs.yaml; "" where it can."""
    if line.endswith("\r"):
        return "it ends with a carriage return, which cron hands to the command (sed 's/\\r$//')"
    bad = next((c for c in line if c != "\t" and (c < " " or "\ud800" <= c <= "\udfff")), None)
    if bad is None:
        return ""
    return "it is not UTF-8" if bad >= "\ud800" else "it holds a control character"


def _entry(number: int, line: str, options: Options, settings: Settings) -> Entry:
    """The job of a line. Raises: Wrong, if it cannot be kept."""
    job = JOB.fullmatch(line)
    if job is None:
        raise Wrong("expected five fields (or @daily and the like) and a command")
    rest = job[3] if options.user is None else _of_user(job[3], options.user)
    times, notes = _times(job[2], rest, options.dialect)
    if settings.bad_shell or settings.bad_zone:
        raise Wrong(settings.bad_shell or settings.bad_zone)
    command, stdin = split_percent(rest, options.dialect)
    if "\\\\" in rest and split_percent(rest, Dialect.DEBIAN) != split_percent(
        rest, Dialect.CRONIE
    ):
        notes.append(f"two backslashes: one to Debian's cron, two to cronie; as {options.dialect}")
    return with_command(Entry(number, times, command, stdin, settings), notes)


def with_command(entry: Entry, notes: list[str]) -> Entry:
    """The entry with a command that a shell waits for. Raises: Wrong, if there is none."""
    kept = in_foreground(entry.command, entry.settings.shell)
    if not kept.command.strip():
        raise Wrong("there is no command")
    settings = entry.settings.used_by(f"{entry.command} {entry.stdin or ''}")
    said = (*entry.notes, *notes, *kept.notes)
    return replace(entry, command=kept.command, settings=settings, notes=said)


def _times(written: str, rest: str, dialect: Dialect) -> tuple[str, list[str]]:
    """The times as jobs.yaml has them, and what is to be said of them. Raises: Wrong."""
    if written.startswith("@"):
        _check_name(written)
        if written != REBOOT:
            scalars.cron(written)
        return written, []
    if _TIME_FIELD.fullmatch(rest.split()[0]):
        raise Wrong("there is a sixth time field: seconds and years cannot be kept")
    found = read_times(re.split(r"[ \t]+", written), dialect)
    return scalars.cron(found.text), list(found.notes)


def _of_user(rest: str, user: str) -> str:
    """What follows the user's column. Raises: Wrong, if the user is another."""
    found = USER_AND_COMMAND.fullmatch(rest)
    if found is None:
        raise Wrong("expected a user and a command after the times")
    if found[1] != user:
        raise Wrong(f"it runs as {shown(found[1])}, and jobs of this service run as {user}")
    return found[2]


def _check_name(times: str) -> None:
    if times.lower() == "@every":
        raise Wrong("@every is not known to cron", 'write a cron such as "*/5 * * * *"')
    if times != times.lower() and times.lower() in (REBOOT, *schedule.MACROS):
        raise Wrong(f"cron refuses {shown(times)}", f"expected {times.lower()} in small letters")


def split_percent(text: str, dialect: Dialect = Dialect.DEBIAN) -> tuple[str, str | None]:
    r"""The command up to the first unescaped `%`, and its input (None: nothing).

    `\%` is a percent sign in both, further `%` of the input are newlines, and
    the input ends with a newline, as cron sees to. Debian's cron makes one
    backslash of two, in the command only.
    """
    parts: list[str] = [""]
    is_escaped = False
    for letter in text:
        if is_escaped and letter == "%":
            parts[-1] = f"{parts[-1][:-1]}%"
        elif letter == "%":
            parts.append("")
        elif not (is_escaped and letter == "\\" and _is_paired(parts, dialect)):
            parts[-1] += letter
        # In the input cron lets each backslash escape, in the command a pair escapes nothing.
        is_escaped = letter == "\\" and (len(parts) > 1 or not is_escaped)
    command, *lines = parts
    given = "\n".join(lines)
    if not given:
        return command, None
    return command, given if given.endswith("\n") else f"{given}\n"


def _is_paired(parts: list[str], dialect: Dialect) -> bool:
    return len(parts) == 1 and collapses_backslashes(dialect)


def is_switched_off(line: str) -> bool:
    """Whether a comment is a setting or a job, but for its `#`."""
    job = JOB.fullmatch(line)
    if job is None or ASSIGNMENT.fullmatch(line):
        return job is None and ASSIGNMENT.fullmatch(line) is not None
    try:
        scalars.cron(job[2])
    except Wrong:
        return job[2] == REBOOT
    return True
