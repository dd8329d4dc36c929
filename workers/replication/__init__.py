"""Replication of a SQLite database into PostgreSQL, with proof that both are equal.

This module runs the job `replication.run`, logs its plan for a dry run, and turns every
failure into a `WorkerError`. Enter at `run`.
`replicate.py` orders a run; `session.py` pairs the tables of both sides; `source.py` reads
SQLite; `target.py` and `deadline_connection.py` hold the PostgreSQL connection;
`target_schema.py` does DDL; `merge.py` moves rows; `change_log.py` tracks changed keys;
`proof.py` verifies rows. `keys.py` keeps keys equal on both sides; `deletion_guard.py`
protects rows that no run has written. `verify.py`, `compare_table.py` and
`shared_snapshot.py` serve `verify_only`, `dry_run.py` and `deletion_forecast.py` `--dry-run`.
`settings.py`, `column_settings.py`, `type_mapping.py`, `key_lookup.py` and `row_encoding.py`
are pure.
"""

import sqlite3

from workers import sqlite
from workers.protocol import Scalar
from workers.replication import deletion_forecast
from workers.replication.dry_run import plan
from workers.replication.errors import ReplicationCancelledError, ReplicationError
from workers.replication.params import Params
from workers.replication.replicate import replicate
from workers.replication.settings import Settings, resolve
from workers.replication.source import snapshot
from workers.replication.table_selection import chosen
from workers.replication.trial_load import surveyed
from workers.replication.verify import verify
from workers.report import Report, WorkerError
from workers.sqlite import DatabaseError

__all__ = ["Params", "plan", "run"]


def run(params: Params, report: Report) -> dict[str, Scalar]:
    """Replicate or verify the database; return the result with row counts and seconds.

    Raises:
        WorkerError: the run failed; the message gives the cause.
    """
    try:
        settings = resolve(params)
        if report.dry_run:
            return _planned(settings, report)
        return verify(settings, report) if params.verify_only else replicate(settings, report)
    except ReplicationCancelledError:
        raise WorkerError("cancelled; nothing was changed") from None
    except (ReplicationError, DatabaseError) as problem:
        raise WorkerError(str(problem), problem.permanent) from None
    except sqlite3.Error as error:
        failure = sqlite.error_of(params.database, error)
        raise WorkerError(str(failure), failure.permanent) from None


def _planned(settings: Settings, report: Report) -> dict[str, Scalar]:
    with snapshot(settings.source.database, lambda: report.cancelled) as connection:
        names = chosen(connection, settings.source, report)
        tables = surveyed(connection, settings, names, report)
    deletions = deletion_forecast.log_forecast(settings, names, report)
    for line in plan(settings, tables):
        report.log(line)
    misfits = sum(len(seen.misfits) + len(seen.problems) for seen in tables)
    rows = sum(seen.rows for seen in tables)
    return {"tables": len(tables), "rows": rows, "misfits": misfits, **deletions}
