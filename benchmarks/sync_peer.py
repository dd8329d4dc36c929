"""One side of sync.py, in a process that loads nothing else.

python benchmarks/sync_peer.py ours|limit|bare|peer CATALOGUE DATABASE
"""

import json
import sqlite3
import sys
from datetime import UTC, datetime
from pathlib import Path

PEER_COLUMNS = (
    *("id", "name", "supertype", "subtypes", "hp", "types", "rules", "abilities", "attacks"),
    *("weaknesses", "set_id", "number", "artist", "rarity", "flavorText", "legalities"),
    *("images", "retreatCost", "evolvesFrom"),
)


def ours(catalogue: Path, database: Path) -> None:
    """Run both jobs; print the seconds that they report."""
    from workers.report import Report
    from workers.sync import Params, missing_cards, missing_sets

    report = Report(lambda _: None, datetime.now(UTC))
    params = Params(str(catalogue), database)
    results = [work(params, report) for work in (missing_sets, missing_cards)]
    print(sum(float(one["seconds"] or 0) for one in results))


def limit(catalogue: Path, database: Path) -> None:
    """Decode as we do, then let SQLite copy rows that are ready."""
    import msgspec

    from workers.sync import schema
    from workers.sync.rows import CardPage

    decode = msgspec.json.Decoder(CardPage).decode
    for path in catalogue.glob("cards/*.d/cards.json"):
        decode(path.read_bytes())
    connection = _connected(database)
    connection.execute("ATTACH ? AS ready", (f"{database}.ready",))
    for statement in (schema.SETS, schema.CARDS):
        connection.execute(statement.replace("EXISTS ", "EXISTS main."))
    connection.execute("BEGIN")
    for name in ("pokemon_card_sets", "pokemon_cards"):
        connection.execute(f"INSERT INTO main.{name} SELECT * FROM ready.{name}")
    connection.execute("COMMIT")
    connection.close()


def bare(catalogue: Path, database: Path) -> None:
    """Decode the documents, make the rows and INSERT them; no comparison, no plan, no state."""
    from workers.sync import rows, schema

    connection = _connected(database)
    connection.execute(schema.CARDS)
    insert = f"INSERT INTO pokemon_cards VALUES ({', '.join('?' * len(rows.CARD_COLUMNS))})"
    connection.execute("BEGIN")
    for path in catalogue.glob("cards/*.d/cards.json"):
        parsed = rows.cards([path.read_bytes()], path.parent.name.removesuffix(".d"))
        connection.executemany(insert, parsed.rows)
    connection.execute("COMMIT")
    connection.close()


def peer(catalogue: Path, database: Path) -> None:
    """Sync as a simple script does."""
    connection = _connected(database)
    connection.execute(f"CREATE TABLE cards (id TEXT PRIMARY KEY, {', '.join(PEER_COLUMNS[1:])})")
    insert = f"INSERT OR IGNORE INTO cards VALUES ({', '.join('?' * len(PEER_COLUMNS))})"
    for path in catalogue.glob("cards/*.d/cards.json"):
        connection.execute("BEGIN")
        for card in json.loads(path.read_bytes())["data"]:
            card["set_id"] = card["set"]["id"]
            values = (card.get(name) for name in PEER_COLUMNS)
            row = [json.dumps(one) if isinstance(one, list | dict) else one for one in values]
            connection.execute(insert, row)
        connection.execute("COMMIT")
    connection.close()


def _connected(database: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(database, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    return connection


SIDES = {"ours": ours, "limit": limit, "bare": bare, "peer": peer}

if __name__ == "__main__":
    SIDES[sys.argv[1]](Path(sys.argv[2]), Path(sys.argv[3]))
