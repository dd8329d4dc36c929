"""Writers that never pause: each run sees one state, and the last one all of it."""

import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest

from tests.workers.fixtures_replication import a_source, run, sql, unequal

SCHEMA = """
PRAGMA journal_mode = WAL;
CREATE TABLE accounts (id INTEGER PRIMARY KEY, total INTEGER NOT NULL);
CREATE TABLE moves (account INTEGER, place TEXT, amount INTEGER, PRIMARY KEY (account, place));
WITH RECURSIVE c (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM c WHERE n < 19)
INSERT INTO accounts SELECT n, 0 FROM c"""
# Each transaction keeps every account's total the sum of its moves.
WRITER = """
import random, sqlite3, sys, threading
over = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), over.set()), daemon=True).start()
database = sqlite3.connect(sys.argv[1], timeout=20, isolation_level=None)
database.execute("PRAGMA synchronous = OFF")
database.execute("PRAGMA recursive_triggers = ON")
dice = random.Random(int(sys.argv[2]))
done = 0
while not over.is_set():
    a, place = dice.randrange(20), str(dice.randrange(50))
    step = dice.choice((
        "REPLACE INTO moves VALUES (:a, :p, :n)",
        "DELETE FROM moves WHERE account = :a AND place = :p",
        "UPDATE OR REPLACE moves SET place = :q WHERE account = :a AND place = :p",
        "UPDATE moves SET amount = :n WHERE account = :a AND place > :p",
        "DELETE FROM moves WHERE account = :a",
    ))
    database.execute("BEGIN IMMEDIATE")
    database.execute(step, {"a": a, "p": place, "q": place + "x", "n": done})
    database.execute("UPDATE accounts SET total = (SELECT coalesce(sum(amount), 0) FROM moves"
                     " WHERE account = :a) WHERE id = :a", {"a": a})
    database.execute("ROLLBACK" if dice.random() < 0.1 else "COMMIT")
    done += 1
    if done == 20:
        print("up", flush=True)
    over.wait(0.0005)
print(done, flush=True)
"""
BROKEN = """
SELECT id FROM accounts LEFT JOIN moves ON account = id GROUP BY id, total
HAVING total <> coalesce(sum(amount), 0)"""


@pytest.mark.parametrize("capture", ["compare", "triggers"])
def test_each_run_under_writers_is_one_state_and_the_last_is_all(capture, tmp_path, postgres):
    path = a_source(tmp_path / "a.db", SCHEMA)
    run(path, postgres, capture=capture)
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, path, str(number)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(2)
    ]
    for writer in writers:
        assert writer.stdout
        assert writer.stdout.readline() == "up\n"

    changed = 0
    for _ in range(12):
        result = run(path, postgres, capture=capture, proof_budget=0.2)
        changed += result["inserted"] + result["updated"] + result["deleted"]
        assert result["healed"] == 0
        assert sql(postgres, BROKEN) == []
    commits = [int(writer.communicate()[0]) for writer in writers]
    run(path, postgres, capture=capture)

    assert min(commits) > 20
    assert changed
    assert unequal(path, postgres) == {}
    with closing(sqlite3.connect(path)) as source:
        assert source.execute(BROKEN).fetchall() == []
