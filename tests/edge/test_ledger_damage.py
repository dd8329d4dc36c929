"""Random damage to the bytes of a ledger: a start succeeds and reports it."""

import os
import random
import shutil
import sqlite3
from contextlib import closing
from datetime import timedelta

import pytest

from supervisor.core import effects
from supervisor.core.alert_model import Incident
from supervisor.core.config_model import Severity
from supervisor.core.model import Attempt, JobRecord, MissedRange, Pause, State
from supervisor.ledger.queries import History, RunFilter
from supervisor.ledger.store import Store
from tests.edge.fixtures_ledger import AT, alert, run

LEDGER = "ledger.sqlite3"


def filled(folder, most=150):
    """Write a ledger of some pages, closed as after a clean stop."""
    store = Store(folder)
    rows = []
    for number in range(1, most):
        name = f"job-{number % 5}"
        rows.append(run(number, job=name, result_json='{"rows": 3}', cause=f"cause {number}"))
        rows.append(Attempt(number, 1, AT, pid=7, ended_at=AT, cause="x"))
        rows.append(alert(number))
        rows.append(
            MissedRange(name, AT + timedelta(minutes=number), AT + timedelta(hours=99), 1, "away")
        )
    rows += [JobRecord(f"job-{n}", AT, Pause(None, "uid 0", "why")) for n in range(5)]
    rows.append(Incident(1, "job-1", "exit", Severity.ERROR, AT, AT, "exit status 1"))
    rows.append(run(most, state=State.RUNNING, attempt=1, started_at=AT))
    store.begin_life()
    store.write([*map(effects.Record, rows), effects.RecordPause(Pause(None, "uid 0"))])
    store.close()


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    filled(folder)
    return folder


def damage(path, dice):
    """Damage a file at random, as a disk or a program may."""
    size = path.stat().st_size
    with open(path, "r+b") as file:
        match dice.randrange(4):
            case 0:
                file.seek(dice.randrange(size))
                file.write(bytes([dice.randrange(256)]))
            case 1:
                file.seek(dice.randrange(size))
                file.write(dice.randbytes(dice.choice([8, 100, 4096, 20000])))
            case 2:
                file.truncate(dice.randrange(size))
            case _:
                for _ in range(20):
                    file.seek(dice.randrange(100, size))
                    file.write(bytes([dice.randrange(256)]))


@pytest.mark.parametrize("seed", range(300))
def test_a_start_goes_on_whatever_the_bytes_of_the_ledger_are(whole, tmp_path, seed):
    shutil.copy(whole / LEDGER, tmp_path / LEDGER)
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "150.log").touch()
    damage(tmp_path / LEDGER, random.Random(seed))

    store = Store(tmp_path)
    store.begin_life()
    memory = store.memory()
    store.write([effects.Record(run(memory.next_run, job="new", slot=None))])
    history = History(tmp_path)
    found = [history.runs(RunFilter(limit=1000)), history.incidents(), history.actions()]
    for one in found[0]:
        history.attempts(one.id)
    store.close()

    assert memory.next_run > 150
    assert found[0][0].job == "new"
    assert bool(store.pop_damage()) == bool(list(tmp_path.glob("ledger-damaged-*")))


def spoil(folder, statement):
    with closing(sqlite3.connect(folder / LEDGER)) as db:
        db.execute("PRAGMA writable_schema = ON")
        db.execute(statement)
        db.commit()


ROWS = [
    "UPDATE runs SET state = 'succ\u00e9ss' WHERE id = 150",
    "UPDATE runs SET cause = CAST(x'636166e9' AS TEXT) WHERE id = 150",
    "UPDATE runs SET attempt = 'many' WHERE id = 150",
    "UPDATE runs SET due = '2026-02-30' WHERE id = 150",
    "UPDATE runs SET due = '2026-02-09T02:00:00' WHERE id = 150",
    "UPDATE runs SET set_json = '{' WHERE id = 150",
    "UPDATE runs SET set_json = '[]' WHERE id = 150",
    "UPDATE runs SET strays = '[1' WHERE id = 150",
    "UPDATE runs SET dry_run = x'00' WHERE id = 150",
    "UPDATE jobs SET pause = 'no' WHERE job = 'job-1'",
    "UPDATE incidents SET severity = 'loud'",
    "UPDATE incidents SET opened_at = x'ff'",
    "UPDATE meta SET value = '{' WHERE key = 'paused'",
    "UPDATE meta SET value = x'00' WHERE key = 'instance'",
    "UPDATE outbox SET lasted_s = 'long' WHERE id = 3",
    "DROP TABLE gaps",
    "DROP TABLE meta",
    "ALTER TABLE reloads RENAME COLUMN said TO says",
    "UPDATE sqlite_master SET sql = 'CREATE TABLE runs (id' WHERE name = 'runs'",
    "UPDATE sqlite_master SET rootpage = 999999 WHERE name = 'incidents'",
]


@pytest.mark.parametrize("statement", ROWS)
def test_damage_that_only_a_reading_finds_is_put_aside_and_the_rest_is_kept(
    whole, tmp_path, statement
):
    shutil.copy(whole / LEDGER, tmp_path / LEDGER)
    spoil(tmp_path, statement)

    store = Store(tmp_path)

    reported = store.pop_damage()
    assert "it is kept as" in reported
    assert "rows that could still be read" in reported
    kept = [each.id for each in History(tmp_path).runs(RunFilter(limit=1000))]
    lost = 1 if "id = 150" in statement and "cause" not in statement else 0
    if "sqlite_master" not in statement:
        assert len(kept) == 150 - lost
    store.close()


@pytest.mark.parametrize(
    "statement", [row.replace("150", "7") for row in ROWS if "runs SET" in row]
)
def test_a_bad_row_of_the_past_is_left_out_and_reported(whole, tmp_path, statement):
    shutil.copy(whole / LEDGER, tmp_path / LEDGER)
    Store(tmp_path).close()
    spoil(tmp_path, statement)
    reported = []

    found = History(tmp_path, reported.append).runs(RunFilter(limit=1000))

    if "cause" in statement:
        assert [each.cause for each in found if each.id == 7] == [r"caf\xe9"]
    else:
        assert len(found) == 149
        assert "runs 7" in reported[0]


@pytest.mark.parametrize(
    ("made", "said"),
    [("missing", "though there is output of runs up to 41"), ("empty", "")],
)
def test_a_ledger_that_is_gone_is_no_first_start(tmp_path, made, said):
    Store(tmp_path).close()
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "41.log").touch()
    (tmp_path / "runs" / "7.log.1").touch()
    (tmp_path / LEDGER).unlink()
    if made == "empty":
        (tmp_path / LEDGER).touch()

    store = Store(tmp_path)

    assert said in store.pop_damage()
    assert store.memory().next_run == 42
    store.close()


def test_a_first_start_reports_no_damage(tmp_path):
    (tmp_path / "runs").mkdir()

    store = Store(tmp_path)

    assert (store.pop_damage(), store.memory().next_run) == ("", 1)
    store.close()


def a_loop(path):
    path.symlink_to(path.name)


@pytest.mark.parametrize("name", [LEDGER, f"{LEDGER}-wal", f"{LEDGER}-shm", "ballast"])
@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo, a_loop], ids=["folder", "fifo", "loop"])
def test_a_part_of_the_ledger_that_is_no_file_is_put_aside(tmp_path, name, make):
    Store(tmp_path).close()
    (tmp_path / name).unlink(missing_ok=True)
    make(tmp_path / name)

    store = Store(tmp_path)

    store.write([effects.Record(run(1))])
    is_named = make is not a_loop and name != "ballast"
    assert ("no regular file" in store.pop_damage()) == is_named
    store.close()
