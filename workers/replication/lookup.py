"""The conditions by which a row of the source is found again by its key; pure.

In a query `t` is the table, `w` the wanted key (columns k0, k1, ...) and `i` the same
table once more, read by the index of its key. The index says where a row may be, and
the table whether it is there: a damaged index may hide a row, but lends it no other key.
"""

from workers.replication import encode
from workers.replication.shape import Twin, Typed, quoted


def equal_by_value(twin: Twin) -> str:
    """The condition that `t` has the wanted key `w`, for which no index of `t` is used."""
    return " AND ".join(
        f"w.k{number} = {value_of(typed)}" for number, typed in enumerate(twin.key)
    )


def form(typed: Typed) -> str:
    """The text of a value as it stands in the target; of a column that is `as_text`."""
    return f"CAST({encode.sent(typed, True)} AS TEXT) COLLATE BINARY"


def between_edges(twin: Twin) -> str:
    """The condition that the first key column of `t` lies between `w.k0` and `w.k1`."""
    name = twin.key[0].column.called
    seek = f" AND {_of_index(name)} >= w.k0 AND {_of_index(name)} < w.k1"
    first = twin.key[0].column.source
    return f"{first} >= w.k0 AND {first} < w.k1{_same_row(twin, seek)}"


def equal(twin: Twin) -> str:
    """The condition that `t` has the wanted key `w`, found by whatever index there is."""
    seek, exact = [], []
    for number, typed in enumerate(twin.key):
        # The first finds by the index, whatever its collation; the second is exact.
        name, source = typed.column.called, typed.column.source
        finds = _of_index(name) if twin.table.index_row else source
        seek.append(f"{finds} = w.k{number}")
        exact.append(f"{source} = w.k{number} COLLATE BINARY")
    return " AND ".join([*seek, *exact]) + _same_row(twin, "")


def _same_row(twin: Twin, seek: str) -> str:
    """What joins the index's row to the table's, after what is asked of the index."""
    number = twin.table.index_row
    return f"{seek} AND t.{number} = i.{number}" if number else ""


def _of_index(name: str) -> str:
    return f"i.{quoted(name)}"


def value_of(typed: Typed) -> str:
    """A key's value as it is compared without an index."""
    # The sign takes affinity and index away, and changes no value.
    return form(typed) if typed.as_text else f"+{typed.column.source} COLLATE BINARY"
