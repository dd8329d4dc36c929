"""A SQLite source and a PostgreSQL target, for the tests of replication.

`unequal` compares them value by value in Python, with no code of the worker.
"""

import sqlite3
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from workers import replication
from workers.protocol import Log, Message
from workers.report import Report, WorkerError

OURS = "nightshift_"
TWO_THOUSAND_ROWS = """
CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT);
WITH RECURSIVE c (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM c WHERE n < 1999)
INSERT INTO t SELECT n, hex(randomblob(40)) FROM c"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Return a database with 2,000 rows of random texts in table `t`."""
    return a_source(tmp_path / "a.db", TWO_THOUSAND_ROWS)


@pytest.fixture
def embedded(postgres: str) -> str:
    """Return the DSN of a server that a proxy can stand before."""
    if not Path(str(psycopg.conninfo.conninfo_to_dict(postgres).get("host", ""))).is_dir():
        pytest.skip("only the embedded server has a proxy")
    return postgres


def a_report(said: list[Message] | None = None, **more: Any) -> Report:
    """Return a report that collects its messages in `said`."""
    received = [] if said is None else said
    return Report(received.append, datetime.now(UTC), **more)


def a_source(path: Path, script: str) -> Path:
    """Create a database by executing `script`."""
    with closing(sqlite3.connect(path)) as database:
        database.executescript(script)
    return path


def write(path: Path, script: str) -> None:
    """Execute `script` in one transaction."""
    a_source(path, f"BEGIN; {script}; COMMIT")


def a_job(path: Path, dsn: str, /, **more: Any) -> replication.Params:
    """Return the parameters of a replication; small tables may lose all of their rows."""
    return replication.Params(path, dsn, **{"max_delete": "100%", **more})


def run(path: Path, dsn: str, /, **more: Any) -> dict[str, Any]:
    """Replicate `path` and return the result."""
    return replication.run(a_job(path, dsn, **more), a_report())


def logged(path: Path, dsn: str, /, **more: Any) -> str:
    """Replicate and return the log."""
    return said_by(a_job(path, dsn, **more), a_report)


def dry(path: Path, dsn: str, /, **more: Any) -> str:
    """Return the log of a dry run."""
    return said_by(a_job(path, dsn, **more), lambda said: a_report(said, dry_run=True))


def said_by(job: replication.Params, report: Callable[[list[Message]], Report]) -> str:
    """Return the log of a job with this report."""
    said: list[Message] = []
    replication.run(job, report(said))
    return "\n".join(message.text for message in said if isinstance(message, Log))


def planned(path: Path, dsn: str, /, **more: Any) -> tuple[str, dict[str, Any]]:
    """Return the log and the result of a dry run."""
    said: list[Message] = []
    params = replication.Params(path, dsn, **more)
    result = replication.run(params, a_report(said, dry_run=True))
    return "\n".join(message.text for message in said if isinstance(message, Log)), result


def failure(path: Path, dsn: str, /, **more: Any) -> WorkerError:
    """Return the error of a replication that must fail."""
    with pytest.raises(WorkerError) as failed:
        run(path, dsn, **more)
    return failed.value


def sql(dsn: str, statement: str) -> list[tuple[Any, ...]]:
    """Return the rows of a statement in PostgreSQL."""
    with psycopg.connect(dsn, autocommit=True) as client:
        cursor = client.execute(statement)
        return cursor.fetchall() if cursor.description else []


def types(dsn: str, table: str) -> dict[str, str]:
    """Return the columns of a table in PostgreSQL, with their types."""
    return dict(
        sql(
            dsn,
            "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute"
            f" WHERE attrelid = '\"{table}\"'::regclass AND attnum > 0 AND NOT attisdropped",
        )
    )


def unequal(path: Path, dsn: str, schema: str = "public") -> dict[str, Any]:
    """Return by table the rows that only one side has; empty if both are equal."""
    found = {}
    with closing(sqlite3.connect(path)) as source, psycopg.connect(dsn) as target:
        query = "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table'"
        for (table,) in source.execute(query).fetchall():
            if not table.startswith((OURS, "sqlite_")):
                difference = _difference(source, target, schema, table)
                if difference:
                    found[table] = difference
    return found


def _difference(
    source: sqlite3.Connection, target: psycopg.Connection, schema: str, table: str
) -> list[Any]:
    columns = [
        name
        for (name,) in source.execute(
            "SELECT name FROM pragma_table_xinfo(?) WHERE hidden <> 1", (table,)
        )
    ]
    names = ", ".join(_quoted(name) for name in columns)
    here = source.execute(f"SELECT {names} FROM {_quoted(table)}").fetchall()
    there = target.execute(
        f"SELECT {names} FROM {_quoted(schema)}.{_quoted(table)}".encode()
    ).fetchall()
    real = [any(isinstance(row[place], float) for row in there) for place in range(len(columns))]
    left = Counter(_reported(row, real) for row in here)
    right = Counter(_reported(row, real) for row in there)
    return [*(left - right), *(right - left)]


def _reported(row: tuple[Any, ...], real: list[bool]) -> tuple[str, ...]:
    return tuple(
        repr(float(value)) if is_real and isinstance(value, int) else repr(value)
        for value, is_real in zip(row, real, strict=True)
    )


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
