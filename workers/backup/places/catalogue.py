"""List the copies in a place with their state, from names, sizes and what stands beside them.

One listing and a few small objects a copy; no content is read. `verified` means: a manifest
of ours names the data, its size is as written, and a receipt says that it was read back. A
plain copy in a mounted folder needs none: it was read back before it got its name.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from workers.backup import filenames
from workers.backup.filenames import DAMAGED, KEEP, MANIFEST
from workers.backup.listing import Backup, State
from workers.backup.manifest import ManifestError
from workers.backup.places import object_names, records
from workers.backup.places.object_names import VERIFIED
from workers.backup.places.records import Described
from workers.backup.places.store import Store

_LONGEST_WHY = 300


@dataclass(frozen=True, slots=True)
class PlacedCopy:
    """A copy in a place. data: its object. described: None if no manifest of ours names it."""

    backup: Backup
    data: str
    described: Described | None


def placed_copies(store: Store) -> list[PlacedCopy]:
    """Return the copies in the place, newest first. Raises: PlaceError."""
    sizes = {one.name: one.size_bytes for one in store.entries()}
    found = [data for data in sizes if object_names.copy_of(data)]
    beside = [f"{data}{end}" for data in found for end in (MANIFEST, VERIFIED, DAMAGED)]
    contents = store.read_small([name for name in beside if name in sizes])
    copies = [_placed(store, data, sizes, contents) for data in found]
    return sorted(copies, key=lambda one: (one.backup.order, one.data), reverse=True)


def newest_by_name(store: Store, stem: str, now: datetime) -> datetime | None:
    """Return when the newest verified copy was taken, from one listing; None if there is none.

    Raises:
        PlaceError: the place cannot be listed.
    """
    names = {one.name for one in store.entries()}
    moments = [
        named.taken_at
        for data in names
        if (named := filenames.parse(object_names.copy_of(data)))
        and named.stem == stem
        and named.taken_at <= now
        and {f"{data}{MANIFEST}", f"{data}{VERIFIED}"} <= names
        and f"{data}{DAMAGED}" not in names
    ]
    return max(moments, default=None)


def _placed(
    store: Store, data: str, sizes: Mapping[str, int], contents: Mapping[str, bytes]
) -> PlacedCopy:
    copy = object_names.copy_of(data)
    named = filenames.parse(copy)
    assert named is not None  # placed_copies() has checked the name
    backup = Backup(
        path=Path(copy),
        stem=named.stem,
        source="",
        taken_at=named.taken_at,
        size_bytes=sizes[data],
        database_size_bytes=0,
        state=State.UNVERIFIED,
        why="no manifest beside it: nothing proves it",
        kept=f"{data}{KEEP}" in sizes,
        place=store.label,
    )
    content = contents.get(f"{data}{MANIFEST}")
    if content is None:
        return PlacedCopy(backup, data, None)
    try:
        found = records.described(data, content)
    except ManifestError as error:
        damaged = replace(backup, state=State.DAMAGED, why=f"its manifest {error}"[:_LONGEST_WHY])
        return PlacedCopy(damaged, data, None)
    taken_at = min(named.taken_at, found.taken_at) if found.name_is_later else named.taken_at
    needs_receipt = data.endswith(object_names.AGE) or not store.proves_first
    state, why = _judged(found, sizes[data], contents, needs_receipt)
    known = replace(
        backup,
        source=found.source,
        taken_at=taken_at,
        database_size_bytes=found.database_size_bytes,
        state=state,
        why=why,
    )
    return PlacedCopy(known, data, found)


def _judged(
    found: Described, size_bytes: int, contents: Mapping[str, bytes], needs_receipt: bool
) -> tuple[State, str]:
    """Return the state of data with a manifest, and the reason, empty if verified."""
    if size_bytes != found.size_bytes:
        return State.DAMAGED, f"has {size_bytes} bytes, expected {found.size_bytes}"
    if (finding := contents.get(f"{found.data}{DAMAGED}")) is not None:
        said = finding[:_LONGEST_WHY].decode(errors="replace").strip()
        return State.DAMAGED, said or "has a finding against it"
    content = contents.get(f"{found.data}{VERIFIED}")
    if content is None and not needs_receipt:
        return State.VERIFIED, ""
    if content is None:
        return State.UNVERIFIED, "it was not read back after it was sent"
    try:
        receipt = records.receipt(content)
    except ManifestError as error:
        return State.UNVERIFIED, f"its receipt {error}"[:_LONGEST_WHY]
    if (receipt.name, receipt.sha256) != (found.data, found.sha256):
        return State.UNVERIFIED, "its receipt is of another copy"
    return State.VERIFIED, ""
