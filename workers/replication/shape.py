"""Tables and columns of both sides as values, and how their names are written.

Pure. A `Table` is what SQLite declares; a `Twin` is the table with the
PostgreSQL type of every column. The law: a name of a user stands in a
statement only as `quoted` writes it, which is right on both sides.
"""

import re
from dataclasses import dataclass
from enum import StrEnum

# The key of a table that declares none.
ROWID = "nightshift_rowid"


class Affinity(StrEnum):
    """What SQLite would like to store in a column; its own five words."""

    INTEGER = "integer"
    TEXT = "text"
    BLOB = "blob"
    REAL = "real"
    NUMERIC = "numeric"


class Kind(StrEnum):
    """How a PostgreSQL type's values are written and compared."""

    EXACT = "exact"  # the text is the value: integers, text
    REAL = "real"  # compared by its bits
    BYTES = "bytes"  # written as hex
    ESCAPED = "escaped"  # text in the form that `encode.escaped` writes
    CAST = "cast"  # PostgreSQL reads the text its own way: compared after that


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a source table.

    name: in PostgreSQL. source: how it is written in a query of SQLite.
    key: place in the key from 1, 0: none. origin: its name in SQLite, if that
    is another. wanted: the type that the user asks for, or empty. escaped: its
    texts go in the form that `encode.escaped` writes.
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
        """Its name in SQLite."""
        return self.origin or self.name

    @property
    def affinity(self) -> Affinity:
        """By SQLite's rules, in their order."""
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
    """A source table; `ordered`: both sides sort its key alike.

    rowid: how the row number is written, if that is the key; else empty.
    excluded: the names of columns that are left out.
    index_row: how it is written in an index, if the key has an index of its own;
    empty: the rows lie in the key's order. scanned: that index cannot be used, so
    rows are found by reading the table.
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
        """The columns of the key in its order."""
        return tuple(sorted((c for c in self.columns if c.key), key=lambda column: column.key))

    @property
    def source(self) -> str:
        """How the table is written in a query of SQLite."""
        return f"main.{quoted(self.name)}"


@dataclass(frozen=True, slots=True)
class Typed:
    """A column and its type in PostgreSQL; asked: it is the user's choice, not ours.

    as_text: a key column whose values PostgreSQL gives back as other values than SQLite
    stores (42 as '42'), so that rows are found again by the text that was sent.
    """

    column: Column
    type: str
    asked: bool = False
    as_text: bool = False

    @property
    def name(self) -> str:
        """Its quoted name."""
        return quoted(self.column.name)

    @property
    def kind(self) -> Kind:
        """How its values are written and compared.

        What a user asks for, PostgreSQL may read in its own way; bytes and
        keys have to come back as they went.
        """
        kind = kind_of(self.type)
        if self.column.escaped and self.type == "text":
            return Kind.ESCAPED
        if self.asked and not self.column.key and kind is not Kind.BYTES:
            return Kind.CAST
        return kind


@dataclass(frozen=True, slots=True)
class Twin:
    """A table as it stands on both sides; `target` is its written name there."""

    table: Table
    columns: tuple[Typed, ...]
    target: str
    number: int = 0

    @property
    def key(self) -> tuple[Typed, ...]:
        """The columns of the key in its order."""
        found = [typed for typed in self.columns if typed.column.key]
        return tuple(sorted(found, key=lambda typed: typed.column.key))

    @property
    def rest(self) -> tuple[Typed, ...]:
        """The columns that are no part of the key."""
        return tuple(typed for typed in self.columns if not typed.column.key)

    @property
    def names(self) -> str:
        """All columns, written, with commas."""
        return listed(self.columns)

    @property
    def key_names(self) -> str:
        """The key's columns, written, with commas."""
        return listed(self.key)

    @property
    def ordered(self) -> bool:
        """Whether a range of the key means the same rows on both sides."""
        return self.table.ordered and all(
            t.kind in (Kind.EXACT, Kind.REAL) and not t.as_text for t in self.key
        )

    @property
    def scanned(self) -> bool:
        """Whether rows are found by reading the whole source table, not by the key."""
        return self.table.scanned or any(typed.as_text for typed in self.key)


def kind_of(postgres_type: str) -> Kind:
    """The kind of a type as PostgreSQL writes it (`format_type`)."""
    name = re.sub(r"\(.*\)", "", postgres_type).strip().lower()
    if name in ("smallint", "integer", "bigint", "text", "character varying"):
        return Kind.EXACT
    if name == "double precision":
        return Kind.REAL
    return Kind.BYTES if name == "bytea" else Kind.CAST


def quoted(name: str) -> str:
    """A name in double quotes, in either database."""
    return '"' + name.replace('"', '""') + '"'


def listed(columns: tuple[Typed, ...]) -> str:
    """Names with commas; `NULL` would be no column list, so it is never empty."""
    return ", ".join(typed.name for typed in columns)


def key_text(values: tuple[object, ...]) -> str:
    """A key for a message, shortened."""
    texts = [str(value) if not isinstance(value, bytes) else value.hex() for value in values]
    return ", ".join(text if len(text) <= 40 else f"{text[:40]}..." for text in texts)
