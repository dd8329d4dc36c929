"""Integrity of real databases: each kind of damage is done, then found."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.workers.card_database import (
    break_pages,
    card_database,
    no_database,
    with_a_collation,
    with_pages,
)
from tests.workers.catalogue_folder import a_report, execute, logged, rows
from tests.workers.strange_texts import with_latin_names
from workers import integrity, sync
from workers.integrity import card_checks
from workers.report import WorkerError

SOUND = {
    "damage": 0,
    "foreign_key_violations": 0,
    "not_there": 0,
    "empty_fields": 0,
    "invalid_json": 0,
    "orphaned_cards": 0,
    "short_sets": 0,
    "fuller_sets": 0,
    "warnings": 0,
}
CATALOGUE = Path(__file__).parents[3] / "shared" / "catalogue"


@pytest.fixture
def path(tmp_path):
    return card_database(tmp_path)


def checked(path, received=None, dry_run=False):
    result = integrity.run(integrity.Params(path), a_report(received, dry_run))
    result.pop("seconds", None)
    return result


def failure(path):
    with pytest.raises(WorkerError) as failed:
        checked(path)
    return failed.value


def test_a_synced_database_is_sound(path):
    assert checked(path) == SOUND


def test_nothing_is_changed_and_nothing_is_left_behind(path):
    before, beside = path.read_bytes(), sorted(path.parent.iterdir())

    checked(path)

    assert path.read_bytes() == before
    assert sorted(path.parent.iterdir()) == beside


def test_cards_without_their_set_fail_the_run_and_are_named(path):
    execute(path, "DELETE FROM pokemon_card_sets WHERE id = 'old1'")

    failed = failure(path)

    assert failed.permanent
    assert "cards without their set: 2 (old1-1 of old1, old1-TG02 of old1)" in failed.error
    assert "foreign key violations: 2 (" in failed.error


def test_all_are_counted_and_three_are_shown(path):
    execute(path, "DELETE FROM pokemon_card_sets")

    assert (
        "cards without their set: 4 (new1-1 of new1, new1-TG02 of new1, old1-1 of old1, ...)"
        in (failure(path).error)
    )


@pytest.mark.parametrize("empty", ["''", "'  '", "char(9, 10)"])
def test_an_empty_required_field_fails_the_run(path, empty):
    execute(path, f"UPDATE pokemon_cards SET name = {empty} WHERE id = 'new1-1'")

    assert "empty required fields: 1 (pokemon_cards.name of new1-1)" in failure(path).error


@pytest.mark.parametrize("value", ["'[{'", "''", "x'0102'", "'{''a'': 1}'"])
def test_a_field_that_holds_no_json_fails_the_run(path, value):
    execute(path, f"UPDATE pokemon_cards SET attacks = {value} WHERE id = 'old1-1'")

    assert "fields that hold no JSON: 1 (pokemon_cards.attacks of old1-1)" in failure(path).error


def test_a_set_with_fewer_cards_than_it_claims_is_a_warning(path):
    execute(path, "DELETE FROM pokemon_cards WHERE id = 'old1-1'")
    received = []

    result = checked(path, received)

    assert (result["short_sets"], result["warnings"]) == (1, 1)
    assert "sets with fewer cards than they claim: 1 (old1 1/2)" in logged(received)


def test_a_set_with_more_cards_than_it_claims_is_only_reported(path):
    execute(path, "UPDATE pokemon_card_sets SET total = 1 WHERE id = 'old1'")
    received = []

    result = checked(path, received)

    assert (result["fuller_sets"], result["warnings"]) == (1, 0)
    assert "old1 2/1" in logged(received)


def test_broken_pages_fail_the_run(path):
    break_pages(with_pages(path))

    failed = failure(path)

    assert failed.permanent
    assert "lines of integrity_check" in failed.error


def test_a_broken_card_table_is_damage_and_no_crash(path):
    execute(path, "UPDATE pokemon_cards SET rules = json_array(hex(zeroblob(200000)))")
    rows(path, "PRAGMA wal_checkpoint(TRUNCATE)")
    break_pages(path, "pokemon_cards", pages=20)

    assert "lines of integrity_check" in failure(path).error


def test_a_damaged_header_fails_the_run(path):
    with open(path, "r+b") as file:
        file.seek(100)
        file.write(b"\xff" * 200)

    failed = failure(path)

    assert failed.permanent
    assert "is damaged; restore it from a backup" in failed.error


def test_an_index_that_misses_a_row_is_found(path):
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA writable_schema = ON")
        database.execute("UPDATE sqlite_master SET sql = NULL, name = 'gone', tbl_name = 'gone'"
                         " WHERE name = 'pokemon_cards_by_set'")  # fmt: skip
        database.execute("DELETE FROM sqlite_master WHERE name = 'gone'")
        database.commit()

    assert "never used" in failure(path).error


def test_a_violation_in_any_database_fails_the_run(tmp_path):
    path = tmp_path / "any.db"
    execute(path, "CREATE TABLE parents (id INTEGER PRIMARY KEY)")
    execute(path, "CREATE TABLE children (parent INTEGER REFERENCES parents)")
    execute(path, "INSERT INTO children VALUES (7), (8), (NULL)")

    assert (
        "foreign key violations: 2 (children rowid 1 without its parents,"
        " children rowid 2 without its parents)" in failure(path).error
    )


def test_keys_that_do_not_fit_their_parents_are_a_violation(tmp_path):
    path = tmp_path / "any.db"
    execute(path, "CREATE TABLE parents (id INTEGER PRIMARY KEY, name TEXT)")
    execute(path, "CREATE TABLE children (parent TEXT REFERENCES parents (name))")

    assert "foreign key mismatch" in failure(path).error


def test_a_database_without_cards_gets_the_generic_checks_and_says_so(tmp_path):
    path, received = tmp_path / "any.db", []
    execute(path, "CREATE TABLE notes (text)")

    result = checked(path, received)

    assert result == {"damage": 0, "foreign_key_violations": 0, "warnings": 0}
    assert "no tables of sync are here" in logged(received)


def test_card_tables_named_in_other_letters_are_checked(path):
    execute(path, "ALTER TABLE pokemon_cards RENAME TO moved")
    execute(path, "ALTER TABLE moved RENAME TO Pokemon_Cards")
    execute(path, "UPDATE Pokemon_Cards SET attacks = 'none' WHERE id = 'new1-1'")

    assert "fields that hold no JSON: 1" in failure(path).error


def test_half_of_the_card_tables_is_a_warning(path):
    execute(path, "DROP TABLE pokemon_card_sets")
    execute(path, "ALTER TABLE pokemon_cards DROP COLUMN attacks")
    execute(path, "CREATE TABLE pokemon_card_sets (id TEXT PRIMARY KEY, name TEXT)")
    execute(path, "INSERT INTO pokemon_card_sets VALUES ('old1', 'a'), ('new1', 'b')")
    received = []

    result = checked(path, received)

    assert result["not_there"] == result["warnings"] == 8
    assert "pokemon_card_sets.series" in logged(received)


def test_a_collation_that_only_its_owner_has_is_a_warning(tmp_path):
    path, received = with_a_collation(tmp_path / "own.db"), []

    result = checked(path, received)

    assert result["warnings"] == result["checks_not_made"] == 1
    assert "no such collation sequence: ours" in logged(received)


def test_what_a_collation_of_its_owner_hides_is_checked_in_other_tables(tmp_path):
    path = with_a_collation(tmp_path / "own.db")
    break_pages(with_pages(path))

    error = failure(path).error

    assert "lines of integrity_check" in error
    assert "ours" not in error


def test_an_id_that_would_forge_a_line_of_the_log_does_not(path):
    execute(path, "UPDATE pokemon_cards SET set_id = 'x' || char(10) || 'y' WHERE id = 'old1-1'")
    execute(path, "UPDATE pokemon_cards SET id = CAST(x'ff41' AS TEXT), set_id = 'z'"
                  " WHERE id = 'old1-TG02'")  # fmt: skip

    error = failure(path).error

    assert r"old1-1 of x\ny" in error
    assert r"\xffA of z" in error


@pytest.mark.parametrize("encoding", ["UTF-8", "UTF-16le", "UTF-16be"])
def test_a_table_whose_name_is_not_ascii_is_checked_in_every_encoding(encoding, tmp_path):
    path = tmp_path / "a.db"
    with closing(sqlite3.connect(path)) as made:
        made.execute(f"PRAGMA encoding = '{encoding}'")
        made.execute("CREATE TABLE café (id INTEGER PRIMARY KEY)")

    assert "checks_not_made" not in checked(path)


def test_a_table_whose_name_is_not_utf_8_is_named_as_unchecked(tmp_path):
    path, received = with_latin_names(tmp_path / "a.db"), []
    execute(path, "DROP TABLE child")

    result = checked(path, received)

    assert (result["checks_not_made"], result["warnings"]) == (1, 1)
    assert r"(foreign_key_check of caf\xe9: its name is not UTF-8)" in logged(received)


def test_an_error_that_is_not_utf_8_is_a_finding_like_any_other(tmp_path):
    error = failure(with_latin_names(tmp_path / "a.db")).error

    assert r'child: foreign key mismatch - "child" referencing "caf\xe9"' in error


def test_one_table_that_cannot_be_checked_hides_no_other(tmp_path):
    path = with_latin_names(tmp_path / "a.db")
    execute(path, "DROP TABLE child")
    execute(path, "CREATE TABLE parents (id INTEGER PRIMARY KEY)")
    execute(path, "CREATE TABLE others (parent REFERENCES parents)")
    execute(path, "INSERT INTO others VALUES (7)")

    assert "foreign key violations: 1 (others rowid 1" in failure(path).error


@no_database
def test_what_is_no_database_fails_the_run(tmp_path, make, words):
    path = tmp_path / "wrong.db"
    make(path)
    there = path.exists()

    failed = failure(path)

    assert failed.permanent
    assert words in failed.error
    assert path.exists() == there


def test_a_writer_goes_on_while_one_snapshot_is_checked(path):
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("DELETE FROM pokemon_card_sets")

        assert checked(path) == SOUND

        writer.execute("COMMIT")
    assert "cards without their set" in failure(path).error


def test_a_cancelled_run_says_so(path):
    report = a_report()
    report.cancelled = True

    with pytest.raises(WorkerError, match="cancelled"):
        integrity.run(integrity.Params(path), report)


def test_a_dry_run_names_the_checks_and_makes_none(path):
    execute(path, "DELETE FROM pokemon_card_sets")
    received = []

    assert checked(path, received, dry_run=True) == {"checks": 6}
    assert f"integrity_check of {path}" in logged(received)


def test_what_is_required_is_what_sync_demands(path):
    required = "SELECT name FROM pragma_table_info('{table}') WHERE \"notnull\""

    for table, names in card_checks.REQUIRED.items():
        assert [name for (name,) in rows(path, required.format(table=table))] == list(names)


@pytest.mark.skipif(not CATALOGUE.is_dir(), reason="needs the real catalogue beside the project")
@pytest.mark.long
def test_the_real_catalogue_is_sound_and_six_of_its_sets_are_fuller(tmp_path):
    path = tmp_path / "real.db"
    params = sync.Params(str(CATALOGUE), path)
    sync.missing_sets(params, a_report())
    sync.missing_cards(params, a_report())

    assert checked(path) == {**SOUND, "fuller_sets": 6}
