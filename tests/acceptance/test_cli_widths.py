"""Every screen at 60, 80 and 120 columns: only a single long word may exceed the width."""

import re
import sqlite3
from collections.abc import Iterator

import pytest

from tests.acceptance.daemon import Sandbox, supervised
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
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(JOBS) as sandbox:
        (sandbox.root / "own.py").write_text(OWN)
        (sandbox.root / "copies").mkdir()
        with sqlite3.connect(sandbox.root / "shop.db") as database:
            database.execute("CREATE TABLE t (a)")
        with supervised(sandbox):
            sandbox.environ |= {"TERM": "xterm-256color"}
            for job in ("the-report-of-the-night-to-the-warehouse", "tally", "copy-of-the-shop"):
                sandbox.ask("run", job, "--wait")
            yield sandbox


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("words", SCREENS)
def test_a_screen_keeps_to_the_width(sandbox: Sandbox, words: str, width: int) -> None:
    sandbox.environ["COLUMNS"] = str(width)

    _, said = at_terminal(sandbox, *words.split())

    for line in plain(said).splitlines():
        indent = len(line) - len(line.lstrip())
        is_one_word = (
            len(line.split()) <= 1 or indent + len(max(line.split(), key=len)) > width - 9
        )
        is_to_be_copied = line.startswith("    nightshift ")
        assert len(line.rstrip()) <= width or is_one_word or is_to_be_copied, line
    assert "Traceback" not in said


@pytest.mark.parametrize("verb", ["status", "history", "incidents"])
def test_ages_for_people_and_instants_for_anyone_who_asks_for_utc(
    sandbox: Sandbox, verb: str
) -> None:
    sandbox.environ["COLUMNS"] = "80"

    _, ages = at_terminal(sandbox, verb)
    _, instants = at_terminal(sandbox, verb, "--utc")

    assert " ago" in plain(ages)
    assert not AN_INSTANT.search(plain(ages))
    assert " ago" not in plain(instants)
    assert AN_INSTANT.search(plain(instants))
