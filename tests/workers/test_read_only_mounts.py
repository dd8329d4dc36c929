"""A WAL database on a read-only mount, which SQLite cannot read: every worker says so."""

import shutil
import subprocess

import pytest

from tests.workers.backup_folder import a_small_disk, root_only
from tests.workers.card_database import card_database
from tests.workers.catalogue_folder import a_report, execute
from workers import backup, cleanup, health, integrity, params, replication, sync
from workers.health.evaluation import Limits
from workers.report import WorkerError

pytestmark = root_only
WORKERS = {
    "backup": lambda path, beside: (backup.run, backup.Params(path, beside / "copies")),
    "health": lambda path, beside: (health.run, health.Params(path, limits=Limits(disk_free=0))),
    "integrity": lambda path, beside: (integrity.run, integrity.Params(path)),
    "cleanup": lambda path, beside: (cleanup.run, cleanup.Params(path)),
    "sets": lambda path, beside: (sync.missing_sets, sync.Params(f"{beside}/catalogue", path)),
    "cards": lambda path, beside: (sync.missing_cards, sync.Params(f"{beside}/catalogue", path)),
}
each_worker = pytest.mark.parametrize("called", WORKERS.values(), ids=WORKERS)


@pytest.fixture
def path(tmp_path):
    made = card_database(tmp_path)
    with a_small_disk(tmp_path / "disk", "4m") as disk:
        shutil.copy(made, disk / "cards.db")
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        yield disk / "cards.db"


@each_worker
def test_a_worker_says_that_the_mount_is_read_only(called, path, tmp_path):
    run, given = called(path, tmp_path)

    with pytest.raises(WorkerError) as failed:
        run(given, a_report())

    assert f"database {path} is in WAL mode, for which SQLite has to write" in failed.value.error
    assert f"{path.parent} is on a read-only file system" in failed.value.error


def test_replication_says_so_too(path, postgres):
    with pytest.raises(WorkerError, match="is on a read-only file system") as failed:
        replication.run(replication.Params(path, postgres), a_report())

    assert failed.value.permanent


def test_a_dry_run_of_sync_says_so_too(path, tmp_path):
    given = params.parse(
        sync.Params, {"catalogue": str(tmp_path / "catalogue"), "database": str(path)}
    )

    with pytest.raises(WorkerError, match="is on a read-only file system"):
        sync.missing_cards(given, a_report(dry_run=True))


def test_a_database_without_a_wal_is_read_there(path, tmp_path):
    disk = path.parent
    subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
    execute(path, "PRAGMA journal_mode = DELETE")
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)

    for name in ("backup", "health", "integrity"):
        run, given = WORKERS[name](path, tmp_path)
        run(given, a_report())
    with pytest.raises(WorkerError, match=f"cannot be written; {disk} is on a read-only file"):
        cleanup.run(cleanup.Params(path), a_report())
