"""Wrong clocks: a later copy has a later name and is the latest."""

import dataclasses
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.workers.backup_folder import a_database, dated, failure, ours, rows, run, the_copy
from tests.workers.catalogue_folder import a_report
from workers import params, rotation
from workers.backup import filenames, listing, restore, selection, verify
from workers.backup.errors import BackupError
from workers.backup.manifest import companions, read
from workers.health import local_checks
from workers.health.measurements import NewestBackup
from workers.report import WorkerError
from workers.rotation.retention import Policy, plan

HOUR = timedelta(hours=1)


@pytest.fixture
def copies(tmp_path):
    return tmp_path / "copies"


@pytest.fixture
def source(tmp_path):
    return a_database(tmp_path / "a.db", rows=20)


def now():
    return datetime.now(UTC).replace(microsecond=0)


def a_copy_made_ahead(source, copies, by):
    """Return a copy whose name and manifest were made while the clock was ahead."""
    run(source, copies)
    made = the_copy(copies)
    manifest = read(made)
    moment = now() + by
    fields = {
        "name": filenames.copy_name("a", moment),
        "taken_at": moment.isoformat(timespec="milliseconds"),
    }
    for ending, content in companions(dataclasses.replace(manifest, **fields)).items():
        Path(f"{made}{ending}").unlink()
        (copies / f"{fields['name']}{ending}").write_bytes(content)
    return made.rename(copies / fields["name"])


def grown(source):
    """Add one move to the database."""
    import sqlite3

    with sqlite3.connect(source) as database:
        database.execute("INSERT INTO moves (account, amount) VALUES (0, 0)")
    return source


def count(copies, target):
    """Return the number of moves in the latest copy."""
    wanted = restore.Params(target, directory=copies)
    restore.run(wanted, a_report())
    return rows(target, "SELECT count(*) FROM moves")[0][0]


@pytest.mark.parametrize("by", [timedelta(seconds=2), HOUR / 2, 30 * HOUR, 366 * 24 * HOUR])
def test_a_copy_made_after_one_from_the_future_is_named_after_it_and_is_the_latest(
    tmp_path, source, copies, by
):
    ahead = a_copy_made_ahead(source, copies, by)

    result = run(grown(source), copies)

    named = filenames.parse(str(result["file"]))
    assert named.taken_at == filenames.parse(ahead.name).taken_at + timedelta(seconds=1)
    assert the_copy(copies).name == result["file"]
    assert abs(listing.list_backups(copies)[0].taken_at - now()) < HOUR / 60
    assert count(copies, tmp_path / "new.db") == 21
    assert verify.verify(copies / str(result["file"]))


@pytest.mark.parametrize("by", [HOUR / 2, 366 * 24 * HOUR])
def test_rotation_keeps_the_newer_content_while_and_after_a_copy_is_from_the_future(
    source, copies, by
):
    ahead = a_copy_made_ahead(source, copies, by)
    newer = copies / str(run(grown(source), copies)["file"])

    meanwhile = rotation.prune(copies, 1, "UTC", dry_run=False)
    later = plan(listing.list_backups(copies), Policy(last=1), now() + by + HOUR, UTC)

    assert meanwhile.removed == 0
    assert [one.backup.path for one in later if one.keep] == [newer]
    assert [one.backup.path for one in later if not one.keep] == [ahead]


def test_with_an_older_copy_at_hand_one_from_the_future_is_never_the_newest(source, copies):
    run(source, copies)
    older = the_copy(copies)
    a_copy_made_ahead(source, copies / "other", HOUR / 2)
    for path in (copies / "other").glob("a-*"):
        path.rename(copies / path.name)

    listed = listing.list_backups(copies)

    assert selection.choose(listed, "latest", now() + timedelta(seconds=1), "UTC").path == older


def test_copies_made_within_a_second_follow_each_other_and_none_is_from_the_future(source, copies):
    made = [str(run(source, copies)["file"]) for _ in range(4)]

    listed = listing.list_backups(copies)

    assert [one.path.name for one in reversed(listed)] == made
    assert not any(listing.is_in_future(one, datetime.now(UTC)) for one in listed)


def test_copies_made_while_the_clock_was_put_back_a_year_are_the_newest_by_content(
    tmp_path, source, copies
):
    run(source, tmp_path / "made")
    made = the_copy(tmp_path / "made")
    for year in (1, 2):
        dated(made, copies, now() + year * 365 * 24 * HOUR)
    old = dated(made, copies, now() - 400 * 24 * HOUR)
    for path in copies.glob("a-*"):
        for ending, content in (
            companions(dataclasses.replace(read(path), source=str(source))).items()
            if path.name.endswith(".gz")
            else ()
        ):
            (copies / f"{path.name}{ending}").write_bytes(content)

    run(grown(source), copies)

    assert count(copies, tmp_path / "new.db") == 21
    kept = rotation.prune(copies, 1, "UTC", dry_run=False)
    assert kept.removed == 1
    assert not old.exists()


def test_days_are_those_on_which_copies_were_made_whatever_their_names_say(source, copies):
    ahead = a_copy_made_ahead(source, copies, 366 * 24 * HOUR)
    daily_copies = [copies / str(run(source, copies)["file"]) for _ in range(3)]
    for back, path in zip((2, 1, 0), daily_copies, strict=True):
        taken_at = (now() - back * 24 * HOUR).isoformat(timespec="milliseconds")
        manifest = dataclasses.replace(read(path), taken_at=taken_at)
        for ending, content in companions(manifest).items():
            Path(f"{path}{ending}").write_bytes(content)

    decided = plan(listing.list_backups(copies), Policy(last=1, daily=3), now(), UTC)

    kept = {one.backup.path: one.reason for one in decided if one.keep}
    assert set(kept) == {ahead, *daily_copies}
    assert [kept[path].rpartition("daily ")[2][:3] for path in daily_copies] == [
        "3/3",
        "2/3",
        "1/3",
    ]
    yesterday = selection.choose(
        listing.list_backups(copies), f"{now() - 12 * HOUR:%F %T}", now(), "UTC"
    )
    assert yesterday.path == daily_copies[1]


def test_health_measures_the_age_of_the_newest_content(source, copies):
    a_copy_made_ahead(source, copies, HOUR / 2)
    run(source, copies)

    measured = local_checks.newest_backup(source, copies)

    assert isinstance(measured, NewestBackup)
    assert measured.age_s < 60


def test_rotation_says_that_a_copy_is_dated_in_the_future_by_any_time(source, copies):
    run(source, copies)
    for _ in range(3):
        run(source, copies)
    a_copy_made_ahead(source, copies / "other", timedelta(minutes=10))
    for path in (copies / "other").glob("a-*"):
        path.rename(copies / path.name)
    wanted = {"directory": str(copies), "keep_last": 1, "keep_daily": 0, "keep_weekly": 0}

    with pytest.raises(WorkerError, match="is dated in the future"):
        rotation.run(params.parse(rotation.Params, wanted | {"keep_monthly": 0}), a_report())


def test_a_second_folder_gets_a_name_after_its_own_copies(tmp_path, source, copies):
    nas = tmp_path / "nas"
    ahead = a_copy_made_ahead(source, nas, HOUR / 2)

    result = run(grown(source), copies, copies=(nas,))

    assert the_copy(copies).name == result["file"]
    second = the_copy(nas)
    assert second != ahead
    assert verify.verify(second).manifest.rows["moves"] == 21
    assert count(nas, tmp_path / "new.db") == 21


def test_a_copy_of_another_service_in_the_same_second_is_no_hindrance(tmp_path, source, copies):
    nas = tmp_path / "nas"
    run(source, tmp_path / "made")
    for seconds in range(20):
        dated(the_copy(tmp_path / "made"), nas, now() + timedelta(seconds=seconds))

    run(source, copies, copies=(nas,))

    assert len(listing.list_backups(nas)) == 21


def test_a_mark_by_hand_exempts_whatever_the_date(source, copies):
    kept = a_copy_made_ahead(source, copies, HOUR / 2)
    Path(f"{kept}.keep").touch()
    newer = str(run(source, copies)["file"])

    decided = plan(listing.list_backups(copies), Policy(last=1), now() + HOUR, UTC)

    assert [one.backup.path.name for one in decided if one.keep] == [newer, kept.name]


def test_a_copy_from_the_end_of_the_calendar_is_named(source, copies):
    copies.mkdir()
    (copies / "a-9999-12-31T23-59-59Z.sqlite3.db.gz").write_text("foreign")

    failed = failure(source, copies)

    assert "a-9999-12-31T23-59-59Z.sqlite3.db.gz; a new one could not be named" in failed.error
    assert ours(copies) == ["a-9999-12-31T23-59-59Z.sqlite3.db.gz"]
    with pytest.raises(BackupError):
        read(copies / "a-9999-12-31T23-59-59Z.sqlite3.db.gz")
