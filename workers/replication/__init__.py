"""Replication: a SQLite database into PostgreSQL, provably equal.

Here: the job `replication.run`, its plan, and how each trouble ends a run.
`work.py` leads; `sight.py` looks at both sides, `source.py` reads, `target.py`
waits, `twins.py` makes tables, `merge.py` moves rows, `triggers.py` knows what
changed, `proof.py` checks.
`keys.py` keeps keys the same, `guard.py` what is not ours. `shape.py`, `types.py`,
`lookup.py` and `encode.py` decide and touch nothing; `survey.py` and `forecast.py` plan.
"""

import sqlite3

from workers import database
from workers.database import DatabaseTrouble
from workers.protocol import Scalar
from workers.replication import forecast
from workers.replication.choice import chosen
from workers.replication.params import Params
from workers.replication.rehearsal import surveyed
from workers.replication.source import snapshot
from workers.replication.survey import plan
from workers.replication.trouble import Cancelled, Trouble
from workers.replication.work import replicate, verify
from workers.report import Report, WorkerFailed

__all__ = ["Params", "plan", "run"]


def run(params: Params, report: Report) -> dict[str, Scalar]:
    """Make PostgreSQL equal to the database, or say whether it is; rows, seconds.

    Raises:
        WorkerFailed: with the trouble in words; nothing was half done.
    """
    try:
        if report.dry_run:
            return _planned(params, report)
        return verify(params, report) if params.verify_only else replicate(params, report)
    except Cancelled:
        raise WorkerFailed("cancelled; nothing was changed") from None
    except (Trouble, DatabaseTrouble) as trouble:
        raise WorkerFailed(str(trouble), trouble.permanent) from None
    except sqlite3.Error as error:
        told = database.trouble(params.database, error)
        raise WorkerFailed(str(told), told.permanent) from None


def _planned(params: Params, report: Report) -> dict[str, Scalar]:
    with snapshot(params, lambda: report.cancelled) as connection:
        names = chosen(connection, params, report)
        tables = surveyed(connection, params, names, report)
    deletions = forecast.tell(params, names, report)
    for line in plan(params, tables):
        report.log(line)
    misfits = sum(len(seen.misfits) + len(seen.problems) for seen in tables)
    rows = sum(seen.rows for seen in tables)
    return {"tables": len(tables), "rows": rows, "misfits": misfits, **deletions}
