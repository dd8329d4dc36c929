"""Parses a crontab into its lines: times, command and settings of each job.

Pure. Follows Debian's cron or cronie: a setting applies to the lines below it, an
unescaped `%` ends the command and begins its input, and only spaces and tabs count as
blanks. A line that cannot be converted becomes `Lost`, with the reason; no line is
dropped silently. `convert.py` writes jobs.yaml from the result. Enter by `read`.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from supervisor.config import scalars
from supervisor.config.crontab.comments import description_of
from supervisor.config.crontab.dialects import Dialect, collapses_backslashes, read_times
from supervisor.config.crontab.settings import Lost, Remark, Settings, assign, words
from supervisor.config.crontab.shell_text import UNFILLED, in_foreground
from supervisor.config.problems import BadValueError, quote_value
from supervisor.core import schedule

REBOOT = "@reboot"
BLANKS = " \t"

ASSIGNMENT = re.compile(r"""("[^"]*"|'[^']*'|[^\s=]+)\s*=\s*(.*)""", re.DOTALL)
JOB = re.compile(r"(-?)(@[^ \t]+|[^ \t]+(?:[ \t]+[^ \t]+){4})[ \t]+([^ \t].*)", re.DOTALL)
USER_AND_COMMAND = re.compile(r"([^ \t]+)[ \t]+([^ \t].*)", re.DOTALL)
_TIME_FIELD = re.compile(r"[0-9*?][0-9*,/?-]*")
_TEMPLATE = re.compile(r"\{%.*%\}|<%.*%>")
# Words before the command that other crons interpret.
_FLAGS = re.compile(r"((?:-[nqs]+[ \t]+)+)(?=[^ \t-])")
_ON_MAINS = re.compile(r"@AppleNotOnBattery[ \t]+(?=[^ \t])")


@dataclass(frozen=True, slots=True)
class Options:
    """How a crontab is read.

    user: None for a user's own crontab; for a system crontab, with its user column, the user
    whose lines are kept. is_folder: whether a path, here a HOME, can be a cwd.
    """

    user: str | None = None
    dialect: Dialect = Dialect.DEBIAN
    is_folder: Callable[[str], bool] = field(default=lambda path: path.startswith("/"))


@dataclass(frozen=True, slots=True)
class Entry:
    """A line that becomes a job.

    stdin: the input with all newlines, or None. notes: differences from the line.
    catch_up_days: maximum age of a missed slot that is made up for; 0: never.
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
    """Return all lines of a crontab except blank ones, in order."""
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
    """Yield the line number of each job, and the text after its times.

    Lines with a sixth time field and lines of a template have no such text.
    """
    for number, line in _lines(text):
        job = JOB.fullmatch(line)
        if job is None or line.startswith("#") or ASSIGNMENT.fullmatch(line):
            continue
        if not _TEMPLATE.search(line) and not _TIME_FIELD.fullmatch(job[3].split()[0]):
            yield number, job[3]


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield numbered lines without surrounding blanks; a lone carriage return counts as blank."""
    for number, raw in enumerate(text.split("\n"), 1):
        line = raw.strip(BLANKS)
        yield number, "" if line == "\r" else line


def _line(
    number: int, line: str, options: Options, settings: Settings
) -> tuple[Item | None, Settings]:
    """Return the item of a line that is not a comment, and the settings for the lines below."""
    # cron strips whitespace of every kind after a value, but none after a command.
    assignment = ASSIGNMENT.fullmatch(line.rstrip(" \t\r\f\v"))
    bad = unfit(assignment[0] if assignment else line)
    if bad:
        return Lost(number, line, bad), settings
    if assignment:
        return assign(number, assignment, options.dialect, options.is_folder, settings)
    try:
        return _entry(number, line, options, settings), settings
    except BadValueError as wrong:
        return Lost(number, line, words(wrong)), settings


def unfit(line: str) -> str:
    """Return why a line cannot be a command in jobs.yaml, or "" if it can."""
    if line.endswith("\r"):
        return "it ends with a carriage return, which cron hands to the command (sed 's/\\r$//')"
    if _TEMPLATE.search(line):
        return "it is of a template (Jinja, ERB): import what the template makes"
    bad = next((c for c in line if c != "\t" and (c < " " or "\ud800" <= c <= "\udfff")), None)
    if bad is None:
        return ""
    return "it is not UTF-8" if bad >= "\ud800" else "it holds a control character"


def _entry(number: int, line: str, options: Options, settings: Settings) -> Entry:
    """Return the job of a line. Raises: BadValueError, if it cannot be converted."""
    job = JOB.fullmatch(line)
    if job is None:
        raise BadValueError("expected five fields (or @daily and the like) and a command")
    rest = job[3] if options.user is None else _of_user(job[3], options.user)
    times, notes = _times(job[2], rest, options.dialect)
    if settings.bad_shell or settings.bad_zone:
        raise BadValueError(settings.bad_shell or settings.bad_zone)
    rest, flags = _without_flags(rest)
    notes += [*flags, *_doubts(rest)]
    command, stdin = split_percent(rest, options.dialect)
    if "\\\\" in rest and split_percent(rest, Dialect.DEBIAN) != split_percent(
        rest, Dialect.CRONIE
    ):
        notes.append(f"two backslashes: one to Debian's cron, two to cronie; as {options.dialect}")
    return with_command(Entry(number, times, command, stdin, settings), notes)


def with_command(entry: Entry, notes: list[str]) -> Entry:
    """Return the entry with a command in the foreground. Raises: BadValueError if it is empty."""
    kept = in_foreground(entry.command, entry.settings.shell)
    if not kept.command.strip():
        raise BadValueError("there is no command")
    settings = entry.settings.used_by(f"{entry.command} {entry.stdin or ''}")
    said = (*entry.notes, *notes, *kept.notes)
    return replace(entry, command=kept.command, settings=settings, notes=said)


def _without_flags(rest: str) -> tuple[str, list[str]]:
    """Return the command without words before it that only other crons know, and notes."""
    found = _FLAGS.match(rest)
    if found:
        said = f"{found[1].strip()}: flags of OpenBSD's and FreeBSD's cron, which are left out"
        return rest[found.end() :], [said]
    found = _ON_MAINS.match(rest)
    if found:
        return rest[found.end() :], ["@AppleNotOnBattery: left out, it runs on battery too"]
    return rest, []


def _doubts(rest: str) -> Iterator[str]:
    """Yield notes on a command that is probably not what was meant."""
    unfilled = UNFILLED.search(rest)
    if unfilled:
        yield f"{unfilled[0]}: if this is of a template, import what the template makes"
    if rest.endswith("\\"):
        yield "it ends with a backslash: cron joins no lines, the next one is a line of its own"


def _times(written: str, rest: str, dialect: Dialect) -> tuple[str, list[str]]:
    """Return the times as written in jobs.yaml, and notes on them. Raises: BadValueError."""
    if written.startswith("@"):
        _check_name(written)
        if written != REBOOT:
            scalars.cron(written)
        return written, []
    if _TIME_FIELD.fullmatch(rest.split()[0]):
        raise BadValueError("there is a sixth time field: seconds and years cannot be kept")
    found = read_times(re.split(r"[ \t]+", written), dialect)
    return scalars.cron(found.text), list(found.notes)


def _of_user(rest: str, user: str) -> str:
    """Return the text after the user column. Raises: BadValueError for another user."""
    found = USER_AND_COMMAND.fullmatch(rest)
    if found is None:
        raise BadValueError("expected a user and a command after the times")
    if found[1] != user:
        raise BadValueError(
            f"it runs as {quote_value(found[1])}, and jobs of this service run as {user}",
            "--user keeps the lines of another user",
        )
    return found[2]


def _check_name(times: str) -> None:
    if times.lower() == "@every":
        raise BadValueError("@every is not known to cron", 'write a cron such as "*/5 * * * *"')
    if times != times.lower() and times.lower() in (REBOOT, *schedule.MACROS):
        raise BadValueError(
            f"cron refuses {quote_value(times)}", f"expected {times.lower()} in small letters"
        )


def split_percent(text: str, dialect: Dialect = Dialect.DEBIAN) -> tuple[str, str | None]:
    r"""Return the command up to the first unescaped `%`, and its input or None.

    `\%` is a percent sign in both. Further `%` of the input are newlines, and the input
    always ends with a newline, as with cron. Debian's cron collapses two backslashes into
    one, in the command only.
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
        # In the input, cron treats each backslash as an escape; in the command, a pair of
        # backslashes escapes nothing.
        is_escaped = letter == "\\" and (len(parts) > 1 or not is_escaped)
    command, *lines = parts
    given = "\n".join(lines)
    if not given:
        return command, None
    return command, given if given.endswith("\n") else f"{given}\n"


def _is_paired(parts: list[str], dialect: Dialect) -> bool:
    return len(parts) == 1 and collapses_backslashes(dialect)


def is_switched_off(line: str) -> bool:
    """Return whether a comment is a commented-out setting or job."""
    job = JOB.fullmatch(line)
    if job is None or ASSIGNMENT.fullmatch(line):
        return job is None and ASSIGNMENT.fullmatch(line) is not None
    try:
        scalars.cron(job[2])
    except BadValueError:
        return job[2] == REBOOT
    return True
