"""Small catalogues for the tests of sync: invented entries, real files."""

import json
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from workers.protocol import Log, Message
from workers.report import Report, WorkerError
from workers.sync import Params, missing_cards, missing_sets

Entry = dict[str, Any]


def a_set(set_id: str, released: str = "2020/01/01", /, **fields: Any) -> Entry:
    """Return a valid set; `fields` replace or add keys."""
    return {
        "id": set_id,
        "name": f"Set {set_id}",
        "series": "Sample",
        "printedTotal": 2,
        "total": 2,
        "legalities": {"unlimited": "Legal"},
        "releaseDate": released,
        "updatedAt": "2020/02/02 10:00:00",
        "images": {"logo": "https://catalogue.invalid/logo.png"},
    } | fields


def a_card(set_id: str, number: str, /, **fields: Any) -> Entry:
    """Return a valid card; `fields` replace or add keys."""
    return {
        "id": f"{set_id}-{number}",
        "name": f"Card {number}",
        "supertype": "Pokémon",
        "hp": "60",
        "number": number,
        "set": {"id": set_id},
        "tcgplayer": None,
        "cardmarket": {"url": f"https://shop.invalid/{number}", "prices": {"low": 0.1}},
    } | fields


class Catalogue:
    """A folder of documents under `root`; `cards` are by set id."""

    def __init__(self, root: Path, sets: list[Entry], cards: dict[str, list[Entry]]) -> None:
        self.root = root
        root.mkdir(exist_ok=True)
        self.write_sets(sets)
        for set_id, entries in cards.items():
            self.write_cards(set_id, entries)

    def write_sets(self, sets: list[Entry]) -> None:
        """Replace sets.json."""
        (self.root / "sets.json").write_text(json.dumps({"data": sets}))

    def write_cards(self, set_id: str, entries: list[Any]) -> None:
        """Replace the cards of one set."""
        self.write_text(set_id, json.dumps({"data": entries}))

    def write_text(self, set_id: str, text: str) -> None:
        """Replace a cards.json by any text."""
        path = self.cards_path(set_id)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def cards_path(self, set_id: str) -> Path:
        """Return the path of a set's cards."""
        return self.root / "cards" / f"{set_id}.d" / "cards.json"


def two_sets(root: Path) -> Catalogue:
    """Create a catalogue with `new1` (2021) and `old1` (2019), two cards each."""
    return Catalogue(
        root,
        [a_set("old1", "2019/01/01"), a_set("new1", "2021/01/01")],
        {set_id: [a_card(set_id, "1"), a_card(set_id, "TG02")] for set_id in ("old1", "new1")},
    )


@pytest.fixture
def catalogue(tmp_path: Path) -> Catalogue:
    """Create a catalogue with two sets of two cards each."""
    return two_sets(tmp_path / "catalogue")


@pytest.fixture
def params(catalogue: Catalogue, tmp_path: Path) -> Params:
    """Return parameters for that catalogue and a new database, one entry on each page."""
    return Params(str(catalogue.root), tmp_path / "cards.db", batch_size=1)


@pytest.fixture
def synced(params: Params) -> Path:
    """Sync sets and cards once and return the database."""
    missing_sets(params, a_report())
    missing_cards(params, a_report())
    return params.database


def pruning(params: Params) -> Params:
    """Return the same parameters with `prune`, which deletes vanished entries."""
    return Params(params.catalogue, params.database, prune=True)


def a_report(received: list[Message] | None = None, dry_run: bool = False) -> Report:
    """Return a report that collects all messages in `received`."""
    messages: list[Message] = [] if received is None else received
    return Report(messages.append, datetime(2026, 2, 9, tzinfo=UTC), dry_run=dry_run)


def logged(received: list[Message]) -> str:
    """Return all log lines of `received` as one string."""
    return "\n".join(one.text for one in received if isinstance(one, Log))


def failure_of(work: Callable[[Params, Report], Any], params: Params) -> WorkerError:
    """Return the error of a run that must fail."""
    try:
        result = work(params, a_report())
    except WorkerError as failed:
        return failed
    raise AssertionError(f"the run succeeded: {result}")


def rows(path: Path, query: str) -> list[tuple[Any, ...]]:
    """Return the rows of `query` on the database at `path`."""
    database = sqlite3.connect(path)
    try:
        return database.execute(query).fetchall()
    finally:
        database.close()


def execute(path: Path, statement: str) -> None:
    """Execute a statement as the sqlite3 shell does: foreign keys are off."""
    database = sqlite3.connect(path)
    with database:
        database.execute(statement)
    database.close()


CARD_IDS = "SELECT id FROM pokemon_cards ORDER BY id"
CONTENT = (
    "SELECT * FROM pokemon_cards ORDER BY id",
    "SELECT id, name, release_date, total FROM pokemon_card_sets ORDER BY id",
    "SELECT * FROM nightshift_sync ORDER BY set_id",
)


def content(path: Path) -> list[list[tuple[Any, ...]]]:
    """Return everything that a sync writes, except times."""
    return [rows(path, query) for query in CONTENT]
