"""Check the pages and foreign keys of any SQLite database.

Queries over a connection inside one snapshot. Invariant: a check that could not be made is
a finding.
"""

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence

from workers import sqlite, virtual_tables
from workers.backup import introspection
from workers.integrity.findings import SHOWN, Finding, Severity
from workers.sqlite_connection import as_utf8, is_utf8, text_encoding

# Each line takes memory inside SQLite; counting beyond this has no use.
MOST_LINES = 100_000
_OF_TABLES = " WHERE type = 'table' AND rootpage > 0"
NOT_MADE = "checks that could not be made"


def pages(connection: sqlite3.Connection) -> list[Finding]:
    """Return the lines of integrity_check, which stops at MOST_LINES or at unreadable data.

    If it needs a function or collation of the owner's program, each table is checked by
    itself, and a second finding names the tables that could not be checked.
    """
    try:
        return [_damage(_lines(connection, f"{MOST_LINES}"))]
    except sqlite3.OperationalError as error:
        if not sqlite.is_foreign(error):
            raise
        unchecked = [f"integrity_check: {error}"]
    lines = list[str]()
    for name in introspection.names(connection):
        try:
            lines += _lines(connection, f'"{introspection.quoted(name)}"')
        except sqlite3.OperationalError as error:
            if not sqlite.is_foreign(error):
                raise
            unchecked.append(f"integrity_check of {name}: {error}")
    # If a table is the cause, its own error repeats the first one.
    return [_damage(lines), _not_made(unchecked[1:] or unchecked)]


def foreign_keys(connection: sqlite3.Connection) -> list[Finding]:
    """Return the rows whose parent is missing and the keys that do not match their parent's.

    A second finding names the tables that could not be checked.
    """
    count, examples = 0, list[str]()
    unnamed = _unnamed(connection)
    unchecked = [f"foreign_key_check of {name}: its name is not UTF-8" for name in unnamed]
    for name in introspection.names(connection):
        if name in unnamed:
            continue
        try:
            # Table by table, because one mismatch in the schema ends a check of all tables.
            check = connection.execute(f'PRAGMA foreign_key_check("{introspection.quoted(name)}")')
            for _, rowid, parent, _ in check:
                count += 1
                if len(examples) < SHOWN:
                    row = f"{name} rowid {rowid}" if rowid is not None else f"a row of {name}"
                    examples.append(f"{row} without its {parent}")
        except sqlite3.OperationalError as error:
            if not sqlite.is_foreign(error):
                raise
            if "foreign key mismatch" in str(error):
                count += 1
                examples.insert(0, f"{name}: {error}")
            else:
                unchecked.append(f"foreign_key_check of {name}: {error}")
    what, shown = "foreign key violations", tuple(examples[:SHOWN])
    found = [Finding("foreign_key_violations", Severity.FAILURE, count, what, shown)]
    return [*found, _not_made(unchecked)] if unchecked else found


def made(name: str, check: Callable[[], list[Finding]]) -> list[Finding]:
    """Return the findings of `check`, or a finding that it could not be made and why.

    Raises:
        sqlite3.Error: for reasons unrelated to the data, such as a lock.
    """
    try:
        return check()
    except sqlite3.DatabaseError as error:
        damaged = sqlite.is_damage(error)
        if not (damaged or sqlite.is_foreign(error)):
            raise
        severity = Severity.FAILURE if damaged else Severity.WARNING
        return [_not_made([f"{name}: {error}"], severity)]


def _unnamed(connection: sqlite3.Connection) -> list[str]:
    """Return the tables, escaped, whose names are not UTF-8 and cannot be used in a statement."""
    found = connection.execute("SELECT name, CAST(name AS BLOB) FROM sqlite_master" + _OF_TABLES)
    encoding = text_encoding(connection)
    return [name for name, raw in found if not is_utf8(as_utf8(raw, encoding))]


def _is_finding(line: str) -> bool:
    return line != "ok" and line[:3] != "***" and not virtual_tables.is_of_its_own(line)


def _not_made(whats: Sequence[str], severity: Severity = Severity.WARNING) -> Finding:
    return Finding("checks_not_made", severity, len(whats), NOT_MADE, tuple(whats[:SHOWN]))


def _damage(lines: Iterable[str]) -> Finding:
    count, examples = 0, list[str]()
    for line in lines:
        count += 1
        if len(examples) < SHOWN:
            examples.append(line)
    what = "lines of integrity_check" + (" and more" if count >= MOST_LINES else "")
    return Finding("damage", Severity.FAILURE, count, what, tuple(examples))


def _lines(connection: sqlite3.Connection, argument: str) -> Iterator[str]:
    try:
        for (row,) in connection.execute(f"PRAGMA integrity_check({argument})"):
            # One row may hold the findings of a whole file, under a heading.
            yield from (line for line in row.splitlines() if _is_finding(line))
    except sqlite3.DatabaseError as error:
        if not sqlite.is_damage(error):
            raise
        yield f"it could not go on: {error}"
