"""A run's own work into temporary tables: what a dry run finds that only PostgreSQL can say.

Every row goes the way of a first run, with the types that stand in the target
or would be made, and the key is built over them; afterwards all is rolled back.
Invariant: nothing of the schema itself is written or locked.
"""

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import psycopg

from workers.replication import bring, key_index, keys, survey, twins, types
from workers.replication.bring import Bringing, Tally, Way
from workers.replication.carry import Between
from workers.replication.encode import Marks
from workers.replication.params import Params
from workers.replication.shape import Table, Twin, Typed
from workers.replication.survey import Survey
from workers.replication.target import Target, connected
from workers.replication.trouble import Cancelled, Trouble
from workers.replication.twins import Present
from workers.report import Report

# PostgreSQL's own name for the schema of a session's temporary tables.
_SCRATCH = "pg_temp"
# Errors that speak of the server, not of a table.
_PASSING = ("08", "57", "58")


@dataclass(frozen=True, slots=True)
class Stage:
    """The two sides of a rehearsal; advance: told how many rows went by."""

    source: sqlite3.Connection
    target: Target
    params: Params
    advance: Callable[[int], None]


def surveyed(
    connection: sqlite3.Connection, params: Params, names: Sequence[str], report: Report
) -> list[Survey]:
    """Each table as a run would find it; without PostgreSQL, as far as the source can say."""

    def advance(rows: int) -> None:
        if report.cancelled:
            raise Cancelled

    try:
        with connected(params.postgres, params.schema, lambda: report.cancelled) as target:
            stage = Stage(connection, target, params, advance)
            return [_surveyed(stage, name) for name in names]
    except Trouble as trouble:
        report.log(f"only the database was looked at, not PostgreSQL: {trouble}", "warning")
    found = []
    for name in names:
        try:
            with key_index.readable(connection, name):
                found.append(survey.survey(connection, params, name, {}))
        except Trouble as trouble:
            found.append(survey.refused(name, trouble))
    return found


def _surveyed(stage: Stage, name: str) -> Survey:
    try:
        with key_index.readable(stage.source, name):
            present = twins.columns_of(stage.target, name)
            seen = survey.survey(stage.source, stage.params, name, present)
            return replace(seen, problems=problems(stage, seen, present))
    except Trouble as trouble:
        return survey.refused(name, trouble)


def problems(stage: Stage, seen: Survey, present: Mapping[str, Present]) -> tuple[str, ...]:
    """What would end a run at this table, beside the misfits that `seen` has found.

    A column with a problem is left out, and the rest is tried again.
    """
    table = seen.table
    try:
        if present:
            twins.twin_of(stage.target, table, present)
    except Trouble as trouble:
        return (str(trouble),)
    if any(column.name in seen.misfits for column in table.key):
        return ()
    if stage.params.on_misfit != "text":
        table = _without(table, set(seen.misfits))
    told: list[str] = []
    while (trouble_found := _tried(stage, seen, table)) is not None:
        told.append(str(trouble_found))
        smaller = _without(table, {trouble_found.column})
        if smaller == table:
            break
        table = smaller
    return tuple(told)


def _without(table: Table, names: set[str]) -> Table:
    kept = tuple(c for c in table.columns if c.key or c.name not in names)
    return replace(table, columns=kept)


def _tried(stage: Stage, seen: Survey, table: Table) -> Trouble | None:
    try:
        with stage.target.connection.transaction(force_rollback=True):
            _bring(stage, seen, table)
    except Trouble as trouble:
        return trouble
    except psycopg.Error as error:
        if not error.sqlstate or error.sqlstate.startswith(_PASSING):
            raise
        return Trouble(f"table {table.name}: {error.diag.message_primary}")
    return None


def _bring(stage: Stage, seen: Survey, table: Table) -> None:
    scratch = Target(stage.target.connection, _SCRATCH)
    widen = stage.params.on_misfit == "text"
    between = Between(stage.source, scratch, Marks(), widen, stage.advance)
    bringing = Bringing(between, stage.params, Tally(), lambda text, level: None)
    for column in table.key:
        twins.refuse_key_type(column, types.long_word(column.wanted or "text"), table.name)
    typed = tuple(Typed(column, seen.chosen[column.name].type) for column in table.columns)
    twins.make(scratch, Twin(table, typed, scratch.named(table.name)))
    # As PostgreSQL spells the types: what was asked for may be an alias.
    twin = twins.twin_of(scratch, table, twins.columns_of(scratch, table.name))
    bring.bring(bringing, keys.settled(between, twin, 0), Way.FULL, True)
