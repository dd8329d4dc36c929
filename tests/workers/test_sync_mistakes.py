"""Mistakes in a catalogue or a `with` block are named, and delay no other set."""

import os

import pytest

from tests.workers.catalogue_folder import (
    CARD_IDS,
    CONTENT,
    a_card,
    a_report,
    a_set,
    failure_of,
    pruning,
    rows,
)
from workers import params as worker_params
from workers.sync import Params, missing_cards, missing_sets


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "old1: is no JSON"),
        ('{"data": [3]}', "old1: entry 1: expected `object`"),
        ('{"data": [{"id": "old1-1", "hp": "x"}]}', "old1: entry 1 (old1-1): object missing"),
        ('{"data": []}', "old1: it lists no cards where the database has 2; none is pruned"),
    ],
)
def test_a_wrong_set_fails_by_name_and_delays_no_other(catalogue, params, synced, text, words):
    before = rows(synced, CONTENT[0])
    catalogue.write_text("old1", text)
    catalogue.write_cards("new1", [a_card("new1", str(number)) for number in range(5)])

    failed = failure_of(missing_cards, pruning(params))

    assert failed.permanent
    assert failed.error.startswith("1 of 2 sets failed: ")
    assert words in failed.error
    assert "4 cards added, 0 changed, 1 unchanged" in failed.error
    after = rows(synced, CONTENT[0])
    assert [row for row in after if row[17] == "old1"] == [
        row for row in before if row[17] == "old1"
    ]
    assert len([row for row in after if row[17] == "new1"]) == 5


def test_a_fixed_set_comes_with_the_next_run(catalogue, params):
    missing_sets(params, a_report())
    right = catalogue.cards_path("new1").read_text()
    catalogue.write_text("new1", "{")
    failure_of(missing_cards, params)

    catalogue.write_text("new1", right)

    assert missing_cards(params, a_report())["cards_added"] == 2


def test_a_set_without_its_file_fails_by_name(catalogue, params, synced):
    catalogue.cards_path("old1").unlink()

    failed = failure_of(missing_cards, params)

    assert f"old1: {catalogue.cards_path('old1')} does not exist" in failed.error
    assert len(rows(synced, CARD_IDS)) == 4


def test_stray_files_are_ignored(catalogue, params, synced):
    catalogue.cards_path("old1").with_name("old1.json").write_text("{")
    (catalogue.root / "cards" / "stray.json").write_text("{")

    assert missing_cards(params, a_report())["cards_unchanged"] == 4


def test_a_card_of_another_set_is_named_with_both(catalogue, params, synced):
    moved = a_card("new1", "9") | {"id": "old1-1"}
    catalogue.write_cards("new1", [a_card("new1", "1"), moved])

    failed = failure_of(missing_cards, params)

    assert "new1: old1-1 is a card of old1 in the database" in failed.error


def test_a_wrong_entry_of_sets_json_fails_by_name_and_no_set_counts_as_vanished(catalogue, params):
    missing_sets(params, a_report())
    right = a_set("more1")
    catalogue.write_sets([a_set("new1", "2021/01/01"), {"id": "old1"}, right, {"name": "?"}])

    failed = failure_of(missing_sets, pruning(params))

    assert failed.permanent
    assert "2 of 4 sets failed: old1: entry 2 (old1): object missing" in failed.error
    assert len(rows(params.database, "SELECT id FROM pokemon_card_sets")) == 3


def test_a_set_that_is_listed_twice_fails_by_name(catalogue, params):
    catalogue.write_sets([a_set("new1"), a_set("new1", name="Other"), a_set("old1")])

    assert "new1: entry 2 (new1): id: this id appears" in failure_of(missing_sets, params).error
    assert rows(params.database, "SELECT id FROM pokemon_card_sets") == [("old1",)]


@pytest.mark.parametrize("text", [None, "", "[]", '{"data": []}', '{"data": [{}]}'])
def test_a_catalogue_without_sets_is_an_error_and_makes_no_database(catalogue, params, text):
    path = catalogue.root / "sets.json"
    path.unlink() if text is None else path.write_text(text)

    failed = failure_of(missing_sets, params)

    assert failed.permanent
    assert ("sets.json does not exist" if text is None else "names no set") in failed.error
    assert not params.database.exists()


def test_a_catalogue_that_is_not_there_is_an_error_and_makes_no_database(tmp_path):
    params = Params(str(tmp_path / "nowhere"), tmp_path / "cards.db")

    assert (
        f"catalogue {tmp_path / 'nowhere'} is no folder" in failure_of(missing_sets, params).error
    )
    assert list(tmp_path.iterdir()) == []


def test_cards_without_sets_are_refused_in_clear_words_and_make_no_database(params):
    failed = failure_of(missing_cards, params)

    assert failed.error == "the database has no sets yet; run sync.missing_sets first"
    assert not params.database.exists()


def test_a_set_that_has_no_row_yet_is_named_and_the_others_come(catalogue, params):
    missing_sets(params, a_report())
    catalogue.write_sets(
        [a_set("new1", "2021/01/01"), a_set("old1"), a_set("late1", "2022/01/01")]
    )

    failed = failure_of(missing_cards, params)

    assert "late1: its row is missing; run sync.missing_sets first" in failed.error
    assert len(rows(params.database, CARD_IDS)) == 4


def test_a_fifo_in_the_place_of_a_file_hangs_nothing(catalogue, params, synced):
    catalogue.cards_path("old1").unlink()
    os.mkfifo(catalogue.cards_path("old1"))

    assert "cards.json is not a regular file" in failure_of(missing_cards, params).error


@pytest.mark.parametrize(
    ("given", "key"),
    [
        ({"database": "x"}, "catalogue"),
        ({"catalogue": "c"}, "database"),
        ({"catalogue": "c", "database": "x", "batch_size": 251}, "batch_size"),
        ({"catalogue": "c", "database": "x", "batch_size": 0}, "batch_size"),
        ({"catalogue": "ftp://c", "database": "x"}, "catalogue"),
        ({"catalogue": "http://c/?a", "database": "x"}, "catalogue"),
        ({"catalogue": "c", "database": "x", "api_key": "a\nb"}, "api_key"),
        ({"catalogue": "c", "database": "x", "bach_size": 3}, "bach_size"),
    ],
)
def test_a_wrong_parameter_is_named_by_its_key(given, key):
    with pytest.raises(worker_params.ParamsError) as refused:
        worker_params.parse(Params, given)

    assert [problem.key for problem in refused.value.problems] == [key]
