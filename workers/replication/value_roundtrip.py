"""Decide whether PostgreSQL returned a value as it was sent; pure.

A type may accept a text and store another value: `date` drops a time, `real` rounds, `now`
becomes the time of the run. `same` compares the text that was sent with the text that came
back as number, instant, document or whatever the type means, parsed here and not by
PostgreSQL.
Invariant: values that this module cannot parse are the same only if the texts are equal.
"""

import ipaddress
import json
import re
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any

# Longer texts seldom repeat, and thousands of them in the cache would take much memory.
_WORTH_KEEPING = 80
_DATE = re.compile(r"(\d{4,6})[-/.](\d{1,2})[-/.](\d{1,2})|(\d{4})(\d\d)(\d\d)")
_TIME = re.compile(
    r"(\d{1,2}):(\d\d)(?::(\d\d(?:\.\d*)?))?\s*(Z|UTC|GMT|[+-]\d\d?(?::?\d\d(?::?\d\d)?)?)?",
    re.IGNORECASE,
)
_ZONE = re.compile(r"([+-])(\d\d?)(?::?(\d\d))?(?::?(\d\d))?")
_QUANTITY = re.compile(r"([+-]?\d+)\s*([a-z]+)")
_CLOCK = re.compile(r"([+-]?)(\d+):(\d\d)(?::(\d\d(?:\.\d*)?))?$")
_MONTHS = {"mon": 1, "month": 1, "months": 1, "mons": 1, "year": 12, "years": 12}
_DAYS = {"day": 1, "days": 1, "week": 7, "weeks": 7}
_SECONDS = {
    "hour": 3600, "hours": 3600, "minute": 60, "minutes": 60, "min": 60, "mins": 60,
    "second": 1, "seconds": 1, "sec": 1, "secs": 1,
}  # fmt: skip
_TRUE = {"1", "t", "true"}
_FALSE = {"0", "f", "false"}
_ELEMENT = re.compile(r'"((?:[^"\\]|\\.)*)"|((?:[^{},"\\]|\\.)+)', re.DOTALL)


def same(postgres_type: str, sent: str, held: str) -> bool:
    """Return whether `held`, read back from such a column, is the value that was `sent`."""
    if sent == held:
        return True
    if len(sent) > _WORTH_KEEPING:
        return _meaning_is_same(postgres_type, sent, held)
    return _known(postgres_type, sent, held)


@lru_cache(maxsize=4096)
def _known(postgres_type: str, sent: str, held: str) -> bool:
    return _meaning_is_same(postgres_type, sent, held)


def _meaning_is_same(postgres_type: str, sent: str, held: str) -> bool:
    if postgres_type.endswith("[]"):
        return _same_arrays(postgres_type.removesuffix("[]"), sent, held)
    read = _READERS.get(re.sub(r"\(.*?\)", "", postgres_type).strip())
    if postgres_type.startswith("interval"):
        read = _interval
    if read is None:
        return False
    try:
        return bool(read(sent) == read(held))
    except (ValueError, InvalidOperation, RecursionError):
        return False


def _number(text: str) -> Decimal | str:
    number = Decimal(text)
    return "not a number" if number.is_nan() else number


def _instant(text: str) -> Decimal:
    """Return seconds since 1970 with every digit, in UTC if no zone is given."""
    if text.lower() in ("infinity", "-infinity"):
        return Decimal(text)
    text, before_christ = text.strip(), text.strip().endswith(" BC")
    text = text.removesuffix(" BC")
    found = _DATE.match(text)
    if found is None:
        raise ValueError(text)
    year, month, day = (int(part) for part in found.groups() if part)
    if not (1 <= month <= 12 and 1 <= day <= 31):
        raise ValueError(text)
    seconds = Decimal(_days(1 - year if before_christ else year, month, day) * 86400)
    rest = text[found.end() :]
    if not rest:
        return seconds
    if rest[0] not in " Tt":
        raise ValueError(text)
    clock, offset = _clock(rest[1:].lstrip())
    return seconds + clock - offset


def _days(year: int, month: int, day: int) -> int:
    """Return days since 1970-01-01 in the proleptic Gregorian calendar."""
    year -= month <= 2
    era, of_era = divmod(year, 400)
    of_year = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + day - 1
    return era * 146097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719468


def _clock(text: str) -> tuple[Decimal, Decimal]:
    """Return the seconds of the day, and the UTC offset in seconds, 0 without a zone."""
    found = _TIME.fullmatch(text.strip())
    if found is None:
        raise ValueError(text)
    hour, minute, second, zone = found.groups()
    seconds = Decimal(int(hour) * 3600 + int(minute) * 60) + Decimal(second or 0)
    return seconds, _offset(zone or "Z")


def _offset(zone: str) -> Decimal:
    found = _ZONE.fullmatch(zone)
    if found is None:
        return Decimal(0)
    sign, hours, minutes, seconds = found.groups()
    size = int(hours) * 3600 + int(minutes or 0) * 60 + int(seconds or 0)
    return Decimal(-size if sign == "-" else size)


def _interval(text: str) -> tuple[int, int, Decimal]:
    """Return months, days and seconds, which PostgreSQL keeps apart."""
    text = text.strip().lower()
    months, days, seconds = 0, 0, Decimal(0)
    clock = _CLOCK.search(text)
    if clock is not None:
        sign, hour, minute, second = clock.groups()
        size = Decimal(int(hour) * 3600 + int(minute) * 60) + Decimal(second or 0)
        seconds, text = -size if sign == "-" else size, text[: clock.start()]
    elif not text:
        raise ValueError(text)
    for amount, unit in _QUANTITY.findall(text):
        months += int(amount) * _MONTHS.get(unit, 0)
        days += int(amount) * _DAYS.get(unit, 0)
        seconds += int(amount) * _SECONDS.get(unit, 0)
        if unit not in {**_MONTHS, **_DAYS, **_SECONDS}:
            raise ValueError(text)
    if _QUANTITY.sub("", text).strip():
        raise ValueError(text)
    return months, days, seconds


def _document(text: str) -> Any:
    """Parse a JSON text whose objects must have unique keys; 1 and 1.0 are one number."""
    return json.loads(text, parse_float=Decimal, parse_int=Decimal, object_pairs_hook=_once)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a key stands twice")
    return members


def _truth(text: str) -> bool:
    word = text.lower()
    if word not in _TRUE | _FALSE:
        raise ValueError(text)
    return word in _TRUE


def _hexadecimal(text: str) -> int:
    return int(re.sub(r"[-{}:.]", "", text), 16)


def _bits(text: str) -> str:
    kind, digits = text[:1].lower(), text[1:]
    if kind == "x":
        return "".join(f"{int(digit, 16):04b}" for digit in digits)
    return digits if kind == "b" else text


def _same_arrays(element: str, sent: str, held: str) -> bool:
    try:
        ours, theirs = _elements(sent), _elements(held)
    except ValueError:
        return False
    return len(ours) == len(theirs) and all(
        one == other
        if None in (one, other) or one in ("{", "}")
        else other is not None and one is not None and same(element, one, other)
        for one, other in zip(ours, theirs, strict=True)
    )


def _elements(text: str) -> list[str | None]:
    """Return the braces and elements of an array literal in order; None is NULL."""
    found: list[str | None] = []
    place = 0
    while place < len(text):
        sign = text[place]
        if sign in "{}":
            found.append(sign)
            place += 1
        elif sign in ", \t\n":
            place += 1
        else:
            element = _ELEMENT.match(text, place)
            if element is None:
                raise ValueError(text)
            place = element.end()
            found.append(_element(*element.groups()))
    return found


def _element(in_quotes: str | None, bare: str | None) -> str | None:
    if in_quotes is not None:
        return re.sub(r"\\(.)", r"\1", in_quotes, flags=re.DOTALL)
    text = re.sub(r"\\(.)", r"\1", (bare or "").strip(), flags=re.DOTALL)
    return None if text.upper() == "NULL" else text


_READERS: dict[str, Callable[[str], Any]] = {
    "smallint": _number,
    "integer": _number,
    "bigint": _number,
    "numeric": _number,
    "real": _number,
    "double precision": _number,
    "date": _instant,
    "timestamp without time zone": _instant,
    "timestamp with time zone": _instant,
    "time without time zone": _clock,
    "time with time zone": _clock,
    "jsonb": _document,
    "boolean": _truth,
    "uuid": _hexadecimal,
    "macaddr": _hexadecimal,
    "macaddr8": _hexadecimal,
    "inet": ipaddress.ip_interface,
    "cidr": ipaddress.ip_network,
    "bit": _bits,
    "bit varying": _bits,
}
