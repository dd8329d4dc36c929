"""Sync: copy a JSON catalogue from a folder or an API into SQLite.

This module holds the two jobs, `missing_sets` and `missing_cards`, and maps their errors to
the outcome of a run. `rows.py` (entries to rows), `diff.py` (differences) and `schema.py`
(table definitions) are pure. `source.py` and `api.py` read, `card_database.py` writes;
`sets.py` and `cards.py` connect them.
"""

import sqlite3
from collections.abc import Callable
from pathlib import Path

from workers import sqlite
from workers.protocol import Scalar
from workers.report import Report, WorkerError
from workers.sqlite import DatabaseError
from workers.sync import cards, sets
from workers.sync.card_database import StrangeIdError
from workers.sync.diff import plan
from workers.sync.params import Params
from workers.sync.source import Folder, Source, SyncCancelledError, UnreadableCatalogueError

__all__ = ["Params", "missing_cards", "missing_sets", "plan"]

_Sync = Callable[[Params, Source, Report], dict[str, Scalar]]


def missing_sets(params: Params, report: Report) -> dict[str, Scalar]:
    """Add and update the sets; return counts, names of vanished sets and seconds.

    Raises:
        WorkerError: the catalogue or the database failed.
    """
    return _run(sets.sync, params, report)


def missing_cards(params: Params, report: Report) -> dict[str, Scalar]:
    """Add and update the cards of every set; return counts, names and seconds.

    Raises:
        WorkerError: the catalogue or the database failed.
    """
    return _run(cards.sync, params, report)


def _run(sync: _Sync, params: Params, report: Report) -> dict[str, Scalar]:
    source = _source(params, report)
    try:
        return sync(params, source, report)
    except SyncCancelledError as cancelled:
        raise WorkerError("cancelled after 0 sets") from cancelled
    except StrangeIdError as error:
        raise WorkerError(f"database {params.database}, {error}", permanent=True) from error
    except (UnreadableCatalogueError, DatabaseError) as problem:
        raise WorkerError(str(problem), problem.permanent) from problem
    except sqlite3.Error as error:
        failure = sqlite.error_of(params.database, error)
        raise WorkerError(str(failure), failure.permanent) from error
    finally:
        source.close()


def _source(params: Params, report: Report) -> Source:
    if not params.remote:
        return Folder(Path(params.catalogue))
    # Importing requests takes 0.12 s, more than a run with nothing to do.
    from workers.sync.api import CatalogueApi

    return CatalogueApi(
        params.catalogue, params.api_key, params.batch_size, lambda: report.cancelled
    )
