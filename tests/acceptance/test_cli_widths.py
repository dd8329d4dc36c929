"""Every screen at 60, 80 and 120 columns: nothing broken but what is one long word."""

import re
import sqlite3
from collections.abc import Iterator

import pytest

from tests.acceptance.daemon import House, supervised
from tests.acceptance.terminal import at_terminal, plain

JOBS = """
timezone: America/Argentina/ComodRivadavia
jobs:
  the-report-of-the-night-to-the-warehouse:
    description: Sends the figures of the night to people who are early risers
    command: "echo cannot reach warehouse.example:5432 >&2; exit 3"
    cron: "30 6 * * mon-fri"
    timezone: Europe/Berlin
  tally: {worker: "own:tally"}
  copy-of-the-shop: {worker: backup.run, with: {database: shop.db, directory: copies}}
"""
OWN = """
def tally(params, report):
    return {f"a_number_of_what_was_counted_{n}": 10**9 + n for n in range(9)}
"""
AN_INSTANT = re.compile(r"\d\d:\d\d(Z|:\d\d UTC)")
SCREENS = [
    "status", "status --utc", "jobs", "show tally",
    "show the-report-of-the-night-to-the-warehouse",
    "next", "history", "history --utc", "history --actions", "incidents", "incidents --utc",
    "explain the-report-of-the-night-to-the-warehouse", "doctor", "simulate", "backups",
    "cancel tally", "reload", "--help", "run --help", "backups --help",
]  # fmt: skip


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    with House(JOBS) as house:
        (house.root / "own.py").write_text(OWN)
        (house.root / "copies").mkdir()
        with sqlite3.connect(house.root / "shop.db") as database:
            database.execute("CREATE TABLE t (a)")
        with supervised(house):
            house.environ |= {"TERM": "xterm-256color"}
            for job in ("the-report-of-the-night-to-the-warehouse", "tally", "copy-of-the-shop"):
                house.ask("run", job, "--wait")
            yield house


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("words", SCREENS)
def test_a_screen_keeps_to_the_width(house: House, words: str, width: int) -> None:
    house.environ["COLUMNS"] = str(width)

    _, said = at_terminal(house, *words.split())

    for line in plain(said).splitlines():
        indent = len(line) - len(line.lstrip())
        is_one_word = (
            len(line.split()) <= 1 or indent + len(max(line.split(), key=len)) > width - 9
        )
        is_to_be_copied = line.startswith("    nightshift ")
        assert len(line.rstrip()) <= width or is_one_word or is_to_be_copied, line
    assert "Traceback" not in said


@pytest.mark.parametrize("verb", ["status", "history", "incidents"])
def test_ages_for_people_and_instants_for_whoever_asks_for_utc(house: House, verb: str) -> None:
    house.environ["COLUMNS"] = "80"

    _, ages = at_terminal(house, verb)
    _, instants = at_terminal(house, verb, "--utc")

    assert " ago" in plain(ages)
    assert not AN_INSTANT.search(plain(ages))
    assert " ago" not in plain(instants)
    assert AN_INSTANT.search(plain(instants))
