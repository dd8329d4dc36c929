"""Refused backups and failed writes: named, with numbers, and nothing is left over."""

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.other_user import let_others_enter
from tests.workers.backup_folder import (
    a_database,
    a_small_disk,
    failure,
    ours,
    root_only,
    run,
    the_copy,
)
from tests.workers.catalogue_folder import a_report, logged
from workers import backup
from workers.backup import disk_space, verify
from workers.backup.disk_space import Need, Volume
from workers.backup.places.place import Place
from workers.report import WorkerError

AS_NOBODY = """
import os, sys
from pathlib import Path
from tests.workers.backup_folder import failure
os.setgid(65534); os.setuid(65534)
failed = failure(Path(sys.argv[1]), Path(sys.argv[2]))
print(failed.permanent, failed.error)
"""


@pytest.fixture
def copies(tmp_path):
    return tmp_path / "copies"


def test_a_missing_source_is_no_empty_backup(tmp_path, copies):
    failed = failure(tmp_path / "no.db", copies)

    assert failed.error == f"database {tmp_path / 'no.db'} does not exist"
    assert failed.permanent
    assert os.listdir(tmp_path) == []


def test_a_folder_is_no_database(tmp_path, copies):
    (tmp_path / "folder.db").mkdir()

    assert "is no plain file" in failure(tmp_path / "folder.db", copies).error


@pytest.mark.parametrize("content", [b"hello, world" * 400, os.urandom(8192), b"SQLite"])
def test_what_is_no_database_or_an_encrypted_one_is_named_so(tmp_path, copies, content):
    (tmp_path / "odd.db").write_bytes(content)

    failed = failure(tmp_path / "odd.db", copies)

    assert "is no SQLite database: no header of one (encrypted, damaged" in failed.error
    assert failed.permanent
    assert not copies.exists()


@pytest.mark.parametrize("made", ["", "CREATE VIEW v AS SELECT 1"])
def test_a_database_without_tables_is_refused_unless_allowed(tmp_path, copies, made):
    with closing(sqlite3.connect(tmp_path / "empty.db")) as database:
        database.executescript(made)
        database.commit()

    failed = failure(tmp_path / "empty.db", copies)
    result = run(tmp_path / "empty.db", copies, allow_empty=True)

    assert "has no tables" in failed.error
    assert "allow_empty: true" in failed.error
    assert (result["rows"], result["state"]) == (0, "verified")
    assert verify.verify(the_copy(copies)).manifest.rows == {}


def test_a_damaged_database_is_distinguished_from_a_damaged_copy(tmp_path, copies):
    source = a_database(tmp_path / "damaged.db", rows=2000, wal=False)
    with open(source, "r+b") as file:
        file.seek(source.stat().st_size // 2 // 4096 * 4096)
        file.write(b"\xff" * 4096)

    failed = failure(source, copies)

    assert f"database {source} is damaged" in failed.error
    assert failed.permanent
    assert ours(copies) == []


def test_a_damaged_schema_is_damage_too(tmp_path, copies):
    source = a_database(tmp_path / "damaged.db", wal=False)
    with open(source, "r+b") as file:
        file.seek(100)
        file.write(b"\xff" * 60)

    assert "is damaged" in failure(source, copies).error


@root_only
def test_too_little_space_is_refused_with_the_numbers_and_what_may_go(tmp_path):
    source = a_database(tmp_path / "big.db", rows=6000)
    with a_small_disk(tmp_path / "disk", "20M") as disk:
        for _ in range(6):
            run(source, disk)
        (disk / "other").write_bytes(bytes(10_000_000))
        before = ours(disk)

        failed = failure(source, disk)

        assert f"the volume of {disk} has " in failed.error
        assert "for the copy, " in failed.error
        assert "for the scratch file that proves it" in failed.error
        assert f"safe to remove in {disk}: 3 older than the newest 3 of each (" in failed.error
        assert "prune --keep-last 3" in failed.error
        assert ours(disk) == before


@root_only
@pytest.mark.parametrize("wal", [True, False])
def test_a_disk_that_fills_up_meanwhile_leaves_nothing_and_is_named(tmp_path, wal):
    source = a_database(tmp_path / "big.db", rows=12_000, wal=wal)
    with a_small_disk(tmp_path / "disk", "16M") as disk:
        report = a_report()

        def fill(_message):
            with open(disk / "filler", "ab") as filler:
                filler.write(bytes(64))
                os.posix_fallocate(filler.fileno(), 0, 15_900_000 - 4_000_000)

        report.send = fill
        with pytest.raises(WorkerError, match="is full") as failed:
            backup.run(backup.Params(source, disk), report)

        assert f"the volume of {disk} is full (" in failed.value.error
        assert ours(disk) == ["filler"]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to run as another user")
def test_no_permission_says_who_needs_to_write_where(tmp_path, copies):
    source = a_database(tmp_path / "theirs.db", wal=False)
    copies.mkdir(mode=0o755)
    let_others_enter(tmp_path)

    command = [sys.executable, "-c", AS_NOBODY, source, copies]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.stdout.startswith("True "), done.stderr
    assert f"user 65534 needs access to {copies}" in done.stdout


def test_a_second_copy_is_verified_elsewhere(tmp_path, copies):
    source, second = a_database(tmp_path / "cards.db"), tmp_path / "second"
    second.mkdir()

    result = run(source, copies, copies=(second,))

    assert (result["copies"], result["failed_copies"], result["problem"]) == (1, 0, "")
    assert ours(second) == ours(copies)
    assert verify.verify(second / str(result["file"]))


def test_a_missing_second_folder_fails_by_name_is_not_made_and_the_others_go_on(tmp_path, copies):
    source, dead, second = a_database(tmp_path / "a.db"), tmp_path / "nas", tmp_path / "second"
    second.mkdir()
    received = []

    result = backup.run(
        backup.Params(source, copies, copies=(Place(str(dead)), Place(str(second)))),
        a_report(received),
    )

    assert f"second copy failed in {dead}: folder {dead} does not exist" in result["problem"]
    assert f"the first copy {the_copy(copies)} is verified and kept" in result["problem"]
    assert (result["copies"], result["failed_copies"], result["warnings"]) == (1, 1, 1)
    assert not dead.exists()
    assert verify.verify(the_copy(copies))
    assert verify.verify(the_copy(second))
    assert f"second copy in {dead}" in logged(received)


def test_a_second_folder_that_cannot_even_be_asked_for_fails_by_name_too(tmp_path, copies):
    source, odd, second = (
        a_database(tmp_path / "a.db"),
        tmp_path / ("x" * 300),
        tmp_path / "second",
    )
    second.mkdir()

    result = run(source, copies, copies=(odd, second))

    assert f"second copy failed in {odd}: " in result["problem"]
    assert verify.verify(the_copy(second))


@root_only
def test_a_full_second_folder_fails_by_name_with_the_first_copy_kept(tmp_path, copies):
    source = a_database(tmp_path / "big.db", rows=6000)
    with a_small_disk(tmp_path / "nas", "1M") as nas:
        result = run(source, copies, copies=(nas,))

        assert f"the volume of {nas} has " in result["problem"]
        assert ours(nas) == []
    assert verify.verify(the_copy(copies))


def test_space_is_judged_by_volume():
    one, other = copies_of("/copies"), copies_of("/data")
    volumes = {one.folder: Volume(1, 250), other.folder: Volume(1, 250)}
    apart = volumes | {other.folder: Volume(2, 200)}

    together = disk_space.refusal((one, other), volumes, "safe to remove: nothing")

    assert together == (
        "the volume of /copies has 250 bytes free, expected 400 bytes"
        " (200 bytes for a copy, 200 bytes for a copy); safe to remove: nothing"
    )
    assert disk_space.refusal((one, other), apart, "x") == ""


def copies_of(folder):
    return Need(Path(folder), 200, "a copy")
