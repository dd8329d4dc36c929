"""Errors for whole rows and keys: too large for PostgreSQL, or two keys that become one.

PostgreSQL's messages have only sizes and indexes; here table and key are added.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg.errors import ProgramLimitExceeded, UniqueViolation

from workers.replication.errors import ReplicationError
from workers.replication.tables import TablePair, key_text
from workers.replication.target import Target

_TUPLE = re.compile(r"tuple (\(\d+,\d+\))")


@contextmanager
def named(target: Target, pair: TablePair, rows: str) -> Iterator[None]:
    """Run the block in a savepoint; on an error name the row. rows: the table that holds the rows.

    Raises:
        ReplicationError: a row or key is too large, or two keys are one in the target.
    """
    try:
        with target.savepoint():
            yield
    except UniqueViolation as error:
        raise _collision(target, pair, rows) or error from None
    except ProgramLimitExceeded as error:
        raise _too_large(target, pair, rows, error) from None


def _collision(target: Target, pair: TablePair, rows: str) -> ReplicationError | None:
    """Return the error for two rows with one key; None: another unique index refused the rows."""
    keys = pair.key_names
    twice = f"GROUP BY {keys} HAVING count(*) > 1"
    line = target.one(f"SELECT {keys} FROM {rows} {twice} LIMIT 1")
    if line is None:
        return None
    return ReplicationError(
        f"table {pair.table.name}: two rows get the same key ({key_text(line)}) in PostgreSQL,"
        " which tells fewer keys apart than SQLite; give one of them another key or exclude the"
        " table"
    )


def _too_large(
    target: Target, pair: TablePair, rows: str, error: psycopg.Error
) -> ReplicationError:
    primary = error.diag.message_primary or str(error)
    if "index" not in primary:
        return ReplicationError(f"table {pair.table.name}: {primary}; {advice(pair)}")
    place = _TUPLE.search(error.diag.message_detail or "")
    sizes = " + ".join(f"octet_length({typed.name}::text)" for typed in pair.key)
    if place is not None and rows == pair.target:
        end = f"WHERE ctid = '{place[1]}'"
    else:
        end = f"ORDER BY {sizes} DESC LIMIT 1"
    line = target.one(f"SELECT {pair.key_names} FROM {rows} {end}") or ()
    return ReplicationError(
        f"table {pair.table.name}, key ({key_text(line)}): the key is too long for an index of"
        f" PostgreSQL ({primary}); shorten it or exclude the table"
    )


def advice(pair: TablePair) -> str:
    """Return what to do about a row that is too large."""
    return f"exclude columns (exclude: [{pair.table.name}.COLUMN]) or the table"
