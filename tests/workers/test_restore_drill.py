"""Restore drills: a copy of a place is fetched, restored, counted and removed again."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.workers.backup_folder import a_database, dated, ours, run, the_copy
from tests.workers.catalogue_folder import a_report, logged
from tests.workers.place_servers import needs_age
from workers import backup, params
from workers.backup.errors import BackupError
from workers.backup.listing import State, list_backups
from workers.backup.manifest import read
from workers.backup.places import catalogue
from workers.backup.places.open_store import open_store
from workers.backup.places.place import Place
from workers.backup.places.send import send
from workers.backup.restore_drill import pick
from workers.protocol import Metric
from workers.report import WorkerError

NOW = datetime.now(UTC)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    room = tmp_path_factory.mktemp("made")
    run(a_database(room / "a.db", rows=20), room / "copies")
    return the_copy(room / "copies")


def drilled(place, scratch, received=None, dry_run=False, **more):
    scratch.mkdir(exist_ok=True)
    given = backup.DrillParams(place, scratch=scratch, **more)
    return backup.drill(given, a_report(received, dry_run=dry_run))


def test_the_newest_copy_of_a_folder_is_restored_and_removed_again(made, tmp_path):
    dated(made, tmp_path / "nas", NOW - timedelta(days=2))
    newest, received = dated(made, tmp_path / "nas", NOW - timedelta(hours=1)), []
    before = ours(tmp_path / "nas")

    result = drilled(Place(str(tmp_path / "nas")), tmp_path / "scratch", received)

    assert result["file"] == str(newest)
    assert (result["rows"], result["tables"]) == (27, 2)
    assert 3600 <= result["age_seconds"] < 7200
    metrics = {one.name: one.value for one in received if isinstance(one, Metric)}
    assert metrics == {
        "drill_seconds": result["seconds"],
        "drill_age_seconds": result["age_seconds"],
    }
    assert "was restored in" in logged(received)
    assert (ours(tmp_path / "nas"), ours(tmp_path / "scratch")) == (before, [])


@needs_age
def test_an_encrypted_copy_is_drilled_with_its_key_and_a_changed_one_is_marked(made, tmp_path):
    import pyrage

    key = pyrage.x25519.Identity.generate()
    (tmp_path / "key.txt").write_text(f"{key}\n")
    (tmp_path / "nas").mkdir()
    place = Place(str(tmp_path / "nas"), age=(str(key.to_public()),))
    data = tmp_path / "nas" / send(made, read(made), place, lambda _: None)

    result = drilled(place, tmp_path / "scratch", identity=tmp_path / "key.txt")
    content = bytearray(data.read_bytes())
    content[-1] ^= 1
    data.write_bytes(content)
    with pytest.raises(WorkerError, match=r"restore drill: copy .* is not what was sent"):
        drilled(place, tmp_path / "scratch", identity=tmp_path / "key.txt")

    assert result["rows"] == 27
    (found,) = catalogue.placed_copies(open_store(place))
    assert found.backup.state is State.DAMAGED
    assert ours(tmp_path / "scratch") == []
    with pytest.raises(WorkerError, match="no verified copy among 1"):
        drilled(place, tmp_path / "scratch", identity=tmp_path / "key.txt")


def test_a_damaged_copy_fails_the_drill(made, tmp_path):
    copy = dated(made, tmp_path / "nas", NOW - timedelta(days=1))
    content = bytearray(copy.read_bytes())
    content[len(content) // 2] ^= 1
    copy.write_bytes(content)

    with pytest.raises(WorkerError, match="restore drill: copy ") as failed:
        drilled(Place(str(tmp_path / "nas")), tmp_path / "scratch")

    assert failed.value.incident == "drill"

    assert ours(tmp_path / "scratch") == []


def test_a_random_copy_is_any_verified_one(made, tmp_path):
    for day in range(1, 4):
        dated(made, tmp_path / "nas", NOW - timedelta(days=day))
    copies = list_backups(tmp_path / "nas")

    chosen = [pick(copies, "random", NOW, dice) for dice in (0.0, 0.5, 0.999)]

    assert chosen == copies
    with pytest.raises(BackupError, match="no verified copy"):
        pick([], "random", NOW, 0.5)


def test_a_dry_run_names_the_copy_and_restores_nothing(made, tmp_path):
    copy, received = dated(made, tmp_path / "nas", NOW - timedelta(days=1)), []

    result = drilled(Place(str(tmp_path / "nas")), tmp_path / "scratch", received, dry_run=True)

    assert result["file"] == str(copy)
    assert f"would restore {copy}" in logged(received)


def test_a_cancelled_drill_leaves_nothing(made, tmp_path):
    dated(made, tmp_path / "nas", NOW - timedelta(days=1))
    report = a_report()
    report.cancelled = True

    with pytest.raises(WorkerError, match="cancelled; nothing was changed"):
        backup.drill(backup.DrillParams(Place(str(tmp_path / "nas"))), report)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "place: is required"),
        ({"place": "/x", "pick": "oldest"}, 'pick: expected newest or random, got "oldest"'),
        ({"place": {"to": "/x", "age": "age1" + "q" * 58}}, "identity: is required"),
    ],
)
def test_mistakes_name_their_key(given, said):
    with pytest.raises(params.ParamsError) as bad:
        params.parse(backup.DrillParams, given)

    assert said in str(bad.value)
