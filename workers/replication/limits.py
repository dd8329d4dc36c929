"""What PostgreSQL refuses of whole rows and keys: too large, or two that become one.

Its errors speak of sizes and indexes; here they get the name of table and key.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg.errors import ProgramLimitExceeded, UniqueViolation

from workers.replication.shape import Twin, key_text
from workers.replication.target import Target
from workers.replication.trouble import Trouble

_TUPLE = re.compile(r"tuple (\(\d+,\d+\))")


@contextmanager
def named(target: Target, twin: Twin, rows: str) -> Iterator[None]:
    """Name the row at which PostgreSQL refuses what is done inside; `rows`: where they lie.

    Raises:
        Trouble: a row or key is too large, or two keys are one in the target.
    """
    try:
        with target.savepoint():
            yield
    except UniqueViolation as error:
        raise _collision(target, twin, rows) or error from None
    except ProgramLimitExceeded as error:
        raise _too_large(target, twin, rows, error) from None


def _collision(target: Target, twin: Twin, rows: str) -> Trouble | None:
    """Two rows with one key, or None: then another index of the target refuses."""
    keys = twin.key_names
    twice = f"GROUP BY {keys} HAVING count(*) > 1"
    line = target.one(f"SELECT {keys} FROM {rows} {twice} LIMIT 1")
    if line is None:
        return None
    return Trouble(
        f"table {twin.table.name}: two rows get the same key ({key_text(line)}) in PostgreSQL,"
        " which tells fewer keys apart than SQLite; give one of them another key or exclude the"
        " table"
    )


def _too_large(target: Target, twin: Twin, rows: str, error: psycopg.Error) -> Trouble:
    primary = error.diag.message_primary or str(error)
    if "index" not in primary:
        return Trouble(f"table {twin.table.name}: {primary}; {advice(twin)}")
    place = _TUPLE.search(error.diag.message_detail or "")
    sizes = " + ".join(f"octet_length({typed.name}::text)" for typed in twin.key)
    if place is not None and rows == twin.target:
        end = f"WHERE ctid = '{place[1]}'"
    else:
        end = f"ORDER BY {sizes} DESC LIMIT 1"
    line = target.one(f"SELECT {twin.key_names} FROM {rows} {end}") or ()
    return Trouble(
        f"table {twin.table.name}, key ({key_text(line)}): the key is too long for an index of"
        f" PostgreSQL ({primary}); shorten it or exclude the table"
    )


def advice(twin: Twin) -> str:
    """What to do about a row that is too large."""
    return f"exclude columns (exclude: [{twin.table.name}.COLUMN]) or the table"
