"""Restore drill: bring a copy back from a place, restore it into a scratch file, and check it.

The job `backup.drill` does what a person does when the machine is gone, with the newest copy
or a random older one, and reports how old it is and how long that takes. The scratch files
are removed; nothing else is changed, except a finding beside a copy that is not what was
sent.
"""

import random
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from workers.backup import listing, repository, restore, selection
from workers.backup.errors import BackupCancelledError, BackupError
from workers.backup.listing import Backup, State
from workers.backup.places import catalogue, notes, sealing
from workers.backup.places.catalogue import PlacedCopy
from workers.backup.places.fetch import AlteredError, fetch
from workers.backup.places.open_store import open_store
from workers.backup.places.place import Place
from workers.backup.places.store import Step, Store
from workers.backup.restore import Restored
from workers.protocol import Scalar
from workers.report import Report, WorkerError
from workers.sqlite import DatabaseError
from workers.units import format_duration


class Pick(StrEnum):
    """Which verified copy is taken."""

    NEWEST = "newest"
    RANDOM = "random"


@dataclass(frozen=True, slots=True)
class DrillParams:
    """The parameters of `backup.drill`.

    place: where the copy is brought back from, with its settings as in `copies`.
    database: which one, where the place has copies of several.
    pick: the newest verified copy, or a random one.
    identity: file with the private key for encrypted copies.
    scratch: the folder to restore into; otherwise that for temporary files.
    """

    place: Place
    database: Path | None = None
    pick: Pick = Pick.NEWEST
    identity: Path | None = None
    scratch: Path | None = None

    def __post_init__(self) -> None:
        if self.pick not in tuple(Pick):
            raise ValueError(f'pick: expected newest or random, got "{self.pick[:40]}"')
        if self.place.age and self.identity is None:
            raise ValueError("identity: is required, as the copies of the place are encrypted")


def drill(params: DrillParams, report: Report) -> dict[str, Scalar]:
    """Restore a copy for practice; return its name, age, rows and the seconds it took.

    Raises:
        WorkerError: no copy could be restored from the place.
    """

    def step(done_bytes: int) -> None:
        if report.cancelled:
            raise BackupCancelledError
        report.progress(done_bytes, None, "bytes")

    began, now = time.monotonic(), datetime.now(UTC)
    try:
        copy, done = _drilled(params, report, now, step)
    except BackupCancelledError as cancelled:
        raise WorkerError("cancelled; nothing was changed") from cancelled
    except (BackupError, DatabaseError) as problem:
        said = f"restore drill: {problem}"
        raise WorkerError(said, problem.permanent, incident="drill") from problem
    age_s = round((now - copy.taken_at).total_seconds())
    if done is None:
        return {"file": copy.shown, "age_seconds": age_s}
    seconds = round(time.monotonic() - began, 3)
    report.metric("drill_seconds", seconds)
    report.metric("drill_age_seconds", age_s)
    report.log(
        f"{copy.shown}, {format_duration(age_s)} old, was restored in {format_duration(seconds)}:"
        f" {done.checked}"
    )
    return {
        "file": copy.shown,
        "age_seconds": age_s,
        "size_bytes": copy.size_bytes,
        "database_bytes": done.content.size_bytes,
        "rows": sum(done.content.rows.values()),
        "tables": len(done.content.rows),
        "warnings": len(done.content.warnings),
        "seconds": seconds,
    }


def _drilled(
    params: DrillParams, report: Report, now: datetime, step: Step
) -> tuple[Backup, Restored | None]:
    """Return the copy and how it was restored; None in a dry run."""
    place = params.place
    store = None if place.is_plain_folder else open_store(place)
    known = [] if store is None else catalogue.placed_copies(store)
    plain = listing.list_backups(place.folder) if store is None else []
    copies = [*plain, *(one.backup for one in known)]
    of_one = selection.of_database(copies, params.database)
    chosen = pick(of_one, params.pick, now, random.random())
    if report.dry_run:
        report.log(f"would restore {chosen.shown} into a scratch file and check it")
        return chosen, None
    scratch = repository.existing(params.scratch or Path(tempfile.gettempdir()))
    keys = [] if params.identity is None else sealing.identities(params.identity)
    with tempfile.TemporaryDirectory(prefix="nightshift-drill-", dir=scratch) as folder:
        path = chosen.path
        if store is not None:
            wanted = next(one for one in known if one.backup is chosen)
            path = _fetched(store, wanted, keys, Path(folder), step)
        return chosen, restore.restore(path, Path(folder, "restored.sqlite3"), False, step)


def pick(copies: Sequence[Backup], which: str, now: datetime, dice: float) -> Backup:
    """Return the copy to restore; dice: at least 0 and below 1, for a random one.

    Raises:
        BackupError: there is no verified copy.
    """
    if which == Pick.NEWEST:
        return selection.choose(copies, selection.LATEST, now, "UTC")
    verified = [one for one in copies if one.state is State.VERIFIED]
    if not verified:
        return selection.choose(copies, selection.LATEST, now, "UTC")  # raises, with the reason
    return verified[int(dice * len(verified))]


def _fetched(
    store: Store, wanted: PlacedCopy, keys: Sequence[Any], folder: Path, step: Step
) -> Path:
    try:
        return fetch(store, wanted, keys, folder, step)
    except AlteredError as altered:
        notes.damaged(store, wanted, altered.what)
        raise
