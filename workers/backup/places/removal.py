"""Remove copies from a place, and what unfinished uploads left there.

Invariant: an object is deleted only if it belongs to data that a manifest of ours names.
The receipt goes first, so that what a kill leaves is not `verified`; the manifest last, so
that the rest is proven ours until it is gone.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from workers.backup import filenames
from workers.backup.errors import BackupError
from workers.backup.filenames import MANIFEST
from workers.backup.manifest import ManifestError
from workers.backup.places import object_names, records
from workers.backup.places.catalogue import PlacedCopy
from workers.backup.places.store import LockedError, Store

# Younger ones may belong to an upload that is under way.
_LEFTOVERS_AFTER = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Removed:
    """What became of copies that were to go.

    removed: by their data. locked: how the place keeps one, by data, such as `until ...`.
    failed: one sentence each.
    """

    removed: tuple[str, ...]
    locked: dict[str, str]
    failed: tuple[str, ...]


def remove(
    store: Store, copies: Iterable[PlacedCopy], now: datetime, check: Callable[[], None]
) -> Removed:
    """Remove these copies, in their order; one that cannot be removed stops no other.

    What the place keeps by a retention or a hold is not tried: where a bucket has versions,
    a deletion would succeed and hide the copy for as long as it is kept.
    check: called before each; may raise to cancel.
    """
    gone, locked, failed = list[str](), dict[str, str](), list[str]()
    names = {one.name for one in store.entries()}
    for copy in copies:
        check()
        if copy.described is None:
            failed.append(f"{copy.backup.shown} is left: no manifest of ours names it")
            continue
        try:
            if why := store.protection(copy.data).why_kept(now):
                locked[copy.data] = why
                continue
            for name in object_names.of_copy(copy.data):
                if name in names:
                    store.delete(name)
        except LockedError as kept:
            locked[copy.data] = f"by a lock: {kept}"
        except BackupError as problem:
            failed.append(f"remove {copy.backup.shown}: {problem}")
        else:
            gone.append(copy.data)
    return Removed(tuple(gone), locked, tuple(failed))


def sweep(store: Store, now: datetime) -> tuple[str, ...]:
    """Delete what uploads and removals left unfinished for a day; return the names.

    Raises:
        PlaceError: the place cannot be listed, or a leftover cannot be deleted.
    """
    names = {one.name for one in store.entries()}
    old = [name for name in sorted(names) if _is_old(name, now)]
    gone = []
    # A part belongs to data or to an object beside it.
    owners = {name: part for name in old if (part := object_names.part_of(name))}
    for name in old:
        data = name.removesuffix(MANIFEST)
        if name.endswith(MANIFEST) and object_names.copy_of(data) and data not in names:
            if _is_ours(store, data):
                doomed = [one for one in object_names.of_copy(data) if one in names]
                for one in doomed:
                    store.delete(one)
                gone += doomed
        elif owner := owners.get(name):
            data = _data_of(owner)
            if data and f"{data}{MANIFEST}" in names and _is_ours(store, data):
                store.delete(name)
                gone.append(name)
    return tuple(gone)


def _is_ours(store: Store, data: str) -> bool:
    name = f"{data}{MANIFEST}"
    try:
        records.described(data, store.read_small([name]).get(name, b""))
    except ManifestError:
        return False
    return True


def _data_of(name: str) -> str:
    """Return the data that an object stands beside; empty if it is not of a copy."""
    for ending in ("", *filenames.COMPANIONS, object_names.VERIFIED):
        data = name.removesuffix(ending) if ending else name
        if (not ending or name.endswith(ending)) and object_names.copy_of(data):
            return data
    return ""


def _is_old(name: str, now: datetime) -> bool:
    whole = object_names.part_of(name) or name
    data = _data_of(whole)
    named = filenames.parse(object_names.copy_of(data)) if data else None
    return named is not None and now - named.taken_at > _LEFTOVERS_AFTER
