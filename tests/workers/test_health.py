"""Health of real files: each problem is created, then detected."""

import sqlite3
import tracemalloc
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.workers.backup_folder import a_small_disk, dated, root_only, run, the_copy
from tests.workers.card_database import (
    break_pages,
    card_database,
    no_database,
    with_a_collation,
    with_pages,
)
from tests.workers.catalogue_folder import a_report, execute, logged
from tests.workers.fixtures_health import GENEROUS, measured
from tests.workers.strange_texts import with_latin_names
from workers import backup, health, params
from workers.protocol import Metric
from workers.report import WorkerError


@pytest.fixture
def path(tmp_path):
    return card_database(tmp_path)


@pytest.fixture
def copies(path, tmp_path):
    run(path, tmp_path / "copies")
    return tmp_path / "copies"


def failure(path, copies=None, **given):
    with pytest.raises(WorkerError) as failed:
        measured(path, copies, **given)
    assert not failed.value.permanent
    return failed.value.error


def test_a_database_with_a_fresh_backup_is_healthy(path, copies):
    received = []

    result = measured(path, copies, received)

    assert (result["score"], result["word"], result["warnings"]) == (100, "healthy", 0)
    assert result["database_bytes"] == path.stat().st_size
    figures = {one.name: one.value for one in received if isinstance(one, Metric)}
    assert figures["health_score"] == 100
    assert figures.keys() >= {
        "database_bytes", "wal_bytes", "backup_age_seconds", "disk_free_ratio", "query_seconds",
    }  # fmt: skip


def test_nothing_is_changed_and_nothing_is_left_behind(path, copies):
    before = path.read_bytes(), sorted(path.parent.rglob("*"))

    measured(path, copies)

    assert (path.read_bytes(), sorted(path.parent.rglob("*"))) == before


@no_database
def test_what_is_no_database_is_unreachable(tmp_path, make, words):
    path = tmp_path / "wrong.db"
    make(path)

    error = failure(path)

    assert error.startswith("health 50/100: database ")
    assert words in error


def test_broken_pages_are_critical(path, copies):
    break_pages(with_pages(path))

    error = failure(path, copies)

    assert error.startswith("health 70/100: quick_check finds damage: ")


def test_a_damaged_header_is_unreachable(path):
    with open(path, "r+b") as file:
        file.seek(100)
        file.write(b"\xff" * 200)

    assert "is damaged; restore it from a backup" in failure(path)


@pytest.mark.long
def test_a_large_wal_that_a_reader_holds_is_a_warning(path):
    with (
        closing(sqlite3.connect(path, isolation_level=None)) as reader,
        closing(sqlite3.connect(path, isolation_level=None)) as writer,
    ):
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM pokemon_cards").fetchone()
        writer.execute("PRAGMA synchronous = OFF")
        writer.execute("CREATE TABLE pad (noise)")
        writer.execute("INSERT INTO pad VALUES (zeroblob(150000000))")

        result = measured(path)

    assert result["wal_bytes"] > 150 * 10**6
    assert (result["score"], result["word"], result["warnings"]) == (95, "warning", 1)
    assert "its WAL has 15" in result["complaints"]


def test_the_wal_of_a_database_behind_a_link_is_seen(path):
    link = path.with_name("link.db")
    link.symlink_to(path)
    with closing(sqlite3.connect(path)) as writer:
        writer.execute("CREATE TABLE more (a)")

        assert measured(link)["wal_bytes"] > 0


def test_a_database_over_its_limit_is_a_warning(path):
    result = measured(path, limits={"database_size": 4096})

    assert result["warnings"] == 1
    assert result["complaints"].endswith(" kB, expected at most 4.1 kB")


def test_a_check_that_takes_too_long_is_ended_and_said(path):
    received = []

    result = measured(path, received=received, limits={"quick_check": "0s"})

    assert result["score"] == 100
    assert "and was ended there" in logged(received)


def test_a_collation_that_only_its_owner_has_is_a_warning(tmp_path):
    path = with_a_collation(tmp_path / "own.db")

    result = measured(path)

    assert (result["score"], result["word"]) == (95, "warning")
    assert result["complaints"] == "quick_check cannot be made: no such collation sequence: ours"


@pytest.mark.parametrize("wal", [True, False])
def test_texts_that_are_not_utf_8_are_no_problem(tmp_path, wal):
    path, received = with_latin_names(tmp_path / "a.db"), []
    execute(path, f"PRAGMA journal_mode = {'WAL' if wal else 'DELETE'}")
    execute(path, "CREATE TABLE notes (id INTEGER PRIMARY KEY, text)")
    execute(path, "INSERT INTO notes VALUES (1, CAST(x'736573616d65ff' AS TEXT))")

    result = measured(path, received=received)

    assert (result["score"], result["warnings"]) == (100, 0)
    assert "sesame" not in logged(received)


def test_half_a_character_in_utf_16_is_no_problem(tmp_path):
    path = tmp_path / "a.db"
    with closing(sqlite3.connect(path)) as made:
        made.execute("PRAGMA encoding = 'UTF-16le'")
        made.execute("CREATE TABLE notes AS SELECT CAST(x'00d8' AS TEXT) AS text")
        made.commit()

    assert measured(path)["score"] == 100


def test_a_lock_that_is_kept_is_unreachable(path):
    execute(path, "PRAGMA journal_mode = DELETE")
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("BEGIN EXCLUSIVE")

        error = failure(path, limits={"answer": "300ms"})

    assert "health 50/100" in error
    assert "is locked by another program for more than 0.3s" in error


def test_a_writer_in_wal_mode_is_no_problem(path):
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("DELETE FROM pokemon_cards")

        assert measured(path)["score"] == 100


def test_a_stale_backup_is_critical(path, copies):
    old = path.parent / "old"
    dated(the_copy(copies), old, datetime.now(UTC) - timedelta(days=3), "cards")

    error = failure(path, old)

    assert error.startswith("health 95/100: the newest verified backup is 3d")
    assert error.endswith("old, expected at most 2d")
    assert measured(path, old, limits={"backup_age": "4d"})["score"] == 100


def test_a_copy_that_is_not_verified_is_no_backup(path, copies):
    the_copy(copies).with_name(f"{the_copy(copies).name}.sha256").unlink()

    error = failure(path, copies)

    assert "there is no verified backup: none of cards in " in error
    assert "not verified: 1" in error


def test_copies_of_another_database_do_not_count(path, copies):
    other = path.with_name("other.db")
    other.write_bytes(path.read_bytes())

    assert "there is no verified backup: none of other in" in failure(other, copies)


def test_copies_of_another_database_with_the_same_name_do_not_count(path, copies, tmp_path):
    other = tmp_path / "other" / path.name
    other.parent.mkdir()
    other.write_bytes(path.read_bytes())

    assert "there is no verified backup: none of cards in" in failure(other, copies)
    asked = {"database": str(other), "copies": [str(copies)], "limits": GENEROUS}
    with pytest.raises(WorkerError, match="there is no verified copy in"):
        health.run(params.parse(health.Params, asked), a_report())
    run(other, copies)
    assert measured(other, copies)["score"] == 100
    assert measured(path, copies)["score"] == 100


def test_copies_of_the_same_database_under_another_path_count(path, copies, tmp_path):
    link = tmp_path / "link" / path.name
    link.parent.mkdir()
    link.symlink_to(path)
    moved = tmp_path / "moved" / path.name
    moved.parent.mkdir()

    assert measured(link, copies)["score"] == 100
    path.rename(moved)
    assert measured(moved, copies)["score"] == 100


def test_large_rows_are_sampled_one_at_a_time(path):
    execute(path, "CREATE TABLE aaa (picture BLOB)")
    execute(path, f"INSERT INTO aaa VALUES {', '.join(['(zeroblob(4000000))'] * 20)}")
    tracemalloc.start()
    try:
        measured(path)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak_bytes < 20_000_000


def test_a_folder_of_copies_that_is_not_mounted_is_critical(path, tmp_path):
    error = failure(path, tmp_path / "mount" / "copies")

    assert "does not exist; is its disk mounted?" in error


def test_a_folder_of_copies_that_may_not_be_read_is_critical(path, copies, monkeypatch):
    def refuse(_):
        raise PermissionError(13, "Permission denied", str(copies))

    # root is refused nothing
    monkeypatch.setattr(Path, "is_dir", refuse)

    assert "there is no verified backup: " in failure(path, copies)


@root_only
def test_a_disk_at_95_percent_is_a_warning(path, tmp_path):
    with a_small_disk(tmp_path / "disk", "20m") as disk:
        backup.run(backup.Params(path, disk / "copies"), a_report())
        (disk / "filler").write_bytes(b"x" * 19 * 2**20)

        result = measured(path, disk / "copies", limits={"disk_free": 0.1})

    assert f"the volume of {disk / 'copies'} has" in result["complaints"]
    assert "expected 10.0%" in result["complaints"]
    assert result["disk_free_ratio"] < 0.1


@root_only
def test_a_backup_that_would_not_fit_is_critical(path, tmp_path):
    with_pages(path, rows=40_000)
    with a_small_disk(tmp_path / "disk", "8m") as disk:
        backup.run(backup.Params(path, disk / "copies"), a_report())
        (disk / "filler").write_bytes(b"x" * 5 * 2**20)

        error = failure(path, disk / "copies")

    assert "the next backup cannot be made: the volume of" in error
    assert "for the scratch file that proves it" in error


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"limits": {"backup_age": "soon"}}, "limits.backup_age: expected a duration"),
        ({"limits": {"disk_free": "nan"}}, "limits.disk_free: expected 0 to 1, got nan"),
        ({"limits": {"answer": 0}}, "limits.answer: expected up to 30s"),
        ({"limits": {"bakup_age": "1d"}}, "limits.bakup_age: unknown parameter"),
        ({"http": ["ftp://a/"]}, "http: expected URLs"),
        ({"http": "http://"}, "http: expected URLs"),
        ({"http": "http://a:99999/"}, "http: expected URLs"),
        ({"replication": "perhaps"}, "replication: expected true or false"),
    ],
)
def test_a_wrong_parameter_is_named(given, problem):
    with pytest.raises(params.ParamsError) as bad:
        params.parse(health.Params, {"database": "a", **given})

    assert problem in str(bad.value)


def test_a_dry_run_says_what_would_be_measured(path, copies):
    received = []

    result = measured(path, copies, received, dry_run=True, http=["http://u:p@a.invalid/x?k=v"])

    assert result == {"measures": 4}
    assert "http://a.invalid/x: answer" in logged(received)
    assert "u:p" not in logged(received)


def test_a_cancelled_run_says_so(path):
    wanted = params.parse(health.Params, {"database": str(path), "limits": GENEROUS})
    report = a_report()
    report.cancelled = True

    with pytest.raises(WorkerError, match="cancelled"):
        health.run(wanted, report)


def test_a_value_that_is_not_utf_8_is_no_damage(path, copies):
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE a_notes (text TEXT)")
        database.execute("INSERT INTO a_notes VALUES (CAST(x'636166e9' AS TEXT))")
        database.commit()

    assert measured(path, copies)["word"] == "healthy"
