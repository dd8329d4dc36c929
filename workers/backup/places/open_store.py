"""Open a place: the store that fits its kind."""

import os

from workers.backup.places.folder_store import FolderStore
from workers.backup.places.place import Kind, Place
from workers.backup.places.store import Store


def open_store(place: Place) -> Store:
    """Return the place, ready for use; credentials that it lacks are in the environment.

    Raises:
        PlaceError: a library that it needs is missing, or its settings are refused.
    """
    match place.kind:
        case Kind.FOLDER:
            return FolderStore(place)
        case Kind.SFTP:
            from workers.backup.places.sftp_store import SftpStore

            return SftpStore(place, os.environ)
        case Kind.S3 | Kind.GCS | Kind.AZURE:
            # Imported here: a heavy library, of an extra that most installations lack.
            from workers.backup.places.object_store import ObjectStore

            return ObjectStore(place)
