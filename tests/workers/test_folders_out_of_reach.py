"""Folders and files that the system does not let us look at: each is named, and stops no other."""

import pytest

from tests.workers.backup_folder import a_database, run, the_copy
from tests.workers.catalogue_folder import a_report, two_sets
from workers import rotation, sync
from workers.backup import listing, marks, restore
from workers.backup.errors import BackupError
from workers.backup.places.place import Place
from workers.report import WorkerError

# Longer than any file system allows: stat() fails, also for root, other than for what is missing.
NAME = "x" * 300


@pytest.fixture
def copies(tmp_path):
    source, folder = a_database(tmp_path / "a.db", rows=20), tmp_path / "copies"
    for _ in range(2):
        run(source, folder)
    return folder


def failure(work):
    with pytest.raises((WorkerError, BackupError)) as failed:
        work()
    return str(failed.value)


def test_a_place_that_cannot_be_looked_at_stops_no_rotation_of_the_others(copies, tmp_path):
    params = rotation.Params(copies, keep_last=1, keep_daily=0, keep_weekly=0, keep_monthly=0,
                             copies=(Place(str(tmp_path / NAME)),))  # fmt: skip

    said = failure(lambda: rotation.run(params, a_report()))

    assert f"look at folder {tmp_path / NAME}: File name too long" in said
    assert "(removed: 1)" in said
    assert len(listing.list_backups(copies)) == 1


def test_a_restore_names_what_it_cannot_look_at(copies, tmp_path):
    away = tmp_path / NAME

    for params in (
        restore.Params(tmp_path / "b.db", file=str(away / the_copy(copies).name)),
        restore.Params(tmp_path / "b.db", directory=away),
        restore.Params(away / "b.db", directory=copies),
    ):
        assert "File name too long" in failure(lambda: restore.run(params, a_report()))  # noqa: B023
    planned = restore.run(restore.Params(away, directory=copies), a_report(dry_run=True))
    assert planned["file"] == the_copy(copies).name


def test_a_copy_that_cannot_be_looked_at_is_no_copy_to_keep(tmp_path):
    copy = tmp_path / NAME / "a-2026-01-01T00-00-00Z.sqlite3.db.gz"

    assert "expected the path of a copy" in failure(lambda: marks.keep(copy))


@pytest.mark.parametrize("work", [sync.missing_sets, sync.missing_cards])
def test_a_sync_names_the_folder_that_it_cannot_look_at(tmp_path, work):
    catalogue, away = str(two_sets(tmp_path / "catalogue").root), tmp_path / NAME

    nowhere = failure(lambda: work(sync.Params(str(away), tmp_path / "c.db"), a_report()))
    outside = failure(lambda: work(sync.Params(catalogue, away / "c.db"), a_report()))

    assert nowhere == f"catalogue {away} is no folder that can be read"
    assert f"its folder {away}: File name too long" in outside
