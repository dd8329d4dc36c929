"""Parses an anacrontab into the same items as a crontab.

Pure. A line holds a period in days, a delay in minutes, a name and a command. anacron
makes up for days on which the machine was off, so these jobs get `catch_up: latest`. They
run at the beginning of START_HOURS_RANGE, plus the delay.
"""

import re
from dataclasses import replace

from supervisor.config.crontab.dialects import Dialect, read_field
from supervisor.config.crontab.parse import (
    ASSIGNMENT,
    BLANKS,
    Entry,
    Item,
    Options,
    unfit,
    with_command,
)
from supervisor.config.crontab.settings import Lost, Remark, Settings, assign, words
from supervisor.config.problems import BadValueError, quote_value
from workers.units import is_whole

_JOB = re.compile(r"(@?\w+)[ \t]+([0-9]+)[ \t]+([^ \t]+)[ \t]+([^ \t].*)", re.DOTALL)
_RANGE = re.compile(r"([0-9]{1,2})-[0-9]{1,2}")
_OF_DAY, _OF_MONTH = 2, "1 * *"
_DAYS = {"@daily": 1, "@weekly": 7, "@monthly": 31, "@yearly": 366, "@annually": 366}
_CALENDAR = {1: "* * *", 7: "* * 1", 30: _OF_MONTH, 31: _OF_MONTH, 366: "1 1 *", 365: "1 1 *"}


def is_anacrontab(text: str) -> bool:
    """Return whether the text has jobs, all of them with a name in the third field."""
    lines = [line for _, line in _lines(text) if not ASSIGNMENT.fullmatch(line)]
    return bool(lines) and all(map(_is_job, lines))


def read_anacrontab(text: str, options: Options) -> list[Item]:
    """Return all lines except blank ones, in order."""
    items: list[Item] = []
    settings = Settings()
    for number, raw in enumerate(text.split("\n"), 1):
        line = raw.strip(BLANKS)
        assignment = ASSIGNMENT.fullmatch(line.rstrip())
        if line.startswith("#"):
            items.append(Remark(number, line))
        elif assignment and not unfit(assignment[0]):
            found, settings = assign(
                number, assignment, options.dialect, options.is_folder, settings
            )
            items += [] if found is None else [found]
        elif line.strip():
            items.append(_item(number, line, settings))
    return items


def _lines(text: str) -> list[tuple[int, str]]:
    lines = ((number, raw.strip()) for number, raw in enumerate(text.split("\n"), 1))
    return [(number, line) for number, line in lines if line and not line.startswith("#")]


def _is_job(line: str) -> bool:
    job = _JOB.fullmatch(line)
    if job is None or not (is_whole(job[1]) or job[1].startswith("@")):
        return False
    try:
        read_field(job[3], _OF_DAY, Dialect.DEBIAN)
    except BadValueError:
        return re.search("[A-Za-z]", job[3]) is not None
    return False


def _item(number: int, line: str, settings: Settings) -> Item:
    try:
        bad = unfit(line)
        if bad:
            raise BadValueError(bad)
        return _entry(number, line, settings)
    except BadValueError as wrong:
        return Lost(number, line, words(wrong))


def _entry(number: int, line: str, settings: Settings) -> Entry:
    """Return the job of a line. Raises: BadValueError, if it cannot be converted."""
    job = _JOB.fullmatch(line)
    if job is None:
        raise BadValueError("expected days, minutes of delay, a name and a command")
    days = int(job[1][:6]) if is_whole(job[1]) else _DAYS.get(job[1].lower(), 0)
    if days not in _CALENDAR:
        raise BadValueError(
            f"every {quote_value(job[1])} days has no counterpart", "write a cron of days"
        )
    own = dict(settings.own)
    begins = _RANGE.fullmatch(own.get("START_HOURS_RANGE", ""))
    minutes = min(int(begins[1]) if begins else 0, 23) * 60 + int(job[2][:6])
    hour, minute = divmod(min(minutes, 24 * 60 - 1), 60)
    notes = ["anacron's own time may differ: it waits for the machine to be on, on mains power"]
    entry = Entry(number, f"{minute} {hour} {_CALENDAR[days]}", job[4], None, settings)
    return with_command(replace(entry, catch_up_days=days, name=job[3]), notes)
