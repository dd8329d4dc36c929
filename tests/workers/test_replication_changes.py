"""Changes of the source: the next run makes the same in the target, and no other."""

import random
import sqlite3
from contextlib import closing

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.workers.fixtures_replication import a_source, run, sql, unequal, write

BOTH = pytest.mark.parametrize("capture", ["compare", "triggers"])
SCRIPT = """
CREATE TABLE t (id TEXT PRIMARY KEY, n INTEGER UNIQUE, v TEXT);
WITH RECURSIVE c (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM c WHERE n < 99)
INSERT INTO t SELECT 'k' || n, n, 'v' || n FROM c"""


def numbers(result):
    return result["inserted"], result["updated"], result["deleted"]


CHANGES = [
    pytest.param("INSERT INTO t VALUES ('new', 1000, 'x')", (1, 0, 0), id="insert"),
    pytest.param("UPDATE t SET v = 'x' WHERE n < 5", (0, 5, 0), id="update"),
    pytest.param("UPDATE t SET v = v", (0, 0, 0), id="update to the same"),
    pytest.param("DELETE FROM t WHERE n < 5", (0, 0, 5), id="delete"),
    pytest.param("DELETE FROM t", (0, 0, 100), id="delete all"),
    pytest.param("UPDATE t SET id = 'other' WHERE n = 7", (1, 0, 1), id="key change"),
    pytest.param("REPLACE INTO t VALUES ('k3', 3, 'y')", (0, 1, 0), id="replace"),
    pytest.param("REPLACE INTO t VALUES ('new', 3, 'y')", (1, 0, 1), id="replace by another key"),
    pytest.param("DELETE FROM t; INSERT INTO t VALUES ('k1', 1, 'v1')", (0, 0, 99), id="refill"),
    pytest.param(
        "UPDATE t SET id = 'tmp' WHERE n = 1; UPDATE t SET id = 'k1' WHERE n = 2;"
        "UPDATE t SET id = 'k2' WHERE n = 1",
        (0, 2, 0),
        id="two keys change places",
    ),
]


@BOTH
@pytest.mark.parametrize(("change", "expected"), CHANGES)
def test_a_change_is_followed_and_counted(capture, change, expected, tmp_path, postgres):
    path = a_source(tmp_path / "a.db", SCRIPT)
    run(path, postgres, capture=capture)
    write(path, change)

    result = run(path, postgres, capture=capture)

    assert unequal(path, postgres) == {}
    if change.startswith("REPLACE INTO t VALUES ('new'") and capture == "triggers":
        # Triggers do not see the row that REPLACE removes; the count of rows does.
        assert (numbers(result), result["healed"]) == ((1, 0, 0), 1)
    else:
        assert numbers(result) == expected


@BOTH
def test_rows_that_are_alike_are_not_written(capture, tmp_path, postgres):
    path = a_source(tmp_path / "a.db", SCRIPT)
    run(path, postgres, capture=capture)
    before = sql(postgres, 'SELECT xmin, ctid FROM t ORDER BY id COLLATE "C"')
    write(path, "UPDATE t SET v = v; UPDATE t SET v = 'x' WHERE id = 'k0'")

    run(path, postgres, capture=capture)

    after = sql(postgres, 'SELECT xmin, ctid FROM t ORDER BY id COLLATE "C"')
    assert sum(a != b for a, b in zip(before, after, strict=True)) == 1


@pytest.mark.parametrize(("part", "way"), [(0.2, "changes"), (0.3, "full")])
def test_when_much_has_changed_all_is_compared(part, way, tmp_path, postgres):
    path = a_source(tmp_path / "a.db", SCRIPT.replace("n < 99", "n < 9999"))
    run(path, postgres, capture="triggers", proof_budget=0)
    write(path, f"UPDATE t SET v = 'x' WHERE n < {part * 10000}")

    result = run(path, postgres, capture="triggers", proof_budget=0)

    assert result["capture"] == way
    assert result["updated"] == part * 10000
    assert unequal(path, postgres) == {}


KEYS = st.sampled_from(["a", "b", "c", "d", "A", ""])
VALUES = st.none() | st.sampled_from(["x", "y"])
STEPS = st.one_of(
    st.tuples(st.just("INSERT OR IGNORE INTO t VALUES (?, ?)"), st.tuples(KEYS, VALUES)),
    st.tuples(st.just("REPLACE INTO t VALUES (?, ?)"), st.tuples(KEYS, VALUES)),
    st.tuples(st.just("UPDATE OR IGNORE t SET id = ? WHERE id = ?"), st.tuples(KEYS, KEYS)),
    st.tuples(st.just("UPDATE t SET v = ? WHERE id = ?"), st.tuples(VALUES, KEYS)),
    st.tuples(st.just("UPDATE OR REPLACE t SET id = ? WHERE id = ?"), st.tuples(KEYS, KEYS)),
    st.tuples(st.just("DELETE FROM t WHERE id = ?"), st.tuples(KEYS)),
    st.tuples(st.just("DELETE FROM t"), st.just(())),
)


@pytest.mark.timeout(600)  # dozens of runs of replication
@BOTH
def test_any_steps_are_followed(capture, tmp_path, postgres):
    path = a_source(tmp_path / "a.db", "CREATE TABLE t (id TEXT PRIMARY KEY, v TEXT)")

    @settings(
        max_examples=30,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.lists(st.lists(STEPS, max_size=6), max_size=3))
    def followed(rounds):
        for steps in rounds:
            with closing(sqlite3.connect(path)) as database, database:
                for statement, values in steps:
                    database.execute(statement, values)
            run(path, postgres, capture=capture)
            assert unequal(path, postgres) == {}

    followed()


def test_many_rounds_on_several_tables_end_equal(tmp_path, postgres):
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    dice = random.Random(seed)
    tables = ("a", "b", "c")
    script = ";".join(
        f"CREATE TABLE {name} (x INTEGER, y TEXT, v REAL, PRIMARY KEY (x, y))" for name in tables
    )
    path = a_source(tmp_path / "a.db", script)

    for _ in range(8):
        with closing(sqlite3.connect(path)) as database, database:
            for _ in range(40):
                table, x, y = dice.choice(tables), dice.randrange(8), str(dice.randrange(3))
                database.execute(
                    dice.choice(
                        (
                            f"REPLACE INTO {table} VALUES (?1, ?2, ?3)",
                            f"DELETE FROM {table} WHERE x = ?1 AND y = ?2 AND ?3 > 0.5",
                            f"UPDATE OR IGNORE {table} SET y = ?2, v = ?3 WHERE x = ?1",
                        )
                    ),
                    (x, y, dice.random()),
                )
        run(path, postgres, capture="triggers", proof_budget=0)
        assert unequal(path, postgres) == {}


def test_a_key_that_came_and_went_and_fits_no_column_takes_no_row_away(tmp_path, postgres):
    path = a_source(
        tmp_path / "a.db", "CREATE TABLE t (k TEXT PRIMARY KEY); INSERT INTO t VALUES ('A')"
    )
    run(path, postgres, capture="triggers")
    write(path, "INSERT INTO t VALUES (x'41'); DELETE FROM t WHERE typeof(k) = 'blob'")

    result = run(path, postgres, capture="triggers", proof_budget=0.0)

    assert numbers(result) == (0, 0, 0)
    assert unequal(path, postgres) == {}
