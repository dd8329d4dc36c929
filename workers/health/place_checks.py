"""Measure the places of second copies: how old the newest verified one of each is.

From one listing: receipts are written last, so that their names say what was proven.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from workers.backup import filenames, listing
from workers.backup.errors import BackupError
from workers.backup.places import catalogue
from workers.backup.places.open_store import open_store
from workers.backup.places.place import Place
from workers.health.measurements import NewestCopy, NoPlace
from workers.rotation.retention import newest_verified


def newest_copies(path: Path, places: Sequence[Place]) -> list[NewestCopy | NoPlace]:
    """Return the age of the newest verified copy of the database in each place."""
    return [_newest(path, place) for place in places]


def _newest(path: Path, place: Place) -> NewestCopy | NoPlace:
    now = datetime.now(UTC)
    try:
        stem = filenames.stem(path)
        if place.is_plain_folder:
            of_stem = listing.copies_of(path, listing.list_backups(place.folder), stem)
            moments = [one.taken_at for one in newest_verified(of_stem, now)]
            newest = max(moments, default=None)
        else:
            newest = catalogue.newest_by_name(open_store(place), stem, now)
    except (BackupError, ValueError) as error:
        return NoPlace(place.to, str(error).removeprefix(f"{place.to}: "))
    except OSError as error:
        return NoPlace(place.to, error.strerror or str(error))
    return NewestCopy(place.to, None if newest is None else (now - newest).total_seconds())
