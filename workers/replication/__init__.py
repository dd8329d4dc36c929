"""Replication of a SQLite database into PostgreSQL, with proof that both are equal.

This module runs the job `replication.run`, logs its plan for a dry run, and turns every
failure into a `WorkerError`. Enter at `run`.
`replicate.py` orders a run; `session.py` pairs the tables of both sides; `source.py` reads
SQLite; `target.py` holds the PostgreSQL connection; `target_schema.py` does DDL; `merge.py`
moves rows; `change_log.py` tracks changed keys; `proof.py` verifies rows. `keys.py` keeps
keys equal on both sides; `deletion_guard.py` protects rows that no run has written.
`column_settings.py`, `type_mapping.py`, `key_lookup.py` and `row_encoding.py` are pure.
`dry_run.py` and `deletion_forecast.py` serve `--dry-run`.
"""

import sqlite3

from workers import sqlite
from workers.protocol import Scalar
from workers.replication import deletion_forecast
from workers.replication.dry_run import plan
from workers.replication.errors import ReplicationCancelledError, ReplicationError
from workers.replication.params import Params
from workers.replication.replicate import replicate, verify
from workers.replication.source import snapshot
from workers.replication.table_selection import chosen
from workers.replication.trial_load import surveyed
from workers.report import Report, WorkerError
from workers.sqlite import DatabaseError

__all__ = ["Params", "plan", "run"]


def run(params: Params, report: Report) -> dict[str, Scalar]:
    """Replicate or verify the database; return the result with row counts and seconds.

    Raises:
        WorkerError: the run failed; the message gives the cause.
    """
    try:
        if report.dry_run:
            return _planned(params, report)
        return verify(params, report) if params.verify_only else replicate(params, report)
    except ReplicationCancelledError:
        raise WorkerError("cancelled; nothing was changed") from None
    except (ReplicationError, DatabaseError) as problem:
        raise WorkerError(str(problem), problem.permanent) from None
    except sqlite3.Error as error:
        failure = sqlite.error_of(params.database, error)
        raise WorkerError(str(failure), failure.permanent) from None


def _planned(params: Params, report: Report) -> dict[str, Scalar]:
    with snapshot(params, lambda: report.cancelled) as connection:
        names = chosen(connection, params, report)
        tables = surveyed(connection, params, names, report)
    deletions = deletion_forecast.log_forecast(params, names, report)
    for line in plan(params, tables):
        report.log(line)
    misfits = sum(len(seen.misfits) + len(seen.problems) for seen in tables)
    rows = sum(seen.rows for seen in tables)
    return {"tables": len(tables), "rows": rows, "misfits": misfits, **deletions}
