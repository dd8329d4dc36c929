"""Sync from a catalogue folder into a real database: additions, corrections, messages."""

import os
from pathlib import Path

import pytest

from tests.workers.catalogue_folder import (
    CARD_IDS,
    a_card,
    a_report,
    a_set,
    content,
    execute,
    logged,
    pruning,
    rows,
)
from workers.protocol import Progress
from workers.report import WorkerError
from workers.sync import Params, missing_cards, missing_sets

REAL = Path(
    os.environ.get("NIGHTSHIFT_CATALOGUE")
    or Path(__file__).parents[2].parent / "shared" / "catalogue"
)


def test_sets_and_cards_come_in_one_run_each(params):
    sets, cards = missing_sets(params, a_report()), missing_cards(params, a_report())

    assert (sets["sets_added"], cards["cards_added"], cards["sets_done"]) == (2, 4, 2)
    assert rows(
        params.database, "SELECT id, hp, number, set_id, cardmarket_url FROM pokemon_cards"
    )[0] == ("new1-1", 60, "1", "new1", "https://shop.invalid/1")
    assert rows(params.database, "PRAGMA foreign_key_check") == []


def test_the_newest_set_comes_first(synced):
    assert [row[0] for row in rows(synced, "SELECT set_id FROM pokemon_cards ORDER BY rowid")] == [
        *["new1"] * 2,
        *["old1"] * 2,
    ]


def test_a_second_run_changes_nothing(params, synced):
    before = content(synced)

    sets, cards = missing_sets(params, a_report()), missing_cards(params, a_report())

    assert (sets["sets_unchanged"], sets["sets_added"], sets["sets_changed"]) == (2, 0, 0)
    assert (cards["cards_unchanged"], cards["cards_added"], cards["cards_changed"]) == (4, 0, 0)
    assert content(synced) == before


def test_a_correction_reaches_its_row_though_no_count_and_no_mtime_tells_of_it(
    catalogue, params, synced
):
    path = catalogue.cards_path("old1")
    stamp = path.stat().st_mtime_ns
    path.write_text(path.read_text().replace("Card 1", "Carp 1"))
    os.utime(path, ns=(stamp, stamp))

    result = missing_cards(params, a_report())

    assert (result["cards_changed"], result["cards_unchanged"]) == (1, 3)
    assert rows(synced, "SELECT name FROM pokemon_cards WHERE id = 'old1-1'") == [("Carp 1",)]


def test_a_corrected_set_keeps_the_day_it_was_added(catalogue, params, synced):
    execute(synced, "UPDATE pokemon_card_sets SET created_at = '2020-01-01T00:00:00Z'")
    catalogue.write_sets([a_set("old1", "2019/01/01", name="Other"), a_set("new1", "2021/01/01")])

    result = missing_sets(params, a_report())

    assert result["sets_changed"] == 1
    assert rows(synced, "SELECT name, created_at FROM pokemon_card_sets WHERE id = 'old1'") == [
        ("Other", "2020-01-01T00:00:00Z")
    ]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE pokemon_cards SET name = 'x' WHERE id = 'old1-1'",
        "UPDATE pokemon_cards SET set_id = 'new1' WHERE id = 'old1-1'",
        "UPDATE pokemon_cards SET id = 'old1-x' WHERE id = 'old1-1'",
        "DELETE FROM pokemon_cards WHERE id = 'old1-1'",
        "DELETE FROM pokemon_cards",
        "DELETE FROM pokemon_card_sets",
        "REPLACE INTO pokemon_cards (id, name, supertype, set_id, number)"
        " VALUES ('old1-1', 'x', 'y', 'old1', '1')",
        "DELETE FROM nightshift_sync",
        "DROP TRIGGER nightshift_sync_update",
    ],
)
def test_what_was_changed_by_hand_is_fixed_by_the_next_runs(params, synced, statement):
    before = content(synced)
    execute(synced, statement)

    for _ in range(2):
        missing_sets(pruning(params), a_report())
        # A card under a foreign set is reported first, and corrected once it is pruned there.
        try:
            missing_cards(pruning(params), a_report())
        except WorkerError as failed:
            assert "is a card of" in failed.error  # noqa: PT017

    assert content(synced) == before


def test_what_vanished_is_counted_and_named_each_time_and_deleted_with_prune(
    catalogue, params, synced
):
    catalogue.write_cards("old1", [a_card("old1", "1")])
    received = []

    kept = [missing_cards(params, a_report(received)) for _ in range(2)]
    pruned = missing_cards(pruning(params), a_report())
    after = missing_cards(params, a_report())

    assert [(one["vanished"], one["vanished_names"], one["pruned"]) for one in kept] == [
        (1, "old1-TG02", 0)
    ] * 2
    assert "1 card is gone from the catalogue: old1-TG02" in logged(received)
    assert (pruned["vanished"], pruned["pruned"], after["vanished"]) == (1, 1, 0)
    assert rows(synced, CARD_IDS) == [("new1-1",), ("new1-TG02",), ("old1-1",)]


def test_a_vanished_set_is_named_and_goes_with_its_cards_when_pruned(catalogue, params, synced):
    catalogue.write_sets([a_set("new1", "2021/01/01")])

    kept, cards = missing_sets(params, a_report()), missing_cards(params, a_report())
    pruned = missing_sets(pruning(params), a_report())

    assert (kept["vanished"], kept["vanished_names"], kept["pruned"]) == (1, "old1", 0)
    assert cards["vanished"] == 2
    assert (pruned["pruned"], pruned["cards_pruned"]) == (1, 2)
    assert rows(synced, CARD_IDS) == [("new1-1",), ("new1-TG02",)]


def test_a_dry_run_says_what_would_be_done_and_does_nothing(catalogue, params, synced):
    catalogue.write_cards("old1", [a_card("old1", "1", name="Other"), a_card("old1", "3")])
    before, received = content(synced), []

    result = missing_cards(pruning(params), a_report(received, dry_run=True))

    assert (
        "old1: 1 to add (old1-3), 1 to change (old1-1), 1 vanished, to delete (old1-TG02)"
        in logged(received)
    )
    assert (result["cards_added"], result["cards_changed"], result["pruned"]) == (1, 1, 0)
    assert content(synced) == before


def test_a_dry_run_from_nothing_makes_no_database(params):
    received = []

    result = missing_sets(params, a_report(received, dry_run=True))

    assert result["sets_added"] == 2
    assert "sets: 2 to add (new1, old1)" in logged(received)
    assert not params.database.exists()


def test_a_cancelled_run_leaves_whole_sets_and_says_how_many(params):
    missing_sets(params, a_report())
    report = a_report()

    def cancel_at_first_progress(message):
        report.cancelled = report.cancelled or isinstance(message, Progress)

    report.send = cancel_at_first_progress
    with pytest.raises(WorkerError, match="cancelled after 1 set, which is whole") as failed:
        missing_cards(params, report)

    assert not failed.value.permanent
    assert rows(params.database, CARD_IDS) == [("new1-1",), ("new1-TG02",)]


def test_progress_ends_with_all_of_the_catalogue(catalogue, params):
    catalogue.write_sets([a_set("old1", "2019/01/01", total=99), a_set("new1", "2021/01/01")])
    received = []
    missing_sets(params, a_report(received))
    missing_cards(params, a_report(received))

    said = [one for one in received if isinstance(one, Progress)]

    assert said[0] == Progress(2, 2, "sets")
    assert said[-1] == Progress(4, 4, "cards")


@pytest.mark.skipif(not (REAL / "sets.json").exists(), reason=f"no real catalogue at {REAL}")
@pytest.mark.long
def test_the_real_catalogue_comes_whole_and_then_costs_nothing(tmp_path):
    params = Params(str(REAL), tmp_path / "cards.db")

    sets, cards = missing_sets(params, a_report()), missing_cards(params, a_report())
    again = min(missing_cards(params, a_report())["seconds"] for _ in range(3))

    assert (sets["sets_added"], cards["cards_added"], cards["sets_done"]) == (170, 19783, 170)
    assert rows(params.database, "PRAGMA foreign_key_check") == []
    assert again < 0.5
