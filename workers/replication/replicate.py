"""A whole run, in an order that is safe to interrupt.

Enter at `replicate`. The target is connected and locked first, because an
unreachable server then costs only seconds. Next come the source's snapshot and each table.
After the snapshot is closed, the commits follow: the source records the next generation,
the target commits, and the source marks that generation as current.
Invariant: if a run ends before the target's commit, the target is unchanged and the change
logs are kept; if it ends after the commit, the next run misses no change.
"""

import sqlite3
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from workers import sqlite
from workers.protocol import Scalar
from workers.replication import (
    change_log,
    key_index,
    keys,
    merge,
    proof,
    session,
    source,
    sync_table,
    target_schema,
    watermark,
)
from workers.replication.copy_rows import Connections
from workers.replication.row_counter import RowCounter
from workers.replication.row_encoding import Marks
from workers.replication.session import Pair, Session
from workers.replication.settings import Settings
from workers.replication.sync_table import SyncMethod, TableSync, Tally
from workers.replication.tables import TablePair
from workers.replication.target import connected
from workers.replication.watermark import SavedState, TableProof
from workers.report import Report


@dataclass(slots=True)
class RunResult:
    """What a run has to commit and report; `current`: the source's generation."""

    tally: Tally
    tables: int
    current: str
    rotate: bool = False
    proved: dict[str, TableProof] = field(default_factory=dict)
    taken: dict[str, int] = field(default_factory=dict)


def replicate(settings: Settings, report: Report) -> dict[str, Scalar]:
    """Make the target equal to the source; return counts and seconds.

    Raises:
        ReplicationError, DatabaseError, ReplicationCancelledError: the run failed.
    """
    began = time.monotonic()
    with connected(settings.destination, lambda: report.cancelled) as target:
        remembered = watermark.recall(target)
        if not remembered.stands:
            target_schema.make_schema(target)
        with session.taken(settings.source, target, report, remembered) as seen:
            connection, snapshot_at = seen.connection, seen.at
            between = Connections(connection, target, Marks(), settings.widens, RowCounter(report))
            bringing = TableSync(
                between,
                settings.proof,
                settings.deletion_limit,
                Tally(),
                report.log,
                seen.adopted,
            )
            outcome = _all_tables(bringing, seen, remembered, settings.source.triggers)
            schema_version = connection.execute("PRAGMA schema_version").fetchone()[0]
        with _generation(
            settings.source.database, remembered.generation, outcome, report
        ) as generation:
            now_proved = outcome.proved.values()
            watermark.save(target, remembered, generation, schema_version, snapshot_at, now_proved)
            target.connection.commit()
    return _result(outcome, snapshot_at, time.monotonic() - began, report)


def _all_tables(
    bringing: TableSync, seen: Session, remembered: SavedState, triggers: bool
) -> RunResult:
    connection, now = seen.connection, seen.at
    watermark.make(bringing.between.target, remembered)
    memory = change_log.memory(connection)
    outcome = RunResult(bringing.tally, len(seen.pairs), memory.current)
    known = triggers and memory.knows(remembered.generation)
    moved = connection.execute("PRAGMA schema_version").fetchone()[0] != remembered.schema_version
    ways: dict[str, tuple[SyncMethod, bool]] = {}
    plan: list[TablePair] = []
    for number, candidate in enumerate(seen.pairs):
        name = candidate.table.name
        with key_index.readable(connection, name):
            pair, is_new = _pair(bringing, candidate, number, remembered.brought(name))
        plan.append(pair)
        before = remembered.tables.get(name)
        epoch = memory.epochs.get(name, "")
        # VACUUM renumbers the rows of tables without a key, and fires no trigger.
        renumbered = moved and pair.table.rowid
        believed = known and not renumbered and _is_as_left(remembered, candidate, epoch)
        last = change_log.last_of(connection, name) if triggers else 0
        ways[name] = (_way(believed, is_new, last), is_new)
        if last:
            outcome.taken[name] = last
        # This entry proves nothing; `_prove` replaces it once the rows are proved.
        since = before.proved_since if before and not is_new else now
        outcome.proved[name] = before if before and believed else TableProof(name, epoch, since)
    outcome.rotate = triggers and (not known or bool(outcome.taken))
    gone = sorted(remembered.tables.keys() - {candidate.table.name for candidate in seen.pairs})
    if gone:
        listed = ", ".join(gone)[:300]
        bringing.log(
            f"tables no longer in the source or asked for: {listed}; left as they are", "warning"
        )
    _bring_all(bringing, plan, ways, outcome, now)
    _note_tables(bringing, seen, plan, outcome)
    return outcome


def _is_as_left(remembered: SavedState, candidate: Pair, epoch: str) -> bool:
    """Return whether both sides are those of the last run, with triggers that saw each change."""
    name = candidate.table.name
    before = remembered.tables.get(name)
    return (
        before is not None and before.epoch == epoch and remembered.owns(name, candidate.relation)
    )


def _note_tables(
    bringing: TableSync, seen: Session, plan: Sequence[TablePair], outcome: RunResult
) -> None:
    """Record the columns and the target's table of each pair, for the next run."""
    relations = {candidate.table.name: candidate.relation for candidate in seen.pairs}
    made = [name for name, relation in relations.items() if not relation]
    relations |= target_schema.relations(bringing.between.target, made)
    for pair in plan:
        name, columns = pair.table.name, tuple(column.name for column in pair.table.columns)
        proved = outcome.proved[name]
        outcome.proved[name] = replace(proved, columns=columns, relation=relations[name])


def _way(believed: bool, is_new: bool, last: int) -> SyncMethod:
    if is_new or not believed:
        return SyncMethod.FULL
    return SyncMethod.CHANGES if last else SyncMethod.NOTHING


def _bring_all(
    bringing: TableSync,
    plan: Sequence[TablePair],
    ways: dict[str, tuple[SyncMethod, bool]],
    outcome: RunResult,
    now: datetime,
) -> None:
    target, tally = bringing.between.target, bringing.tally
    proves = bringing.proof.verifies_sent or bringing.proof.is_full
    if not proves and all(path is SyncMethod.NOTHING for path, _ in ways.values()):
        return
    target_schema.lock(target, plan)
    order = [
        sync_table.sync_table(bringing, pair, *ways[pair.table.name])
        for pair in target_schema.parents_first(target, plan)
    ]
    sync_table.refuse_deletions(bringing, order)
    for pair in reversed(order):
        tally.deleted += sync_table.apply_deletes(bringing, pair)
    _prove(bringing, order, outcome, now)


def _prove(
    bringing: TableSync, order: Sequence[TablePair], outcome: RunResult, now: datetime
) -> None:
    """Prove the tables after their last change, as far as the parameters ask."""
    target = bringing.between.target
    if bringing.proof.is_full:
        # Run the target's deferred constraints and triggers before rows are compared.
        target.execute("SET CONSTRAINTS ALL IMMEDIATE")
        proof.prove_all(bringing, order)
    elif bringing.compared and target_schema.act_by_themselves(target, order):
        # Triggers, rules or cascades may have changed tables that were already compared.
        bringing.compared.clear()
    if bringing.proof.verifies_sent and not bringing.proof.is_full:
        target.execute("SET CONSTRAINTS ALL IMMEDIATE")
        for pair in order:
            if proof.counts_differ(bringing, pair):
                proof.prove(bringing, pair, source.WHOLE)
                merge.refuse_counts(bringing.between, pair)
                bringing.compared.add(pair.number)
    for pair in order:
        if pair.number in bringing.compared:
            outcome.proved[pair.table.name] = _proved_now(outcome, pair, now)
    if bringing.proof.verifies_sent and not bringing.proof.is_full:
        rest = [pair for pair in order if pair.number not in bringing.compared]
        proof.rolling(bringing, rest, outcome.proved, now)


def _proved_now(outcome: RunResult, pair: TablePair, now: datetime) -> TableProof:
    return TableProof(pair.table.name, outcome.proved[pair.table.name].epoch, now)


def _pair(
    bringing: TableSync, candidate: Pair, number: int, brought: Collection[str]
) -> tuple[TablePair, bool]:
    """Return the table pair, and whether its target table was created just now."""
    between, table, present = bringing.between, candidate.table, candidate.present
    target = between.target
    if not present:
        return keys.settled(between, sync_table.new_pair(bringing, table), number), True
    target_schema.refuse_dropped(target, table, present, brought)
    pair = target_schema.pair_of(target, table, present)
    extra = target_schema.extra(table, present)
    if extra:
        bringing.log(
            f"table {table.name}: columns of the target alone, left as they are:"
            f" {', '.join(extra)[:300]}",
            "info",
        )
    return keys.settled(between, sync_table.with_new_columns(bringing, pair), number), False


@contextmanager
def _generation(database: Path, present: str, outcome: RunResult, report: Report) -> Iterator[str]:
    """Yield the generation to commit; if rotated, update the source before and after."""
    if not outcome.rotate:
        yield present
        return
    # Use one connection for both: closing a database's last one checkpoints its whole WAL.
    with closing(sqlite.open_existing(database)) as connection:
        generation = change_log.announce(connection, outcome.current)
        yield generation
        try:
            change_log.settle(connection, generation, outcome.taken)
        except sqlite3.Error as error:
            # The target has committed; the next run processes the same keys again.
            words = sqlite.error_of(database, error)
            report.log(f"the log of changes was not emptied: {words}", "warning")


def _result(
    outcome: RunResult, snapshot_at: datetime, seconds: float, report: Report
) -> dict[str, Scalar]:
    now, tally = datetime.now(UTC), outcome.tally
    since: Iterable[datetime] = (proved.proved_since for proved in outcome.proved.values())
    oldest = max(((now - moment).total_seconds() for moment in since), default=0.0)
    lag = (now - snapshot_at).total_seconds()
    report.metric("replication_lag_seconds", lag)
    report.metric("replication_oldest_unproved_seconds", oldest)
    report.metric("replication_rows_changed", tally.inserted + tally.updated + tally.deleted)
    return {
        "inserted": tally.inserted,
        "updated": tally.updated,
        "deleted": tally.deleted,
        "healed": tally.healed,
        "compared": tally.compared,
        "tables": outcome.tables,
        "capture": tally.path,
        "oldest_unproved_seconds": round(oldest, 1),
        "lag_seconds": round(lag, 3),
        "seconds": round(seconds, 3),
    }
