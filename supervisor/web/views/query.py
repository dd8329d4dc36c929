"""Values in the address of a page: checked, with a mistake in words. Pure.

An empty value is the same as none: a form sends each of its fields.
"""

from collections.abc import Collection, Mapping
from datetime import UTC, datetime

from workers.units import is_whole

# A place in a list; PostgreSQL and SQLite count further.
_MOST_DIGITS = 18


class QueryError(ValueError):
    """A value in an address that makes no sense; its text says what was expected."""

    def __init__(self, name: str, value: str, expected: str) -> None:
        super().__init__(f'{name} "{value[:40]}" is not understood: expected {expected}')


def one_of(query: Mapping[str, str], name: str, known: Collection[str], default: str) -> str:
    """Return one of the known values. Raises: QueryError."""
    value = query.get(name) or default
    if value != default and value not in known:
        raise QueryError(name, value, f"one of {', '.join(known)}")
    return value


def whole(query: Mapping[str, str], name: str) -> int | None:
    """Return a whole number from 1, or None if there is none. Raises: QueryError."""
    value = query.get(name) or ""
    if not value:
        return None
    if not is_whole(value) or len(value) > _MOST_DIGITS or not int(value):
        raise QueryError(name, value, f"a whole number from 1, of at most {_MOST_DIGITS} digits")
    return int(value)


def instant(query: Mapping[str, str], name: str) -> str | None:
    """Return a time as RFC 3339 in UTC, or None if there is none. Raises: QueryError."""
    value = query.get(name) or ""
    if not value:
        return None
    try:
        at = datetime.fromisoformat(value.replace(" ", "+"))
        if at.tzinfo is not None:
            return at.astimezone(UTC).isoformat()
    except (ValueError, OverflowError):
        pass
    raise QueryError(name, value, "a time with an offset such as 2026-02-09T02:00:00+01:00")
