"""Choose a PostgreSQL type from what SQLite declares and stores; pure.

Invariant: a type fits only if it keeps the text of every value. If none does, the column
is a misfit, and the user decides with `types` or `on_misfit`. The declared type decides if
the column holds a value of its class. Otherwise, and where SQLite stores anything (NUMERIC
and untyped columns), the storage classes found decide.
"""

from dataclasses import dataclass

from workers.replication.tables import Affinity, Column, Kind, MappedColumn, kind_of

# Beyond this, a double does not hold every whole number.
LARGEST_WHOLE = 2**53
_CLASSES = ("integer", "real", "text", "blob")
_NUMBERS = frozenset({"integer", "real"})
# Types that a run may change by itself, to one that holds all of their numbers.
_WIDENED = ("bigint", "double precision")
_BY_AFFINITY = {
    Affinity.INTEGER: "bigint",
    Affinity.TEXT: "text",
    Affinity.REAL: "double precision",
}
# First types of empty columns; a change costs nothing while the column is empty.
_GUESSES = (("BOOL", "bigint"), ("DATE", "text"), ("TIME", "text"))
_LONG_WORDS = {
    "int": "integer", "int2": "smallint", "int4": "integer", "int8": "bigint",
    "float8": "double precision", "bool": "boolean", "varchar": "character varying",
    "timestamptz": "timestamp with time zone", "timestamp": "timestamp without time zone",
    "decimal": "numeric", "float4": "real",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Found:
    """Storage classes in a column. large: it has whole numbers that a double may not hold."""

    classes: frozenset[str] = frozenset()
    large: bool = False


@dataclass(frozen=True, slots=True)
class Chosen:
    """The type of a column; fits: it keeps the text of every value found."""

    type: str
    fits: bool


def choose(column: Column, found: Found) -> Chosen:
    """Return the type for `column`; a type from `types` takes precedence.

    The declared type decides only if a value of its class was found. A whole number in a wider
    numeric type is the same value.
    """
    if column.wanted:
        typed = MappedColumn(column, long_word(column.wanted), asked=True)
        return Chosen(column.wanted, found.classes <= classes_held(typed, found.large))
    by_name = _by_name(column, found)
    fitting = classes_of(by_name, found.large)
    if found.classes and not found.classes & classes_of(by_name):
        by_name = suggest(found)
        fitting = classes_of(by_name, found.large)
    if found.classes <= fitting:
        return Chosen(by_name, True)
    by_name = wider(column, by_name, found) or by_name
    return Chosen(by_name, found.classes <= classes_of(by_name, found.large))


def wider(column: Column, postgres_type: str, found: Found) -> str:
    """Return a numeric type that holds this type's values and all found ones, or empty."""
    if postgres_type not in _WIDENED or not found.classes <= _NUMBERS:
        return ""
    if not found.large:
        return "double precision"
    return "" if column.key else "numeric"


def declared(column: Column) -> str:
    """Return the type for `column` by its declaration alone."""
    return _by_name(column, Found())


def suggest(found: Found) -> str:
    """Return the narrowest type that holds everything found; text if none does."""
    fitting = ("bigint", "double precision", "text", "bytea")
    whole = [name for name in fitting if found.classes <= classes_of(name, found.large)]
    if not whole and found.classes <= _NUMBERS:
        return "numeric"
    return whole[0] if whole else "text"


def classes_held(typed: MappedColumn, large: bool = False) -> frozenset[str]:
    """Return the storage classes whose values keep their text in the column."""
    if typed.kind is Kind.BYTES and typed.asked:
        return frozenset({"blob", "text"})
    if typed.type == "numeric" and not typed.asked and typed.column.affinity is not Affinity.TEXT:
        return _NUMBERS
    return classes_of(typed.type, large, typed.kind)


def classes_of(
    postgres_type: str, large: bool = False, kind: Kind | None = None
) -> frozenset[str]:
    """Return the storage classes whose values keep their text in this type, treated as `kind`."""
    if postgres_type == "numeric" and kind is None:
        return _NUMBERS
    match kind or kind_of(postgres_type):
        case Kind.REAL:
            return frozenset({"real"} if large else {"integer", "real"})
        case Kind.BYTES:
            return frozenset({"blob"})
        case Kind.CAST:
            return frozenset(_CLASSES[:3])
        case Kind.ESCAPED:
            return frozenset(_CLASSES)
        case Kind.EXACT:
            word = long_word(postgres_type)
            whole = word in ("smallint", "integer", "bigint")
            return frozenset({"integer" if whole else "text"})


def long_word(postgres_type: str) -> str:
    """Return PostgreSQL's own name of a type: `int8` -> `bigint`."""
    name, bracket, rest = postgres_type.strip().lower().partition("(")
    return _LONG_WORDS.get(name.strip(), name.strip()) + bracket + rest


def _by_name(column: Column, found: Found) -> str:
    by_name = _BY_AFFINITY.get(column.affinity)
    if column.affinity is Affinity.BLOB and column.declared:
        return "bytea"
    return by_name or (suggest(found) if found.classes else _guess(column))


def _guess(column: Column) -> str:
    kind = column.declared.upper()
    for word, name in _GUESSES:
        if word in kind:
            return name
    return "double precision" if column.affinity is Affinity.NUMERIC else "text"
