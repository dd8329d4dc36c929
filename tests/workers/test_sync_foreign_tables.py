"""Tables that another program declared, and that keep, refuse or change what a sync writes."""

import sqlite3
from contextlib import closing

import pytest

from tests.workers.catalogue_folder import (
    CARD_IDS,
    a_card,
    a_report,
    a_set,
    execute,
    failure_of,
    pruning,
    rows,
)
from workers.sync import missing_cards, missing_sets, schema

SKIP = "CREATE TRIGGER t BEFORE {} ON {} WHEN new.id = '{}' BEGIN SELECT RAISE(IGNORE); END"
CHANGE = (
    "CREATE TRIGGER t AFTER {0} ON {1} BEGIN"
    " UPDATE {1} SET name = upper(name) WHERE id = new.id AND id = '{2}'; END"
)

A_SET_OF_THAT_NAME = (
    "INSERT INTO pokemon_card_sets VALUES"
    " ('mine', 'Set old1', 's', 1, 1, NULL, NULL, '2000', NULL, NULL, '2000')"
)


def declare(path, cards=schema.CARDS, sets=schema.SETS):
    with closing(sqlite3.connect(path)) as database:
        database.execute(sets)
        database.execute(cards)


def test_sets_whose_ids_a_collation_takes_for_one_keep_their_own_cards(catalogue, params):
    declare(
        params.database,
        schema.CARDS.replace("TEXT NOT NULL REFERENCES", "TEXT COLLATE NOCASE REFERENCES"),
    )
    catalogue.write_sets([a_set("base1"), a_set("BASE1")])
    for set_id in ("base1", "BASE1"):
        catalogue.write_cards(set_id, [a_card(set_id, "1")])
    missing_sets(params, a_report())

    first = missing_cards(pruning(params), a_report())
    second = missing_cards(pruning(params), a_report())

    assert (first["cards_added"], first["vanished"], first["pruned"]) == (2, 0, 0)
    assert (second["cards_unchanged"], second["vanished"]) == (2, 0)
    assert rows(params.database, CARD_IDS) == [("BASE1-1",), ("base1-1",)]


@pytest.mark.parametrize("clause", ["IGNORE", "REPLACE"])
def test_a_row_that_a_constraint_would_skip_or_put_in_place_of_another_fails_its_set(
    params, clause
):
    declare(
        params.database,
        schema.CARDS.replace(
            "number                   TEXT NOT NULL",
            f"number TEXT NOT NULL UNIQUE ON CONFLICT {clause}",
        ),
    )
    missing_sets(params, a_report())

    failed = failure_of(missing_cards, params)

    assert failed.error.startswith(
        "1 of 2 sets failed: old1: the database refuses a row: UNIQUE constraint failed"
    )
    assert rows(params.database, CARD_IDS) == [("new1-1",), ("new1-TG02",)]


def test_a_set_that_a_constraint_would_skip_fails_the_run(params):
    declare(
        params.database,
        sets=schema.SETS.replace(
            "name          TEXT NOT NULL", "name TEXT NOT NULL UNIQUE ON CONFLICT IGNORE"
        ),
    )
    execute(params.database, A_SET_OF_THAT_NAME)

    assert "UNIQUE constraint failed" in failure_of(missing_sets, params).error


@pytest.mark.parametrize("trigger", [SKIP, CHANGE])
@pytest.mark.parametrize("event", ["INSERT", "UPDATE"])
def test_a_trigger_that_changes_or_skips_a_card_fails_its_set_and_leaves_it_as_it_was(
    catalogue, params, trigger, event
):
    missing_sets(params, a_report())
    if event == "UPDATE":
        missing_cards(params, a_report())
        catalogue.write_cards("old1", [a_card("old1", "1", name="Other")])
    before = rows(params.database, "SELECT * FROM pokemon_cards WHERE set_id = 'old1'")
    execute(params.database, trigger.format(event, "pokemon_cards", "old1-1"))

    failed = failure_of(missing_cards, params)

    assert "1 row stands in pokemon_cards otherwise than written (old1-1)" in failed.error
    assert rows(params.database, "SELECT * FROM pokemon_cards WHERE set_id = 'old1'") == before


@pytest.mark.parametrize("trigger", [SKIP, CHANGE])
def test_a_trigger_that_changes_or_skips_a_set_fails_the_run(params, trigger):
    declare(params.database)
    execute(params.database, trigger.format("INSERT", "pokemon_card_sets", "old1"))

    failed = failure_of(missing_sets, params)

    assert "in pokemon_card_sets otherwise than written" in failed.error
    assert failed.permanent
    assert rows(params.database, "SELECT id FROM pokemon_card_sets") == []


def test_a_trigger_that_only_looks_on_is_none_of_our_business(params):
    missing_sets(params, a_report())
    execute(params.database, "CREATE TABLE audit (id)")
    execute(
        params.database,
        "CREATE TRIGGER t AFTER INSERT ON pokemon_cards BEGIN"
        " INSERT INTO audit VALUES (new.id); END",
    )

    assert missing_cards(params, a_report())["cards_added"] == 4
    assert rows(params.database, "SELECT COUNT(*) FROM audit") == [(4,)]


def test_one_row_that_a_check_refuses_delays_no_other_set(params):
    declare(
        params.database,
        schema.CARDS.removesuffix(")") + ", CHECK (id <> 'new1-1'))",
    )
    missing_sets(params, a_report())

    failed = failure_of(missing_cards, params)

    assert "1 of 2 sets failed: new1: the database refuses a row: CHECK" in failed.error
    assert rows(params.database, CARD_IDS) == [("old1-1",), ("old1-TG02",)]


@pytest.mark.parametrize("work", [missing_sets, missing_cards])
@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("CREATE TABLE Pokemon_Cards (id TEXT PRIMARY KEY)", "pokemon_cards without name"),
        ("CREATE VIEW POKEMON_CARD_SETS AS SELECT 1", "has a view pokemon_card_sets"),
        ("CREATE VIEW Nightshift_Sync AS SELECT 1", "has a view nightshift_sync"),
    ],
)
def test_a_name_in_other_letters_is_the_same_name(params, statement, words, work):
    execute(params.database, statement)
    before = params.database.read_bytes()

    failed = failure_of(work, params)

    assert failed.permanent
    assert words in failed.error
    assert params.database.read_bytes() == before


@pytest.mark.parametrize("kind", ["WITHOUT ROWID", "STRICT"])
def test_every_kind_of_table_with_our_columns_takes_the_cards(catalogue, params, kind):
    declare(params.database, f"{schema.CARDS} {kind}", f"{schema.SETS} {kind}")
    missing_sets(params, a_report())

    first = missing_cards(params, a_report())
    catalogue.write_cards("old1", [a_card("old1", "1", name="Other")])
    second = missing_cards(pruning(params), a_report())

    assert first["cards_added"] == 4
    assert (second["cards_changed"], second["pruned"]) == (1, 1)
