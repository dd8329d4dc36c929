"""Costs of replication for growth.py: a database with many small tables, on a real PostgreSQL."""

import sqlite3
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from workers import replication
from workers.report import Report

sys.path.append(str(Path(__file__).resolve().parents[1] / "scripts"))
from embedded_postgres import FORGETFUL, throwaway

_AGAIN = 3


def of_tables(number: int, folder: Path) -> Iterator[tuple[str, float]]:
    """Yield the wall-clock seconds of a first run and of one with nothing to do."""
    database = folder / "source.db"
    fill(database, number)
    with throwaway(FORGETFUL) as server:
        params = replication.Params(database, server.dsn, capture="triggers")
        yield "replication, first run", seconds(params)
        yield (
            "replication, nothing changed",
            min(seconds(params) for _ in range(_AGAIN)),
        )


def seconds(params: replication.Params) -> float:
    """Replicate once; return how long it took."""
    began = time.monotonic()
    replication.run(params, Report(lambda _: None, datetime.now(UTC)))
    return time.monotonic() - began


def fill(database: Path, number: int) -> None:
    """Create this many tables with a few rows each."""
    with closing(sqlite3.connect(database)) as connection:
        for each in range(number):
            connection.execute(
                f"CREATE TABLE t{each} (id INTEGER PRIMARY KEY, name TEXT, price REAL)"
            )
            connection.execute(f"INSERT INTO t{each} VALUES (1, 'a', 1.5), (2, 'b', NULL)")
        connection.commit()
