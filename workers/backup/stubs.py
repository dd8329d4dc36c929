"""Stubs for what a database needs of its owner's program: collations and functions.

A database may name collations and SQL functions that only its own program
registers; SQLite then refuses statements that touch them. With a stub such a
statement can be prepared, but whatever it finds out about order or computed
values means nothing. The law: a stub lives in a connection of ours alone.
"""

import locale
import re
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from workers import database

# More different names than any schema has; a database made to tease us has an end.
_MOST_STUBS = 1000
_COLLATION = re.compile(r"no such collation sequence: (.+)", re.DOTALL)
_FUNCTION = re.compile(
    r"(?:unknown function: |no such function: |wrong number of arguments to function )"
    r"(.+?)(?:\(\))?",
    re.DOTALL,
)
# What SQLite says with these is about the database; anything else is about the moment.
_OF_THE_MOMENT = frozenset(
    {"SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_INTERRUPT", "SQLITE_IOERR", "SQLITE_NOMEM"}
    | {"SQLITE_FULL", "SQLITE_CANTOPEN", "SQLITE_PROTOCOL"}
)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Missing:
    """Something that only the owner's program has; kind: `collation` or `function`."""

    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


def missing(error: Exception) -> Missing | None:
    """What a statement lacked, as SQLite's error tells it; None for any other error."""
    for kind, pattern in (("collation", _COLLATION), ("function", _FUNCTION)):
        if found := pattern.fullmatch(str(error)):
            return Missing(kind, found[1])
    return None


def is_uncheckable(error: Exception) -> bool:
    """Whether `error` says that a check cannot be made here, and nothing about the pages.

    A message with a name that is no UTF-8 reaches us as a UnicodeError.
    """
    if not isinstance(error, sqlite3.Error):
        return isinstance(error, UnicodeError)
    name = getattr(error, "sqlite_errorname", None) or ""
    kind = "_".join(name.split("_")[:2])
    return bool(kind) and kind not in _OF_THE_MOMENT and not database.is_damage(error)


class Stubs:
    """The stubs of one connection, added as its statements turn out to need them."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.missing = set[Missing]()

    def run(self, query: Callable[[], T]) -> T:
        """What `query()` returns, once all that it lacks is there.

        Raises:
            sqlite3.Error, UnicodeError: it fails for another reason.
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
        # Written in C: one of Python would be called for each comparison of a check.
        connection.create_collation(lacking.name, locale.strcoll)
    else:
        connection.create_function(lacking.name, -1, _nothing, deterministic=True)


def _nothing(*_values: object) -> None:
    """NULL, which no constraint refuses."""
