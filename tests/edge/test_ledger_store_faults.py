"""Unusual ledgers: older, newer, foreign, damaged, deleted."""

import os
import sqlite3
from contextlib import closing

import pytest

from supervisor.core import effects
from supervisor.core.config_model import History
from supervisor.core.model import JobChange, ReloadEntry, State
from supervisor.ledger import file
from supervisor.ledger.errors import LedgerUnavailableError
from supervisor.ledger.file import SCHEMA_VERSION, LedgerVersionError
from supervisor.ledger.queries import History as Reader
from supervisor.ledger.queries import RunFilter
from supervisor.ledger.store import Store
from tests.edge.fixtures_ledger import AT, alert, run


def test_a_ledger_of_a_newer_version_is_refused_and_left_alone(tmp_path):
    Store(tmp_path).close()
    with sqlite3.connect(tmp_path / "ledger.sqlite3") as db:
        db.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")

    with pytest.raises(LedgerVersionError, match="newer version"):
        Store(tmp_path)

    assert list(tmp_path.glob("ledger-*")) == []


OUTBOX_OF_VERSION_1 = """
    CREATE TABLE outbox (
        id INTEGER PRIMARY KEY, incident INTEGER NOT NULL, word TEXT NOT NULL,
        severity TEXT NOT NULL, job TEXT NOT NULL, kind TEXT NOT NULL, cause TEXT NOT NULL,
        count INTEGER NOT NULL, run INTEGER, at TEXT NOT NULL, lasted_s REAL NOT NULL,
        delivered_at TEXT
    );
    INSERT INTO outbox VALUES (7, 1, 'opened', 'error', 'sync', 'exit', 'exit status 1', 1, 3,
                               '2026-02-09T02:00:00+00:00', 0.0, NULL);
    ALTER TABLE jobs DROP COLUMN removed_at;
    ALTER TABLE jobs DROP COLUMN fixed_until;
    ALTER TABLE incidents DROP COLUMN recovery_at;
    ALTER TABLE incidents DROP COLUMN successes;
    ALTER TABLE reloads DROP COLUMN changes;
    ALTER TABLE reloads DROP COLUMN changes_left_out;
    ALTER TABLE runs DROP COLUMN on_host;
    ALTER TABLE runs DROP COLUMN incident;
    PRAGMA user_version = 1;
"""


RUNS_OF_VERSION_6 = """
    ALTER TABLE runs DROP COLUMN on_host;
    ALTER TABLE runs DROP COLUMN incident;
    PRAGMA user_version = 6;
"""
RELOADS_OF_VERSION_5 = """
    ALTER TABLE reloads DROP COLUMN changes;
    ALTER TABLE reloads DROP COLUMN changes_left_out;
    ALTER TABLE runs DROP COLUMN on_host;
    ALTER TABLE runs DROP COLUMN incident;
    PRAGMA user_version = 5;
"""
OUTBOX_OF_VERSION_3 = """
    CREATE TABLE outbox (
        id INTEGER PRIMARY KEY, incident INTEGER NOT NULL, word TEXT NOT NULL,
        severity TEXT NOT NULL, job TEXT NOT NULL, kind TEXT NOT NULL, cause TEXT NOT NULL,
        count INTEGER NOT NULL, run INTEGER, at TEXT NOT NULL, lasted_s REAL NOT NULL,
        delivered_at TEXT, attempts INTEGER NOT NULL, next_at TEXT, error TEXT NOT NULL,
        folded INTEGER NOT NULL, withheld TEXT NOT NULL
    );
    CREATE INDEX outbox_waiting ON outbox (id) WHERE delivered_at IS NULL AND withheld = '';
    INSERT INTO outbox VALUES
        (7, 1, 'opened', 'error', 'sync', 'exit', 'exit status 1', 1, 3,
         '2026-02-09T02:00:00+00:00', 0.0, '2026-02-09T02:00:01+00:00', 0, NULL, '', 0, ''),
        (8, 1, 'reminder', 'error', 'sync', 'exit', 'exit status 1', 9, 4,
         '2026-02-09T03:00:00+00:00', 3600.0, NULL, 2, '2026-02-09T03:05:00+00:00', 'gone', 1, ''),
        (9, 2, 'opened', 'info', 'sync', 'late', 'late', 1, NULL,
         '2026-02-09T04:00:00+00:00', 0.0, NULL, 0, NULL, '', 0, 'info is below error');
    ALTER TABLE reloads DROP COLUMN changes;
    ALTER TABLE reloads DROP COLUMN changes_left_out;
    ALTER TABLE runs DROP COLUMN on_host;
    ALTER TABLE runs DROP COLUMN incident;
    PRAGMA user_version = 3;
"""


def test_what_waits_in_a_ledger_of_version_3_waits_for_its_only_channel(tmp_path):
    Store(tmp_path).close()
    with sqlite3.connect(tmp_path / "ledger.sqlite3") as db:
        db.executescript(f"DROP TABLE outbox; {OUTBOX_OF_VERSION_3}")

    store = Store(tmp_path)

    [waiting] = store.memory().outbox
    assert (waiting.id, waiting.channel, waiting.attempts) == (8, "slack", 2)
    assert (waiting.error, waiting.folded, store.memory().next_alert) == ("gone", 1, 10)
    store.close()
    with sqlite3.connect(tmp_path / "ledger.sqlite3") as db:
        rows = db.execute("SELECT id, channel, withheld FROM outbox ORDER BY id").fetchall()
    assert rows == [(7, "slack", ""), (8, "slack", ""), (9, "", "info is below error")]


def test_a_ledger_of_version_1_is_copied_and_keeps_its_alerts_to_itself(tmp_path):
    Store(tmp_path).close()
    with sqlite3.connect(tmp_path / "ledger.sqlite3") as db:
        db.executescript(f"DROP TABLE outbox; {OUTBOX_OF_VERSION_1}")

    store = Store(tmp_path)

    memory = store.memory()
    assert (memory.outbox, memory.next_alert) == ((), 8)
    store.write([effects.Record(alert(8))])
    assert store.memory().outbox == (alert(8),)
    store.close()
    with sqlite3.connect(tmp_path / "ledger-v1.sqlite3") as old:
        assert old.execute("SELECT id, delivered_at FROM outbox").fetchall() == [(7, None)]


def test_the_runs_of_a_ledger_of_version_6_may_run_on_any_host(tmp_path):
    store = Store(tmp_path)
    store.write([effects.Record(run(1, on_host="b", incident="drill"))])
    store.close()
    with closing(sqlite3.connect(tmp_path / "ledger.sqlite3")) as db:
        db.executescript(RUNS_OF_VERSION_6)

    migrated = Store(tmp_path)

    assert [(each.on_host, each.incident) for each in migrated.memory().runs] == [("", "")]
    migrated.write([effects.Record(run(2, on_host="b", incident="drill"))])
    assert migrated.memory().runs[-1] == run(2, on_host="b", incident="drill")
    migrated.close()
    assert (tmp_path / "ledger-v6.sqlite3").exists()


def test_the_texts_of_a_ledger_of_version_5_are_kept(tmp_path):
    Store(tmp_path).close()
    with sqlite3.connect(tmp_path / "ledger.sqlite3") as db:
        db.executescript(f"""
            {RELOADS_OF_VERSION_5}
            INSERT INTO reloads VALUES ('2026-02-09T02:00:00+00:00', '5e', 1, '2 jobs');
        """)

    store = Store(tmp_path)
    newer = ReloadEntry(AT, "6f", True, "3 jobs", (JobChange("a", "changed", ("with",)),), 7)
    store.write([effects.Record(newer)])

    assert Reader(tmp_path).reloads() == [newer, ReloadEntry(AT, "5e", True, "2 jobs")]
    store.close()


def test_a_database_of_someone_else_is_refused_and_left_alone(tmp_path):
    with closing(sqlite3.connect(tmp_path / "ledger.sqlite3")) as db:
        db.execute("CREATE TABLE cards (name TEXT)")

    with pytest.raises(LedgerVersionError, match="no ledger of ours"):
        Store(tmp_path)

    with closing(sqlite3.connect(tmp_path / "ledger.sqlite3")) as db:
        assert db.execute("SELECT name FROM sqlite_master").fetchall() == [("cards",)]


@pytest.mark.parametrize("begun", ["PRAGMA journal_mode = WAL", "PRAGMA user_version = 0"])
def test_a_ledger_whose_making_was_cut_off_is_made(tmp_path, begun):
    with closing(sqlite3.connect(tmp_path / "ledger.sqlite3")) as db:
        db.execute(begun)

    store = Store(tmp_path)
    store.write([effects.Record(run(1))])

    assert store.instance != ""
    assert store.pop_damage() == ""
    store.close()


def test_an_older_ledger_is_copied_beside_before_it_is_migrated(tmp_path, monkeypatch):
    first = Store(tmp_path)
    first.write([effects.Record(run(1))])
    first.close()
    monkeypatch.setattr(file, "SCHEMA_VERSION", SCHEMA_VERSION + 1)
    step = "ALTER TABLE reloads ADD COLUMN who TEXT; CREATE TABLE moons (name TEXT)"
    monkeypatch.setitem(file.MIGRATIONS, SCHEMA_VERSION, step)

    second = Store(tmp_path)

    beside = tmp_path / f"ledger-v{SCHEMA_VERSION}.sqlite3"
    for path, version, tables in [
        (tmp_path / "ledger.sqlite3", SCHEMA_VERSION + 1, 1),
        (beside, SCHEMA_VERSION, 0),
    ]:
        with closing(sqlite3.connect(path)) as db:
            assert db.execute("PRAGMA user_version").fetchone() == (version,)
            moons = "SELECT count(*) FROM sqlite_master WHERE name = 'moons'"
            assert db.execute(moons).fetchone() == (tables,)
            assert db.execute("SELECT id FROM runs").fetchall() == [(1,)]
    assert second.instance == first.instance
    second.close()


def ledger_of_two_runs(folder):
    """Return the path of a closed ledger with an open run and a failed one."""
    store = Store(folder)
    store.write([effects.Record(run(1)), effects.Record(run(2, state=State.FAILED))])
    store.close()
    return folder / "ledger.sqlite3"


def indexes(path):
    with closing(sqlite3.connect(path)) as db:
        named = "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
        return {name: " ".join(sql.split()) for name, sql in db.execute(named)}


def test_a_ledger_of_version_4_gets_its_indexes(tmp_path):
    path = ledger_of_two_runs(tmp_path)
    now = indexes(path)
    with closing(sqlite3.connect(path)) as db:
        for name in now.keys() - {"runs_of_job", "runs_by_due", "outbox_waiting"}:
            db.execute(f"DROP INDEX {name}")
        db.executescript(RELOADS_OF_VERSION_5)
        db.execute("PRAGMA user_version = 4")

    migrated = Store(tmp_path)

    assert migrated.pop_damage() == ""
    assert [each.id for each in migrated.memory().runs] == [1, 2]
    assert migrated.purge(History(), AT).is_done
    migrated.close()
    assert indexes(path) == now
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_ledger_of_version_7_gets_indexes_that_are_cheaper_to_write(tmp_path):
    path = ledger_of_two_runs(tmp_path)
    now = indexes(path)
    with closing(sqlite3.connect(path)) as db:
        db.executescript("""
            DROP INDEX runs_open;
            DROP INDEX runs_in_vain;
            CREATE INDEX runs_open ON runs (id)
            WHERE state IN ('pending', 'running', 'retrying');
            CREATE INDEX runs_in_vain ON runs (state, id)
            WHERE state IN ('failed', 'skipped', 'missed', 'cancelled', 'interrupted');
            PRAGMA user_version = 7;
        """)

    migrated = Store(tmp_path)

    assert [each.id for each in migrated.memory().runs] == [1, 2]
    migrated.close()
    assert indexes(path) == now


@pytest.mark.parametrize(
    ("checked_bytes", "clean", "is_found"), [(0, "1", False), (0, "0", True), (2**30, "1", True)]
)
def test_a_large_ledger_that_was_closed_properly_is_not_read_whole(
    tmp_path, monkeypatch, checked_bytes, clean, is_found
):
    store = Store(tmp_path)
    store.write([effects.Record(run(number)) for number in range(1, 400)])
    store.close()
    _damage_an_index(tmp_path / "ledger.sqlite3", clean)
    monkeypatch.setattr(file, "CHECKED_BYTES", checked_bytes)

    opened = Store(tmp_path)

    assert ("quick_check" in opened.pop_damage()) is is_found
    opened.close()


def _damage_an_index(path, clean):
    with closing(sqlite3.connect(path)) as db:
        named = "SELECT rootpage FROM sqlite_master WHERE name = 'runs_by_due'"
        ((page,), (size,)) = (db.execute(q).fetchone() for q in (named, "PRAGMA page_size"))
        db.execute("UPDATE meta SET value = ? WHERE key = 'clean'", (clean,))
        db.commit()
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    with open(path, "r+b") as ledger:
        ledger.seek((page - 1) * size)
        ledger.write(b"\xff" * size)


def test_a_migration_that_fails_changes_nothing(tmp_path, monkeypatch):
    Store(tmp_path).close()
    monkeypatch.setattr(file, "SCHEMA_VERSION", SCHEMA_VERSION + 1)
    step = "CREATE TABLE moons (name TEXT); ALTER TABLE no_such_table ADD COLUMN x"
    monkeypatch.setitem(file.MIGRATIONS, SCHEMA_VERSION, step)

    with pytest.raises(LedgerUnavailableError, match="no_such_table"):
        Store(tmp_path)

    with closing(sqlite3.connect(tmp_path / "ledger.sqlite3")) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)
        assert db.execute("SELECT 1 FROM sqlite_master WHERE name = 'moons'").fetchall() == []


def test_a_damaged_ledger_is_set_aside_and_a_fresh_one_begun(tmp_path):
    path = tmp_path / "ledger.sqlite3"
    path.write_bytes(b"SQLite format 3\0" + os.urandom(8192))

    store = Store(tmp_path)

    (aside,) = tmp_path.glob("ledger-damaged-*.sqlite3")
    assert aside.read_bytes().startswith(b"SQLite format 3\0")
    assert f"kept as {aside}" in store.pop_damage()
    assert store.pop_damage() == ""
    store.write([effects.Record(run(1))])
    store.close()


def spoil(tmp_path, store):
    """Damage the file while the store has it open, and invalidate the store's cache."""
    store.checkpoint_and_optimize()
    with closing(sqlite3.connect(tmp_path / "ledger.sqlite3")) as other:
        other.execute("INSERT INTO meta VALUES ('x', 'y')")
        other.commit()
        with open(tmp_path / "ledger.sqlite3", "r+b") as ledger:
            ledger.seek(4096)
            ledger.write(os.urandom(80_000))


def test_damage_found_by_a_write_is_a_problem_once_and_a_new_ledger_begins(store, tmp_path):
    store.write([effects.Record(run(number)) for number in range(1, 100)])
    spoil(tmp_path, store)

    with pytest.raises(LedgerUnavailableError, match="malformed"):
        store.write([effects.Record(run(100))])
    store.write([effects.Record(run(100))])

    (aside,) = tmp_path.glob("ledger-damaged-*.sqlite3")
    assert f"(database disk image is malformed): it is kept as {aside}" in store.pop_damage()
    assert [each.id for each in Reader(tmp_path).runs(RunFilter())] == [100]


def test_a_new_ledger_is_of_the_same_instance_so_that_strays_are_found(store, tmp_path):
    store.begin_life()
    store.write([effects.Record(run(number)) for number in range(1, 100)])
    spoil(tmp_path, store)
    with pytest.raises(LedgerUnavailableError):
        store.write([effects.Record(run(100))])
    store.write([effects.Record(run(100))])

    other = Store(tmp_path)

    assert other.instance == store.instance
    assert other.begin_life() is True
    other.close()


def test_a_row_that_cannot_be_is_no_damage(store, tmp_path):
    store.write([effects.Record(run(1))])

    with pytest.raises(LedgerUnavailableError, match="UNIQUE"):
        store.write([effects.Record(run(2, slot=run(1).slot))])

    assert list(tmp_path.glob("ledger-damaged-*")) == []


@pytest.mark.parametrize("names", [["ledger.sqlite3"], ["ledger.sqlite3*"]], ids=str)
def test_a_ledger_deleted_while_in_use_is_written_anew_with_all_it_held(store, tmp_path, names):
    store.write([effects.Record(run(1))])
    reader = Reader(tmp_path)
    for name in names:
        for path in tmp_path.glob(name):
            path.unlink()

    with pytest.raises(LedgerUnavailableError, match="was deleted while it was in use"):
        store.write([effects.Record(run(2))])
    store.write([effects.Record(run(2))])

    assert [each.id for each in Reader(tmp_path).runs(RunFilter())] == [2, 1]
    assert not reader.is_current()
    reader.close()
    store.write([effects.Record(run(3))])
    store.close()
    assert [each.id for each in Reader(tmp_path).runs(RunFilter())] == [3, 2, 1]


def test_a_ledger_replaced_while_in_use_is_left_alone(store, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    Store(other).close()
    os.replace(other / "ledger.sqlite3", tmp_path / "ledger.sqlite3")

    for _ in range(2):
        with pytest.raises(LedgerUnavailableError, match="was replaced while it was in use"):
            store.write([effects.Record(run(1))])
