"""What any SQLite database can be asked: are its pages sound, do its keys hold.

Queries over a connection inside one snapshot. The law: a check that could not
be made is a finding, never a silence.
"""

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence

from workers import sqlite, virtual_tables
from workers.backup import introspection
from workers.integrity.findings import SHOWN, Finding, Severity
from workers.sqlite_connection import is_utf8

# Each line takes memory inside SQLite; a database with more is beyond counting.
MOST_LINES = 100_000
_OF_TABLES = " WHERE type = 'table' AND rootpage > 0"
NOT_MADE = "checks that could not be made"


def pages(connection: sqlite3.Connection) -> list[Finding]:
    """All that integrity_check says; SQLite stops at MOST_LINES, or where it can read no more.

    What only its owner can check ends it; then each table is checked by itself, and a
    second finding names those that could not be.
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
    # The first says nothing that another does not, where a table is to blame.
    return [_damage(lines), _not_made(unchecked[1:] or unchecked)]


def foreign_keys(connection: sqlite3.Connection) -> list[Finding]:
    """Rows whose parent is missing, tables whose keys do not fit their parent's.

    A second finding names the tables that could not be checked.
    """
    count, examples = 0, list[str]()
    unnamed = _unnamed(connection)
    unchecked = [f"foreign_key_check of {name}: its name is not UTF-8" for name in unnamed]
    for name in introspection.names(connection):
        if name in unnamed:
            continue
        try:
            # Table by table: one misfit in a schema would end the check of them all.
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
    """What `check` found; or that it could not be made, and why.

    Raises:
        sqlite3.Error: for reasons that say nothing of the data, such as a lock.
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
    """The tables, escaped, that no statement can name: SQLite takes any bytes for a name."""
    found = connection.execute("SELECT name, CAST(name AS BLOB) FROM sqlite_master" + _OF_TABLES)
    return [name for name, raw in found if not is_utf8(raw)]


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
