"""An OnCalendar= expression of systemd.time(7) -> the cron expression with the same slots.

Pure. systemd requires weekday *and* day of the month to match, where cron requires either.
So a week of the month becomes `sat#1`, and the last days of a month `L`. Tests compare the
result with `systemd-analyze calendar` where it is installed.
"""

import re
from dataclasses import dataclass
from itertools import pairwise

from supervisor.config.problems import BadValueError, quote_value
from supervisor.config.timezones import is_zone
from supervisor.core import schedule
from supervisor.core.cron_text import as_ranges

_SHORTHAND = {
    "minutely": "*-*-* *:*:00",
    "hourly": "*-*-* *:00:00",
    "daily": "*-*-* 00:00:00",
    "weekly": "Mon *-*-* 00:00:00",
    "monthly": "*-*-01 00:00:00",
    "quarterly": "*-01,04,07,10-01 00:00:00",
    "semiannually": "*-01,07-01 00:00:00",
    "semi-annually": "*-01,07-01 00:00:00",
    "bi-annually": "*-01,07-01 00:00:00",
    "biannually": "*-01,07-01 00:00:00",
    "annually": "*-01-01 00:00:00",
    "anually": "*-01-01 00:00:00",
    "yearly": "*-01-01 00:00:00",
}
_DAYS = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")
_WEEKDAYS = re.compile(
    r"[A-Za-z]+(?:(?:\.\.|-)[A-Za-z]+)?(?:,(?:[A-Za-z]+(?:(?:\.\.|-)[A-Za-z]+)?)?)*"
)
_DATE = re.compile(r"(?:([0-9*.,/]+)-)?([0-9*.,/]+)([-~])([0-9*.,/]+)")
_TIME = re.compile(r"([0-9*.,/]+)(?::([0-9*.,/]+))?(?::([0-9*.,/]+))?")
_TERM = re.compile(r"([0-9]+)(?:\.\.([0-9]+))?(?:/([0-9]+))?")
_SECONDS = re.compile(r"([0-9]+)(?:\.[0-9]+)?")
# The days of a month on which its n-th Saturday can fall, and that n.
_WEEKS = {frozenset(range(7 * n - 6, 7 * n + 1)): n for n in (1, 2, 3, 4)} | {
    frozenset((29, 30, 31)): 5
}
Numbers = frozenset[int]


@dataclass(frozen=True, slots=True)
class CronTime:
    """A cron expression, its zone ("": the machine's), and a note on differences."""

    cron: str
    zone: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class _Days:
    """Days of the month, counted from its beginning or from its end."""

    numbers: Numbers
    is_from_end: bool


def to_cron(text: str) -> CronTime:
    """Return the cron expression of an OnCalendar= value.

    Raises:
        BadValueError: it is invalid, or no cron expression has these slots.
    """
    if not text.strip():
        raise BadValueError("expected a calendar expression of systemd, got nothing")
    spelt = _SHORTHAND.get(text.strip().lower(), text)
    words, zone = _without_zone(spelt.split(), text)
    if words and words[0].lower() in _SHORTHAND:
        words = [*_SHORTHAND[words[0].lower()].split(), *words[1:]]
    weekdays = _weekdays(words.pop(0), text) if words and words[0][0].isalpha() else frozenset()
    date = words.pop(0) if words and _DATE.fullmatch(words[0]) else "*-*-*"
    time = words.pop(0) if words else "0:00"
    if words:
        raise BadValueError(f"expected a calendar expression of systemd, got {quote_value(text)}")
    months, days = _date(date, text)
    hours, minutes, note = _time(time, text)
    day, weekday = _both_days(days, weekdays, text)
    fields = (
        _written(minutes, 0, 59),
        _written(hours, 0, 23),
        day,
        _written(months, 1, 12),
        weekday,
    )
    cron = " ".join(fields)
    try:
        schedule.calendar((cron,), "UTC")
    except schedule.CronError as error:
        raise BadValueError(f"never comes: {quote_value(text)}") from error
    return CronTime(cron, zone, note)


def _without_zone(words: list[str], text: str) -> tuple[list[str], str]:
    """Return the words before the zone, and the zone or ""."""
    if words and (words[-1] == "UTC" or ("/" in words[-1] and words[-1][0].isalpha())):
        if not is_zone(words[-1]):
            raise BadValueError(f"expected an IANA name of a zone in {quote_value(text)}")
        return words[:-1], words[-1]
    if len(words) > 1 and words[-1][0].isalpha() and is_zone(words[-1]):
        return words[:-1], words[-1]
    return list(words), ""


def _weekdays(word: str, text: str) -> Numbers:
    if not _WEEKDAYS.fullmatch(word):
        raise BadValueError(f"expected weekdays such as Mon..Fri in {quote_value(text)}")
    found: set[int] = set()
    for term in filter(None, word.split(",")):
        ends = [_weekday(name, text) for name in re.split(r"\.\.|-", term)]
        # The week of systemd begins on Monday.
        low, high = ((end - 1) % 7 for end in (ends[0], ends[-1]))
        if low > high:
            raise BadValueError(f"expected weekdays from Monday on in {quote_value(text)}")
        found.update((day + 1) % 7 for day in range(low, high + 1))
    return frozenset(found)


def _weekday(name: str, text: str) -> int:
    for number, day in enumerate(_DAYS):
        if name.lower() in (day, day[:3]):
            return number
    raise BadValueError(
        f"expected the name of a weekday, got {quote_value(name)} in {quote_value(text)}"
    )


def _date(word: str, text: str) -> tuple[Numbers, _Days]:
    found = _DATE.fullmatch(word)
    assert found is not None
    if found[1] not in (None, "*"):
        raise BadValueError(
            "years cannot be kept", "a single date: nightshift run JOB on that day"
        )
    is_from_end = found[3] == "~"
    word_of_days = _downwards(found[4]) if is_from_end else found[4]
    days = _component(word_of_days, 1, 31, text)
    return _component(found[2], 1, 12, text), _Days(days, is_from_end)


def _downwards(word: str) -> str:
    """Rewrite days before the end of a month: `7/1` counts towards the end, so `1..7/1`."""
    written = []
    for term in word.split(","):
        found = re.fullmatch(r"([0-9]+)/([0-9]+)", term)
        if found:
            first = (int(found[1]) - 1) % max(1, int(found[2])) + 1
            term = f"{first}..{found[1]}/{found[2]}"
        written.append(term)
    return ",".join(written)


def _time(word: str, text: str) -> tuple[Numbers, Numbers, str]:
    found = _TIME.fullmatch(word)
    if found is None:
        raise BadValueError(f"expected a time such as 02:30 in {quote_value(text)}")
    if found[2] is None:
        raise BadValueError(f"expected hours and minutes in {quote_value(text)}")
    return (
        _component(found[1], 0, 23, text),
        _component(found[2], 0, 59, text),
        _seconds(found[3] or "0", text),
    )


def _seconds(word: str, text: str) -> str:
    """Return a note on a second other than 0. Raises: BadValueError for several per minute."""
    found = _SECONDS.fullmatch(word)
    if found is None:
        raise BadValueError(f"runs more often than once a minute: {quote_value(text)}")
    return "" if not float(word) else f"{text}: runs at the full minute, not {word}s after it"


def _component(word: str, least: int, most: int, text: str) -> Numbers:
    numbers: set[int] = set()
    for term in word.split(","):
        if term == "*":
            return frozenset(range(least, most + 1))
        if term.startswith("*/"):
            raise BadValueError(
                f"systemd refuses {quote_value(term)}", f"it wants {least}{term[1:]}"
            )
        found = _TERM.fullmatch(term)
        if found is None or found[3] == "0":
            got = f"{quote_value(term)} in {quote_value(text)}"
            raise BadValueError(f"expected a number, a list or a range, got {got}")
        low, step = int(found[1][:6]), int((found[3] or "1")[:6])
        high = int(found[2][:6]) if found[2] else most if found[3] else low
        if not least <= low <= high <= most:
            raise BadValueError(
                f"expected {least} to {most}, got {quote_value(term)} in {quote_value(text)}"
            )
        numbers.update(range(low, high + 1, step))
    return frozenset(numbers)


def _both_days(days: _Days, weekdays: Numbers, text: str) -> tuple[str, str]:
    """Return the fields for the day of the month and the weekday; both must match.

    Raises:
        BadValueError: cron cannot express it.
    """
    every_day = len(days.numbers) == 31
    every_weekday = not weekdays or len(weekdays) == 7
    if days.is_from_end and not every_day:
        return _from_end(days.numbers, weekdays, every_weekday, text)
    day, weekday = _written(days.numbers, 1, 31), _written(weekdays, 0, 6)
    if every_weekday:
        return day, "*"
    if every_day:
        return "*", weekday
    if days.numbers in _WEEKS:
        week = _WEEKS[days.numbers]
        return "*", ",".join(f"{number}#{week}" for number in sorted(weekdays))
    # By Debian's rule, both fields must match if one of them begins with a star.
    if 1 in days.numbers:
        rest = as_ranges(sorted(days.numbers - {1}))
        return f"*/31,{rest}" if rest else "*/31", weekday
    if 0 in weekdays:
        rest = as_ranges(sorted(weekdays - {0}))
        return day, f"*/7,{rest}" if rest else "*/7"
    raise BadValueError(
        f"cron cannot have both: a weekday and these days of the month: {quote_value(text)}"
    )


def _from_end(
    numbers: Numbers, weekdays: Numbers, every_weekday: bool, text: str
) -> tuple[str, str]:
    if every_weekday and numbers == {1}:
        return "L", "*"
    if numbers == frozenset(range(1, 8)) and not every_weekday:
        return "*", ",".join(f"{number}L" for number in sorted(weekdays))
    raise BadValueError(f"cron knows the last day of a month only: {quote_value(text)}")


def _written(numbers: Numbers, least: int, most: int) -> str:
    """Return numbers as a cron field: `*`, `*/15`, `9-17` or `1,3-5`."""
    found = sorted(numbers)
    if len(found) == most - least + 1:
        return "*"
    steps = {after - before for before, after in pairwise(found)}
    if len(found) > 2 and len(steps) == 1 and steps != {1} and found[-1] + min(steps) > most:
        step = steps.pop()
        return f"*/{step}" if found[0] == least else f"{found[0]}-{most}/{step}"
    return as_ranges(found)
