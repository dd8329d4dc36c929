"""SQL conditions that find a row of the source by its key; pure.

In a query, `t` is the table, `w` the staged keys (columns k0, k1, ...) and `i` the same
table again, read by its key's index. The index says where a row may be, and the table
whether it is there: a damaged index can hide a row, but not return it for another key.
"""

from workers.replication import row_encoding
from workers.replication.tables import MappedColumn, TablePair, quoted


def equal_by_value(pair: TablePair) -> str:
    """Return the condition that `t` has the staged key `w`, without use of an index of `t`."""
    return " AND ".join(
        f"w.k{number} = {value_of(typed)}" for number, typed in enumerate(pair.key)
    )


def form(typed: MappedColumn) -> str:
    """Return the expression for the text of an `as_text` value, as the target stores it."""
    return f"CAST({row_encoding.sent(typed, True)} AS TEXT) COLLATE BINARY"


def between_edges(pair: TablePair) -> str:
    """Return the condition that the first key column of `t` is in `w.k0` to `w.k1` (exclusive)."""
    name = pair.key[0].column.called
    seek = f" AND {_of_index(name)} >= w.k0 AND {_of_index(name)} < w.k1"
    first = pair.key[0].column.source
    return f"{first} >= w.k0 AND {first} < w.k1{_same_row(pair, seek)}"


def equal(pair: TablePair) -> str:
    """Return the condition that `t` has the staged key `w`, found by the key's index."""
    seek, exact = [], []
    for number, typed in enumerate(pair.key):
        # The first condition uses the index, whatever its collation; the second is exact.
        name, source = typed.column.called, typed.column.source
        finds = _of_index(name) if pair.table.index_row else source
        seek.append(f"{finds} = w.k{number}")
        exact.append(f"{source} = w.k{number} COLLATE BINARY")
    return " AND ".join([*seek, *exact]) + _same_row(pair, "")


def _same_row(pair: TablePair, seek: str) -> str:
    """Return the condition `seek` on the index, joined to the table's row."""
    number = pair.table.index_row
    return f"{seek} AND t.{number} = i.{number}" if number else ""


def _of_index(name: str) -> str:
    return f"i.{quoted(name)}"


def value_of(typed: MappedColumn) -> str:
    """Return the expression for a key's value, compared without an index."""
    # Unary plus disables affinity and index use, and changes no value.
    return form(typed) if typed.as_text else f"+{typed.column.source} COLLATE BINARY"
