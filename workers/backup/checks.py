"""What SQLite can say about a database, and what it cannot say here.

integrity_check is read in three kinds: damage of pages; findings about
content, which the owner may live with (NULL in NOT NULL, an index that the
owner's own SQLite orders otherwise); and checks that need something that only
the owner's program has. The law: a check that cannot be made is a warning in
words, never a silence and never damage. Enter at `integrity`, `foreign_keys`.
"""

import re
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Set
from dataclasses import dataclass

from workers import database
from workers.backup import stubs, tables
from workers.backup.stubs import Missing, Stubs

_SHOWN = 3
_LONGEST_LINE = 160
# integrity_check looks each row up in each index: with SQLite's usual 2 MB it
# took twice as long on 1 GB. More would not fit into the 64 MB of a run.
_CACHE_KIB = 20 * 1024
# An index of an unknown order gives one false finding a row; each must have its turn.
_ALL_LINES = 2**31 - 1
_PAGES = "*** in database "
# Pages that no tree holds are lost room and no lost content.
_UNUSED = re.compile(r"Page \d+(?: is|:) never used")
_INDEX, _TABLE = "{} index", "{} table"
_KEYS, _ROWS = "foreign keys of {} table", "rows of {} table"
_PLURALS = {_INDEX: "es", _TABLE: "s", _KEYS: "s", _ROWS: "s"}
_INDEXES = "SELECT name FROM sqlite_master WHERE type = 'index' AND rootpage > 0"
# A constraint or a computed column; a collation of a plain column is used by its indexes only.
_COMPUTED = re.compile(r"\bcheck\b|\bas\s*\(", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Checked:
    """What integrity_check said, in words.

    damage: of pages, empty if there is none. unchecked: what it cannot say
    here. findings: what it says against the content. Both a phrase each.
    """

    damage: str = ""
    unchecked: tuple[str, ...] = ()
    findings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Untold:
    """Indexes and tables of which integrity_check can say nothing; what each needs."""

    indexes: dict[str, Missing]
    tables: dict[str, Missing]

    def is_about(self, line: str) -> bool:
        """Whether a line of integrity_check rests on a stub."""
        if any(line.endswith(f" index {name}") for name in self.indexes):
            return True
        return any(line.endswith(f" {name}") or f" {name}." in line for name in self.tables)

    def phrases(self) -> tuple[str, ...]:
        """How many need what, a phrase for each missing thing."""
        indexes = Counter(f"need {one}" for one in self.indexes.values())
        of_tables = Counter(f"need {one}" for one in self.tables.values())
        return (*_unchecked(_INDEX, indexes), *_unchecked(_TABLE, of_tables))


def integrity(connection: sqlite3.Connection) -> Checked:
    """All that integrity_check says about the database; `connection` may get stubs.

    Raises:
        sqlite3.Error: for a reason that says nothing about the database.
    """
    try:
        connection.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        try:
            return _judged(_lines(connection, "integrity_check"))
        except (sqlite3.DatabaseError, UnicodeError) as error:
            if not stubs.is_uncheckable(error):
                raise
            return _with_stubs(connection)
    except sqlite3.DatabaseError as error:
        if not database.is_damage(error):
            raise
        return Checked(damage=str(error))


def foreign_keys(connection: sqlite3.Connection) -> tuple[int, tuple[str, ...]]:
    """Rows whose parent is missing, and a phrase for each kind of key that cannot be checked here.

    Raises:
        sqlite3.Error: the database is damaged, or cannot be read.
    """
    found, reasons = 0, Counter[str]()
    for name in tables.names(connection):
        try:
            found += tables.foreign_key_violations(connection, name)
        except (sqlite3.DatabaseError, UnicodeError) as error:
            if not stubs.is_uncheckable(error):
                raise
            reasons[_reason(error)] += 1
    return found, _unchecked(_KEYS, reasons)


def uncounted(connection: sqlite3.Connection, counted: int) -> tuple[str, ...]:
    """A phrase about tables whose rows were not counted, if there are any."""
    lacking = tables.count_ordinary(connection) - counted
    return _unchecked(_ROWS, Counter({"cannot be named or read here": lacking}))


def _with_stubs(connection: sqlite3.Connection) -> Checked:
    """As `integrity`, with stubs for what is missing; lines that rest on them are left out."""
    indexes = _indexes_that_lack(connection)
    supply = Stubs(connection)

    def content() -> tuple[Checked, _Untold]:
        untold = _Untold(indexes, _tables_that_lack(connection, supply.missing))
        lines = _lines(connection, f"integrity_check({_ALL_LINES})")
        return _judged(line for line in lines if not untold.is_about(line)), untold

    try:
        # Pages first, with SQLite's own limit of lines: each takes memory inside SQLite.
        pages = supply.run(lambda: _judged(_lines(connection, "quick_check")))
        if pages.damage:
            return pages
        found, untold = supply.run(content)
    except (sqlite3.DatabaseError, UnicodeError) as error:
        if not stubs.is_uncheckable(error):
            raise
        return _by_table(connection)
    return Checked(found.damage, untold.phrases(), found.findings)


def _by_table(connection: sqlite3.Connection) -> Checked:
    """Table by table, where one of them makes the check of all impossible."""
    damage, findings, reasons = "", list[str](), Counter[str]()
    for name in tables.names(connection):
        check = f'integrity_check("{tables.quoted(name)}")'
        try:
            found = _judged(_lines(connection, check))
        except (sqlite3.DatabaseError, UnicodeError) as error:
            if not stubs.is_uncheckable(error):
                raise
            reasons[_reason(error)] += 1
        else:
            damage = damage or found.damage
            findings += found.findings
    unchecked = (*_unchecked(_TABLE, reasons), "pages that belong to no table")
    return Checked(damage, unchecked, tuple(findings))


def _indexes_that_lack(connection: sqlite3.Connection) -> dict[str, Missing]:
    """The indexes that need what we have not, found out without reading them."""
    found = {}
    for name in tables.texts(connection, _INDEXES):
        try:
            # Prepared and not run: an index is built by all that it is checked with.
            connection.execute(f'EXPLAIN REINDEX main."{tables.quoted(name)}"').close()
        except (sqlite3.Error, UnicodeError) as error:
            if lack := stubs.missing(error):
                found[name] = lack
    return found


def _tables_that_lack(connection: sqlite3.Connection, missing: Set[Missing]) -> dict[str, Missing]:
    """The tables whose own order, constraints or computed columns need one of `missing`."""
    found = {}
    for name, sql in tables.definitions(connection):
        is_index = re.search(r"\bwithout\s+rowid\b", sql, re.IGNORECASE) is not None
        for one in sorted(missing, key=str):
            computes = one.kind == "function" or _COMPUTED.search(sql) is not None
            if one.name.lower() in sql.lower() and (is_index or computes):
                found[name] = one
    return found


def _lines(connection: sqlite3.Connection, check: str) -> Iterator[str]:
    """What a check says, a row each; nothing if all is well."""
    rows = connection.execute(f"PRAGMA {check}")
    return (str(row[0]) for row in rows if row[0] != "ok")


def _judged(rows: Iterable[str]) -> Checked:
    """Rows of integrity_check as damage and findings: the first few of each, and how many."""
    damage, unused, content = _Some(), _Some(), _Some()
    for row in rows:
        if not row.startswith(_PAGES):
            content.add(row)
            continue
        for line in row.splitlines()[1:]:
            (unused if _UNUSED.fullmatch(line) else damage).add(line)
    return Checked(str(damage), (), tuple(str(some) for some in (unused, content) if some.count))


class _Some:
    """The first few of many lines, and how many there are."""

    def __init__(self) -> None:
        self._shown: list[str] = []
        self.count = 0

    def add(self, line: str) -> None:
        self.count += 1
        if len(self._shown) < _SHOWN:
            # Names come from anybody: a line break would forge a line of the log.
            text = line if line.isprintable() else ascii(line)[1:-1]
            self._shown.append(text[:_LONGEST_LINE])

    def __str__(self) -> str:
        more = self.count - len(self._shown)
        return "; ".join(self._shown) + (f" and {more} more" if more else "")


def _reason(error: Exception) -> str:
    """Why a check cannot be made, as the end of a sentence about several things."""
    lack = stubs.missing(error)
    return f"need {lack}" if lack else f"cannot be checked here: {error}"


def _unchecked(what: str, reasons: Counter[str]) -> tuple[str, ...]:
    """`1 index needs collation x`, a phrase for each reason; what: `{} index`."""
    said = []
    for reason, count in sorted(reasons.items()):
        subject = what.format(count) + ("" if count == 1 else _PLURALS[what])
        is_one = count == 1 and what.startswith("{}")
        verb = reason.replace("need ", "needs ", 1) if is_one else reason
        said += [f"{subject} {verb}"] if count else []
    return tuple(said)
