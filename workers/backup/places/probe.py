"""Try what a place allows: list, create, overwrite, delete. One small object, removed again."""

from contextlib import suppress
from dataclasses import dataclass

from workers.backup.errors import BackupError
from workers.backup.places.open_store import open_store
from workers.backup.places.place import Place
from workers.backup.places.store import NO_PROTECTION, Protection, TakenError

# One fixed name, so that places that forbid deletion do not fill.
PROBE = ".nightshift-probe"
_CONTENT = b"Made by nightshift doctor to see whether objects can be created here.\n"


@dataclass(frozen=True, slots=True)
class Rights:
    """What a place allows. error: why it cannot be used, empty if it can.

    overwrites: whether a second creation of a name succeeded. deletes: whether the object
    could be deleted; deletion_error: why not. protection: how it was kept.
    """

    error: str = ""
    overwrites: bool = False
    deletes: bool = True
    deletion_error: str = ""
    protection: Protection = NO_PROTECTION


def probe(place: Place) -> Rights:
    """Return what the place allows to the credentials in use."""
    try:
        store = open_store(place)
        store.entries()
        # One of an earlier probe may be there, if it could not be deleted.
        with suppress(TakenError):
            store.create_small(PROBE, _CONTENT)
        try:
            store.create_small(PROBE, _CONTENT)
            overwrites = True
        except TakenError:
            overwrites = False
        protection = store.protection(PROBE)
    except BackupError as problem:
        return Rights(str(problem))
    try:
        store.delete(PROBE)
    except BackupError as problem:
        return Rights("", overwrites, False, str(problem), protection)
    return Rights("", overwrites, protection=protection)
