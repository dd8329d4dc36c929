"""Hints for a cron value that is written in the syntax of another scheduler.

Pure. Covers intervals (`@every 5m`, `rate(5 minutes)`), expressions with six or seven
fields, bare words, and OnCalendar of systemd. A hint names the cron expression with the
same slots where one exists. Enter by `advice`.
"""

import re

from supervisor.config import intervals
from supervisor.config.problems import BadValueError
from supervisor.core import schedule
from workers.units import is_whole, parse_duration

_RATE = re.compile(r"(?:@every|every|rate\()\s*([0-9]*)\s*([a-z]*)\)?", re.IGNORECASE)
_LENGTH = re.compile(r"@?every\s+(\S+)", re.IGNORECASE)
_AWS = re.compile(r"cron\((.*)\)")
_ZONE = re.compile(r"(?:CRON_)?TZ=([A-Za-z0-9/_+-]+)\s+(\S.*)")
_UNITS = {"": "m", "minute": "m", "min": "m", "hour": "h", "hr": "h", "day": "d", "second": "s"}
_LONGEST = 200


def advice(text: str) -> str:
    """Return a hint on what to write instead, or "" for a text of unknown syntax."""
    text = text.strip()
    if len(text) > _LONGEST:
        return ""
    interval = _RATE.fullmatch(text)
    if interval:
        return _of_interval(interval[1], interval[2])
    length = _LENGTH.fullmatch(text)
    if length:
        return _of_length(length[1])
    return _of_zone(text) or _of_word(text) or _of_fields(text) or _of_systemd(text)


def _of_interval(number: str, unit: str) -> str:
    singular = unit.lower().removesuffix("s") if len(unit) > 1 else unit.lower()
    return _of_length(f"{number or 1}{_UNITS.get(singular, unit)}")


def _of_length(length: str) -> str:
    try:
        length_s = parse_duration(length)
    except ValueError:
        return 'write fields: "*/5 * * * *" is every five minutes'
    expression = intervals.expression(length_s)
    if not expression:
        return "no cron has this interval: one that divides an hour or a day is needed"
    return f'write "{expression}"'


def _of_word(text: str) -> str:
    if f"@{text.lower()}" in schedule.MACROS:
        return f'write "@{text.lower()}"'
    if text.lower().lstrip("@") in ("minutely", "every_minute", "everyminute", "always"):
        return 'write "* * * * *"'
    return ""


def _of_zone(text: str) -> str:
    """Return a hint for a zone before the fields, as in crontabs and in Go programs."""
    found = _ZONE.fullmatch(text)
    return f'write "{found[2]}" and timezone: {found[1]}' if found else ""


def _of_fields(text: str) -> str:
    """Return a hint for six or seven fields, with seconds first or the year last."""
    aws = _AWS.fullmatch(text)
    written = (aws[1] if aws else text).split()
    fields = ["*" if field == "?" else field for field in written]
    # AWS orders minute ... weekday, year and writes "?" at index 2 or 4; Quartz puts the
    # seconds first, so there "?" is at another index.
    if len(fields) == 6 and (aws or "?" in (written[2], written[4])):
        return _if_right(fields[:5], "; days of the week are counted from 0 (sun) here")
    if len(fields) not in (6, 7):
        return ""
    if not is_whole(fields[0]):
        return "there are no seconds: five fields begin with the minute"
    return _if_right(fields[1:6], "; there are no seconds and years")


def _if_right(fields: list[str], why: str) -> str:
    expression = " ".join(fields)
    try:
        schedule.Calendar((expression,), "UTC")
    except schedule.CronError:
        return why.removeprefix("; ")
    return f'write "{expression}"{why}'


def _of_systemd(text: str) -> str:
    if not re.search(r"[0-9*]:[0-9*]|\*-\*|\.\.", text):
        return ""
    # Imported here, since only a mistake needs it: each start would pay for it.
    from supervisor.config.systemd.calendar import to_cron

    try:
        found = to_cron(text)
    except BadValueError:
        return "this is no OnCalendar of systemd; nightshift import systemd reads those"
    zone = f" and timezone: {found.zone}" if found.zone else ""
    return f'write "{found.cron}"{zone}'
