"""Rotation: remove old copies and report why each other copy is kept.

This module holds the job `rotation.run`, `prune` for a full disk, and the removal itself.
`retention.py`, which is pure, decides what is kept; `placed.py` does it for places other
than folders. Invariant: a copy is removed only after
the newest verified copy of its source was read and had the hash of its manifest. Foreign
files are never touched.
"""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from workers.backup import listing, marks, repository, stream
from workers.backup.errors import (
    BackupCancelledError,
    BackupError,
    DamagedBackupError,
    from_os_error,
)
from workers.backup.listing import Backup, State
from workers.backup.manifest import read
from workers.backup.places.open_store import open_store
from workers.backup.places.place import Place
from workers.protocol import Scalar
from workers.report import Report, WorkerError
from workers.rotation import placed
from workers.rotation.params import Params
from workers.rotation.pruned import Pruned
from workers.rotation.retention import Decision, Policy, newest_verified, plan, refusal
from workers.units import format_size

__all__ = ["Decision", "Params", "Policy", "Pruned", "plan", "prune", "run"]

# Younger files may belong to a verification on another machine.
_LEFTOVERS_AFTER_S = 86400.0
_NOTHING = "nothing is removed"

Check = Callable[[], None]


def run(params: Params, report: Report) -> dict[str, Scalar]:
    """Remove the copies that the policy does not keep; return counts, bytes and seconds.

    Raises:
        WorkerError: a guard refused (then nothing is removed in that folder), a folder
            cannot be read, locked or written, or a copy cannot be removed. All other
            removals were made.
    """
    began = time.monotonic()
    now, zone = datetime.now(UTC), ZoneInfo(report.timezone)
    done, troubles = list[Pruned](), list[BackupError]()
    try:
        for place in (Place(str(params.directory)), *params.copies):
            try:
                if place.is_plain_folder:
                    here = replace(params, directory=place.folder)
                    done.append(_rotated(here, report, now, zone))
                else:
                    done.append(_rotated_place(place, params, report, now, zone))
            except BackupError as problem:
                troubles.append(problem)
                if params.copies:
                    why = str(problem).removeprefix(f"{place.to}: ")
                    report.log(f"{place.to}: {why}", "error")
    except BackupCancelledError as cancelled:
        raise WorkerError("cancelled between two copies") from cancelled
    stuck = [sentence for one in done for sentence in one.failed]
    if stuck or troubles:
        removed = sum(one.removed for one in done)
        said = [*map(str, troubles), *stuck]
        rest = f" (removed: {removed})" if removed else ""
        permanent = bool(stuck) or all(one.permanent for one in troubles)
        raise WorkerError("; ".join(said) + rest, permanent)
    return _result(done, began)


def _rotated(params: Params, report: Report, now: datetime, zone: ZoneInfo) -> Pruned:
    """Rotate `params.directory` alone and return the result.

    Raises:
        BackupError, BackupCancelledError.
    """

    def check() -> None:
        if report.cancelled:
            raise BackupCancelledError

    directory = repository.existing(params.directory)
    if report.dry_run:
        decided = plan(listing.list_backups(directory), params.policy, now, zone)
        _tell(report, decided)
        if why := _objection(decided, params, now):
            report.log(f"a run would fail: {why}; {_NOTHING}", "warning")
        return Pruned(decided, 0, 0, ())
    with repository.locked(directory):
        decided = _proven_plan(directory, params.policy, now, zone, check)
        _tell(report, decided)
        if why := _objection(decided, params, now):
            raise BackupError(f"{why}; {_NOTHING}")
        done = _removed(directory, decided, check)
    for sentence in done.failed:
        report.log(sentence, "error")
    return done


def prune(directory: Path, keep_last: int, zone: str, dry_run: bool) -> Pruned:
    """Remove all but the newest verified copies and those kept by hand, to free disk space.

    Each source keeps `keep_last` copies (at least 1). With `dry_run` nothing is removed.

    Raises:
        BackupError: the folder does not exist, is in use or cannot be written.
    """
    if keep_last < 1:
        raise BackupError(f"keep-last: expected at least 1, got {keep_last}")
    now, policy = datetime.now(UTC), Policy(last=keep_last)
    repository.existing(directory)
    if dry_run:
        decided = plan(listing.list_backups(directory), policy, now, ZoneInfo(zone))
        return Pruned(decided, 0, 0, ())
    with repository.locked(directory):
        decided = _proven_plan(directory, policy, now, ZoneInfo(zone), lambda: None)
        return _removed(directory, decided, lambda: None)


def _rotated_place(
    place: Place, params: Params, report: Report, now: datetime, zone: ZoneInfo
) -> Pruned:
    """Rotate a place other than a plain folder and return the result.

    Raises:
        BackupError, BackupCancelledError.
    """

    def check() -> None:
        if report.cancelled:
            raise BackupCancelledError

    store = open_store(place)
    decided = placed.plan(store, place, params.policy, now, zone)
    _tell(report, [one.decision for one in decided])
    why = _objection([one.decision for one in decided], params, now)
    if report.dry_run:
        if why:
            report.log(f"{place.to}: a run would fail: {why}; {_NOTHING}", "warning")
        return Pruned(tuple(one.decision for one in decided), 0, 0, ())
    if why:
        raise BackupError(f"{place.to}: {why}; {_NOTHING}")
    done = placed.carry_out(store, place, decided, now, check)
    for sentence in done.failed:
        report.log(sentence, "error")
    for sentence in done.locked:
        report.log(sentence, "warning")
    return done


def _proven_plan(
    directory: Path, policy: Policy, now: datetime, zone: ZoneInfo, check: Check
) -> tuple[Decision, ...]:
    """Return a plan; where it removes copies, their newest verified copy has just been read."""
    backups, proven = listing.list_backups(directory), set[Path]()
    while True:
        decided = plan(backups, policy, now, zone)
        stems = {one.backup.stem for one in decided if not one.keep}
        newest = [one for one in newest_verified(backups, now) if one.stem in stems]
        relied_on = [one for one in newest if one.path not in proven]
        if not relied_on:
            return decided
        for backup in relied_on:
            if why := _damage(backup, check):
                damaged = replace(backup, state=State.DAMAGED, why=why)
                backups = [damaged if one is backup else one for one in backups]
            else:
                proven.add(backup.path)


def _damage(backup: Backup, check: Check) -> str:
    """Return what is wrong with the copy's content, or an empty string; also write a mark."""
    try:
        manifest = read(backup.path)
        descriptor = os.open(backup.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            found, _ = stream.digest(descriptor, lambda _: check())
        finally:
            os.close(descriptor)
    except DamagedBackupError as damaged:
        return damaged.what
    except (BackupError, OSError) as error:
        return str(error)
    if found == manifest.sha256:
        return ""
    what = f"is not what was written: it has SHA-256 {found}, expected {manifest.sha256}"
    marks.write_mark(backup.path, what)
    return what


def _objection(decided: Sequence[Decision], params: Params, now: datetime) -> str:
    max_age = None if params.max_age is None else timedelta(seconds=params.max_age)
    return refusal(decided, max_age, params.max_delete, now)


def _removed(directory: Path, decided: tuple[Decision, ...], check: Check) -> Pruned:
    """Remove the copies of the plan, oldest first, then leftovers of unfinished runs."""
    removed = freed = 0
    failed = list[str]()
    for decision in reversed(decided):
        if decision.keep:
            continue
        check()
        path = decision.backup.path
        try:
            repository.remove(directory, path.name)
        except FileNotFoundError:
            continue  # removed meanwhile by another program
        except OSError as error:
            # Continue: another removal may succeed and free the space.
            failed.append(str(from_os_error(f"remove {path}", directory, error)))
        else:
            removed += 1
            freed += decision.backup.size_bytes
    try:
        leftovers = repository.sweep(directory, _LEFTOVERS_AFTER_S)
        stuck = repository.leftovers(directory, _LEFTOVERS_AFTER_S)
    except OSError as error:
        raise from_os_error(f"sweep {directory}", directory, error) from error
    failed += [f"{directory / name} is a leftover that cannot be removed" for name in stuck]
    return Pruned(decided, removed, freed, leftovers, tuple(failed))


def _tell(report: Report, decided: Sequence[Decision]) -> None:
    for one in decided:
        backup = one.backup
        word, size = "keep" if one.keep else "remove", format_size(backup.size_bytes)
        named = backup.shown if backup.place else backup.path.name
        against = f" ({backup.why})" if backup.why else ""
        report.log(f"{word} {named} ({size}): {one.reason}{against}")


def _result(done: Sequence[Pruned], began: float) -> dict[str, Scalar]:
    decisions = [one for pruned in done for one in pruned.decisions]
    keep = [one.backup for one in decisions if one.keep]
    return {
        "kept": len(keep),
        "kept_verified": sum(one.state is State.VERIFIED for one in keep),
        "kept_bytes": sum(one.size_bytes for one in keep),
        "to_remove": len(decisions) - len(keep),
        "removed": sum(one.removed for one in done),
        "freed_bytes": sum(one.freed_bytes for one in done),
        "leftovers": sum(len(one.leftovers) for one in done),
        "damaged": sum(one.backup.state is State.DAMAGED for one in decisions),
        "seconds": round(time.monotonic() - began, 3),
    }
