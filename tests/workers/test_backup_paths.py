"""Unusual paths: each is backed up, verified and restored like any other."""

import os
import shutil
import subprocess
from contextlib import closing

import pytest

from tests.workers.backup_folder import BROKEN, a_database, ours, rows, run, the_copy
from tests.workers.catalogue_folder import a_report, logged
from workers import backup, sqlite
from workers.backup import marks, restore, verify
from workers.backup.errors import BackupError

CHECKS = "sha256sum --quiet -c -- *.sha256 && gunzip --test -- *.gz"


@pytest.mark.parametrize("wal", [True, False], ids=["wal", "rollback"])
@pytest.mark.parametrize(
    "name",
    [
        "a b#?%20.db",
        "100%.db",
        "größe-ß日.db",
        "-rf.db",
        "'; DROP TABLE moves.db",
        'a"quote.db',
        "*.db",
        "$HOME.db",
        ".hidden.db",
        "file:x?mode=memory.db",
        "x-2026-02-09T00-00-00Z.sqlite3.db.gz.db",
        os.fsdecode(b"caf\xe9.db"),
    ],
)
def test_an_awkward_name_is_backed_up_verified_and_restored(tmp_path, name, wal):
    room = tmp_path / "d#?r %41"
    room.mkdir()
    # Created under a plain name: the test's own sqlite3 would take some of them for URIs.
    source = a_database(tmp_path / "made.db", rows=30, wal=wal).rename(room / name)
    folder, target = room / "c#?pies %20", room / f"restored {name}"

    run(source, folder)
    copy = the_copy(folder)
    verify.verify(copy)
    marks.keep(copy)
    restore.restore(copy, target, force=False)
    restore.restore(copy, source, force=True)

    checked = subprocess.run(["/bin/sh", "-c", CHECKS], cwd=folder, capture_output=True)
    assert checked.returncode == 0, checked.stderr
    for path in (target, source):
        with closing(sqlite.open_existing(path)) as there:
            assert there.execute("SELECT count(*) FROM moves").fetchone() == (30,)


def test_a_link_to_the_database_is_followed_to_its_log_and_its_volume(tmp_path):
    (tmp_path / "real").mkdir()
    source = a_database(tmp_path / "real" / "a.db", rows=50)
    link, received = tmp_path / "link.db", []
    link.symlink_to(source)

    backup.run(backup.Params(link, tmp_path / "copies"), a_report(received, dry_run=True))
    run(link, tmp_path / "copies")

    assert f"in {source.parent} for the growth of the WAL" in logged(received)
    assert the_copy(tmp_path / "copies").name.startswith("link-")


def test_a_restore_through_a_link_writes_into_what_it_leads_to(tmp_path):
    source = a_database(tmp_path / "a.db", rows=50)
    run(source, tmp_path / "copies")
    with closing(sqlite.open_existing(source)) as living:
        living.execute("DELETE FROM totals")
    link = tmp_path / "link.db"
    link.symlink_to(source)

    restored = restore.restore(the_copy(tmp_path / "copies"), link, force=True)

    assert link.is_symlink()
    assert rows(source, BROKEN) == []
    assert rows(source, "SELECT count(*) FROM totals") == [(7,)]
    assert restored.aside is not None


def test_a_link_to_the_folder_of_copies_is_as_good_as_the_folder(tmp_path):
    source, folder = a_database(tmp_path / "a.db"), tmp_path / "copies"
    folder.mkdir()
    (tmp_path / "link").symlink_to(folder)

    run(source, tmp_path / "link")

    assert verify.verify(the_copy(folder))


def test_a_second_folder_that_is_the_first_by_another_name_fails_and_spoils_nothing(tmp_path):
    source, folder = a_database(tmp_path / "a.db"), tmp_path / "copies"
    folder.mkdir()
    (tmp_path / "link").symlink_to(folder)

    result = run(source, folder, copies=(tmp_path / "link",))

    assert "already; it is left as it is" in result["problem"]
    assert verify.verify(the_copy(folder))


def test_a_pipe_under_an_unfinished_name_is_foreign_and_not_opened(tmp_path):
    source, folder = a_database(tmp_path / "a.db"), tmp_path / "copies"
    run(source, folder)
    copy = the_copy(folder)
    pipe = folder / f"{copy.name}.keep.part"
    os.mkfifo(pipe)

    run(source, folder)
    with pytest.raises(BackupError, match="keep"):
        marks.keep(copy)

    assert pipe.name in ours(folder)


def test_a_folder_that_holds_only_foreign_files_stays_as_it_is(tmp_path):
    source, folder = a_database(tmp_path / "a.db"), tmp_path / "copies"
    folder.mkdir()
    for name in (
        "a.db.gz",
        "a-2026-02-09.gz",
        ".part",
        "scratch-12345678",
        "a.sqlite3.db.gz.part",
    ):
        (folder / name).write_text(name)
    (folder / "a-2026-02-09T00-00-00Z.sqlite3.db.gz.scratch-12345678").mkdir()
    (folder / "a-2026-02-08T00-00-00Z.sqlite3.db.gz.part").symlink_to(source)
    shutil.copytree(folder, tmp_path / "before", symlinks=True)
    before = ours(folder)

    run(source, folder)

    assert [name for name in ours(folder) if name in before] == before
