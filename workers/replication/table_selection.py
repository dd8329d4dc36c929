"""Select the tables to replicate, and log those that are left out.

Only names are checked. Invariant: no table of the user is left out silently, and a
configured name that the source does not have ends the run.
"""

import sqlite3

from workers.replication import change_log, column_settings, source
from workers.replication.errors import ReplicationError
from workers.replication.params import Params
from workers.report import Report


def chosen(connection: sqlite3.Connection, params: Params, report: Report) -> list[str]:
    """Return the names of the tables to replicate; log those that are left out.

    Raises:
        ReplicationError: a name in `tables`, `exclude`, `rename`, `types` or `adopt` is unknown,
            or a table in `tables` cannot be replicated.
    """
    found = dict(source.all_names(connection))
    _refuse_unknown(params, found)
    column_settings.refuse_unknown(params, source.known_columns(connection, found))
    names = []
    for name, why in found.items():
        asked = params.all_tables or name in params.tables
        if not asked or name in params.exclude:
            continue
        if not why:
            names.append(name)
        elif not params.all_tables:
            raise ReplicationError(f"tables: {name} cannot be replicated: it is {why}")
    left_out = [f"{name} ({why})" for name, why in found.items() if why not in ("", source.OURS)]
    if left_out and params.all_tables:
        report.log(f"left out: {', '.join(left_out)[:1000]}")
    return names


def _refuse_unknown(params: Params, found: dict[str, str]) -> None:
    listed = () if params.all_tables else params.tables
    for key, names in (("tables", listed), ("adopt", params.adopt)):
        for name in names:
            if name not in found:
                known = ", ".join(name for name, why in found.items() if not why)[:300]
                raise ReplicationError(
                    f"{key}: no table {name} in {params.database}; it has {known}"
                )


def tell_leftovers(connection: sqlite3.Connection, report: Report) -> None:
    """Warn about change logs that an earlier `capture: triggers` left in the source."""
    logs = change_log.leftovers(connection)
    if logs:
        report.log(
            f"the source still has logs of changes ({', '.join(logs)[:200]}), which grow and slow"
            " its writers; docs/replication.md shows how to remove them",
            "warning",
        )
