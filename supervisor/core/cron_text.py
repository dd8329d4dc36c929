"""Text of the five cron fields: normal form, values, advice and uneven steps.

Pure. Works on single fields: ranges that end on Sunday, ranges that wrap around, and
steps that do not divide their field. `schedule.py` builds calendars from whole
expressions. A place is the index of a field, from 0 (minute) to 4 (day of week).
"""

import re
from collections.abc import Iterator, Sequence

from cronsim import CronSimError
from cronsim.cronsim import Field

from workers.units import is_whole

_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
# title, length of the cycle, first number, unit, name of the cycle, names of the values
_CYCLES = (
    ("minute", 60, 0, "minutes", "hour", ()),
    ("hour", 24, 0, "hours", "day", ()),
    ("day of month", 31, 1, "days", "month", ()),
    ("month", 12, 1, "months", "year", _MONTHS),
    ("day of week", 7, 0, "days", "week", _DAYS),
)
_RANGE = re.compile(r"(\w+)-(\w+)(?:/([0-9]+))?")
_STEP = re.compile(r"(?:\*|[0-9]+|\w+-\w+)/([0-9]+)")
_TO_SUNDAY = re.compile(r"(\w+)-(?:0|sun)(/[0-9]+)?", re.IGNORECASE)
_OF_ONE = re.compile(r"(\w+)-\1/[0-9]+", re.IGNORECASE)
_NO_STEP = re.compile(r"/(?:0+|-[0-9]*)?(?:,|$)")
_NEAREST = re.compile(r"(?:^|,)[0-9]{1,2}W", re.IGNORECASE)
_BEFORE_LAST = re.compile(r"L-[0-9]+", re.IGNORECASE)
_JENKINS = re.compile(r"H(?:\([0-9]+-[0-9]+\))?(?:/([0-9]+))?")
# A longer list is shortened to its first values and its last one.
_MOST_NAMED = 12


def normal(parts: Sequence[str]) -> list[str]:
    """Return the fields with Sunday as 7 at the end of a range and `N-N/S` as `N`."""
    return [_normal_field(part, place) for place, part in enumerate(parts)]


def field_values(place: int, text: str) -> frozenset[int] | None:
    """Return the numbers of a field; None if it is invalid or depends on the month (L, #)."""
    try:
        found = Field(place + 1).parse(_normal_field(text, place).upper())
    except (CronSimError, AssertionError, ValueError, RecursionError):
        return None
    numbers = [item for item in found if isinstance(item, int) and item >= 0]
    return frozenset(numbers) if len(numbers) == len(found) else None


def is_known(place: int, text: str) -> bool:
    """Return whether jobs.yaml accepts this field, including extensions such as L or fri#2."""
    try:
        return bool(Field(place + 1).parse(_normal_field(text, place).upper()))
    except (CronSimError, AssertionError, ValueError, RecursionError):
        return False


def advice(place: int, text: str) -> str:
    """Return what to write instead of a refused field, or "" if unknown."""
    wrapped = _wrapped_field(place, text)
    if wrapped:
        return f'a range does not wrap round: write "{wrapped}"'
    if text == "?":
        return 'write "*"'
    jenkins = _JENKINS.fullmatch(text)
    if jenkins:
        step = f"*/{jenkins[1]}" if jenkins[1] else "a number"
        return f"H is known to Jenkins only: write {step}"
    short = _short_names(place, text)
    return f'write "{short}"' if short else _advice_on_part(place, text)


def _advice_on_part(place: int, text: str) -> str:
    """Return advice on what other schedulers allow in a field, or ""."""
    if _NO_STEP.search(text):
        return "a step is a number of at least 1"
    if "~" in text:
        return "no time is drawn at random: write a number"
    if place == 2 and _NEAREST.search(text):
        return "W stands only in LW, the last weekday of the month"
    if place == 2 and _BEFORE_LAST.search(text):
        return "L is the last day only: no day is counted from it"
    if place == 4 and text.upper() == "L":
        return 'write the last of which day: "5L", or "6" for each Saturday'
    return "an item of the list is empty" if "" in text.split(",") else ""


def uneven_steps(parts: Sequence[str]) -> list[str]:
    """Return a sentence for each step that is less regular than it looks."""
    return [said for place, part in enumerate(parts) for said in _uneven(place, part)]


def spelt_out(parts: Sequence[str]) -> list[str]:
    """Return the fields with short uneven steps replaced by lists of numbers."""
    written = list(parts)
    for place, part in enumerate(parts):
        values = field_values(place, part)
        if values and len(values) <= _MOST_NAMED and any(_uneven(place, part)):
            written[place] = ",".join(map(str, _sorted(values, place)))
    return written


def as_ranges(numbers: Sequence[int]) -> str:
    """Return ascending numbers as a cron field: `1-3,5` for 1, 2, 3, 5."""
    spans: list[list[int]] = []
    for number in numbers:
        if spans and spans[-1][1] == number - 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    return ",".join(str(low) if low == high else f"{low}-{high}" for low, high in spans)


def _normal_field(text: str, place: int) -> str:
    return ",".join(_normal_term(term, place) for term in text.split(","))


def _normal_term(term: str, place: int) -> str:
    to_sunday = _TO_SUNDAY.fullmatch(term) if place == 4 else None
    if to_sunday and to_sunday[1].lower() not in ("0", "sun"):
        term = f"{to_sunday[1]}-7{to_sunday[2] or ''}"
    # cronsim continues the step of `N-N/S` beyond N; no cron does.
    of_one = _OF_ONE.fullmatch(term)
    return of_one[1] if of_one else term


def _sorted(values: frozenset[int], place: int) -> list[int]:
    """Return the values in ascending order, with Sunday as 0 only."""
    return sorted({number % 7 for number in values} if place == 4 else values)


def _uneven(place: int, part: str) -> Iterator[str]:
    title, cycle, _first, unit, whole, _ = _CYCLES[place]
    for term in part.split(","):
        found = _STEP.fullmatch(term)
        values = field_values(place, term) if found else None
        if found is None or not values or int(found[1]) == 1 or not _is_whole(place, term, values):
            continue
        numbers = _sorted(values, place)
        step, rest = int(found[1]), cycle - numbers[-1] + numbers[0]
        if rest == step and place != 2:
            continue
        said = f'{title} "{term}" is not every {step} {unit}: it is {_listed(numbers, place)}'
        yield f"{said} of each {whole}{_gap(place, numbers, rest)}"


def _is_whole(place: int, term: str, values: frozenset[int]) -> bool:
    """Return whether the step covers the whole field, so that the next cycle follows it."""
    span = _RANGE.fullmatch(term)
    if span is None:
        return True
    _, cycle, first, *_ = _CYCLES[place]
    low, high = _as_number(span[1], place), _as_number(span[2], place)
    return low == first and high is not None and high >= first + cycle - 1


def _gap(place: int, numbers: Sequence[int], rest: int) -> str:
    """Return the gap between the last and the next first number, in parentheses.

    "" for a single number, and for days of the month, since months differ in length.
    """
    if place == 2 or len(numbers) == 1:
        return ""
    unit = _CYCLES[place][3]
    length = unit.removesuffix("s") if rest == 1 else unit
    first, last = _word(numbers[0], place), _word(numbers[-1], place)
    return f" ({first} follows {last} after {rest} {length})"


def _word(number: int, place: int) -> str:
    names = _CYCLES[place][5]
    return names[number - (place == 3)] if names else str(number)


def _listed(numbers: Sequence[int], place: int) -> str:
    words = [_word(number, place) for number in numbers]
    if len(words) > _MOST_NAMED:
        return ", ".join([*words[:3], "...", words[-1]])
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _wrapped_field(place: int, text: str) -> str:
    """Return the field with its wrap-around ranges rewritten without wrapping.

    "" if it has none, or if the result is invalid.
    """
    terms = [_wrapped_term(place, _normal_term(term, place)) or term for term in text.split(",")]
    written = ",".join(terms)
    return written if written != text and field_values(place, written) is not None else ""


def _wrapped_term(place: int, term: str) -> str:
    found = _RANGE.fullmatch(term)
    if found is None:
        return ""
    _, cycle, first, *_ = _CYCLES[place]
    low, high = _as_number(found[1], place), _as_number(found[2], place)
    if low is None or high is None or low <= high or low > first + cycle:
        return ""
    if place == 4 and low == 7:
        return f"0-{high}{term.removeprefix(found[1] + '-' + found[2])}"
    if found[3]:
        step = max(1, int(found[3][:9]))
        numbers = range(low, high + cycle + 1, step)
        return ",".join(str((n - first) % cycle + first) for n in numbers)
    return f"{_span(place, found[1], low, None)},{_span(place, found[2], first, high)}"


def _span(place: int, word: str, low: int, high: int | None) -> str:
    """Return `low` to the end of the field, or the start of the field to `high`.

    high: None for the former, such as `22-23`; the latter is such as `0-5`. Names are used
    if `word` is a name, else numbers.
    """
    _, cycle, first, *_, names = _CYCLES[place]
    last = first + cycle - 1 + (place == 4)
    low, high = (low, last) if high is None else (low + (place == 4 and low == 0), high)
    if not names or is_whole(word):
        return str(low) if low == high else f"{low}-{high}"
    ends = [names[(n - first) % cycle] for n in (low, high)]
    return ends[0] if low == high else "-".join(ends)


def _as_number(word: str, place: int) -> int | None:
    names = _CYCLES[place][5]
    if is_whole(word):
        return int(word[:9])
    return names.index(word.lower()) + (place == 3) if word.lower() in names else None


def _short_names(place: int, text: str) -> str:
    """Return the field with names cut to three letters: `mon-fri` for `Monday-Friday`.

    "" if no name is longer, or if the result is invalid.
    """
    names = _CYCLES[place][5]
    if not names or not re.search(r"[A-Za-z]{4}", text):
        return ""
    short = re.sub(r"[A-Za-z]{4,}", lambda word: word[0][:3].lower(), text)
    return short if field_values(place, short) is not None else ""
