"""The text of a crontab -> its lines as values: what is due when, under which settings.

Pure. Read as Debian's cron reads it: settings hold for the lines below them,
an unescaped `%` ends the command and begins its input. A line that we cannot
keep is `Lost`, with the reason; nothing is dropped in silence. `from_crontab.py`
writes jobs.yaml of what is found here.
"""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

from supervisor.config import scalars
from supervisor.config.crontab_settings import Lost, Remark, Settings, assign, words
from supervisor.config.problems import Wrong, shown

REBOOT = "@reboot"
LONGEST_DESCRIPTION = 300

_ASSIGNMENT = re.compile(r"""("[^"]*"|'[^']*'|[^\s=]+)\s*=\s*(.*)""", re.DOTALL)
_JOB = re.compile(r"(-?)(@\S+|\S+(?:\s+\S+){4})\s+(\S.*)", re.DOTALL)
_TIME_FIELD = re.compile(r"[0-9*?][0-9*,/?-]*")
_USER_AND_COMMAND = re.compile(r"(\S+)\s+(\S.*)", re.DOTALL)
_COLUMN_TITLES = re.compile(r"\bm(in|inute)?\s+h(our)?\s+(dom|day)\b|command to be executed")


@dataclass(frozen=True, slots=True)
class Entry:
    """A line that becomes a job. stdin: None, or its input with all newlines."""

    line: int
    times: str
    command: str
    stdin: str | None
    settings: Settings
    description: str = ""


Item = Entry | Remark | Lost


def read(text: str, user: str | None = None) -> list[Item]:
    """All lines of a crontab but the blank ones, in order.

    user: None for a user's own crontab; for a system one, with its column of
    users, the one whose lines are kept.
    """
    items: list[Item] = []
    block: list[Remark] = []
    settings = Settings()
    for number, raw in enumerate(text.split("\n"), 1):
        line = raw.strip()
        if line.startswith("#"):
            block.append(Remark(number, line))
            continue
        if not line:
            items += block
            block = []
            continue
        found, settings = _line(number, line, user, settings)
        description = _description(block) if isinstance(found, Entry) else ""
        if isinstance(found, Entry) and description:
            found, block = replace(found, description=description), []
        items += [*block, *([] if found is None else [found])]
        block = []
    return [*items, *block]


def is_system(text: str, users: Collection[str]) -> bool:
    """Whether this is surely a system crontab: a user's name in each line, root in one.

    A user's own crontab may call a program that is named like a user (`mail`),
    but hardly one that is called `root` and is given no options.
    """
    named = set(_sixth_words(text))
    return "root" in named and named <= {*users, "root"}


def may_be_system(text: str) -> bool:
    """Whether root stands where a system crontab names users."""
    return "root" in _sixth_words(text)


def _sixth_words(text: str) -> Iterator[str]:
    """The first word after the times of each job; "" where it cannot be a user."""
    for raw in text.split("\n"):
        line = raw.strip()
        job = _JOB.fullmatch(line)
        if job and not line.startswith("#") and not _ASSIGNMENT.fullmatch(line):
            found = _USER_AND_COMMAND.fullmatch(job[3])
            yield found[1] if found and not found[2].startswith("-") else ""


def _line(
    number: int, line: str, user: str | None, settings: Settings
) -> tuple[Item | None, Settings]:
    """What a line that is no comment is, and the settings below it."""
    bad = next((c for c in line if c != "\t" and (c < " " or "\ud800" <= c <= "\udfff")), None)
    if bad is not None:
        what = "is not UTF-8" if bad >= "\ud800" else "holds a control character"
        return Lost(number, line, f"it {what}"), settings
    assignment = _ASSIGNMENT.fullmatch(line)
    if assignment:
        return assign(number, line, assignment[1], assignment[2], settings)
    try:
        return _entry(number, line, user, settings), settings
    except Wrong as wrong:
        return Lost(number, line, words(wrong)), settings


def _entry(number: int, line: str, user: str | None, settings: Settings) -> Entry:
    """The job of a line. Raises: Wrong, if it cannot be kept."""
    job = _JOB.fullmatch(line)
    if job is None:
        raise Wrong("expected five fields (or @daily and the like) and a command")
    times, rest = " ".join(job[2].split()), job[3]
    if user is not None:
        rest = _of_user(rest, user)
    if times.startswith("@"):
        _check_name(times)
    elif _TIME_FIELD.fullmatch(rest.split()[0]):
        raise Wrong("there is a sixth time field: seconds and years cannot be kept")
    if times != REBOOT:
        times = times.lower() if times.startswith("@") else times
        scalars.cron(times)
    if settings.bad_shell or settings.bad_zone:
        raise Wrong(settings.bad_shell or settings.bad_zone)
    command, stdin = split_percent(rest)
    if not command.strip():
        raise Wrong("there is no command")
    return Entry(number, times, command, stdin, settings)


def _of_user(rest: str, user: str) -> str:
    """What follows the user's column. Raises: Wrong, if the user is another."""
    found = _USER_AND_COMMAND.fullmatch(rest)
    if found is None:
        raise Wrong("expected a user and a command after the times")
    if found[1] != user:
        raise Wrong(f"it runs as {shown(found[1])}, and jobs of this service run as {user}")
    return found[2]


def _check_name(times: str) -> None:
    if times.lower() == "@every":
        raise Wrong("@every is not known to cron", 'write a cron such as "*/5 * * * *"')
    if times.lower() == REBOOT and times != REBOOT:
        raise Wrong(f"expected {REBOOT} in small letters")


def split_percent(text: str) -> tuple[str, str | None]:
    r"""The command up to the first unescaped `%`, and its input (None: nothing).

    `\%` is a percent sign in both, further `%` of the input are newlines, and
    the input ends with a newline, as cron sees to.
    """
    parts: list[str] = [""]
    is_escaped = False
    for letter in text:
        if letter != "%":
            parts[-1] += letter
        elif is_escaped:
            parts[-1] = f"{parts[-1][:-1]}%"
        else:
            parts.append("")
        # In the input cron lets each backslash escape, in the command a pair escapes nothing.
        is_escaped = letter == "\\" and (len(parts) > 1 or not is_escaped)
    command, *lines = parts
    given = "\n".join(lines)
    if not given:
        return command, None
    return command, given if given.endswith("\n") else f"{given}\n"


def _description(block: list[Remark]) -> str:
    """The comment that stands directly above a job, in one line.

    Not one that holds a job that was switched off, or the titles of the columns.
    """
    lines = [remark.text.lstrip("#").strip() for remark in block]
    if any(_COLUMN_TITLES.search(line) or _is_switched_off(line) for line in lines):
        return ""
    text = " ".join(line for line in lines if any(map(str.isalnum, line)))
    is_plain = all(c.isprintable() or c == "\t" for c in text)
    return text if is_plain and len(text) <= LONGEST_DESCRIPTION else ""


def _is_switched_off(line: str) -> bool:
    """Whether a comment is a setting or a job, but for its `#`."""
    job = _JOB.fullmatch(line)
    if job is None or _ASSIGNMENT.fullmatch(line):
        return job is None and _ASSIGNMENT.fullmatch(line) is not None
    try:
        scalars.cron(job[2])
    except Wrong:
        return job[2] == REBOOT
    return True
