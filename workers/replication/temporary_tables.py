"""Temporary tables beside a table of the target: their names, and how one is made."""

from workers.replication.shape import Twin, Typed, listed
from workers.replication.target import Target


def temporary(twin: Twin, word: str) -> str:
    """Return the name of the table's temporary table of this kind."""
    return f"pg_temp.nightshift_{word}_{twin.number}"


def without_schema(name: str) -> str:
    """Return the name as CREATE TEMP TABLE takes it."""
    return name.removeprefix("pg_temp.")


def make_temporary(
    target: Target, twin: Twin, name: str, columns: tuple[Typed, ...], more: str = ""
) -> None:
    """Make an empty temporary table with these columns of the target.

    more: a further column, as SQL declares it.
    """
    # Of the target itself: types and collations are then the same.
    made = (
        f"DROP TABLE IF EXISTS {name};"
        f"CREATE TEMP TABLE {without_schema(name)} ON COMMIT DROP AS"
        f" SELECT {listed(columns)} FROM {twin.target} WITH NO DATA"
    )
    target.execute(f"{made};ALTER TABLE {name} ADD COLUMN {more}" if more else made)
