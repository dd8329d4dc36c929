"""`nightshift backups`: list, verify, restore, keep and prune."""

import json
import shutil
import sqlite3

import pytest

from tests.acceptance.daemon import Sandbox, supervised

JOBS = """
jobs:
  backup:
    worker: backup.run
    with: {database: cards.db, directory: copies}
"""


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox(JOBS) as made:
        with sqlite3.connect(made.root / "cards.db") as db:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("CREATE TABLE cards (name TEXT)")
            db.execute("INSERT INTO cards VALUES ('one')")
        made.says("run", "backup", "--local")
        yield made


@pytest.fixture
def copy(sandbox):
    return sandbox.json("backups")["backups"][0]["path"]


def names(path):
    with sqlite3.connect(path) as db:
        return [row[0] for row in db.execute("SELECT name FROM cards")]


def test_a_copy_is_listed_as_verified(sandbox):
    (found,) = sandbox.json("backups")["backups"]

    assert found["state"] == "verified"
    assert found["source"] == str(sandbox.root / "cards.db")
    assert "verified" in sandbox.says("backups")


def test_a_copy_is_proven_again_by_path_or_by_name(sandbox, copy):
    assert sandbox.says("backups", "verify", copy).endswith(": verified\n")
    assert sandbox.says("backups", "verify", copy.rpartition("/")[2]).endswith(": verified\n")


def test_a_damaged_copy_is_named_and_the_exit_status_is_1(sandbox, copy, tmp_path):
    for ending in ("", ".json", ".sha256"):
        shutil.copy(copy + ending, tmp_path)
    damaged = tmp_path / copy.rpartition("/")[2]
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 1
    damaged.write_bytes(content)

    done = sandbox.ask("backups", "verify", "--all", "--directory", str(tmp_path), "--json")

    assert done.returncode == 1
    (result,) = json.loads(done.stdout)["verified"]
    assert result["file"] == str(damaged)
    assert result["error"]


def test_what_a_backup_counted_stands_in_the_ledger_and_in_history(sandbox):
    with supervised(sandbox):
        (run,) = sandbox.json("history", "backup")["runs"]
        reported = sandbox.says("history", "backup")

    result = run["result"]
    assert (result["state"], result["rows"], result["tables"]) == ("verified", 1, 1)
    assert result["ratio"] == round(result["database_bytes"] / result["size_bytes"], 2)
    assert 0 < result["pack_seconds"] + result["verify_seconds"] <= result["seconds"] + 0.002
    assert f"size_bytes={result['size_bytes']}" in reported


def test_a_restore_is_a_run_in_the_ledger(sandbox):
    target = sandbox.root / "restored.db"

    with supervised(sandbox):
        sandbox.says("backups", "restore", "latest", "--target", "restored.db")
        newest = sandbox.json("history", "restore")["runs"][0]

    assert names(target) == ["one"]
    assert (newest["job"], newest["state"]) == ("restore", "success")
    assert newest["result"]["target"] == str(target)


def test_an_existing_target_is_left_alone_without_force(sandbox):
    target = sandbox.root / "there.db"
    target.write_bytes(b"mine")

    done = sandbox.ask("backups", "restore", "latest", "--target", "there.db", "--local")

    assert done.returncode == 1
    assert "--force" in done.stdout
    assert target.read_bytes() == b"mine"


def test_a_living_database_reads_the_restored_rows_and_writes_on(sandbox):
    with sqlite3.connect(sandbox.root / "cards.db") as living:
        living.execute("INSERT INTO cards VALUES ('two')")
        living.commit()

        sandbox.says("backups", "restore", "latest", "--target", "cards.db", "--force", "--local")

        assert living.execute("SELECT name FROM cards").fetchall() == [("one",)]
        living.execute("INSERT INTO cards VALUES ('three')")
        living.commit()

    assert names(sandbox.root / "cards.db") == ["one", "three"]
    (aside,) = sandbox.root.glob("cards.db.before-restore-*")
    assert names(aside) == ["one", "two"]


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (("backups", "verify"), 2),
        (("backups", "restore", "--target", "x.db"), 2),
        (("backups", "restore", "latest", "--target", "x.db"), 3),
        (("backups", "restore", "--at", "last week", "--target", "x.db"), 2),
        (("backups", "restore", "nothing.gz", "--target", "x.db", "--local"), 1),
        (("backups", "keep", "nothing.gz"), 1),
        (("backups", "prune", "--keep-last", "0"), 2),
        (("backups", "--directory", "/nowhere"), 1),
    ],
    ids=lambda given: " ".join(given) if isinstance(given, tuple) else str(given),
)
def test_what_cannot_be_done_is_refused_in_words(sandbox, words, status):
    returncode, said = sandbox.refuses(*words)

    assert returncode == status
    assert said


def test_a_copy_kept_by_hand_outlives_a_prune(sandbox, copy):
    sandbox.says("backups", "keep", copy)

    said = sandbox.says("backups", "prune", "--keep-last", "1", "--dry-run")

    assert "kept by hand" in sandbox.says("backups")
    assert "nothing was removed (--dry-run)" in said
    sandbox.says("backups", "keep", copy, "--release")
    assert "kept by hand" not in sandbox.says("backups")
