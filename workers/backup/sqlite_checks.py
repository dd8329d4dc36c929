"""Run SQLite's checks on a database and tell damage from what cannot be checked here.

Lines of integrity_check are of three kinds: damaged pages; faults of the content, which the
owner may accept (NULL in NOT NULL, an index that the owner's SQLite sorts differently); and
checks that need a function or collation of the owner's program.
Invariant: a check that cannot be made is reported as a warning and never as damage. Enter at
`integrity` and `foreign_keys`.
"""

import re
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Set
from dataclasses import dataclass

from workers import sqlite
from workers.backup import introspection, stub_functions
from workers.backup.stub_functions import Missing, Stubs

_SHOWN = 3
_LONGEST_LINE = 160
# integrity_check looks up each row in each index; SQLite's default cache of 2 MB doubled
# its time on 1 GB. A larger one would not fit into the 64 MB of a run.
_CACHE_KIB = 20 * 1024
# An index with an unknown order gives one false line per row; none may hide real ones.
_ALL_LINES = 2**31 - 1
_PAGES = "*** in database "
# Pages in no tree are wasted space, not lost content.
_UNUSED = re.compile(r"Page \d+(?: is|:) never used")
_INDEX, _TABLE = "{} index", "{} table"
_KEYS, _ROWS = "foreign keys of {} table", "rows of {} table"
_PLURALS = {_INDEX: "es", _TABLE: "s", _KEYS: "s", _ROWS: "s"}
_INDEXES = "SELECT name FROM sqlite_master WHERE type = 'index' AND rootpage > 0"
# A constraint or a computed column; only indexes use the collation of a plain column.
_COMPUTED = re.compile(r"\bcheck\b|\bas\s*\(", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Checked:
    """The result of integrity_check as text.

    damage: damaged pages, empty if there are none. unchecked: what could not be checked
    here. findings: faults of the content. Each is a list of phrases.
    """

    damage: str = ""
    unchecked: tuple[str, ...] = ()
    findings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Untold:
    """Indexes and tables that integrity_check cannot judge, and what each needs."""

    indexes: dict[str, Missing]
    tables: dict[str, Missing]

    def is_about(self, line: str) -> bool:
        """Return whether a line of integrity_check depends on a stub."""
        if any(line.endswith(f" index {name}") for name in self.indexes):
            return True
        return any(line.endswith(f" {name}") or f" {name}." in line for name in self.tables)

    def phrases(self) -> tuple[str, ...]:
        """Return a phrase for each missing thing with the number of objects that need it."""
        indexes = Counter(f"need {one}" for one in self.indexes.values())
        of_tables = Counter(f"need {one}" for one in self.tables.values())
        return (*_unchecked(_INDEX, indexes), *_unchecked(_TABLE, of_tables))


def integrity(connection: sqlite3.Connection) -> Checked:
    """Return the result of integrity_check; stubs may be added to `connection`.

    Raises:
        sqlite3.Error: for a reason unrelated to the database's content.
    """
    try:
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        try:
            return _judged(_lines(connection, "integrity_check"))
        except (sqlite3.DatabaseError, UnicodeError) as error:
            if not stub_functions.is_uncheckable(error):
                raise
            return _with_stubs(connection)
    except sqlite3.DatabaseError as error:
        if not sqlite.is_damage(error):
            raise
        return Checked(damage=str(error))


def foreign_keys(connection: sqlite3.Connection) -> tuple[int, tuple[str, ...]]:
    """Return the number of rows whose parent is missing, and phrases about unchecked keys.

    Raises:
        sqlite3.Error: the database is damaged or cannot be read.
    """
    found, reasons = 0, Counter[str]()
    for name in introspection.names(connection):
        try:
            found += introspection.foreign_key_violations(connection, name)
        except (sqlite3.DatabaseError, UnicodeError) as error:
            if not stub_functions.is_uncheckable(error):
                raise
            reasons[_reason(error)] += 1
    return found, _unchecked(_KEYS, reasons)


def uncounted(connection: sqlite3.Connection, counted: int) -> tuple[str, ...]:
    """Return a phrase about tables whose rows were not counted, if there are any."""
    lacking = introspection.count_ordinary(connection) - counted
    return _unchecked(_ROWS, Counter({"cannot be named or read here": lacking}))


def _with_stubs(connection: sqlite3.Connection) -> Checked:
    """Check with stubs for what is missing, and drop the lines that depend on them."""
    indexes = _indexes_that_lack(connection)
    supply = Stubs(connection)

    def content() -> tuple[Checked, _Untold]:
        untold = _Untold(indexes, _tables_that_lack(connection, supply.missing))
        lines = _lines(connection, f"integrity_check({_ALL_LINES})")
        return _judged(line for line in lines if not untold.is_about(line)), untold

    try:
        # Pages first, with SQLite's own limit of lines, because each takes memory in SQLite.
        pages = supply.run(lambda: _judged(_lines(connection, "quick_check")))
        if pages.damage:
            return pages
        found, untold = supply.run(content)
    except (sqlite3.DatabaseError, UnicodeError) as error:
        if not stub_functions.is_uncheckable(error):
            raise
        return _by_table(connection)
    return Checked(found.damage, untold.phrases(), found.findings)


def _by_table(connection: sqlite3.Connection) -> Checked:
    """Check each table by itself, where one table makes the check of all impossible."""
    damage, findings, reasons = "", list[str](), Counter[str]()
    for name in introspection.names(connection):
        check = f'integrity_check("{introspection.quoted(name)}")'
        try:
            found = _judged(_lines(connection, check))
        except (sqlite3.DatabaseError, UnicodeError) as error:
            if not stub_functions.is_uncheckable(error):
                raise
            reasons[_reason(error)] += 1
        else:
            damage = damage or found.damage
            findings += found.findings
    unchecked = (*_unchecked(_TABLE, reasons), "pages that belong to no table")
    return Checked(damage, unchecked, tuple(findings))


def _indexes_that_lack(connection: sqlite3.Connection) -> dict[str, Missing]:
    """Return the indexes that need something missing, without reading them."""
    found = {}
    for name in introspection.texts(connection, _INDEXES):
        try:
            # Only prepared: building an index needs everything that checking it needs.
            connection.execute(f'EXPLAIN REINDEX main."{introspection.quoted(name)}"').close()
        except (sqlite3.Error, UnicodeError) as error:
            if lack := stub_functions.missing(error):
                found[name] = lack
    return found


def _tables_that_lack(connection: sqlite3.Connection, missing: Set[Missing]) -> dict[str, Missing]:
    """Return the tables whose order, constraints or computed columns need one of `missing`."""
    found = {}
    for name, sql in introspection.definitions(connection):
        is_index = re.search(r"\bwithout\s+rowid\b", sql, re.IGNORECASE) is not None
        for one in sorted(missing, key=str):
            computes = one.kind == "function" or _COMPUTED.search(sql) is not None
            if one.name.lower() in sql.lower() and (is_index or computes):
                found[name] = one
    return found


def _lines(connection: sqlite3.Connection, check: str) -> Iterator[str]:
    """Return the rows of a check; empty if it found nothing."""
    rows = connection.execute(f"PRAGMA {check}")
    return (str(row[0]) for row in rows if row[0] != "ok")


def _judged(rows: Iterable[str]) -> Checked:
    """Return rows of integrity_check as damage and findings: the first of each, and counts."""
    damage, unused, content = _Some(), _Some(), _Some()
    for row in rows:
        if not row.startswith(_PAGES):
            content.add(row)
            continue
        for line in row.splitlines()[1:]:
            (unused if _UNUSED.fullmatch(line) else damage).add(line)
    return Checked(str(damage), (), tuple(str(some) for some in (unused, content) if some.count))


class _Some:
    """The first few of many lines, and their number."""

    def __init__(self) -> None:
        self._shown: list[str] = []
        self.count = 0

    def add(self, line: str) -> None:
        self.count += 1
        if len(self._shown) < _SHOWN:
            # Names are untrusted: a line break would forge a log line.
            text = line if line.isprintable() else ascii(line)[1:-1]
            self._shown.append(text[:_LONGEST_LINE])

    def __str__(self) -> str:
        more = self.count - len(self._shown)
        return "; ".join(self._shown) + (f" and {more} more" if more else "")


def _reason(error: Exception) -> str:
    """Return why a check cannot be made, as the predicate of a sentence in the plural."""
    lack = stub_functions.missing(error)
    return f"need {lack}" if lack else f"cannot be checked here: {error}"


def _unchecked(what: str, reasons: Counter[str]) -> tuple[str, ...]:
    """Return a phrase such as `1 index needs collation x` for each reason; what: `{} index`."""
    said = []
    for reason, count in sorted(reasons.items()):
        subject = what.format(count) + ("" if count == 1 else _PLURALS[what])
        is_one = count == 1 and what.startswith("{}")
        verb = reason.replace("need ", "needs ", 1) if is_one else reason
        said += [f"{subject} {verb}"] if count else []
    return tuple(said)
