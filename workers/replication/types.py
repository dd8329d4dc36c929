"""From what SQLite declares and holds to a type of PostgreSQL; pure.

The law: a type is chosen only if every value keeps its text in it. Where none
does, there is no type but a misfit, and a person decides (`types:`,
`on_misfit`). Declared types decide; where SQLite takes anything (NUMERIC and
untyped columns) the storage classes found do.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from workers.replication.shape import Affinity, Column, Kind, kind_of

# Beyond it a double no longer holds every whole number.
LARGEST_WHOLE = 2**53
_CLASSES = ("integer", "real", "text", "blob")
_BY_AFFINITY = {
    Affinity.INTEGER: "bigint",
    Affinity.TEXT: "text",
    Affinity.REAL: "double precision",
}
# An empty column of such a type; changed for nothing while it is empty.
_GUESSES = (("BOOL", "bigint"), ("DATE", "text"), ("TIME", "text"))
_LONG_WORDS = {
    "int": "integer", "int2": "smallint", "int4": "integer", "int8": "bigint",
    "float8": "double precision", "bool": "boolean", "varchar": "character varying",
    "timestamptz": "timestamp with time zone", "timestamp": "timestamp without time zone",
    "decimal": "numeric", "float4": "real",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Found:
    """What a column holds: its storage classes, and whole numbers no double holds."""

    classes: frozenset[str] = frozenset()
    large: bool = False


@dataclass(frozen=True, slots=True)
class Chosen:
    """The type of a column; `fits`: every value found keeps its text in it."""

    type: str
    fits: bool


def choose(column: Column, found: Found, wanted: str = "") -> Chosen:
    """The type for `column`; `wanted` is the user's word and stands over all."""
    if wanted:
        kind = kind_of(long_word(wanted))
        if not column.key and kind is not Kind.BYTES:
            kind = Kind.CAST
        fitting = classes_of(long_word(wanted), found.large, kind)
        return Chosen(wanted, found.classes <= fitting)
    by_name = _BY_AFFINITY.get(column.affinity)
    if column.affinity is Affinity.BLOB and column.declared:
        by_name = "bytea"
    if by_name is None:
        by_name = suggest(found) if found.classes else _guess(column)
    return Chosen(by_name, found.classes <= classes_of(by_name, found.large))


def suggest(found: Found) -> str:
    """The narrowest type that holds all that was found; text if none does."""
    fitting = ("bigint", "double precision", "text", "bytea")
    whole = [name for name in fitting if found.classes <= classes_of(name, found.large)]
    return whole[0] if whole else "text"


def classes_of(
    postgres_type: str, large: bool = False, kind: Kind | None = None
) -> frozenset[str]:
    """The storage classes whose values keep their text in this type, read as `kind` of it."""
    match kind or kind_of(postgres_type):
        case Kind.REAL:
            return frozenset({"real"} if large else {"integer", "real"})
        case Kind.BYTES:
            return frozenset({"blob"})
        case Kind.CAST:
            return frozenset(_CLASSES[:3])
        case Kind.EXACT:
            word = long_word(postgres_type)
            whole = word in ("smallint", "integer", "bigint")
            return frozenset({"integer" if whole else "text"})


def long_word(postgres_type: str) -> str:
    """`int8` -> `bigint`: the word that PostgreSQL itself answers with."""
    name, bracket, rest = postgres_type.strip().lower().partition("(")
    return _LONG_WORDS.get(name.strip(), name.strip()) + bracket + rest


def wanted_type(types: Mapping[str, str], table: str, column: str) -> str:
    """What the user names for a column, or empty."""
    return types.get(f"{table}.{column}", "")


def _guess(column: Column) -> str:
    kind = column.declared.upper()
    for word, name in _GUESSES:
        if word in kind:
            return name
    return "double precision" if column.affinity is Affinity.NUMERIC else "text"
