"""Stubs for collations and functions that only the owner's program registers.

SQLite refuses statements that use a missing collation or function. With a stub the
statement can be prepared, but its results about order or computed values mean nothing.
Invariant: a stub is added to our own connections only.
"""

import locale
import re
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from workers import sqlite

# More names than any real schema has; bounds the work for a malicious database.
_MOST_STUBS = 1000
_COLLATION = re.compile(r"no such collation sequence: (.+)", re.DOTALL)
_FUNCTION = re.compile(
    r"(?:unknown function: |no such function: |wrong number of arguments to function )"
    r"(.+?)(?:\(\))?",
    re.DOTALL,
)
# Temporary conditions such as locks; any other error is about the database.
_OF_THE_MOMENT = frozenset(
    {"SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_INTERRUPT", "SQLITE_IOERR", "SQLITE_NOMEM"}
    | {"SQLITE_FULL", "SQLITE_CANTOPEN", "SQLITE_PROTOCOL"}
)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Missing:
    """A part of the owner's program that is missing; kind: `collation` or `function`."""

    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


def missing(error: Exception) -> Missing | None:
    """Return what a statement lacked according to SQLite's error; None for other errors."""
    for kind, pattern in (("collation", _COLLATION), ("function", _FUNCTION)):
        if found := pattern.fullmatch(str(error)):
            return Missing(kind, found[1])
    return None


def is_uncheckable(error: Exception) -> bool:
    """Return whether `error` says that a check cannot be made here, rather than damage.

    A message with a name that is not UTF-8 arrives as a UnicodeError.
    """
    if not isinstance(error, sqlite3.Error):
        return isinstance(error, UnicodeError)
    name = getattr(error, "sqlite_errorname", None) or ""
    kind = "_".join(name.split("_")[:2])
    return bool(kind) and kind not in _OF_THE_MOMENT and not sqlite.is_damage(error)


class Stubs:
    """The stubs of one connection, added when its statements need them."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.missing = set[Missing]()

    def run(self, query: Callable[[], T]) -> T:
        """Return the result of `query()`, retried with stubs for all that it lacks.

        Raises:
            sqlite3.Error, UnicodeError: it failed for another reason.
        """
        while True:
            try:
                return query()
            except sqlite3.Error as error:
                lacking = missing(error)
                if lacking is None or lacking in self.missing or len(self.missing) >= _MOST_STUBS:
                    raise
                self.missing.add(lacking)
                _supply(self._connection, lacking)


def _supply(connection: sqlite3.Connection, lacking: Missing) -> None:
    if lacking.kind == "collation":
        # In C, because a check calls it for each comparison.
        connection.create_collation(lacking.name, locale.strcoll)
    else:
        connection.create_function(lacking.name, -1, _nothing, deterministic=True)


def _nothing(*_values: object) -> None:
    """Return NULL, which satisfies every constraint."""
