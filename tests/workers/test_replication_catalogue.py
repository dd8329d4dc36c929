"""The real catalogue, if it is available: replicated twice and edited; the plan; the progress."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.workers.fixtures_replication import a_report, a_source, run, sql, unequal
from workers import replication, sync
from workers.protocol import Log, Message, Progress

ROOT = Path(__file__).parents[2]
CATALOGUE = Path(os.environ.get("CATALOGUE_PATH") or ROOT.parent / "shared" / "catalogue")


@pytest.mark.skipif(not CATALOGUE.is_dir(), reason=f"no catalogue at {CATALOGUE}")
def test_the_real_catalogue_arrives_and_follows_an_edit(tmp_path, postgres):
    path = tmp_path / "cards.db"
    for job in (sync.missing_sets, sync.missing_cards):
        job(sync.Params(str(CATALOGUE), path), a_report())

    first = run(path, postgres, capture="triggers")
    at_first = unequal(path, postgres)
    second = run(path, postgres, capture="triggers")
    with closing(sqlite3.connect(path)) as database, database:
        edit = "UPDATE pokemon_cards SET artist = 'edited' WHERE rowid % 1000 = 1"
        edited = database.execute(edit).rowcount
    third = run(path, postgres, capture="triggers")

    assert at_first == {}
    assert first["inserted"] > 10_000
    assert (second["capture"], second["compared"]) == ("nothing", first["inserted"])
    assert (third["capture"], third["updated"]) == ("changes", edited)
    assert unequal(path, postgres) == {}
    assert run(path, postgres, verify_only=True)["compared"] == first["inserted"]


def test_the_plan_names_types_misfits_and_the_block_that_passes(tmp_path):
    script = """
    CREATE TABLE cards (id INTEGER PRIMARY KEY, price DECIMAL, hp INTEGER, note);
    INSERT INTO cards VALUES (1, 1.5, 60, NULL), (2, 2, 'many', 'x')"""
    path = a_source(tmp_path / "a.db", script)
    said: list[Message] = []

    result = replication.run(replication.Params(path), a_report(said, dry_run=True))

    lines = [message.text for message in said if isinstance(message, Log)]
    assert result == {"tables": 1, "rows": 2, "misfits": 1}
    assert "table cards: 2 rows, key (id)" in lines
    assert "  price: DECIMAL; found integer, real -> double precision" in lines
    assert "  hp: INTEGER; found integer, text -> bigint" in lines
    assert "    does not fit: text of 4 characters in the row with key (2)" in lines
    assert lines[-2:] == ["types:", '  "cards.hp": text']


def test_the_block_of_the_plan_passes(tmp_path, postgres):
    script = """CREATE TABLE t (id INTEGER PRIMARY KEY, c INTEGER);
    INSERT INTO t VALUES (1, 2), (2, 'x')"""
    path = a_source(tmp_path / "a.db", script)
    said: list[Message] = []
    replication.run(replication.Params(path), a_report(said, dry_run=True))
    name, kind = said[-1].text.strip().replace('"', "").split(": ")  # type: ignore[union-attr]

    run(path, postgres, types={name: kind})

    assert sql(postgres, "SELECT c FROM t ORDER BY id") == [("2",), ("x",)]


def test_progress_is_reported_in_rows(tmp_path, postgres):
    script = """CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT);
    WITH RECURSIVE c (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM c WHERE n < 29999)
    INSERT INTO t SELECT n, hex(zeroblob(20)) FROM c"""
    path = a_source(tmp_path / "a.db", script)
    said: list[Message] = []

    replication.run(replication.Params(path, postgres), a_report(said))

    reported = [message.done for message in said if isinstance(message, Progress)]
    assert reported == sorted(reported)
    # Each row is counted twice: when it is sent, and when it is verified.
    assert 10_000 <= reported[0] <= reported[-1] <= 60_000
