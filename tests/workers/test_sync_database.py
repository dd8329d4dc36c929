"""Databases that a sync must refuse, or must not harm."""

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from tests.other_user import let_others_enter
from tests.workers.catalogue_folder import (
    a_card,
    a_report,
    execute,
    failure_of,
    rows,
    two_sets,
)
from workers import sqlite
from workers.sync import Params, missing_cards, missing_sets

NOBODY = 65534
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to run as another user")


@pytest.fixture
def params(tmp_path):
    return Params(str(two_sets(tmp_path / "catalogue").root), tmp_path / "cards.db")


def test_a_new_database_is_in_wal_mode_and_leaves_one_file(params):
    missing_sets(params, a_report())

    assert rows(params.database, "PRAGMA journal_mode") == [("wal",)]
    assert not Path(f"{params.database}-wal").exists()


def test_a_database_that_was_there_keeps_its_journal_and_its_other_tables(params):
    execute(params.database, "CREATE TABLE mine (a)")

    missing_sets(params, a_report())

    assert rows(params.database, "PRAGMA journal_mode") == [("delete",)]
    assert rows(params.database, "SELECT COUNT(*) FROM mine") == [(0,)]


def test_a_missing_parent_folder_is_named(params, tmp_path):
    away = Params(params.catalogue, tmp_path / "no" / "cards.db")

    failed = failure_of(missing_sets, away)

    assert failed.permanent
    assert f"its folder {tmp_path / 'no'} does not exist" in failed.error


@pytest.mark.parametrize("work", [missing_sets, missing_cards])
def test_a_file_that_is_no_database_is_refused_untouched(params, work):
    params.database.write_text("my diary, long enough to be read as a header")

    failed = failure_of(work, params)

    assert failed.permanent
    assert "is no SQLite database" in failed.error
    assert params.database.read_text().startswith("my diary")


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        (
            "CREATE TABLE pokemon_cards (id TEXT PRIMARY KEY)",
            "pokemon_cards without name, supertype",
        ),
        ("CREATE VIEW pokemon_cards AS SELECT 1", "has a view pokemon_cards"),
        ("CREATE TABLE pokemon_card_sets (title TEXT)", "pokemon_card_sets without id, name"),
        ("CREATE TABLE nightshift_sync (x)", "nightshift_sync without set_id"),
    ],
)
def test_tables_in_another_shape_are_refused_untouched(params, statement, words):
    execute(params.database, statement)
    before = params.database.read_bytes()

    failed = failure_of(missing_sets, params)

    assert failed.permanent
    assert words in failed.error
    assert params.database.read_bytes() == before


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("number                   TEXT", "number INTEGER", "number declared INTEGER"),
        ("id                       TEXT PRIMARY KEY", "id TEXT", "with the key ()"),
        ("artist  ", "owner TEXT NOT NULL, artist ", "demands owner"),
    ],
)
def test_a_table_that_would_alter_or_refuse_our_values_is_refused(params, old, new, words):
    missing_sets(params, a_report())
    (sql,) = rows(params.database, "SELECT sql FROM sqlite_master WHERE name = 'pokemon_cards'")[0]
    execute(params.database, "DROP TABLE pokemon_cards")
    execute(params.database, sql.replace(old, new))

    assert words in failure_of(missing_sets, params).error


def test_a_column_of_someone_else_is_left_alone(params):
    missing_sets(params, a_report())
    execute(params.database, "ALTER TABLE pokemon_cards ADD COLUMN mine TEXT DEFAULT 'x'")

    missing_cards(params, a_report())

    assert rows(params.database, "SELECT DISTINCT mine FROM pokemon_cards") == [("x",)]


def test_a_locked_database_is_a_passing_problem(params):
    missing_sets(params, a_report())
    other = sqlite3.connect(params.database, isolation_level=None)
    ours = sqlite.open_existing(params.database, busy_timeout_s=1.1)

    with closing(other), closing(ours):
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(sqlite3.OperationalError) as refused:
            ours.execute("BEGIN IMMEDIATE")
        problem = sqlite.error_of(params.database, refused.value)

    assert "is locked by another program for more than 1 s" in str(problem)
    assert not problem.permanent


def test_a_damaged_database_is_a_permanent_problem(params):
    missing_sets(params, a_report())
    missing_cards(params, a_report())
    damaged = bytearray(params.database.read_bytes())
    damaged[4096:] = b"\x55" * (len(damaged) - 4096)
    params.database.write_bytes(damaged)

    failed = failure_of(missing_cards, params)

    assert failed.permanent
    assert "is damaged; restore it from a backup" in failed.error


@needs_root
def test_a_full_disk_is_reported_and_leaves_whole_sets(params, tmp_path):
    volume = tmp_path / "small"
    volume.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", volume], capture_output=True
    )
    if mounted.returncode:
        pytest.skip(f"no tmpfs here: {mounted.stderr!r}")
    try:
        many = [a_card("new1", str(number), flavorText="x" * 2000) for number in range(300)]
        two_sets(tmp_path / "catalogue").write_cards("new1", many)
        small = Params(params.catalogue, volume / "cards.db")
        missing_sets(small, a_report())

        failed = failure_of(missing_cards, small)

        assert "the disk is full; make room on the volume of" in failed.error
        assert not failed.permanent
        assert rows(small.database, "SELECT COUNT(*) FROM pokemon_cards") == [(0,)]
        assert rows(small.database, "PRAGMA integrity_check") == [("ok",)]
    finally:
        subprocess.run(["umount", volume], check=True)


AS_SOMEONE = """
import os, sys
from pathlib import Path
from workers import sqlite
uid, gid = int(sys.argv[2]), int(sys.argv[3])
os.setgroups([]); os.setresgid(gid, gid, gid); os.setresuid(uid, uid, uid)
try:
    connection = sqlite.open_existing(Path(sys.argv[1]))
except sqlite.DatabaseError as problem:
    print(problem.reason)
else:
    connection.execute("SELECT COUNT(*) FROM t").fetchone()
    print("opened")
"""


def opened_as(path, uid, gid):
    command = [sys.executable, "-c", AS_SOMEONE, path, str(uid), str(gid)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=20)
    assert run.returncode == 0, run.stderr
    return run.stdout


@pytest.fixture
def owned(tmp_path):
    """Create a WAL database of uid 4242 in a world-writable folder."""
    let_others_enter(tmp_path, 0o777)
    path = tmp_path / "theirs.db"
    execute(path, "PRAGMA journal_mode = WAL")
    execute(path, "CREATE TABLE t (a)")
    os.chown(path, 4242, 4242)
    return path


@needs_root
@pytest.mark.parametrize(
    ("mode", "gid", "opened"),
    [
        pytest.param(0o644, NOBODY, False, id="no shared group"),
        pytest.param(0o644, 4242, False, id="a shared group that may not write"),
        pytest.param(0o664, 4242, True, id="a shared group that may write"),
        pytest.param(0o666, NOBODY, True, id="everybody may write"),
    ],
)
def test_a_wal_database_of_another_user_is_opened_only_if_its_owner_stays_able_to_write(
    owned, mode, gid, opened
):
    owned.chmod(mode)

    said = opened_as(owned, NOBODY, gid)

    assert said.startswith("opened" if opened else "is in WAL mode and belongs to uid 4242")
    if not opened:
        assert 'user: "4242:4242" in compose, User=4242 in a unit' in said
        assert os.listdir(owned.parent) == ["theirs.db"]


@needs_root
def test_its_owner_opens_a_wal_database(owned):
    assert opened_as(owned, 4242, 4242).startswith("opened")


@needs_root
def test_root_leaves_files_that_the_owner_can_write(owned):
    with closing(sqlite.open_existing(owned)) as connection:
        connection.execute("INSERT INTO t VALUES (1)")
        made = [Path(f"{owned}-wal"), Path(f"{owned}-shm")]

        assert [path.stat().st_uid for path in made] == [4242, 4242]


def test_a_path_with_marks_of_a_uri_is_a_path(tmp_path):
    path = tmp_path / "a?mode=memory#%41.db"
    execute(path, "CREATE TABLE t (a)")

    with closing(sqlite.open_existing(path)) as connection:
        assert connection.execute("SELECT COUNT(*) FROM t").fetchone() == (0,)


@pytest.mark.parametrize("strange", ["CAST(x'736573616d65ff' AS TEXT)", "x'00ff'"])
@pytest.mark.parametrize("column", ["name", "rules", "artist"])
def test_a_value_that_is_not_utf_8_is_corrected_and_never_reported(params, strange, column):
    missing_sets(params, a_report())
    missing_cards(params, a_report())
    execute(params.database, f"UPDATE pokemon_cards SET {column} = {strange} WHERE id = 'old1-1'")
    execute(params.database, "DELETE FROM nightshift_sync")
    received = []

    result = missing_cards(params, a_report(received))

    assert result["cards_changed"] == 1
    assert "sesame" not in str(received)


@pytest.mark.parametrize(
    ("strange", "reported"), [("CAST(x'63ff' AS TEXT)", r"c\xff"), ("x'00ff'", "x'00ff'")]
)
def test_an_id_that_is_no_text_is_reported_and_not_said_to_be_deleted(params, strange, reported):
    missing_sets(params, a_report())
    missing_cards(params, a_report())
    execute(params.database, f"UPDATE pokemon_cards SET id = {strange} WHERE id = 'old1-1'")

    result = missing_cards(params, a_report())
    failed = failure_of(missing_cards, replace(params, prune=True))

    assert (result["vanished"], result["vanished_names"]) == (1, reported)
    assert "pokemon_cards: 1 row has an id that cannot be looked up" in failed.error
    assert failed.permanent
    assert rows(params.database, "SELECT COUNT(*) FROM pokemon_cards") == [(5,)]


@pytest.mark.parametrize("strange", ["CAST(x'63ff' AS TEXT)", "x'00ff'"])
def test_a_set_whose_id_is_no_text_is_not_said_to_be_deleted(params, strange):
    missing_sets(params, a_report())
    execute(params.database, f"UPDATE pokemon_card_sets SET id = {strange} WHERE id = 'old1'")

    missing_sets(params, a_report())
    missing_cards(params, a_report())
    failed = failure_of(missing_sets, replace(params, prune=True))

    assert "pokemon_card_sets: 1 row has an id that cannot be looked up" in failed.error
