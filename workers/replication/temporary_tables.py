"""Temporary tables for a target table: their names, and how to create one."""

from workers.replication.tables import MappedColumn, TablePair, listed
from workers.replication.target import Target


def temporary(pair: TablePair, word: str) -> str:
    """Return the name of the table's temporary table of the kind `word`."""
    return f"pg_temp.nightshift_{word}_{pair.number}"


def without_schema(name: str) -> str:
    """Return the name without its schema, as CREATE TEMP TABLE needs it."""
    return name.removeprefix("pg_temp.")


def make_temporary(
    target: Target, pair: TablePair, name: str, columns: tuple[MappedColumn, ...], more: str = ""
) -> None:
    """Create an empty temporary table with these columns of the target.

    more: a further column, as SQL declares it.
    """
    # Derived from the target table, so that types and collations are the same.
    made = (
        f"DROP TABLE IF EXISTS {name};"
        f"CREATE TEMP TABLE {without_schema(name)} ON COMMIT DROP AS"
        f" SELECT {listed(columns)} FROM {pair.target} WITH NO DATA"
    )
    target.execute(f"{made};ALTER TABLE {name} ADD COLUMN {more}" if more else made)
