"""How the two crons of Linux read time fields and backslashes.

Pure. Debian's cron (3.0pl1) and cronie read the same text differently, and both accept
text that they then ignore: for Debian's cron `fri#2` is every Friday, and `22-5` matches
no hour. This module computes the values that each program computes, and writes a text
with the same meaning in jobs.yaml. `tests/edge/test_cron_dialects.py` holds a table of
what both programs do.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from supervisor.config.problems import BadValueError, quote_value
from supervisor.core import cron_text
from workers.units import is_whole

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_WORD = re.compile(r"[0-9A-Za-z]+")
_STAR = re.compile(r"\*(?:/[0-9]+)?")


class Dialect(StrEnum):
    """A cron program whose syntax is followed."""

    DEBIAN = "debian"
    CRONIE = "cronie"


_TITLES = {Dialect.DEBIAN: "Debian's cron", Dialect.CRONIE: "cronie"}


@dataclass(frozen=True, slots=True)
class Field:
    """One of the five fields: its title, its least and greatest number, its names."""

    title: str
    least: int
    most: int
    names: tuple[str, ...] = ()


FIELDS = (
    Field("minute", 0, 59),
    Field("hour", 0, 23),
    Field("day of month", 1, 31),
    Field("month", 1, 12, _MONTHS),
    Field("day of week", 0, 7, _DAYS),
)


@dataclass(frozen=True, slots=True)
class Times:
    """The five fields as written in jobs.yaml, and notes on differences between the crons."""

    text: str
    notes: tuple[str, ...] = ()


def read_times(fields: Sequence[str], dialect: Dialect) -> Times:
    """Return the text for jobs.yaml with the meaning that the dialect gives to these fields.

    Raises:
        BadValueError: the dialect refuses the fields, or never runs them.
    """
    texts, notes = [], []
    for place, text in enumerate(fields):
        outcomes = {each: _outcome(text, place, each) for each in Dialect}
        found = outcomes[dialect]
        differing = len({str(outcome) for outcome in outcomes.values()}) > 1
        if isinstance(found, BadValueError):
            other = next(each for each in Dialect if each is not dialect)
            hint = f"{found.hint}; --cron {other} reads it otherwise" if differing else found.hint
            raise BadValueError(f"{_TITLES[dialect]} {found.message}", hint.removeprefix("; "))
        if differing or found != text:
            said = "; ".join(f"{_TITLES[d]} {_in_words(o)}" for d, o in outcomes.items())
            said = said if differing else f"cron {_in_words(found)}"
            choice = f"; read as {_TITLES[dialect]} does (--cron)" if differing else ""
            notes.append(f"{FIELDS[place].title} {quote_value(text)}: {said}{choice}")
        texts.append(found)
    return Times(_without_empty(texts, fields, dialect), tuple(notes))


def read_field(text: str, place: int, dialect: Dialect) -> frozenset[int]:
    """Return the numbers of a field; Sunday is 0 and 7. Raises: BadValueError."""
    field = FIELDS[place]
    found: set[int] = set()
    at = -1
    while at < 0 or text[at : at + 1] == ",":
        numbers, at = _term(text, at + 1, field, dialect)
        found.update(numbers)
    # After a term, Debian's cron ignores everything up to the next blank.
    if at < len(text) and dialect is Dialect.CRONIE:
        raise _refusal(field, text)
    return frozenset(found)


def collapses_backslashes(dialect: Dialect) -> bool:
    r"""Return whether `\\` in a command becomes `\`."""
    return dialect is Dialect.DEBIAN


def _outcome(text: str, place: int, dialect: Dialect) -> str | BadValueError:
    """Return the field for jobs.yaml ("" if it never matches), or the refusal."""
    try:
        return _written(text, place, read_field(text, place, dialect))
    except BadValueError as wrong:
        return wrong


def _in_words(outcome: str | BadValueError) -> str:
    if isinstance(outcome, BadValueError):
        return "refuses it"
    return f"reads {outcome}" if outcome else "accepts it and never runs it"


def _term(text: str, at: int, field: Field, dialect: Dialect) -> tuple[Sequence[int], int]:
    """Return the numbers of the term that begins at `at`, and the index of its end."""
    if text[at : at + 1] == "*":
        return _stepped(text, at + 1, (field.least, field.most), field)
    low, at = _number(text, at, field)
    following = text[at : at + 1]
    if following == "~" and dialect is Dialect.CRONIE:
        raise BadValueError(
            f"chooses {quote_value(text)} at random", "write the time that is to be"
        )
    if following != "-":
        if following == "/" or (following not in ("", ",") and dialect is Dialect.CRONIE):
            raise _refusal(field, text)
        return _within(field, range(low, low + 1), text), at
    high, at = _number(text, at + 1, field)
    if dialect is Dialect.CRONIE:
        at += re.compile(r"[^/,]*").match(text, at).end() - at  # type: ignore[union-attr]
        if text[at : at + 1] != "/" and low > high == 0:
            high = 7
    return _stepped(text, at, (low, high), field)


def _stepped(text: str, at: int, span: tuple[int, int], field: Field) -> tuple[Sequence[int], int]:
    step = 1
    if text[at : at + 1] == "/":
        found = _WORD.match(text, at + 1)
        if found is None or not is_whole(found[0]) or not int(found[0][:9]):
            raise _refusal(field, text)
        step, at = int(found[0][:9]), found.end()
    return _within(field, range(span[0], span[1] + 1, step), text), at


def _number(text: str, at: int, field: Field) -> tuple[int, int]:
    found = _WORD.match(text, at)
    if found is None:
        raise _refusal(field, text)
    word = found[0].lower()
    if is_whole(word):
        return int(word[:9]), found.end()
    if word not in field.names:
        raise _refusal(field, text)
    return field.names.index(word) + (field.least if field.most == 12 else 0), found.end()


def _within(field: Field, numbers: range, text: str) -> range:
    if numbers and not field.least <= numbers[0] <= numbers[-1] <= field.most:
        raise _refusal(field, text)
    return numbers


def _refusal(field: Field, text: str) -> BadValueError:
    hint = cron_text.advice(FIELDS.index(field), text)
    if not hint and cron_text.is_known(FIELDS.index(field), text):
        hint = "jobs.yaml knows it: add the job by hand, if it is meant"
    return BadValueError(f"refuses {field.title} {quote_value(text)}", hint)


def _written(text: str, place: int, numbers: frozenset[int]) -> str:
    """Return a text that jobs.yaml reads as these numbers; the original one if possible."""
    attempts: list[str] = [text, *_STAR.findall(text)[:1]]
    for attempt in attempts:
        if _as_days(cron_text.field_values(place, attempt), place) == _as_days(numbers, place):
            return attempt
    field = FIELDS[place]
    if len(numbers) == field.most - field.least + 1:
        return "*"
    return cron_text.as_ranges(sorted(numbers))


def _as_days(numbers: frozenset[int] | None, place: int) -> frozenset[int] | None:
    return frozenset(n % 7 for n in numbers) if numbers is not None and place == 4 else numbers


def _without_empty(texts: list[str], fields: Sequence[str], dialect: Dialect) -> str:
    """Return the expression.

    A day field that never matches becomes `*` if the other one restricts the days.

    Raises:
        BadValueError: another field never matches.
    """
    if texts[2] and not texts[2].startswith("*") and not texts[4]:
        texts[4] = "*"
    elif texts[4] and not texts[4].startswith("*") and not texts[2]:
        texts[2] = "*"
    for place, written in enumerate(texts):
        if not written:
            hint = cron_text.advice(place, fields[place])
            other = next(each for each in Dialect if each is not dialect)
            if _outcome(fields[place], place, other):
                hint = f"--cron {other} reads it otherwise"
            text = (
                f"never runs it: {FIELDS[place].title} {quote_value(fields[place])} holds nothing"
            )
            raise BadValueError(f"{_TITLES[dialect]} {text}", hint)
    return " ".join(texts)
