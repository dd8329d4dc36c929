"""SIGKILL at any time leaves complete sets, and the next run adds the others."""

import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.workers.catalogue_folder import a_report, content, rows
from workers.sync import Params, missing_cards, missing_sets

GENERATOR = Path(__file__).parents[2] / "scripts" / "generate-catalogue"

DRIVER = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from workers.report import Report
from workers.sync import Params, missing_cards
print("up", flush=True)
missing_cards(Params(sys.argv[1], Path(sys.argv[2])), Report(lambda _: None, datetime.now(UTC)))
"""

UNWHOLE = """
SELECT memory.set_id FROM nightshift_sync AS memory
WHERE entries <> (SELECT COUNT(*) FROM pokemon_cards AS c WHERE c.set_id = memory.set_id)
UNION
SELECT set_id FROM pokemon_cards WHERE set_id NOT IN (SELECT set_id FROM nightshift_sync)
"""


def generated(folder: Path, *arguments: str) -> Path:
    subprocess.run([sys.executable, GENERATOR, folder, *arguments], check=True, timeout=20)
    return folder


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory):
    return generated(tmp_path_factory.mktemp("catalogue"), "--sets", "40", "--cards", "3000")


@pytest.fixture(scope="module")
def filled(catalogue, tmp_path_factory):
    """Return the database of an undisturbed run, and the run's result."""
    params = Params(str(catalogue), tmp_path_factory.mktemp("filled") / "cards.db")
    missing_sets(params, a_report())
    return params.database, missing_cards(params, a_report())


@pytest.fixture(scope="module")
def clean(filled):
    database, _ = filled
    return content(database)


def killed_after(params: Params, seconds: float) -> int:
    """Return the exit status of a run that gets SIGKILL this long after its start."""
    command = [sys.executable, "-c", DRIVER, params.catalogue, params.database]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as worker:
        assert worker.stdout is not None
        worker.stdout.readline()
        try:
            worker.wait(seconds)
        except subprocess.TimeoutExpired:
            worker.kill()
        return worker.wait(10)


@pytest.mark.long
def test_a_run_killed_at_any_moment_leaves_whole_sets_that_the_next_completes(
    catalogue, clean, tmp_path
):
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    dice = random.Random(seed)
    params = Params(str(catalogue), tmp_path / "cards.db")
    missing_sets(params, a_report())
    counts = []

    for _ in range(12):
        if killed_after(params, dice.uniform(0, 0.04)) == -signal.SIGKILL:
            counts += rows(params.database, "SELECT COUNT(*) FROM nightshift_sync")[0]
            assert rows(params.database, UNWHOLE) == []
            assert rows(params.database, "PRAGMA integrity_check") == [("ok",)]
    result = missing_cards(params, a_report())

    assert counts, "no kill came in time"
    assert counts == sorted(counts)
    assert result["sets_done"] == 40
    assert content(params.database)[0] == clean[0]
    assert content(params.database)[2] == clean[2]


def test_the_generator_gives_the_same_bytes_twice_and_shrinks_again(tmp_path):
    first = generated(tmp_path / "a", "--sets", "9", "--cards", "200", "--seed", "7")
    generated(tmp_path / "b", "--sets", "12", "--cards", "200", "--seed", "8")
    second = generated(tmp_path / "b", "--sets", "9", "--cards", "200", "--seed", "7")

    files = [
        {path.relative_to(root): path.read_bytes() for path in root.rglob("*.json")}
        for root in (first, second)
    ]

    assert files[0] == files[1]
    assert len(files[0]) == 9 + 1


def test_the_generator_leaves_a_folder_of_others_alone(tmp_path):
    (tmp_path / "sets.json").write_text("mine")

    run = subprocess.run([sys.executable, GENERATOR, tmp_path], capture_output=True, text=True)

    assert run.returncode == 2
    assert "not a generated catalogue" in run.stderr
    assert (tmp_path / "sets.json").read_text() == "mine"


@pytest.mark.parametrize(
    "query",
    [
        "hp IS NULL",
        "number LIKE 'TG%'",
        "tcgplayer_url IS NULL AND cardmarket_url IS NULL",
        "name LIKE '%♀'",
        "json_extract(abilities, '$[0].more.when.turn[1]') = 2",
        "ancient_trait IS NOT NULL",
    ],
)
def test_a_generated_catalogue_holds_the_awkward_cases(filled, query):
    database, _ = filled

    found = rows(database, f"SELECT COUNT(*) FROM pokemon_cards WHERE {query}")

    assert found[0][0] > 0


def test_some_generated_sets_claim_another_count_than_they_have(filled):
    database, result = filled

    assert result["cards_added"] == 3000
    assert rows(database, "SELECT SUM(total) > 3000 FROM pokemon_card_sets") == [(1,)]
