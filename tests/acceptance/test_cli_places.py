"""`nightshift backups --place`: copies in a bucket."""

import json
import sqlite3
import subprocess
import sys
from typing import Any

import pytest

from tests.acceptance.daemon import CommandResult, Sandbox
from tests.workers.s3_server import s3_server

JOBS = """
x-places: &places
  - {to: "s3://cards/plain", endpoint: "${S3}", region: us-east-1, answer: 10s}
  - {to: "s3://cards/sealed", endpoint: "${S3}", region: us-east-1, age: ["${AGE}"]}
jobs:
  backup:
    worker: backup.run
    env: {AWS_ACCESS_KEY_ID: an-id, AWS_SECRET_ACCESS_KEY: a-secret-key}
    with: {database: cards.db, directory: copies, copies: *places}
  rotate:
    worker: rotation.run
    env: {AWS_ACCESS_KEY_ID: an-id, AWS_SECRET_ACCESS_KEY: a-secret-key}
    with: {directory: copies, copies: *places}
"""
PLAIN, SEALED = "s3://cards/plain", "s3://cards/sealed"


class Shell(Sandbox):
    """A sandbox whose commands are new processes.

    The object store library starts threads, and a fork of a process that used it hangs.
    """

    def ask(self, *words: str, **_more: Any) -> CommandResult:
        """Run `nightshift words…` and return its exit status and output."""
        command = [sys.executable, "-m", "supervisor", *words]
        done = subprocess.run(
            command, cwd=self.root, env=self.environ, capture_output=True, text=True
        )
        return CommandResult(done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory):
    pyrage = pytest.importorskip("pyrage", reason="pyrage is not installed")
    key = pyrage.x25519.Identity.generate()
    with s3_server(tmp_path_factory.mktemp("s3")) as s3, Shell(JOBS) as made:
        s3.client.create_bucket(Bucket="cards")
        made.environ |= {"S3": s3.endpoint, "AGE": str(key.to_public())}
        (made.root / "key.txt").write_text(f"# a key\n{key}\n")
        with sqlite3.connect(made.root / "cards.db") as db:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("CREATE TABLE cards (name TEXT)")
            db.execute("INSERT INTO cards VALUES ('one')")
        made.says("run", "backup", "--local")
        made.says("run", "rotate", "--local")
        yield made


def listed(sandbox, place):
    return sandbox.json("backups", "--place", place)["backups"]


def names(path):
    with sqlite3.connect(path) as db:
        return [row[0] for row in db.execute("SELECT name FROM cards")]


def test_the_copies_of_one_place_or_all_are_listed(sandbox):
    (plain,) = listed(sandbox, PLAIN)
    both = listed(sandbox, "all")

    assert (plain["state"], plain["place"]) == ("verified", PLAIN)
    assert {one["place"] for one in both} == {PLAIN, SEALED}
    assert f"{PLAIN}/cards-" in sandbox.says("backups", "--place", PLAIN)


def test_copies_are_read_again_and_encrypted_ones_opened_with_their_key(sandbox):
    plain = sandbox.says("backups", "verify", "--all", "--place", "all")
    opened = sandbox.says("backups", "verify", "--all", "--place", SEALED, "--identity", "key.txt")

    assert plain.count(": verified\n") == 1
    assert plain.count(": its hash is as sent; not opened, which needs --identity FILE\n") == 1
    assert opened.endswith(": verified\n")


@pytest.mark.parametrize(("place", "key"), [(PLAIN, ()), (SEALED, ("--identity", "key.txt"))])
def test_the_newest_copy_of_a_place_is_restored_as_a_run(sandbox, place, key):
    target = f"new{len(key)}.db"

    words = ("backups", "restore", "latest", "--place", place, "--target", target, "--local")
    sandbox.says(*words, *key)

    assert names(sandbox.root / target) == ["one"]
    assert [path.name for path in sandbox.root.glob(".new*")] == []


def test_an_encrypted_copy_needs_the_key(sandbox):
    done = sandbox.ask(
        "backups", "restore", "latest", "--place", SEALED, "--target", "x.db", "--local"
    )

    assert done.returncode == 1
    assert "is encrypted: a private key is needed (--identity FILE)" in done.stderr
    assert not (sandbox.root / "x.db").exists()


def test_a_copy_is_kept_and_released(sandbox):
    (copy,) = listed(sandbox, PLAIN)

    kept = sandbox.says("backups", "keep", copy["path"], "--place", PLAIN)
    (seen,) = listed(sandbox, PLAIN)
    released = sandbox.says("backups", "keep", copy["path"], "--place", PLAIN, "--release")

    assert kept.endswith(": kept by hand\n")
    assert seen["kept"]
    assert released.endswith(": rotation judges it again\n")


def test_pruning_a_place_shows_its_reasons(sandbox):
    shown = sandbox.says("backups", "prune", "--keep-last", "1", "--dry-run", "--place", "all")

    assert shown.count("newest verified, last 1/1") == 2


def test_what_is_no_place_is_a_mistake(sandbox):
    done = sandbox.ask("backups", "--place", "ftp://x/y")

    assert done.returncode == 2
    assert "to: expected a folder, s3://bucket/path" in done.stderr


def test_the_doctor_tries_what_a_place_allows(sandbox):
    found = json.loads(sandbox.ask("doctor", "--json").stdout)["findings"]

    places = [one for one in found if one["check"] == "places"]
    assert [one["state"] for one in places] == ["ok", "ok"]
    assert places[0]["value"] == f"backup: {PLAIN} creates, overwrites nothing, deletes"


def test_no_secret_of_a_place_is_shown(sandbox):
    said = [sandbox.ask("logs", "backup"), sandbox.ask("doctor", "--json")]
    shown = "".join(one.stdout + one.stderr for one in said)

    assert "a-secret-key" not in shown


def test_paths_of_the_user_are_relative_to_where_the_command_is_typed(sandbox):
    (sandbox.root / "elsewhere").mkdir()
    (sandbox.root / "elsewhere" / "my.txt").write_text((sandbox.root / "key.txt").read_text())
    words = ("backups", "restore", "latest", "--place", SEALED, "--identity", "my.txt",
             "--target", "here.db", "--local", "--config", "../jobs.yaml")  # fmt: skip
    command = [sys.executable, "-m", "supervisor", *words]

    done = subprocess.run(
        command,
        cwd=sandbox.root / "elsewhere",
        env=sandbox.environ,
        capture_output=True,
        text=True,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert names(sandbox.root / "elsewhere" / "here.db") == ["one"]
