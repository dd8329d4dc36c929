"""A run from its first look to its last commit, in the order that makes it safe.

The target is connected and locked first, so that a server that is away costs
seconds; then the source's snapshot; then each table; then, with the snapshot
closed, the commits: source says what comes next, target commits, source says
that it came. The law: whatever ends a run before the target's commit leaves
both sides as they were, and after it the next run finds nothing lost.
"""

import sqlite3
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from workers import database
from workers.protocol import Scalar
from workers.replication import (
    bring,
    choice,
    key_index,
    keys,
    merge,
    proof,
    sight,
    source,
    state,
    triggers,
    twins,
)
from workers.replication.bring import Bringing, Tally, Way
from workers.replication.carry import Between
from workers.replication.encode import Marks
from workers.replication.params import Params
from workers.replication.shape import Twin
from workers.replication.sight import Pair, Sight
from workers.replication.state import Proved, Remembered
from workers.replication.target import connected
from workers.replication.trouble import Cancelled, Trouble
from workers.report import Report

_TELL_EVERY_ROWS = 10_000


@dataclass(slots=True)
class Counter:
    """Rows that went by, told to the report from time to time."""

    report: Report
    done: int = 0

    def __call__(self, rows: int) -> None:
        """So many more.

        Raises:
            Cancelled: the run was asked to end.
        """
        if self.report.cancelled:
            raise Cancelled
        before, self.done = self.done, self.done + rows
        if before // _TELL_EVERY_ROWS != self.done // _TELL_EVERY_ROWS:
            self.report.progress(self.done, None, "rows")


@dataclass(slots=True)
class Outcome:
    """What there is to commit, and to say; `current`: the source's generation."""

    tally: Tally
    tables: int
    current: str
    rotate: bool = False
    proved: dict[str, Proved] = field(default_factory=dict)
    taken: dict[str, int] = field(default_factory=dict)


def replicate(params: Params, report: Report) -> dict[str, Scalar]:
    """Make the target equal to the source; numbers of it.

    Raises:
        Trouble, DatabaseTrouble, Cancelled: the target is as before.
    """
    began = time.monotonic()
    with connected(params.postgres, params.schema, lambda: report.cancelled) as target:
        remembered = state.recall(target)
        if not remembered.stands:
            twins.make_schema(target)
        with sight.taken(params, target, report, remembered) as seen:
            connection, snapshot_at = seen.connection, seen.at
            between = Between(
                connection, target, Marks(), params.on_misfit == "text", Counter(report)
            )
            bringing = Bringing(between, params, Tally(), report.log, seen.adopted)
            outcome = _all_tables(bringing, seen, remembered)
            schema_version = connection.execute("PRAGMA schema_version").fetchone()[0]
        with _generation(params, remembered.generation, outcome, report) as generation:
            now_proved = outcome.proved.values()
            state.save(target, remembered, generation, schema_version, snapshot_at, now_proved)
            target.connection.commit()
    return _result(outcome, snapshot_at, time.monotonic() - began, report)


def verify(params: Params, report: Report) -> dict[str, Scalar]:
    """Compare every row and change nothing; numbers of it.

    Raises:
        Trouble: rows differ; how many, and the first of them by name.
    """
    began, rows, wrong = time.monotonic(), 0, []
    with (
        connected(params.postgres, params.schema, lambda: report.cancelled) as target,
        source.snapshot(params, lambda: report.cancelled) as connection,
    ):
        between = Between(connection, target, Marks(), params.on_misfit == "text", Counter(report))
        names = choice.chosen(connection, params, report)
        remembered = state.recall(target)
        for number, pair in enumerate(sight.beside(connection, target, names, params)):
            table, present, name = pair.table, pair.present, pair.table.name
            missing = [c.name for c in table.columns if c.name not in present]
            if missing:
                wrong.append(
                    f"table {name}: {target.named(name)} has no {', '.join(missing)[:200]}"
                )
                continue
            twins.refuse_dropped(target, table, present, remembered.brought(name))
            twin = keys.settled(between, twins.twin_of(target, table, present), number)
            with key_index.readable(connection, name):
                found = merge.differing(between, twin, source.WHOLE)
            rows += found.compared
            if found.count:
                wrong.append(proof.told(twin, found, "differ"))
    if wrong:
        for line in wrong:
            report.log(line, "error")
        raise Trouble(f"not equal: {'; '.join(wrong)[:1000]}")
    seconds = round(time.monotonic() - began, 3)
    return {"compared": rows, "tables": len(names), "differing": 0, "seconds": seconds}


def _all_tables(bringing: Bringing, seen: Sight, remembered: Remembered) -> Outcome:
    connection, now = seen.connection, seen.at
    state.make(bringing.between.target, remembered)
    memory = triggers.memory(connection)
    outcome = Outcome(bringing.tally, len(seen.pairs), memory.current)
    known = bringing.params.capture == "triggers" and memory.knows(remembered.generation)
    moved = connection.execute("PRAGMA schema_version").fetchone()[0] != remembered.schema_version
    ways: dict[str, tuple[Way, bool]] = {}
    plan: list[Twin] = []
    for number, pair in enumerate(seen.pairs):
        name = pair.table.name
        with key_index.readable(connection, name):
            twin, is_new = _twin(bringing, pair, number, remembered.brought(name))
        plan.append(twin)
        before = remembered.tables.get(name)
        epoch = memory.epochs.get(name, "")
        believed = known and before is not None and before.epoch == epoch
        believed = believed and remembered.owns(name, pair.relation)
        # VACUUM gives tables without a key new row numbers, which no trigger sees.
        believed = believed and not (twin.table.rowid and moved)
        last = 0
        if bringing.params.capture == "triggers":
            last = triggers.last_of(connection, name)
        ways[name] = (_way(believed, is_new, last, twin), is_new)
        if last:
            outcome.taken[name] = last
        # Nothing of it is proved by this line: that is said when it was.
        since = before.proved_since if before and not is_new else now
        outcome.proved[name] = before if before and believed else Proved(name, epoch, since)
    outcome.rotate = bringing.params.capture == "triggers" and (not known or bool(outcome.taken))
    gone = sorted(remembered.tables.keys() - {pair.table.name for pair in seen.pairs})
    if gone:
        listed = ", ".join(gone)[:300]
        bringing.log(
            f"tables no longer in the source or asked for: {listed}; left as they are", "warning"
        )
    _bring_all(bringing, plan, ways, outcome, now)
    relations = {pair.table.name: pair.relation for pair in seen.pairs}
    made = [name for name, relation in relations.items() if not relation]
    relations |= twins.relations(bringing.between.target, made)
    for twin in plan:
        name, columns = twin.table.name, tuple(column.name for column in twin.table.columns)
        proved = outcome.proved[name]
        outcome.proved[name] = replace(proved, columns=columns, relation=relations[name])
    return outcome


def _way(believed: bool, is_new: bool, last: int, twin: Twin) -> Way:
    if is_new or not believed:
        return Way.FULL
    return Way.CHANGES if last else Way.NOTHING


def _bring_all(
    bringing: Bringing,
    plan: Sequence[Twin],
    ways: dict[str, tuple[Way, bool]],
    outcome: Outcome,
    now: datetime,
) -> None:
    target, tally = bringing.between.target, bringing.tally
    proves = bringing.proves or bringing.params.full
    if not proves and all(path is Way.NOTHING for path, _ in ways.values()):
        return
    twins.lock(target, plan)
    order = [
        bring.bring(bringing, twin, *ways[twin.table.name])
        for twin in twins.parents_first(target, plan)
    ]
    bring.refuse_deletions(bringing, order)
    for twin in reversed(order):
        tally.deleted += bring.take_away(bringing, twin)
    _prove(bringing, order, outcome, now)


def _prove(bringing: Bringing, order: Sequence[Twin], outcome: Outcome, now: datetime) -> None:
    """Prove what there is to commit, after its last change, as far as was asked for."""
    target = bringing.between.target
    if bringing.params.full:
        # What the target does at the commit by itself is done before it is compared.
        target.execute("SET CONSTRAINTS ALL IMMEDIATE")
        proof.prove_all(bringing, order)
    elif bringing.compared and twins.act_by_themselves(target, order):
        # A row that was written may have changed others, in tables compared before.
        bringing.compared.clear()
    if bringing.proves and not bringing.params.full:
        target.execute("SET CONSTRAINTS ALL IMMEDIATE")
        for twin in order:
            if proof.counts_differ(bringing, twin):
                proof.prove(bringing, twin, source.WHOLE)
                merge.refuse_counts(bringing.between, twin)
                bringing.compared.add(twin.number)
    for twin in order:
        if twin.number in bringing.compared:
            outcome.proved[twin.table.name] = _proved_now(outcome, twin, now)
    if bringing.proves and not bringing.params.full:
        rest = [twin for twin in order if twin.number not in bringing.compared]
        proof.rolling(bringing, rest, outcome.proved, now)


def _proved_now(outcome: Outcome, twin: Twin, now: datetime) -> Proved:
    return Proved(twin.table.name, outcome.proved[twin.table.name].epoch, now)


def _twin(
    bringing: Bringing, pair: Pair, number: int, brought: Collection[str]
) -> tuple[Twin, bool]:
    """The twin in the target, and whether it was made just now."""
    between, table, present = bringing.between, pair.table, pair.present
    target = between.target
    if not present:
        return keys.settled(between, bring.new_twin(bringing, table), number), True
    twins.refuse_dropped(target, table, present, brought)
    twin = twins.twin_of(target, table, present)
    extra = twins.extra(table, present)
    if extra:
        bringing.log(
            f"table {table.name}: columns of the target alone, left as they are:"
            f" {', '.join(extra)[:300]}",
            "info",
        )
    return keys.settled(between, bring.with_new_columns(bringing, twin), number), False


@contextmanager
def _generation(params: Params, present: str, outcome: Outcome, report: Report) -> Iterator[str]:
    """What the target commits under: if rotated, the source hears of it before and after."""
    if not outcome.rotate:
        yield present
        return
    # One connection for both: closing a database's last one moves all of its log.
    with closing(database.open_existing(params.database)) as connection:
        generation = triggers.announce(connection, outcome.current)
        yield generation
        try:
            triggers.settle(connection, generation, outcome.taken)
        except sqlite3.Error as error:
            # The target has committed; the next run takes the same keys again.
            words = database.trouble(params.database, error)
            report.log(f"the log of changes was not emptied: {words}", "warning")


def _result(
    outcome: Outcome, snapshot_at: datetime, seconds: float, report: Report
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
