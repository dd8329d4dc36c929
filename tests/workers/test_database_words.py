"""One sentence for each way in which SQLite refuses."""

import sqlite3
from contextlib import suppress

from tests.workers.backup_folder import a_small_disk, root_only
from workers import database


def an_error_of_the_index() -> sqlite3.Error:
    """What SQLite says, after ten seconds, when it cannot extend the index of a WAL."""
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorname = "SQLITE_IOERR_SHMSIZE"
    return error


@root_only
def test_an_index_that_cannot_grow_on_a_full_disk_is_a_full_disk(tmp_path):
    with a_small_disk(tmp_path / "disk", "1m") as disk:
        with open(disk / "filler", "wb", buffering=0) as filler, suppress(OSError):
            while True:
                filler.write(bytes(4096))

        told = database.trouble(disk / "cards.db", an_error_of_the_index())

    assert str(told).endswith(f"the disk is full; make room on the volume of {disk}")
    assert not told.permanent


def test_any_other_error_of_a_disk_with_room_is_told_as_it_is(tmp_path):
    told = database.trouble(tmp_path / "cards.db", an_error_of_the_index())

    assert str(told) == f"database {tmp_path / 'cards.db'} fails: disk I/O error"


def test_a_folder_that_is_gone_has_no_bytes_to_count(tmp_path):
    told = database.trouble(tmp_path / "gone" / "cards.db", an_error_of_the_index())

    assert told.reason == "fails: disk I/O error"
