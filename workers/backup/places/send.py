"""Send a verified copy to a place, and prove what has arrived.

The manifest is created first: it reserves the name, and names what follows as ours. Then
the data, then what `sha256sum -c` reads. Only after the data was read back (decrypted and
restored, if it is encrypted) is the receipt written that makes it `verified`. What a
failure leaves is removed, and what a kill leaves has no receipt.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from workers.backup import filenames, manifest
from workers.backup.errors import BackupError, from_os_error
from workers.backup.filenames import MANIFEST, SIDECAR
from workers.backup.manifest import Manifest
from workers.backup.places import object_names, parcels, records
from workers.backup.places.blocks import Blocks
from workers.backup.places.object_names import VERIFIED
from workers.backup.places.open_store import open_store
from workers.backup.places.parcels import Parcel
from workers.backup.places.place import Place, Verify
from workers.backup.places.records import Receipt
from workers.backup.places.sealing import SealError
from workers.backup.places.store import MOST_SMALL_BYTES, PlaceError, Step, Store, TakenError


def send(copy: Path, known: Manifest, place: Place, step: Step) -> str:
    """Put the copy into the place, prove it, and return the name of its data there.

    step: called with the bytes done of one pass; may raise.

    Raises:
        BackupError: the place refuses, is dead, or gave back other bytes; it has no
            verified copy of that name.
    """
    try:
        store = open_store(place)
        named = _named(known, store)
        make = parcels.sealed if place.age else parcels.plain
        with make(copy, named, place, step) as parcel:
            _put(parcel, place, store, step)
            return parcel.data
    except OSError as error:
        raise from_os_error(f"send {copy.name}", copy.parent, error) from error
    except (PlaceError, SealError):
        step(0)  # a cancellation inside a library's callback comes out as that library's error
        raise


def _put(parcel: Parcel, place: Place, store: Store, step: Step) -> None:
    data, size_bytes = parcel.data, parcel.size_bytes
    with _undone(store, step) as create:
        # First, since its creation reserves the name.
        create(f"{data}{MANIFEST}", parcel.description)
        for name, content in parcel.beside.items():
            create(name, content)
        create(data, parcel)
        sidecar = filenames.sidecar_line(data, parcel.sha256)
        create(f"{data}{SIDECAR}", sidecar)
        if place.verify == Verify.PARTS:
            _compare_size(store, data, size_bytes)
            with open(parcel.file, "rb") as local:
                parcel.prove(Blocks(iter(lambda: local.read(1 << 20), b""), step))
        else:
            back = Blocks(store.read(data, size_bytes), step)
            parcel.prove(back)
            _compare_hash(store, data, back.drained(), parcel.sha256)
        how = f"{'sums of its parts' if place.verify == Verify.PARTS else 'read back'}{parcel.how}"
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        receipt = Receipt(data, parcel.sha256, size_bytes, now, how)
        create(f"{data}{VERIFIED}", records.encode(receipt))


@contextmanager
def _undone(store: Store, step: Step) -> Iterator[Callable[[str, bytes | Parcel], None]]:
    """Yield a function that creates an object; delete what it created if the block fails."""
    created = list[str]()

    def create(name: str, content: bytes | Parcel) -> None:
        try:
            if isinstance(content, Parcel):
                store.create(name, content.file, content.sha256, step)
            else:
                store.create_small(name, content)
        except TakenError:
            raise
        except BaseException:
            created.append(name)  # it may have arrived all the same
            raise
        created.append(name)

    try:
        yield create
    except BaseException:
        for name in reversed(created):
            # A dead place cannot be cleaned; nothing there has a receipt.
            with suppress(BackupError):
                store.delete(name)
        raise


def _named(known: Manifest, store: Store) -> Manifest:
    """Return the manifest with a name after all copies in the place, which services may share."""
    named = filenames.parse(known.name)
    assert named is not None  # create_backup() made the name
    there = (object_names.copy_of(one.name) for one in store.entries())
    try:
        name = filenames.next_name(named.stem, named.taken_at, there)
    except ValueError as error:
        raise PlaceError(
            store.label, f"has a copy dated at the end of the calendar, {error}", permanent=True
        ) from error
    renamed = known if name == known.name else replace(known, name=name, name_is_later=True)
    if len(manifest.encode(renamed)) > MOST_SMALL_BYTES:
        raise PlaceError(store.label, f"manifest of {name} is too large", permanent=True)
    return renamed


def _compare_size(store: Store, data: str, size_bytes: int) -> None:
    sizes = {one.name: one.size_bytes for one in store.entries()}
    if sizes.get(data) != size_bytes:
        raise PlaceError(
            store.label, f"lists {data} with {sizes.get(data)} bytes, expected {size_bytes}"
        )


def _compare_hash(store: Store, data: str, found: str, expected: str) -> None:
    if found != expected:
        raise PlaceError(
            store.label,
            f"gave back other bytes of {data} than were sent: SHA-256 {found}, expected"
            f" {expected}; it was removed there",
        )
