"""`nightshift backups` on a machine with copies and the program, but no jobs or state folder."""

import gzip
import json
import os
import shutil
import sqlite3
import time
from pathlib import Path

import pytest

from tests.acceptance.daemon import Sandbox
from tests.workers.backup_folder import a_database, run, the_copy

# Imported at the first parse of a date; another user may not read our Python's files.
time.strptime("2026", "%Y")
NOWHERE = {"NIGHTSHIFT_STATE_DIR": "", "NIGHTSHIFT_CONFIG": "", "NIGHTSHIFT_SOCKET": ""}


@pytest.fixture(scope="module")
def copies(tmp_path_factory):
    """Make a folder with one copy of 50 moves; its database is gone."""
    room = tmp_path_factory.mktemp("gone")
    run(a_database(room / "a.db", rows=50), room / "copies")
    return room / "copies"


@pytest.fixture
def machine(copies):
    """Make an empty home with the copies in `copies`, and another user's home `theirs`."""
    with Sandbox() as made:
        made.config.unlink(missing_ok=True)
        made.environ |= NOWHERE
        shutil.copytree(copies, made.root / "copies")
        yield made


def moves(path):
    with sqlite3.connect(path) as database:
        return database.execute("SELECT count(*) FROM moves").fetchone()[0]


def test_copies_are_listed_proven_and_restored(machine):
    listed = machine.says("backups", "--directory", "copies")
    proven = machine.says("backups", "verify", "--all", "--directory", "copies")
    options = ("--directory", "copies", "--target", "new.db", "--local")
    restored = machine.says("backups", "restore", "latest", *options)

    assert " verified " in listed
    assert proven.endswith(": verified\n")
    assert f"{machine.root / 'new.db'}: restored from {machine.root / 'copies'}" in restored
    assert "checked: both SHA-256" in restored
    assert sorted(os.listdir(machine.root)) == ["copies", "new.db"]
    assert moves(machine.root / "new.db") == 50


def test_restore_at_reads_the_time_in_the_zone_of_the_machine(machine):
    options = ("--directory", "copies", "--target", "new.db", "--local", "--json")

    done = machine.ask("backups", "restore", "--at", "today", *options, TZ="Asia/Kathmandu")

    restored = json.loads(done.stdout)["restored"]
    assert (done.returncode, restored["rows"], restored["aside"]) == (0, 57, None)
    assert restored["target"] == str(machine.root / "new.db")
    listed = machine.ask("backups", "--directory", "copies", TZ="Asia/Kathmandu").stdout
    assert "+0545" in listed


def test_into_an_existing_database_only_by_force_and_it_is_kept_aside(machine):
    a_database(machine.root / "a.db", rows=3)
    options = ("--directory", "copies", "--target", "a.db", "--local")

    status, said = machine.refuses("backups", "restore", "latest", *options)
    restored = machine.says("backups", "restore", "latest", *options, "--force")

    assert (status, "--force" in said) == (1, True)
    assert moves(machine.root / "a.db") == 50
    (aside,) = machine.root.glob("a.db.before-restore-*")
    assert f"what was there before is kept in {aside}" in restored
    assert moves(aside) == 3


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to run as another user")
def test_another_user_with_a_folder_that_it_may_only_read_can_do_all_that(machine):
    folder = machine.root / "copies"
    os.chmod(folder, 0o555)
    for name in os.listdir(folder):
        os.chmod(folder / name, 0o444)
    (machine.root / "theirs").mkdir()
    os.chown(machine.root / "theirs", 65534, 65534)
    os.chmod(machine.root, 0o755)

    def ask(*words):
        return machine.ask("backups", *words, "--directory", "copies", uid=65534, HOME="/nowhere")

    listed, proven = ask(), ask("verify", "--all")
    restored = ask("restore", "latest", "--target", "theirs/new.db", "--local")

    assert (listed.returncode, listed.stderr) == (0, "")
    assert proven.stdout.endswith(": verified\n"), proven
    assert (restored.returncode, restored.stderr) == (0, "")
    assert moves(machine.root / "theirs" / "new.db") == 50
    assert (machine.root / "theirs" / "new.db").stat().st_uid == 65534


def test_a_lone_copy_is_refused_with_both_ways_out_and_restored_unproven(machine):
    lone = machine.root / "cards.gz"
    shutil.copy(the_copy(machine.root / "copies"), lone)
    options = ("cards.gz", "--target", "new.db", "--local")

    status, said = machine.refuses("backups", "restore", *options)
    restored = machine.says("backups", "restore", *options, "--unproven")

    assert status == 1
    assert "--unproven" in said
    assert f"gunzip -c {lone} > {machine.root / 'new.db'}" in said
    assert "checked: gzip's CRC-32 and length" in restored
    assert "57 rows in 2 tables" in restored
    assert moves(machine.root / "new.db") == 50


def test_latest_of_copies_that_nothing_proves_says_what_can_be_done(machine):
    for path in (machine.root / "copies").iterdir():
        if not path.name.endswith(".gz"):
            path.unlink()

    options = ("--directory", "copies", "--target", "new.db", "--local")
    status, said = machine.refuses("backups", "restore", "latest", *options)

    assert (status, "--unproven" in said, "gunzip -c" in said) == (1, True, True)
    assert "unverified" in machine.says("backups", "--directory", "copies")


def test_what_is_forgotten_on_such_a_machine_is_said(machine):
    options = ("--directory", "copies", "--target", "new.db")

    assert "--directory names a folder of copies" in machine.refuses("backups")[1]
    status, said = machine.refuses("backups", "restore", "latest", *options)
    assert (status, "--local restores without one" in said) == (3, True)


def test_what_is_no_copy_is_an_error_in_words(machine):
    (machine.root / "odd.gz").write_bytes(gzip.compress(b"hello" * 500))

    options = ("odd.gz", "--target", "new.db", "--local", "--unproven")
    status, said = machine.refuses("backups", "restore", *options)

    assert status == 1
    assert "holds no SQLite database" in said
    assert not (machine.root / "new.db").exists()


JOBS = """
jobs:
  one:
    worker: backup.run
    with: {database: one.db, directory: one}
  two:
    worker: backup.run
    with: {database: two.db, directory: two}
"""


@pytest.fixture
def two_places():
    with Sandbox(JOBS) as made:
        for name in ("one", "two"):
            a_database(made.root / f"{name}.db", rows=5)
            for _ in range(2):
                run(made.root / f"{name}.db", made.root / name)
        yield made


def test_a_dead_place_does_not_hide_the_copies_of_the_others_nor_stop_their_pruning(two_places):
    shutil.rmtree(two_places.root / "two")

    listed = two_places.ask("backups", "--json")
    pruned = two_places.ask("backups", "prune", "--keep-last", "1")
    verified = two_places.ask("backups", "verify", "--all")

    dead = f"folder {two_places.root / 'two'} does not exist"
    assert len(json.loads(listed.stdout)["backups"]) == 2
    assert dead in json.loads(listed.stdout)["unreadable"][0]
    for done in (pruned, verified):
        assert (done.returncode, dead in done.stderr) == (1, True)
    assert len(list((two_places.root / "one").glob("*.gz"))) == 1
    assert verified.stdout.endswith(": verified\n")


def test_a_copy_that_cannot_go_is_named_by_prune_and_the_status_is_1(two_places):
    oldest = min((two_places.root / "one").glob("*.gz"))
    Path(f"{oldest}.part").mkdir()

    done = two_places.ask("backups", "prune", "--keep-last", "1")

    assert done.returncode == 1
    assert f"remove {oldest}" in done.stderr
    assert len(list((two_places.root / "two").glob("*.gz"))) == 1


def test_with_a_supervisors_folder_a_lone_copy_is_restored_as_a_run(two_places):
    shutil.copy(the_copy(two_places.root / "one"), two_places.root / "lone.gz")

    options = ("lone.gz", "--target", "new.db", "--local", "--unproven")
    done = two_places.json("backups", "restore", *options)

    assert moves(two_places.root / "new.db") == 5
    assert (done["job"], done["state"], done["cause"]) == ("restore", "success", "1 warning")
