"""Copies that cannot be removed, read or reached do not prevent the rotation of the others."""

import os
import shutil
import subprocess
import sys
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime, timedelta

import pytest

from tests.workers.backup_folder import a_database, dated, ours, run, the_copy
from tests.workers.catalogue_folder import a_report, logged
from tests.workers.test_rotation_plan import a_backup
from workers import params, rotation
from workers.backup import listing, repository
from workers.report import WorkerError
from workers.rotation.retention import Policy, plan

LAST_ONE = {"keep_last": 1, "keep_daily": 0, "keep_weekly": 0, "keep_monthly": 0}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Make one copy, which each test dates as it needs."""
    room = tmp_path_factory.mktemp("made")
    run(a_database(room / "a.db", rows=20), room / "copies")
    return the_copy(room / "copies")


def some_copies(made, directory):
    """Make five nightly copies, the newest of this hour; newest first."""
    now = datetime.now(UTC)
    return [dated(made, directory, now - timedelta(days=day)) for day in range(5)]


@pytest.fixture
def daily_copies(made, tmp_path):
    return some_copies(made, tmp_path / "copies")


def rotated(directory, /, received=None, **more):
    wanted = params.parse(rotation.Params, {"directory": str(directory), **LAST_ONE, **more})
    return rotation.run(wanted, a_report(received))


@contextmanager
def immutable(path):
    """Make a file immutable, even for root; skip where that is impossible."""
    if shutil.which("chattr") is None:
        pytest.skip("chattr is not installed")
    if subprocess.run(["chattr", "+i", path], capture_output=True, check=False).returncode:
        pytest.skip("no file can be made immutable here")
    try:
        yield
    finally:
        subprocess.run(["chattr", "-i", path], check=True)


def in_the_way(path):
    """Create a folder under the name that the copy at `path` gets before it is removed."""
    path.with_name(f"{path.name}.part").mkdir()


def listed(directory):
    return [one.path for one in listing.list_backups(directory)]


def test_a_copy_that_cannot_go_is_named_and_the_others_go(daily_copies):
    in_the_way(daily_copies[3])

    done = rotation.prune(daily_copies[0].parent, 1, "UTC", dry_run=False)

    assert listed(daily_copies[0].parent) == [daily_copies[0], daily_copies[3]]
    assert (done.removed, len(done.failed)) == (3, 1)
    assert str(daily_copies[3]) in done.failed[0]


def test_an_immutable_copy_is_named_and_the_others_go(daily_copies):
    with immutable(daily_copies[4]):
        done = rotation.prune(daily_copies[0].parent, 1, "UTC", dry_run=False)

    assert listed(daily_copies[0].parent) == [daily_copies[0], daily_copies[4]]
    assert str(daily_copies[4]) in done.failed[0]


def test_a_rotation_with_a_copy_that_cannot_go_fails_by_its_name(daily_copies):
    in_the_way(daily_copies[4])
    received = []

    with pytest.raises(WorkerError, match=r"remove .*\(removed: 3\)") as failed:
        rotated(daily_copies[0].parent, received)

    assert daily_copies[4].name in failed.value.error
    assert f"remove {daily_copies[4]}" in logged(received)
    assert listed(daily_copies[0].parent) == [daily_copies[0], daily_copies[4]]


def test_what_stands_beside_a_copy_and_cannot_go_takes_no_room_and_is_named(daily_copies):
    daily_copies[2].with_name(f"{daily_copies[2].name}.damaged").mkdir()
    os.unlink(f"{daily_copies[2]}.sha256")
    os.mkdir(f"{daily_copies[2]}.sha256")
    os.unlink(f"{daily_copies[2]}.json")

    done = rotation.prune(daily_copies[0].parent, 1, "UTC", dry_run=False)

    left = [name for name in ours(daily_copies[0].parent) if name.startswith(daily_copies[2].name)]
    assert left == [f"{daily_copies[2].name}.damaged", f"{daily_copies[2].name}.sha256"]
    assert len(done.failed) == 1
    assert daily_copies[2].name in done.failed[0]


def test_a_leftover_that_cannot_go_keeps_no_backup_from_being_made(tmp_path):
    source, copies = a_database(tmp_path / "a.db", rows=5), tmp_path / "copies"
    copies.mkdir()
    stuck = copies / "a-2020-01-01T00-00-00Z.sqlite3.db.gz.part"
    stuck.write_text("half")
    (copies / "a-2020-01-01T00-00-00Z.sqlite3.db.gz.json").mkdir()

    result = run(source, copies)

    assert result["state"] == "verified"
    assert (copies / str(result["file"])).exists()


def test_a_copy_that_went_meanwhile_is_no_failure(daily_copies, monkeypatch):
    remove = repository.remove

    def after_another(directory, name):
        if name == daily_copies[4].name:
            daily_copies[4].unlink()
        remove(directory, name)

    monkeypatch.setattr(repository, "remove", after_another)

    done = rotation.prune(daily_copies[0].parent, 1, "UTC", dry_run=False)

    assert (done.failed, done.removed) == ((), 3)


@pytest.mark.parametrize("kind", ["missing", "a file", "in use"])
def test_a_dead_place_does_not_stop_the_rotation_of_the_others(made, tmp_path, daily_copies, kind):
    dead, third, received = tmp_path / "nas", some_copies(made, tmp_path / "third"), []
    if kind == "a file":
        dead.write_text("no folder")
    elif kind == "in use":
        dead.mkdir()
    places = [str(dead), str(third[0].parent)]

    held = repository.locked(dead) if kind == "in use" else nullcontext()
    with held, pytest.raises(WorkerError) as failed:
        rotated(daily_copies[0].parent, received, copies=places)

    assert f"folder {dead} " in failed.value.error
    assert failed.value.permanent == (kind != "in use")
    assert "(removed: 8)" in failed.value.error
    assert listed(daily_copies[0].parent) == daily_copies[:1]
    assert listed(third[0].parent) == third[:1]
    assert f"{dead}: folder {dead} " in logged(received)


def test_all_places_are_rotated_and_counted(made, tmp_path, daily_copies):
    third = some_copies(made, tmp_path / "third")

    result = rotated(daily_copies[0].parent, copies=[str(third[0].parent)])

    assert (result["kept"], result["removed"]) == (2, 8)


def test_what_a_plan_costs_grows_with_the_copies_and_not_with_their_square():
    now = datetime(2026, 2, 10, tzinfo=UTC)
    half = [
        [a_backup(now - timedelta(minutes=2 * n + odd), "?" * odd) for n in range(2000)]
        for odd in (0, 1)
    ]
    copies, calls = half[0] + half[1], [0]

    def count(_frame, event, _argument):
        calls[0] += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        decided = plan(copies, Policy(last=3), now, UTC)
    finally:
        sys.setprofile(None)

    assert sum(one.keep for one in decided) == 5
    assert calls[0] < 60 * len(copies)


def test_a_listing_never_opens_a_copy(daily_copies):
    for path in daily_copies:
        path.chmod(0)
        os.utime(path, (0, 0))
        for ending in (".json", ".sha256"):
            path.with_name(path.name + ending).unlink()

    listing.list_backups(daily_copies[0].parent)

    # A read would have updated the access time.
    assert {path.stat().st_atime for path in daily_copies} == {0}
