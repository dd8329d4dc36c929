"""Tables and columns of both sides as values, and the quoting of names; pure.

A `Table` is what SQLite declares; a `TablePair` adds the PostgreSQL type of each column.
Invariant: a user's name gets into a statement only through `quoted`, whose result is valid
in both databases.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import cache

# Name of the key column of a table that declares no key.
ROWID = "nightshift_rowid"


class Affinity(StrEnum):
    """SQLite's five column affinities."""

    INTEGER = "integer"
    TEXT = "text"
    BLOB = "blob"
    REAL = "real"
    NUMERIC = "numeric"


class Kind(StrEnum):
    """How values of a PostgreSQL type are written and compared."""

    EXACT = "exact"  # the text is the value: integers, text
    REAL = "real"  # compared by its bits
    BYTES = "bytes"  # written as hex
    ESCAPED = "escaped"  # text in the form of `row_encoding.escaped`
    CAST = "cast"  # PostgreSQL parses the text, and the results are compared


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a source table.

    name: in PostgreSQL. source: its expression in a SQLite query. key: place in the key from
    1, 0: none. origin: its name in SQLite, if different. wanted: the type from `types`, or
    empty. escaped: its texts are sent in the form of `row_encoding.escaped`.
    """

    name: str
    declared: str
    source: str
    key: int = 0
    origin: str = ""
    wanted: str = ""
    escaped: bool = False

    @property
    def called(self) -> str:
        """Return the column's name in SQLite."""
        return self.origin or self.name

    @property
    def affinity(self) -> Affinity:
        """Return the affinity by SQLite's rules, in their order."""
        kind = self.declared.upper()
        if "INT" in kind:
            return Affinity.INTEGER
        if any(word in kind for word in ("CHAR", "CLOB", "TEXT")):
            return Affinity.TEXT
        if not kind or "BLOB" in kind:
            return Affinity.BLOB
        if any(word in kind for word in ("REAL", "FLOA", "DOUB")):
            return Affinity.REAL
        return Affinity.NUMERIC


@dataclass(frozen=True, slots=True)
class Table:
    """A source table; ordered: both sides sort its key alike.

    rowid: the expression of the row number, if that is the key; else empty. excluded: the
    names of the excluded columns. index_row: the name of the row number, by which the key's
    separate index refers to rows; empty: rows are stored in key order. scanned: that index is
    not usable, so rows are found by a scan of the table.
    """

    name: str
    columns: tuple[Column, ...]
    rowid: str = ""
    ordered: bool = True
    excluded: tuple[str, ...] = ()
    index_row: str = ""
    scanned: bool = False

    @property
    def key(self) -> tuple[Column, ...]:
        """Return the key's columns in key order."""
        return tuple(sorted((c for c in self.columns if c.key), key=lambda column: column.key))

    @property
    def source(self) -> str:
        """Return the table's quoted name in SQLite, with its schema."""
        return f"main.{quoted(self.name)}"


@dataclass(frozen=True, slots=True)
class MappedColumn:
    """A column and its type in PostgreSQL; asked: the type comes from `types`.

    as_text: a key column whose values PostgreSQL returns as other values than SQLite stores
    (42 as '42'), so that rows are found again by the text that was sent.
    """

    column: Column
    type: str
    asked: bool = False
    as_text: bool = False

    @property
    def name(self) -> str:
        """Return the quoted name in PostgreSQL."""
        return quoted(self.column.name)

    @property
    def kind(self) -> Kind:
        """Return how the values are written and compared.

        PostgreSQL may parse values of a requested type in its own way; bytes and keys must come
        back as they were sent.
        """
        kind = kind_of(self.type)
        if self.column.escaped and self.type == "text":
            return Kind.ESCAPED
        if self.asked and not self.column.key and kind is not Kind.BYTES:
            return Kind.CAST
        return kind


@dataclass(frozen=True, slots=True)
class TablePair:
    """A table on both sides; target: its quoted name in PostgreSQL."""

    table: Table
    columns: tuple[MappedColumn, ...]
    target: str
    number: int = 0

    @property
    def key(self) -> tuple[MappedColumn, ...]:
        """Return the key's columns in key order."""
        found = [typed for typed in self.columns if typed.column.key]
        return tuple(sorted(found, key=lambda typed: typed.column.key))

    @property
    def rest(self) -> tuple[MappedColumn, ...]:
        """Return the columns outside of the key."""
        return tuple(typed for typed in self.columns if not typed.column.key)

    @property
    def names(self) -> str:
        """Return all columns as a comma-separated list of quoted names."""
        return listed(self.columns)

    @property
    def key_names(self) -> str:
        """Return the key's columns as a comma-separated list of quoted names."""
        return listed(self.key)

    @property
    def ordered(self) -> bool:
        """Return whether a range of the key means the same rows on both sides."""
        return self.table.ordered and all(
            t.kind in (Kind.EXACT, Kind.REAL) and not t.as_text for t in self.key
        )

    @property
    def scanned(self) -> bool:
        """Return whether rows are found by a scan of the source table, not by the key."""
        return self.table.scanned or any(typed.as_text for typed in self.key)


@cache
def kind_of(postgres_type: str) -> Kind:
    """Return the kind of a type as spelled by PostgreSQL's `format_type`."""
    name = re.sub(r"\(.*\)", "", postgres_type).strip().lower()
    if name in ("smallint", "integer", "bigint", "text", "character varying"):
        return Kind.EXACT
    if name == "double precision":
        return Kind.REAL
    return Kind.BYTES if name == "bytea" else Kind.CAST


def quoted(name: str) -> str:
    """Quote an identifier, for either database."""
    return '"' + name.replace('"', '""') + '"'


def listed(columns: tuple[MappedColumn, ...]) -> str:
    """Return the quoted names, separated by commas; `columns` must not be empty."""
    return ", ".join(typed.name for typed in columns)


def key_text(values: tuple[object, ...]) -> str:
    """Return a key for a message, each value shortened to 40 characters."""
    texts = [str(value) if not isinstance(value, bytes) else value.hex() for value in values]
    return ", ".join(text if len(text) <= 40 else f"{text[:40]}..." for text in texts)
