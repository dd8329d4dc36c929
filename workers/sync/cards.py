"""`missing_cards`: make the rows of pokemon_cards equal to the catalogue.

Sets are synced one at a time, newest first, each in one transaction. A run that ends early
leaves only complete sets, and the next run continues with the rest. A set is skipped if its
document and its number of rows are unchanged.
Invariant: a set with any invalid entry keeps its rows and is reported; the other sets are
synced.
"""

import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field

from workers.protocol import Scalar
from workers.report import Report, WorkerError
from workers.sqlite import transaction
from workers.sync import card_database, diff, rows, sets
from workers.sync.diff import Changes, FailedSet
from workers.sync.params import Params
from workers.sync.rows import Row
from workers.sync.sets import Listed
from workers.sync.source import (
    Document,
    Source,
    SyncCancelledError,
    UnreadableCatalogueError,
    digested,
)
from workers.units import format_count

# A server that is down costs each set all its tries; do not try all 170 sets.
_MOST_UNREACHABLE = 3
_PROGRESS_EVERY_S = 0.1
_TOTAL = rows.SET_COLUMNS.index("total")

_Read = Callable[[], tuple[Document, str]]


class SetRefusedError(Exception):
    """A set that is left unchanged, with the reason."""


@dataclass(slots=True)
class Tally:
    """The results of a run so far; `cards_left` is the sum of the remaining sets' totals."""

    cards_left: int
    sets_done: int = 0
    added: int = 0
    changed: int = 0
    unchanged: int = 0
    pruned: int = 0
    vanished: list[str] = field(default_factory=list)
    failed: list[FailedSet] = field(default_factory=list)

    @property
    def cards_done(self) -> int:
        """Return the number of catalogue cards that the database now holds unchanged."""
        return self.added + self.changed + self.unchanged

    @property
    def outcome(self) -> str:
        """Return the counts as text."""
        added = format_count(self.added, "card")
        return f"{added} added, {self.changed} changed, {self.unchanged} unchanged"

    def count(self, found: Changes, prune: bool) -> None:
        """Add the changes of one set."""
        self.sets_done += 1
        self.added += len(found.added)
        self.changed += len(found.changed)
        self.unchanged += found.unchanged
        self.vanished += found.vanished
        self.pruned += len(found.vanished) if prune else 0


@dataclass(frozen=True, slots=True)
class CardSync:
    """What the syncs of all sets share.

    counts: number of cards by set in the database. memory: (digest, entries) by set as
    `card_database.remember` stored them.
    """

    params: Params
    source: Source
    report: Report
    database: sqlite3.Connection
    counts: dict[str, int]
    memory: dict[str, tuple[str, int]]


def sync(params: Params, source: Source, report: Report) -> dict[str, Scalar]:
    """Sync the cards; return counts of added, changed and deleted cards, and seconds.

    Raises:
        UnreadableCatalogueError, SyncCancelledError, DatabaseError, sqlite3.Error.
        WorkerError: there are no sets yet, or some sets failed; the others are complete.
    """
    started = time.monotonic()
    catalogue = sets.listed(source)
    database = _opened(params, report)
    if database is None:
        text = "the database has no sets yet; run sync.missing_sets first"
        raise WorkerError(text, permanent=True)
    with closing(database):
        counts, memory = card_database.card_counts(database), card_database.remembered(database)
        run = CardSync(params, source, report, database, counts, memory)
        tally = _synced(run, catalogue)
    _tell(report, tally, params.prune)
    if tally.failed:
        total = len(catalogue.rows) + len(catalogue.failed)
        text = diff.failure(tally.failed, total, tally.outcome)
        raise WorkerError(text, diff.permanent(tally.failed))
    return _result(tally, time.monotonic() - started)


def _synced(run: CardSync, catalogue: Listed) -> Tally:
    tally = Tally(sum(int(row[_TOTAL] or 0) for row in catalogue.rows))
    tally.failed += catalogue.failed
    try:
        _sync_listed(run, catalogue.rows, tally)
        if not catalogue.failed:
            _sync_gone(run, [str(row[0]) for row in catalogue.rows], tally)
    except SyncCancelledError as cancelled:
        done = format_count(tally.sets_done, "set, which is whole", "sets, which are whole")
        raise WorkerError(f"cancelled after {done}: {tally.outcome}") from cancelled
    return tally


def _opened(params: Params, report: Report) -> sqlite3.Connection | None:
    if not report.dry_run:
        return card_database.open_with_sets(params.database)
    database = card_database.open_to_read(params.database)
    if card_database.all_sets(database):
        return database
    database.close()
    return None


def _sync_listed(run: CardSync, set_rows: Sequence[Row], tally: Tally) -> None:
    with closing(digested(run.source, [str(row[0]) for row in set_rows])) as documents:
        _sync_each(run, set_rows, documents, tally)


def _sync_each(
    run: CardSync, set_rows: Sequence[Row], documents: Iterator[_Read], tally: Tally
) -> None:
    said_at, unreachable = 0.0, 0
    for row, read in zip(set_rows, documents, strict=True):
        set_id = str(row[0])
        if run.report.cancelled:
            raise SyncCancelledError
        try:
            tally.count(_one_set(run, set_id, read), _deletes(run))
            unreachable = 0
        except SetRefusedError as refused:
            tally.failed.append(FailedSet(set_id, str(refused)))
        except UnreadableCatalogueError as error:
            tally.failed.append(FailedSet(set_id, str(error), error.permanent))
            unreachable = 0 if error.permanent else unreachable + 1
            if unreachable == _MOST_UNREACHABLE:
                text = diff.failure(tally.failed, len(set_rows), tally.outcome)
                raise UnreadableCatalogueError(f"gave up: {text}", permanent=False) from error
        tally.cards_left -= int(row[_TOTAL] or 0)
        if time.monotonic() - said_at >= _PROGRESS_EVERY_S or row is set_rows[-1]:
            said_at = time.monotonic()
            done = tally.cards_done
            run.report.progress(done, done + tally.cards_left, "cards")


def _one_set(run: CardSync, set_id: str, read: _Read) -> Changes:
    if set_id not in run.counts:
        raise SetRefusedError("its row is missing; run sync.missing_sets first")
    document, now = read()
    if run.memory.get(set_id) == (now, run.counts[set_id]):
        return Changes(unchanged=run.counts[set_id])
    parsed = rows.cards(document, set_id)
    if parsed.problems:
        raise SetRefusedError(diff.summed([one.text for one in parsed.problems]))
    if run.report.dry_run:
        found = _compared(run, set_id, parsed.rows)
        if found.any:
            run.report.log(diff.described(set_id, found, run.params.prune))
        return found
    try:
        with transaction(run.database):
            found = _compared(run, set_id, parsed.rows)
            _write(run, found)
            _refuse_altered(run, set_id, parsed.rows, found)
            card_database.remember(run.database, set_id, now, len(parsed.rows))
    except sqlite3.IntegrityError as error:
        raise SetRefusedError(f"the database refuses a row: {error}") from error
    return found


def _refuse_altered(run: CardSync, set_id: str, want: Sequence[Row], found: Changes) -> None:
    """Refuse a set whose rows are not as they were written."""
    if not (found.any and card_database.may_alter_rows(run.database, "pokemon_cards")):
        return
    after = diff.plan(card_database.cards_of(run.database, set_id), want)
    if altered := (*after.added, *after.changed):
        raise SetRefusedError(diff.altered("pokemon_cards", altered))


def _compared(run: CardSync, set_id: str, want: Sequence[Row]) -> Changes:
    have = card_database.cards_of(run.database, set_id)
    found = diff.plan(have, want)
    elsewhere = card_database.cards_elsewhere(run.database, set_id, found.added)
    if elsewhere:
        text = ", ".join(f"{rows.shown(card)} is a card of {other}" for card, other in elsewhere)
        raise SetRefusedError(f"{text} in the database")
    if run.params.prune and have and not want:
        # A listed set without cards is more likely an error of the catalogue.
        raise SetRefusedError(
            f"it lists no cards where the database has {len(have)}; none is pruned"
        )
    return found


def _write(run: CardSync, found: Changes) -> None:
    for batch in _batches(run, found.added):
        card_database.insert_cards(run.database, batch)
    for batch in _batches(run, found.changed):
        card_database.update_cards(run.database, batch)
    if run.params.prune:
        card_database.delete_cards(run.database, found.vanished)


def _batches(run: CardSync, whole: Sequence[Row]) -> Iterator[Sequence[Row]]:
    for start in range(0, len(whole), run.params.batch_size):
        if run.report.cancelled:
            raise SyncCancelledError
        yield whole[start : start + run.params.batch_size]


def _sync_gone(run: CardSync, listed: Iterable[str], tally: Tally) -> None:
    """Handle the cards of sets that the catalogue no longer lists."""
    for set_id in sorted(run.counts.keys() - set(listed)):
        if run.report.cancelled:
            raise SyncCancelledError
        found = Changes(vanished=tuple(card_database.cards_of(run.database, set_id)))
        if found.vanished and run.report.dry_run:
            run.report.log(diff.described(set_id, found, run.params.prune))
        elif found.vanished and run.params.prune:
            with transaction(run.database):
                card_database.delete_cards(run.database, found.vanished)
        tally.vanished += found.vanished
        tally.pruned += len(found.vanished) if _deletes(run) else 0


def _deletes(run: CardSync) -> bool:
    return run.params.prune and not run.report.dry_run


def _tell(report: Report, tally: Tally, prune: bool) -> None:
    for one in tally.failed[: diff.MOST_LOGGED]:
        report.log(f"set {rows.shown(one.set_id)}: {one.text}", "error")
    if tally.vanished and not prune:
        are = format_count(len(tally.vanished), "card is", "cards are")
        gone = diff.named(tally.vanished)
        report.log(f"{are} gone from the catalogue: {gone}", "warning")


def _result(tally: Tally, seconds: float) -> dict[str, Scalar]:
    return {
        "cards_added": tally.added,
        "cards_changed": tally.changed,
        "cards_unchanged": tally.unchanged,
        "sets_done": tally.sets_done,
        "sets_failed": len(tally.failed),
        "vanished": len(tally.vanished),
        "vanished_names": diff.named(tally.vanished),
        "pruned": tally.pruned,
        "seconds": round(seconds, 3),
    }
