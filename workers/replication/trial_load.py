"""Load every row into temporary tables, for what a dry run can only learn from PostgreSQL.

Each table is loaded as in a first run, with the types that the target has or would get, and
its key is built. Then everything is rolled back. Enter at `surveyed`.
Invariant: nothing in the schema itself is written or locked.
"""

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import psycopg

from workers.replication import dry_run, key_index, keys, sync_table, target_schema, type_mapping
from workers.replication.copy_rows import Connections
from workers.replication.dry_run import TableSurvey
from workers.replication.errors import ReplicationCancelledError, ReplicationError
from workers.replication.row_encoding import Marks
from workers.replication.settings import Settings
from workers.replication.sync_table import SyncMethod, TableSync, Tally
from workers.replication.tables import MappedColumn, Table, TablePair
from workers.replication.target import Target, connected
from workers.replication.target_schema import TargetColumn
from workers.report import Report

# PostgreSQL's alias for the schema of a session's temporary tables.
_SCRATCH = "pg_temp"
# SQLSTATE classes of errors that concern the server, not a table.
_PASSING = ("08", "57", "58")


@dataclass(frozen=True, slots=True)
class Stage:
    """The two sides of a trial load; advance: called with the number of rows."""

    source: sqlite3.Connection
    target: Target
    settings: Settings
    advance: Callable[[int], None]


def surveyed(
    connection: sqlite3.Connection, settings: Settings, names: Sequence[str], report: Report
) -> list[TableSurvey]:
    """Return each table as a run would find it; without PostgreSQL, from the source alone."""

    def advance(rows: int) -> None:
        if report.cancelled:
            raise ReplicationCancelledError

    try:
        with connected(settings.destination, lambda: report.cancelled) as target:
            stage = Stage(connection, target, settings, advance)
            return [_surveyed(stage, name) for name in names]
    except ReplicationError as problem:
        report.log(f"only the database was looked at, not PostgreSQL: {problem}", "warning")
    found = []
    for name in names:
        try:
            with key_index.readable(connection, name):
                found.append(dry_run.survey(connection, settings.source.columns, name, {}))
        except ReplicationError as problem:
            found.append(dry_run.refused(name, problem))
    return found


def _surveyed(stage: Stage, name: str) -> TableSurvey:
    try:
        with key_index.readable(stage.source, name):
            present = target_schema.columns_of(stage.target, name)
            seen = dry_run.survey(stage.source, stage.settings.source.columns, name, present)
            return replace(seen, problems=problems(stage, seen, present))
    except ReplicationError as problem:
        return dry_run.refused(name, problem)


def problems(
    stage: Stage, seen: TableSurvey, present: Mapping[str, TargetColumn]
) -> tuple[str, ...]:
    """Return what would make a run fail at this table, besides the misfits in `seen`.

    A column with a problem is left out, and the rest is tried again.
    """
    table = seen.table
    try:
        if present:
            target_schema.pair_of(stage.target, table, present)
    except ReplicationError as problem:
        return (str(problem),)
    if any(column.name in seen.misfits for column in table.key):
        return ()
    if not stage.settings.widens:
        table = _without(table, set(seen.misfits))
    problems: list[str] = []
    while (misfit := _tried(stage, seen, table)) is not None:
        problems.append(str(misfit))
        smaller = _without(table, {misfit.column})
        if smaller == table:
            break
        table = smaller
    return tuple(problems)


def _without(table: Table, names: set[str]) -> Table:
    kept = tuple(c for c in table.columns if c.key or c.name not in names)
    return replace(table, columns=kept)


def _tried(stage: Stage, seen: TableSurvey, table: Table) -> ReplicationError | None:
    try:
        with stage.target.connection.transaction(force_rollback=True):
            _bring(stage, seen, table)
    except ReplicationError as problem:
        return problem
    except psycopg.Error as error:
        if not error.sqlstate or error.sqlstate.startswith(_PASSING):
            raise
        return ReplicationError(f"table {table.name}: {error.diag.message_primary}")
    return None


def _bring(stage: Stage, seen: TableSurvey, table: Table) -> None:
    scratch = Target(stage.target.connection, _SCRATCH)
    settings = stage.settings
    between = Connections(stage.source, scratch, Marks(), settings.widens, stage.advance)
    bringing = TableSync(
        between, settings.proof, settings.deletion_limit, Tally(), lambda text, level: None
    )
    for column in table.key:
        target_schema.refuse_key_type(
            column, type_mapping.long_word(column.wanted or "text"), table.name
        )
    typed = tuple(MappedColumn(column, seen.chosen[column.name].type) for column in table.columns)
    target_schema.make(scratch, TablePair(table, typed, scratch.named(table.name)))
    # Read the types back, because a requested type may be an alias.
    pair = target_schema.pair_of(scratch, table, target_schema.columns_of(scratch, table.name))
    sync_table.sync_table(bringing, keys.settled(between, pair, 0), SyncMethod.FULL, True)
