"""Rotation of real folders: what is removed, what is never touched, what prevents it."""

import os
import random
import re
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from tests.workers.backup_folder import (
    a_database,
    a_small_disk,
    dated,
    failure,
    ours,
    root_only,
    run,
    the_copy,
)
from tests.workers.catalogue_folder import a_report, logged
from workers import params, rotation
from workers.backup import listing, marks, repository, verify
from workers.report import WorkerError

SHIPPED = {"keep_last": 3, "keep_daily": 7, "keep_weekly": 0, "keep_monthly": 0}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Make one copy, which each test dates as it needs."""
    room = tmp_path_factory.mktemp("made")
    run(a_database(room / "a.db", rows=20), room / "copies")
    return the_copy(room / "copies")


@pytest.fixture
def daily_copies(made, tmp_path):
    """Make twelve nightly copies, the newest of this hour; newest first."""
    now = datetime.now(UTC)
    return [dated(made, tmp_path / "copies", now - timedelta(days=day)) for day in range(12)]


def rotated(directory, /, received=None, dry_run=False, **policy):
    wanted = params.parse(rotation.Params, {"directory": str(directory), **SHIPPED, **policy})
    return rotation.run(wanted, a_report(received, dry_run=dry_run))


def refused(directory, /, **policy):
    with pytest.raises(WorkerError) as failed:
        rotated(directory, **policy)
    return failed.value


def listed(directory):
    return [one.path for one in listing.list_backups(directory)]


def test_the_oldest_go_with_all_that_stands_beside_them(daily_copies):
    directory = daily_copies[0].parent

    result = rotated(directory)

    assert listed(directory) == daily_copies[:7]
    assert (result["kept"], result["removed"], result["to_remove"]) == (7, 5, 5)
    assert result["freed_bytes"] == 5 * daily_copies[0].stat().st_size
    assert len(ours(directory)) == 7 * 3
    assert rotated(directory)["removed"] == 0


def test_a_dry_run_prints_the_plan_and_removes_nothing(daily_copies):
    directory, received = daily_copies[0].parent, []
    before = ours(directory)

    result = rotated(directory, received=received, dry_run=True, max_delete=2)

    text = logged(received)
    assert f"keep {daily_copies[0].name} (" in text
    assert "): newest verified, daily 1/7, last 1/3" in text
    assert f"remove {daily_copies[11].name} (" in text
    assert "a run would fail: 5 copies are to go, expected at most 2" in text
    assert (result["to_remove"], result["removed"]) == (5, 0)
    assert [name for name in os.listdir(directory) if name in before] == os.listdir(directory)


def test_foreign_files_are_never_touched(daily_copies):
    directory = daily_copies[0].parent
    foreign = ["notes.txt", "a-2020-01-01.sqlite3.db.gz", "a-2020-13-01T00-00-00Z.sqlite3.db.gz"]
    foreign += ["a-2020-01-01T00-00-00Z.sqlite3.db.gz.old", "old.part", "my.scratch-abcdefgh"]
    for name in foreign:
        (directory / name).write_text("mine")
        os.utime(directory / name, (0, 0))
    (directory / "a-2020-01-01T00-00-00Z.sqlite3.db.gz").mkdir()
    (directory / "a-2020-01-02T00-00-00Z.sqlite3.db.gz").symlink_to(daily_copies[0])

    rotated(directory)

    assert set(foreign) <= set(ours(directory))
    assert (directory / "a-2020-01-02T00-00-00Z.sqlite3.db.gz").is_symlink()
    assert (directory / "a-2020-01-01T00-00-00Z.sqlite3.db.gz").is_dir()


def test_unfinished_files_go_when_they_are_older_than_a_day(daily_copies):
    directory = daily_copies[0].parent
    old = "a-2020-01-01T00-00-00Z.sqlite3.db.gz.part"
    young = "a-2020-01-02T00-00-00Z.sqlite3.db.gz.scratch-abcdefgh"
    for name in (old, young):
        (directory / name).write_text("x")
    os.utime(directory / old, (0, 0))

    result = rotated(directory)

    assert result["leftovers"] == 1
    assert not (directory / old).exists()
    assert (directory / young).exists()


def test_what_is_kept_by_hand_stays(daily_copies):
    marks.keep(daily_copies[11])

    rotated(daily_copies[0].parent)

    assert listed(daily_copies[0].parent) == [*daily_copies[:7], daily_copies[11]]


def test_too_many_to_go_stops_all_of_it(daily_copies):
    before = ours(daily_copies[0].parent)

    failed = refused(daily_copies[0].parent, max_delete=4)

    assert "5 copies are to go, expected at most 4" in failed.error
    assert "--set max_delete=5; nothing is removed" in failed.error
    assert failed.permanent
    assert ours(daily_copies[0].parent) == before


def test_a_newest_copy_that_is_too_old_stops_all_of_it_until_it_is_allowed(daily_copies):
    directory = daily_copies[0].parent
    for path in daily_copies[:3]:
        repository.remove(directory, path.name)

    failed = refused(directory)
    allowed = rotated(directory, max_age="5d")

    said = r"is 3d\w* old, expected at most 2d; to allow it: --set max_age=4d"
    assert re.search(said, failed.error)
    assert failed.permanent
    assert allowed["removed"] == 2


def test_a_copy_from_the_future_stops_all_of_it_until_it_is_allowed(made, daily_copies):
    directory = daily_copies[0].parent
    strange = dated(made, directory, datetime.now(UTC) + timedelta(days=3))

    failed = refused(directory)
    allowed = rotated(directory, max_age="none")

    assert f"{strange.name} is dated in the future" in failed.error
    assert allowed["removed"] == 5
    assert strange.exists()


def test_a_newest_copy_with_a_flipped_bit_is_found_before_anything_relies_on_it(daily_copies):
    directory = daily_copies[0].parent
    content = bytearray(daily_copies[0].read_bytes())
    content[len(content) // 2] ^= 1
    daily_copies[0].write_bytes(content)
    received = []

    result = rotated(directory, received=received)

    assert "is not what was written: it has SHA-256" in logged(received)
    assert listed(directory) == daily_copies[:8]
    assert (result["kept_verified"], result["damaged"]) == (7, 1)
    assert listing.list_backups(directory)[0].state == "damaged"


def test_all_copies_damaged_and_nothing_goes(daily_copies):
    for path in daily_copies:
        path.write_bytes(path.read_bytes()[:-1])

    assert rotated(daily_copies[0].parent)["removed"] == 0
    assert listed(daily_copies[0].parent) == daily_copies


def test_two_databases_in_one_folder_are_judged_apart(made, daily_copies):
    directory = daily_copies[0].parent
    others = [
        dated(made, directory, datetime.now(UTC) - timedelta(days=day, hours=1), "other")
        for day in range(9)
    ]

    result = rotated(directory)

    assert result["removed"] == 7
    assert set(listed(directory)) == {*daily_copies[:7], *others[:7]}


def test_a_folder_in_use_by_a_backup_is_left_alone_for_now(daily_copies):
    with repository.locked(daily_copies[0].parent):
        failed = refused(daily_copies[0].parent)

    assert "is in use by pid" in failed.error
    assert not failed.permanent


def test_a_missing_folder_is_an_error_and_is_not_made(tmp_path):
    failed = refused(tmp_path / "missing")

    assert f"folder {tmp_path / 'missing'} does not exist" in failed.error
    assert not (tmp_path / "missing").exists()


def test_a_cancelled_rotation_leaves_whole_copies(daily_copies):
    report = a_report()
    report.cancelled = True
    wanted = params.parse(rotation.Params, {"directory": str(daily_copies[0].parent), **SHIPPED})

    with pytest.raises(WorkerError, match="cancelled"):
        rotation.run(wanted, report)

    assert listed(daily_copies[0].parent) == daily_copies


@pytest.mark.long
def test_a_killed_rotation_leaves_whole_copies(daily_copies):
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    dice, directory = random.Random(seed), daily_copies[0].parent
    driver = (
        "import sys; from pathlib import Path; from workers import rotation;"
        "print('up', flush=True); rotation.prune(Path(sys.argv[1]), 1, 'UTC', False)"
    )
    for _ in range(4):
        command = [sys.executable, "-c", driver, directory]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as worker:
            assert worker.stdout
            worker.stdout.readline()
            try:
                worker.wait(dice.uniform(0, 0.01))
            except subprocess.TimeoutExpired:
                worker.kill()
            assert worker.wait(5) in (0, -signal.SIGKILL)
        for path in listed(directory):
            assert verify.verify(path)
    rotated(directory, keep_last=1, keep_daily=0, max_delete=99)

    assert listed(directory) == daily_copies[:1]
    assert len(ours(directory)) == 3


@root_only
def test_prune_frees_a_full_disk_without_a_new_copy(tmp_path):
    source = a_database(tmp_path / "big.db", rows=4000)
    with a_small_disk(tmp_path / "disk", "12M") as disk:
        for _ in range(6):
            run(source, disk)
        subprocess.run(["dd", "if=/dev/zero", f"of={disk}/filler"], capture_output=True)
        os.unlink(disk / ".nightshift.lock")
        assert "does not fit" in failure(source, disk).error

        rehearsed = rotation.prune(disk, 2, "UTC", dry_run=True)
        assert len(listed(disk)) == 6
        pruned = rotation.prune(disk, 2, "UTC", dry_run=False)

        assert [one.keep for one in rehearsed.decisions] == [True] * 2 + [False] * 4
        assert pruned.removed == 4
        assert pruned.freed_bytes > 4_000_000
        assert len(listed(disk)) == 2
        assert verify.verify(listed(disk)[0])


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"keep_last": 0}, "keep_last: expected at least 1, got 0"),
        ({"keep_weekly": -1}, "keep_weekly: expected at least 0, got -1"),
        ({"max_age": "soon"}, "max_age: expected a duration"),
        ({"keep_dayly": 1}, "keep_dayly: unknown parameter"),
    ],
)
def test_mistakes_in_the_with_block_name_their_key(given, words):
    with pytest.raises(params.ParamsError) as bad:
        params.parse(rotation.Params, {"directory": "/a"} | given)

    assert words in str(bad.value)
