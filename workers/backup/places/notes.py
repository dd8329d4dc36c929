"""Notes beside copies in a place: `.keep` exempts from rotation, `.damaged` records a finding."""

from contextlib import suppress

from workers.backup.errors import BackupError
from workers.backup.filenames import DAMAGED, KEEP
from workers.backup.places.catalogue import PlacedCopy
from workers.backup.places.store import Store, TakenError


def keep(store: Store, copy: PlacedCopy) -> None:
    """Exempt the copy from rotation. Raises: PlaceError."""
    with suppress(TakenError):
        store.create_small(f"{copy.data}{KEEP}", b"")


def release(store: Store, copy: PlacedCopy) -> bool:
    """Remove the exemption; return whether there was one. Raises: PlaceError."""
    store.delete(f"{copy.data}{KEEP}")
    return copy.backup.kept


def damaged(store: Store, copy: PlacedCopy, what: str) -> None:
    """Record a finding about the copy; do nothing if the place may not be written."""
    with suppress(BackupError):
        store.create_small(f"{copy.data}{DAMAGED}", f"{what}\n".encode(errors="replace"))


def sound(store: Store, copy: PlacedCopy) -> None:
    """Remove a finding that no longer holds, as far as the place allows it."""
    with suppress(BackupError):
        store.delete(f"{copy.data}{DAMAGED}")
