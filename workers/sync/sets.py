"""`missing_sets`: make the rows of pokemon_card_sets equal to the catalogue.

Invariant: the whole catalogue is read and checked before the database is opened, and a set
with an invalid entry keeps its row.
"""

import dataclasses
import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime

from workers.protocol import Scalar
from workers.report import Report, WorkerError
from workers.sqlite import transaction
from workers.sync import card_database, diff, rows
from workers.sync.diff import Changes, FailedSet
from workers.sync.params import Params
from workers.sync.rows import Row
from workers.sync.source import Source, UnreadableCatalogueError
from workers.units import format_count

_ID = rows.SET_COLUMNS.index("id")
_RELEASED = rows.SET_COLUMNS.index("release_date")


@dataclass(frozen=True, slots=True)
class Listed:
    """The sets of a catalogue, newest first, and those with invalid entries."""

    rows: tuple[Row, ...]
    failed: tuple[FailedSet, ...]


def listed(source: Source) -> Listed:
    """Return the sets that `source` lists.

    Raises:
        UnreadableCatalogueError: it cannot be read, or has no valid entry. A catalogue
            without sets is an error, because using it would prune everything.
    """
    parsed = rows.sets(source.sets())
    failed = tuple(FailedSet(one.entry_id or "sets", one.text) for one in parsed.problems)
    if not parsed.rows:
        why = diff.summed([one.text for one in failed]) if failed else "it is empty"
        raise UnreadableCatalogueError(
            f"the catalogue's list of sets names no set: {why}", permanent=True
        )
    wrong = {one.entry_id for one in parsed.problems}
    right = [row for row in parsed.rows if row[_ID] not in wrong]
    newest_first = sorted(right, key=lambda row: (row[_RELEASED], row[_ID]), reverse=True)
    return Listed(tuple(newest_first), failed)


def sync(params: Params, source: Source, report: Report) -> dict[str, Scalar]:
    """Sync the sets; return counts of added, changed and deleted sets, and seconds.

    Raises:
        UnreadableCatalogueError, SyncCancelledError, DatabaseError, sqlite3.Error.
        WorkerError: some entries are invalid; the other sets have been written.
    """
    started = time.monotonic()
    catalogue = listed(source)
    if report.dry_run:
        found, pruned, cards_pruned = _planned(params, catalogue, report), 0, 0
    else:
        with closing(card_database.create_or_open(params.database)) as database:
            found = _written(database, catalogue)
            doomed = found.vanished if params.prune else ()
            pruned, cards_pruned = _prune(database, doomed, report)
    total = len(catalogue.rows) + len(catalogue.failed)
    report.progress(len(catalogue.rows), total, "sets")
    _tell(report, catalogue, found, params.prune)
    if catalogue.failed:
        outcome = f"{format_count(len(found.added), 'set')} added, {len(found.changed)} changed"
        raise WorkerError(diff.failure(catalogue.failed, total, outcome), permanent=True)
    return {
        "sets_added": len(found.added),
        "sets_changed": len(found.changed),
        "sets_unchanged": found.unchanged,
        "sets_failed": 0,
        "vanished": len(found.vanished),
        "vanished_names": diff.named(found.vanished),
        "pruned": pruned,
        "cards_pruned": cards_pruned,
        "seconds": round(time.monotonic() - started, 3),
    }


def _planned(params: Params, catalogue: Listed, report: Report) -> Changes:
    with closing(card_database.open_to_read(params.database)) as database:
        found = _compared(database, catalogue)
    report.log(diff.described("sets", found, params.prune))
    return found


def _written(database: sqlite3.Connection, catalogue: Listed) -> Changes:
    with transaction(database):
        found = _compared(database, catalogue)
        card_database.insert_sets(database, found.added, f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}")
        card_database.update_sets(database, found.changed)
        _refuse_altered(database, catalogue)
    return found


def _refuse_altered(database: sqlite3.Connection, catalogue: Listed) -> None:
    if not card_database.may_alter_rows(database, "pokemon_card_sets"):
        return
    after = _compared(database, catalogue)
    if altered := (*after.added, *after.changed):
        raise WorkerError(diff.altered("pokemon_card_sets", altered), permanent=True)


def _compared(database: sqlite3.Connection, catalogue: Listed) -> Changes:
    found = diff.plan(card_database.all_sets(database), catalogue.rows)
    # An invalid entry may be any of the sets that seem to have vanished.
    return dataclasses.replace(found, vanished=()) if catalogue.failed else found


def _prune(
    database: sqlite3.Connection, set_ids: Sequence[str], report: Report
) -> tuple[int, int]:
    """Delete sets with their cards, one transaction each; return the numbers of both."""
    cards = 0
    for place, set_id in enumerate(set_ids):
        if report.cancelled:
            sets = format_count(len(set_ids), "set")
            raise WorkerError(f"cancelled after pruning {place} of {sets}")
        with transaction(database):
            cards += card_database.delete_set(database, set_id)
    return len(set_ids), cards


def _tell(report: Report, catalogue: Listed, found: Changes, prune: bool) -> None:
    for one in catalogue.failed[: diff.MOST_LOGGED]:
        report.log(f"set {rows.shown(one.set_id)}: {one.text}", "error")
    if found.vanished and not prune:
        are = format_count(len(found.vanished), "set is", "sets are")
        gone = diff.named(found.vanished)
        report.log(f"{are} gone from the catalogue: {gone}", "warning")
