"""Manual changes in PostgreSQL are found, named and healed."""

import pytest

from tests.workers.fixtures_replication import a_source, failure, logged, run, sql, unequal, write
from workers.replication import proof

SCRIPT = """
CREATE TABLE t (a TEXT, b INTEGER, v TEXT, r REAL, PRIMARY KEY (a, b));
CREATE TABLE by_row (v TEXT);
CREATE TABLE by_nocase (id TEXT PRIMARY KEY COLLATE NOCASE, v TEXT);
WITH RECURSIVE c (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM c WHERE n < 999)
INSERT INTO t SELECT char(97 + n % 26, 228), n, 'v' || n, n / 7.0 FROM c;
INSERT INTO by_row SELECT v FROM t;
INSERT INTO by_nocase SELECT v, v FROM t"""
BY_HAND = [
    pytest.param("UPDATE t SET v = 'hand' WHERE b = 500", "different (gä, 500)", id="changed"),
    pytest.param("UPDATE t SET r = r + 1e-12 WHERE b = 500", "different (gä, 500)", id="a bit"),
    pytest.param("UPDATE t SET v = NULL WHERE b = 500", "different (gä, 500)", id="emptied"),
    pytest.param("DELETE FROM t WHERE b = 500", "missing (gä, 500)", id="deleted"),
    pytest.param("INSERT INTO t VALUES ('zzz', 1)", "extra (zzz, 1)", id="added at the end"),
    pytest.param("INSERT INTO t VALUES ('', 1)", "extra (, 1)", id="added at the start"),
    pytest.param("INSERT INTO t VALUES ('gä', 505)", "extra (gä, 505)", id="added within"),
    pytest.param("DELETE FROM by_row WHERE v = 'v9'", "missing (10)", id="by row number"),
    pytest.param("UPDATE by_nocase SET v = '' WHERE id = 'v9'", "different (v9)", id="by nocase"),
]


@pytest.fixture
def path(tmp_path, monkeypatch):
    monkeypatch.setattr(proof, "RANGE_ROWS", 90)
    return a_source(tmp_path / "a.db", SCRIPT)


@pytest.mark.parametrize(("by_hand", "name"), BY_HAND)
@pytest.mark.parametrize("options", [{"full": True}, {}], ids=["full", "rolling"])
def test_what_was_done_by_hand_is_named_and_healed(options, by_hand, name, path, postgres):
    run(path, postgres, capture="triggers")
    sql(postgres, by_hand)

    reported = logged(path, postgres, capture="triggers", **options)

    assert f"1 row healed: {name}" in reported
    assert unequal(path, postgres) == {}


@pytest.mark.parametrize(("by_hand", "name"), BY_HAND)
def test_verify_only_names_it_and_changes_nothing(by_hand, name, path, postgres):
    run(path, postgres, capture="triggers")
    sql(postgres, by_hand)
    before = sql(postgres, "SELECT sum(hashtext(t::text)) FROM t"), path.read_bytes()

    failed = failure(path, postgres, capture="triggers", verify_only=True)

    assert f"1 row differs: {name}" in failed.error
    assert (sql(postgres, "SELECT sum(hashtext(t::text)) FROM t"), path.read_bytes()) == before


def test_verify_only_on_an_empty_target_makes_nothing(path, postgres):
    failed = failure(path, postgres, verify_only=True)

    assert '"public"."t" has no a, b, v, r' in failed.error
    assert sql(postgres, "SELECT count(*) FROM pg_class WHERE relnamespace = 2200") == [(0,)]


def test_the_rolling_proof_goes_on_where_it_ended_and_comes_round(path, postgres, monkeypatch):
    run(path, postgres, capture="triggers")
    sql(postgres, "UPDATE t SET v = 'hand' WHERE b = 500")
    # One range in each run: the clock stands still until it is read a second time.
    ticks = iter(range(10**9))
    monkeypatch.setattr(proof.time, "monotonic", lambda: float(next(ticks)))

    healed, rounds = 0, 0
    while not healed:
        rounds += 1
        healed = run(path, postgres, capture="triggers", proof_budget=1.5)["healed"]
        assert rounds < 50

    assert rounds > 3
    assert unequal(path, postgres) == {}


def test_a_row_too_few_or_too_many_is_found_by_the_count_at_once(path, postgres):
    run(path, postgres, capture="triggers")
    sql(postgres, "DELETE FROM t WHERE b = 999")

    result = run(path, postgres, capture="triggers", proof_budget=0.000001)

    assert result["healed"] == 1


def test_the_age_of_what_is_unproved_is_reported_and_shrinks(path, postgres):
    run(path, postgres, capture="triggers")
    sql(postgres, "UPDATE nightshift_replication_tables SET proved_since = '2020-01-01'")

    before = run(path, postgres, capture="triggers", proof_budget=0)["oldest_unproved_seconds"]
    after = run(path, postgres, capture="triggers")["oldest_unproved_seconds"]

    assert before > 10**8
    assert after < 3600


def test_a_trigger_of_the_target_that_changes_rows_is_found_when_they_are_sent(path, postgres):
    run(path, postgres, capture="triggers")
    sql(
        postgres,
        "CREATE FUNCTION loud() RETURNS trigger AS $$BEGIN NEW.v = upper(NEW.v); RETURN NEW; END$$"
        " LANGUAGE plpgsql; CREATE TRIGGER loud BEFORE UPDATE ON t FOR EACH ROW"
        " EXECUTE FUNCTION loud()",
    )
    write(path, "UPDATE t SET v = 'soft' WHERE b = 5")

    failed = failure(path, postgres, capture="triggers")

    assert "has it a trigger or a rule that changes them?" in failed.error


@pytest.mark.parametrize("capture", ["compare", "triggers"])
def test_what_the_target_changes_by_itself_in_another_table_is_found(capture, path, postgres):
    run(path, postgres, capture=capture)
    sql(
        postgres,
        "CREATE FUNCTION spoil() RETURNS trigger AS $$BEGIN UPDATE by_row SET v = 'spoilt'"
        " WHERE v = 'v9'; RETURN NULL; END$$ LANGUAGE plpgsql; CREATE CONSTRAINT TRIGGER spoil"
        " AFTER UPDATE ON t DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION spoil()",
    )
    write(path, "UPDATE t SET v = 'soft' WHERE b = 5")

    result = run(path, postgres, capture=capture, full=True)

    assert result["healed"] == 1
    assert unequal(path, postgres) == {}


@pytest.mark.parametrize("full", [False, True])
def test_rows_that_a_cascade_of_the_target_takes_are_brought_back(full, tmp_path, postgres):
    path = a_source(
        tmp_path / "a.db",
        "CREATE TABLE parent (id INTEGER PRIMARY KEY); CREATE TABLE child (id INTEGER PRIMARY KEY,"
        " up INTEGER); INSERT INTO parent VALUES (1), (2), (3); INSERT INTO child VALUES (7, 1)",
    )
    run(path, postgres)
    sql(postgres, "CREATE TABLE log (id bigint REFERENCES parent ON DELETE CASCADE)")
    sql(
        postgres,
        "CREATE FUNCTION take() RETURNS trigger AS $$BEGIN DELETE FROM child; RETURN OLD; END$$"
        " LANGUAGE plpgsql; CREATE TRIGGER take AFTER DELETE ON parent FOR EACH ROW"
        " EXECUTE FUNCTION take()",
    )
    write(path, "DELETE FROM parent WHERE id = 3")

    result = run(path, postgres, full=full)

    assert result["healed"] == 1
    assert unequal(path, postgres) == {}


def proved(dsn):
    """Return by table whether all of it was verified since the year 2020."""
    query = "SELECT name, proved_since > '2021-01-01' FROM nightshift_replication_tables"
    return dict(sql(dsn, query))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"capture": "compare", "full": True}, True),
        ({"capture": "compare"}, True),
        ({"capture": "compare", "proof_budget": 0}, False),
        ({"capture": "triggers", "full": True}, True),
        ({"capture": "triggers", "full": True, "proof_budget": 0}, True),
        ({"capture": "triggers", "proof_budget": 0}, False),
    ],
)
def test_only_what_was_compared_counts_as_proved(options, expected, path, postgres):
    run(path, postgres, capture=options["capture"])
    sql(postgres, "UPDATE nightshift_replication_tables SET proved_since = '2020-01-01'")
    write(path, "UPDATE t SET v = 'soft' WHERE b = 5")

    run(path, postgres, **options)

    assert proved(postgres)["t"] is expected


def test_a_trigger_that_changes_rows_is_found_without_a_proof(path, postgres):
    run(path, postgres)
    sql(
        postgres,
        "CREATE FUNCTION refuse() RETURNS trigger AS $$BEGIN RETURN NULL; END$$ LANGUAGE plpgsql;"
        " CREATE TRIGGER refuse BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION refuse()",
    )
    write(path, "INSERT INTO t VALUES ('new', 1, 'v', 0.5)")

    failed = failure(path, postgres, proof_budget=0)

    assert "1 row stands in" in failed.error


def test_ten_rows_are_named_and_the_others_counted(path, postgres):
    run(path, postgres)
    sql(postgres, "UPDATE t SET v = 'hand' WHERE b < 25")

    failed = failure(path, postgres, verify_only=True)

    assert "25 rows differ" in failed.error
    assert failed.error.count("different") == 10
    assert "and 15 more" in failed.error
