"""Reading a ledger without a supervisor: all rows are read, and no file is changed."""

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from supervisor.core import effects
from supervisor.ledger import unattended
from supervisor.ledger.queries import History, RunFilter
from supervisor.ledger.store import Store
from tests.edge.fixtures_ledger import alert, run


def contents(folder: Path) -> dict[str, bytes]:
    """Return what readers must not change; SQLite rebuilds -shm, which holds no rows."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name[-4:] != "-shm"}


def numbers(folder: Path) -> list[int]:
    with closing(History(folder, connect=unattended.connect)) as history:
        return [each.id for each in history.runs(RunFilter())]


def closed(folder: Path) -> Path:
    """Make a ledger of two runs and close it; SQLite has removed the files beside it."""
    store = Store(folder)
    store.write([effects.Record(run(1)), effects.Record(run(2))])
    store.close()
    return folder


def crashed(folder: Path, *without: str) -> Path:
    """Copy an open ledger of two runs, in the state that a killed supervisor leaves."""
    store = Store(folder / "open")
    store.write([effects.Record(run(1)), effects.Record(run(2))])
    left = folder / "left"
    left.mkdir()
    for ending in {"", "-wal", "-shm"} - set(without):
        shutil.copy(f"{store.path}{ending}", left)
    store.close()
    return left


@pytest.fixture
def left(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    (tmp_path / "open").mkdir()
    return (
        closed(tmp_path / "open") if request.param is None else crashed(tmp_path, *request.param)
    )


@pytest.mark.parametrize(
    "left", [None, (), ("-shm",)], ids=["closed", "killed", "killed without shm"], indirect=True
)
def test_all_rows_are_read_and_nothing_is_created_or_changed(left: Path) -> None:
    before, names = contents(left), sorted(os.listdir(left))

    assert numbers(left) == [2, 1]
    assert contents(left) == before
    assert sorted(os.listdir(left)) == names


def test_rows_of_a_wal_that_was_not_checkpointed_are_lost_by_no_reader(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir()
    left = crashed(tmp_path, "-shm")
    with sqlite3.connect(f"{(left / 'ledger.sqlite3').as_uri()}?immutable=1", uri=True) as blind:
        tables = blind.execute("SELECT count(*) FROM sqlite_master").fetchone()

    # The main file alone has no table yet: the rows come from the WAL.
    assert tables == (0,)
    assert numbers(left) == [2, 1]


def test_no_connection_can_write(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir()
    left = crashed(tmp_path, "-shm")
    for folder in (left, closed(tmp_path)):
        with (
            closing(unattended.connect(folder / "ledger.sqlite3")) as db,
            pytest.raises(sqlite3.OperationalError, match="readonly"),
        ):
            db.execute("DELETE FROM runs")


def test_a_supervisor_that_begins_meanwhile_is_seen(tmp_path: Path) -> None:
    path = closed(tmp_path) / "ledger.sqlite3"
    before = unattended.fingerprint(path)
    same = unattended.fingerprint(path)
    store = Store(tmp_path)
    store.write([effects.Record(run(3))])

    assert before == same
    assert before != unattended.fingerprint(path)
    assert numbers(tmp_path) == [3, 2, 1]
    store.close()


def test_what_is_no_file_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "ledger.sqlite3")

    with pytest.raises(sqlite3.OperationalError, match="no regular file"):
        unattended.connect(tmp_path / "ledger.sqlite3")


def test_alerts_that_wait_are_those_neither_delivered_nor_withheld(store: Store) -> None:
    at = run(1).due
    store.write(
        [
            effects.Record(alert(1)),
            effects.Record(alert(2, delivered_at=at)),
            effects.Record(alert(3, withheld="acked")),
        ]
    )

    with closing(History(store.path.parent)) as history:
        assert [each.id for each in history.waiting_alerts()] == [1]
