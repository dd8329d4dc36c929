"""Select the tables to replicate, and log those that are left out.

Only names are checked. Invariant: no table of the user is left out silently, and a
configured name that the source does not have ends the run.
"""

import sqlite3

from workers.replication import change_log, column_settings, source
from workers.replication.errors import ReplicationError
from workers.replication.settings import Source, TableSelection
from workers.report import Report


def chosen(connection: sqlite3.Connection, wanted: Source, report: Report) -> list[str]:
    """Return the names of the tables to replicate; log those that are left out.

    Raises:
        ReplicationError: a name in `tables`, `exclude`, `rename`, `types` or `adopt` is unknown,
            or a table in `tables` cannot be replicated.
    """
    found = dict(source.all_names(connection))
    _refuse_unknown(wanted, found)
    column_settings.refuse_unknown(wanted.columns, source.known_columns(connection, found))
    tables, names = wanted.tables, []
    for name, why in found.items():
        if not _is_asked(name, tables):
            continue
        if not why:
            names.append(name)
        elif tables.names:
            raise ReplicationError(f"tables: {name} cannot be replicated: it is {why}")
    left_out = [f"{name} ({why})" for name, why in found.items() if why not in ("", source.OURS)]
    if left_out and not tables.names:
        report.log(f"left out: {', '.join(left_out)[:1000]}")
    return names


def selected(connection: sqlite3.Connection, tables: TableSelection) -> list[str]:
    """Return the tables that can be replicated of those that the selection has; log nothing."""
    found = source.all_names(connection)
    return [name for name, why in found if not why and _is_asked(name, tables)]


def _is_asked(name: str, tables: TableSelection) -> bool:
    return (not tables.names or name in tables.names) and name not in tables.exclude


def _refuse_unknown(wanted: Source, found: dict[str, str]) -> None:
    for key, names in (("tables", wanted.tables.names), ("adopt", wanted.tables.adopt)):
        for name in names:
            if name not in found:
                known = ", ".join(name for name, why in found.items() if not why)[:300]
                raise ReplicationError(
                    f"{key}: no table {name} in {wanted.database}; it has {known}"
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
