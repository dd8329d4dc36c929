"""A copy without its environment: read-only, without companion files, renamed."""

import gzip
import os
import shlex
import shutil
import sqlite3
import subprocess
from contextlib import closing, contextmanager

import pytest

from tests.workers.backup_folder import (
    a_database,
    a_small_disk,
    ours,
    root_only,
    rows,
    run,
    the_copy,
)
from tests.workers.catalogue_folder import a_report, logged
from workers.backup import listing, ownership, repository, restore, verify
from workers.backup.errors import BackupError, DamagedBackupError, UnprovenError

COUNT = "SELECT COUNT(*) FROM moves"


@pytest.fixture
def copy(tmp_path):
    run(a_database(tmp_path / "a.db", rows=300), tmp_path / "copies")
    return the_copy(tmp_path / "copies")


@pytest.fixture
def lone(copy, tmp_path):
    """Return the copy alone, under its own name."""
    (tmp_path / "lone").mkdir()
    return shutil.copy(copy, tmp_path / "lone") and tmp_path / "lone" / copy.name


@contextmanager
def read_only(directory):
    """Mount a read-only file system with the content of `directory`."""
    kept = shutil.copytree(directory, directory.with_name("kept"))
    shutil.rmtree(directory)
    with a_small_disk(directory, "20M") as disk:
        shutil.copytree(kept, disk, dirs_exist_ok=True)
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        yield disk


@root_only
def test_on_a_read_only_mount_copies_are_listed_proven_and_restored(copy, tmp_path):
    with read_only(copy.parent):
        (listed,) = listing.list_backups(copy.parent)
        proven = verify.verify(copy)
        done = restore.restore(copy, tmp_path / "new.db", force=False)

    assert (listed.state, proven.path, done.file) == ("verified", copy, copy.name)
    assert rows(tmp_path / "new.db", COUNT) == [(300,)]


@root_only
def test_a_damaged_copy_on_a_read_only_mount_is_named(copy):
    content = bytearray(copy.read_bytes())
    content[len(content) // 2] ^= 1
    copy.write_bytes(content)

    with read_only(copy.parent), pytest.raises(DamagedBackupError):
        verify.verify(copy)


def test_where_nothing_can_be_written_the_temporary_folder_is_used(tmp_path, monkeypatch):
    monkeypatch.setattr(repository.tempfile, "tempdir", str(tmp_path))

    assert repository.writable(tmp_path / "missing") == tmp_path
    assert repository.writable(tmp_path) == tmp_path


def test_a_copy_that_nothing_proves_says_how_to_restore_it_all_the_same(lone, tmp_path):
    target = tmp_path / "new file.db"

    with pytest.raises(
        UnprovenError, match="to restore it all the same: --unproven; or by"
    ) as failed:
        restore.restore(lone, target, force=False)

    command = str(failed.value).rpartition("unchecked: ")[2]
    assert command == f"gunzip -c {lone} > {shlex.quote(str(target))}"
    subprocess.run(command, shell=True, check=True)
    assert rows(target, COUNT) == [(300,)]


@pytest.mark.parametrize("name", ["", "cards.gz", "x", "-2026.gz"])
def test_a_lone_copy_of_any_name_is_restored_unproven_and_says_what_was_checked(
    lone, tmp_path, name
):
    file = lone.rename(lone.with_name(name or lone.name))
    received = []
    wanted = restore.Params(tmp_path / "new.db", str(file), unproven=True)

    with pytest.raises(BackupError):
        restore.restore(file, tmp_path / "new.db", force=False)
    result = restore.run(wanted, a_report(received))

    assert rows(tmp_path / "new.db", COUNT) == [(300,)]
    assert (result["file"], result["rows"], result["warnings"]) == (file.name, 307, 1)
    for said in (logged(received), result["checked"]):
        assert "gzip's CRC-32 and length, no SHA-256, as none is known, no manifest" in said
        assert "307 rows in 2 tables" in said
    assert ours(lone.parent) == [file.name]
    assert (tmp_path / "new.db").stat().st_mode & 0o777 == file.stat().st_mode & 0o666 | 0o600


def test_a_sidecar_that_is_left_proves_or_refutes_it(copy, lone, tmp_path):
    sidecar = shutil.copy(f"{copy}.sha256", lone.parent)

    done = restore.restore_unproven(lone, tmp_path / "new.db", force=False)
    lone.write_bytes(gzip.compress(gzip.decompress(lone.read_bytes())))
    with pytest.raises(DamagedBackupError, match="its sidecar says"):
        restore.restore_unproven(lone, tmp_path / "other.db", force=False)

    assert "the SHA-256 of its .sha256" in done.checked
    assert not (tmp_path / "other.db").exists()
    os.unlink(sidecar)
    assert restore.restore_unproven(lone, tmp_path / "other.db", force=False).manifest is None


def test_a_copy_that_can_be_proven_is_proven_though_nobody_asked_for_it(copy, tmp_path):
    done = restore.restore_unproven(copy, tmp_path / "new.db", force=False)

    assert done.manifest is not None
    assert done.checked.startswith("both SHA-256")


def test_a_copy_that_is_not_what_was_written_is_not_restored_as_unproven(copy, tmp_path):
    content = bytearray(copy.read_bytes())
    content[len(content) // 2] ^= 1
    copy.write_bytes(content)

    with pytest.raises(DamagedBackupError, match="gunzip -c"):
        restore.restore_unproven(copy, tmp_path / "new.db", force=False)

    assert not (tmp_path / "new.db").exists()


def flipped(content):
    return content[:-6] + bytes([content[-6] ^ 1]) + content[-5:]


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda content: content[:-1], "cut short"),
        (flipped, "is no whole gzip file"),
        (lambda content: content + b"x", "something was appended"),
        (lambda content: b"", "cut short"),
        (lambda content: gzip.compress(b"hello" * 2000), "holds no SQLite database"),
        (lambda content: gzip.compress(b""), "holds no SQLite database"),
        (lambda content: gzip.decompress(content), "is no whole gzip file"),
        (lambda content: gzip.compress(gzip.decompress(content)[:-8192]), "integrity_check"),
    ],
    ids=["short", "crc", "longer", "nothing", "no database", "empty", "no gzip", "torn"],
)
def test_what_is_no_whole_copy_is_not_restored_unproven(lone, tmp_path, spoil, words):
    lone.write_bytes(spoil(lone.read_bytes()))

    with pytest.raises(DamagedBackupError, match=words):
        restore.restore_unproven(lone, tmp_path / "new.db", force=False)

    assert not (tmp_path / "new.db").exists()
    assert [name for name in os.listdir(tmp_path) if "restore-" in name] == []


@pytest.mark.parametrize("wal", [True, False], ids=["wal", "rollback"])
def test_an_unproven_copy_goes_into_a_living_database_only_by_force(lone, tmp_path, wal):
    target = a_database(tmp_path / "living.db", rows=9, wal=wal)

    with pytest.raises(BackupError, match="exists; name a new path"):
        restore.restore_unproven(lone, target, force=False)
    assert rows(target, COUNT) == [(9,)]
    done = restore.restore_unproven(lone, target, force=True)

    assert rows(target, COUNT) == [(300,)]
    assert rows(done.aside, COUNT) == [(9,)]


def test_what_is_no_file_is_named(tmp_path):
    (tmp_path / "folder.gz").mkdir()

    for name, words in (("none.gz", "does not exist"), ("folder.gz", "is no plain file")):
        with pytest.raises(BackupError, match=words):
            restore.restore_unproven(tmp_path / name, tmp_path / "new.db", force=False)


def test_a_link_to_a_lone_copy_is_as_good_as_the_copy(lone, tmp_path):
    (tmp_path / "link.gz").symlink_to(lone)

    restore.restore_unproven(tmp_path / "link.gz", tmp_path / "new.db", force=False)

    assert rows(tmp_path / "new.db", COUNT) == [(300,)]


@root_only
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o644, 0o660])
def test_root_gives_a_restored_file_the_owner_and_mode_that_the_database_had(tmp_path, mode):
    source = a_database(tmp_path / "a.db", rows=9, wal=False)
    os.chmod(source, mode)
    os.chown(source, 1234, 5678)
    run(source, tmp_path / "copies")

    restore.restore(the_copy(tmp_path / "copies"), tmp_path / "new.db", force=False)

    found = (tmp_path / "new.db").stat()
    assert (found.st_uid, found.st_gid, found.st_mode & 0o777) == (1234, 5678, mode)


@root_only
@pytest.mark.parametrize(
    ("mode", "groups", "gid", "expected"),
    [
        (0o640, [5678], 5678, 0o640),
        (0o640, [], 65534, 0o600),
        (0o664, [], 65534, 0o644),
        (0o666, [], 65534, 0o666),
    ],
)
def test_another_user_owns_what_it_restores_and_lets_no_other_group_in(
    tmp_path, mode, groups, gid, expected
):
    file = tmp_path / "x"
    file.touch()
    os.chown(file, 65534, 65534)
    with open(file, "r+b") as opened:
        child = os.fork()
        if not child:
            os.setgroups(groups)
            os.setgid(65534)
            os.setuid(65534)
            ownership.give(opened.fileno(), mode, 1234, 5678)
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0

    found = file.stat()
    assert (found.st_uid, found.st_gid, found.st_mode & 0o777) == (65534, gid, expected)


@root_only
def test_a_living_database_keeps_its_owner_and_mode_and_so_does_what_is_kept_aside(tmp_path):
    source = a_database(tmp_path / "a.db", rows=9)
    run(source, tmp_path / "copies")
    os.chmod(source, 0o640)
    os.chown(source, 1234, 5678)

    done = restore.restore(the_copy(tmp_path / "copies"), source, force=True)

    for path in (source, done.aside):
        found = path.stat()
        assert (found.st_uid, found.st_gid, found.st_mode & 0o777) == (1234, 5678, 0o640)


def test_a_copy_with_a_foreign_collation_is_restored_unproven_with_the_warning(tmp_path):
    with closing(sqlite3.connect(tmp_path / "a.db")) as theirs:
        theirs.create_collation("unicase", lambda a, b: (a > b) - (a < b))
        theirs.executescript(
            "CREATE TABLE t (a COLLATE unicase UNIQUE); INSERT INTO t VALUES ('x')"
        )
    (tmp_path / "x.gz").write_bytes(gzip.compress((tmp_path / "a.db").read_bytes()))

    done = restore.restore_unproven(tmp_path / "x.gz", tmp_path / "new.db", force=False)

    assert done.content.warnings == ["unchecked: 1 index needs collation unicase"]
