"""Rotation in places: each on its own, leftovers removed, unproven copies left alone."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.workers.backup_folder import a_database, dated, run, the_copy
from tests.workers.catalogue_folder import a_report, logged
from tests.workers.place_servers import free_port
from workers import health, params, rotation
from workers.backup.listing import State
from workers.backup.manifest import read
from workers.backup.places import catalogue, notes, removal
from workers.backup.places.open_store import open_store
from workers.backup.places.place import Place
from workers.backup.places.probe import PROBE, probe
from workers.backup.places.protection import of_headers
from workers.backup.places.send import send
from workers.backup.places.store import Protection
from workers.report import WorkerError
from workers.rotation import placed

POLICY = {"keep_last": 1, "keep_daily": 2, "keep_weekly": 0, "keep_monthly": 0}


@pytest.fixture(scope="module")
def daily_copies(tmp_path_factory):
    """Make five nightly copies, newest first."""
    room, now = tmp_path_factory.mktemp("made"), datetime.now(UTC)
    run(a_database(room / "a.db", rows=20), room / "copies")
    made = the_copy(room / "copies")
    return [
        dated(made, room / "daily_copies", now - timedelta(days=day, hours=1)) for day in range(5)
    ]


def sent(daily_copies, place):
    for copy in reversed(daily_copies):
        send(copy, read(copy), place, lambda _: None)
    return open_store(place)


def names(store):
    return [one.data for one in catalogue.placed_copies(store)]


def rotated(directory, places, received=None, **more):
    wanted = rotation.Params(directory, **(POLICY | more), copies=tuple(places))
    return rotation.run(wanted, a_report(received))


def test_each_place_is_rotated_apart_and_a_dead_one_stops_no_other(s3, daily_copies, tmp_path):
    place = s3.place(s3.bucket("apart"))
    store = sent(daily_copies, place)
    dead = s3.place("s3://dead/x", endpoint=f"http://127.0.0.1:{free_port()}", answer=1.0)
    here = [dated(daily_copies[0], tmp_path / "copies", datetime.now(UTC))]

    with pytest.raises(WorkerError) as failed:
        rotated(here[0].parent, [dead, place])

    assert failed.value.error.startswith("s3://dead/x: list: ")
    assert "(removed: 3)" in failed.value.error
    assert not failed.value.permanent
    assert names(store) == [copy.name for copy in daily_copies[:2]]
    assert len(store.entries()) == 2 * 4


def test_the_guards_hold_for_a_place(s3, daily_copies, tmp_path):
    place = s3.place(s3.bucket("guards"))
    store = sent(daily_copies[2:], place)
    (tmp_path / "copies").mkdir()

    with pytest.raises(WorkerError, match=r"s3://guards/.*: the newest verified copy of .* is 2d"):
        rotated(tmp_path / "copies", [place], keep_daily=0, max_age=params.Duration(86400.0))

    assert len(names(store)) == 3


def test_what_the_bucket_keeps_is_named_with_its_end_and_not_tried(s3, daily_copies, tmp_path):
    place = s3.place(s3.bucket("locks"), locked=3 * 86400.0)
    store, received = sent(daily_copies, place), []
    (tmp_path / "copies").mkdir()

    result = rotated(tmp_path / "copies", [place], received)

    until = (catalogue.placed_copies(store)[2].backup.taken_at + timedelta(days=3)).strftime("%F")
    assert f"kept by the bucket until {until}" in logged(received)
    assert names(store) == [copy.name for copy in daily_copies[:3]]
    assert (result["removed"], result["kept"]) == (2, 3)


def test_a_place_that_removes_by_rules_of_its_own_is_left_alone(s3, daily_copies, tmp_path):
    place = s3.place(s3.bucket("own-rules"), delete=False)
    store, received = sent(daily_copies[:4], place), []
    (tmp_path / "copies").mkdir()

    assert rotated(tmp_path / "copies", [place], received)["removed"] == 0
    assert "kept there: delete is false" in logged(received)
    assert len(names(store)) == 4


def test_objects_that_no_manifest_of_ours_names_are_left(s3, daily_copies, tmp_path):
    place = s3.place(s3.bucket("foreign"))
    store, old = sent(daily_copies[:3], place), "a-2020-01-01T00-00-00Z.sqlite3.db.gz"
    foreign = {old: b"theirs", "notes.txt": b"n", f"{old}.part-01234567": b"half",
               "b-2020-01-01T00-00-00Z.sqlite3.db.gz.json": b"{}"}  # fmt: skip
    for name, content in foreign.items():
        store.create_small(name, content)
    (tmp_path / "copies").mkdir()

    result = rotated(tmp_path / "copies", [place], keep_daily=0)

    assert result["removed"] == 2
    assert set(foreign) < {one.name for one in store.entries()}


def test_what_uploads_left_is_swept_after_a_day_if_a_manifest_names_it(s3, daily_copies):
    place = s3.place(s3.bucket("swept"))
    store = sent(daily_copies[2:4], place)
    young, old = (copy.name for copy in daily_copies[2:4])
    store.delete(old)
    store.create_small(f"{young}.part-0123abcd", b"half")
    now = datetime.now(UTC)

    gone = removal.sweep(store, now)

    assert set(gone) == {f"{old}{end}" for end in (".verified", ".sha256", ".json")} | {
        f"{young}.part-0123abcd"
    }
    assert names(store) == [young]
    assert removal.sweep(store, now) == ()


def test_a_copy_kept_by_hand_stays_and_a_finding_makes_it_damaged(s3, daily_copies, tmp_path):
    place = s3.place(s3.bucket("notes"))
    store = sent(daily_copies, place)
    known = catalogue.placed_copies(store)
    notes.keep(store, known[4])
    notes.keep(store, known[4])
    notes.damaged(store, known[0], "is not what was sent")
    (tmp_path / "copies").mkdir()

    rotated(tmp_path / "copies", [place], keep_daily=0, keep_last=1)

    kept = catalogue.placed_copies(store)
    assert [one.data for one in kept] == [daily_copies[n].name for n in (0, 1, 4)]
    assert (kept[0].backup.state, kept[0].backup.why) == (State.DAMAGED, "is not what was sent")
    assert notes.release(store, kept[2])
    notes.sound(store, kept[0])
    assert catalogue.placed_copies(store)[0].backup.state is State.VERIFIED


@pytest.mark.parametrize(
    ("ending", "content", "state", "why"),
    [
        (".json", None, State.UNVERIFIED, "no manifest beside it"),
        (".json", b"{}", State.DAMAGED, "its manifest "),
        (".verified", None, State.UNVERIFIED, "it was not read back"),
        (".verified", b"[1]", State.UNVERIFIED, "its receipt does not hold"),
        ("", b"short", State.DAMAGED, "has 5 bytes, expected"),
    ],
)
def test_a_copy_is_verified_only_if_all_that_stands_beside_it_fits(
    s3, daily_copies, tmp_path, ending, content, state, why
):
    place = s3.place(s3.bucket(f"fits{abs(hash((ending, content)))}"))
    store, name = sent(daily_copies[:1], place), f"{daily_copies[0].name}{ending}"

    store.delete(name)
    if content is not None:
        store.create_small(name, content)

    (found,) = catalogue.placed_copies(store)
    assert found.backup.state is state
    assert why in found.backup.why


def test_health_measures_each_place(s3, daily_copies, tmp_path):
    path = a_database(tmp_path / "a.db")
    fresh, stale, empty = (s3.place(s3.bucket(name)) for name in ("fresh", "stale", "empty"))
    sent(daily_copies[:2], fresh)
    sent(daily_copies[3:], stale)
    dead = s3.place("s3://dead/x", endpoint=f"http://127.0.0.1:{free_port()}", answer=1.0)
    received = []

    good = health.run(health.Params(path, copies=(fresh, dead)), a_report(received))
    with pytest.raises(WorkerError) as failed:
        health.run(health.Params(path, copies=(fresh, stale, empty)), a_report(received))

    assert 3600 <= good[f"copy_age_seconds {fresh.to}"] < 2 * 3600
    assert "the copies in s3://dead/x are not known: list: " in good["complaints"]
    assert f"the newest verified copy in {stale.to} is 3d" in failed.value.error
    assert f"there is no verified copy in {empty.to}" in failed.value.error


def test_a_probe_says_what_a_place_allows_and_leaves_nothing(s3, tmp_path):
    place = s3.place(s3.bucket("probed"))

    found = probe(place)
    closed = probe(Place(str(tmp_path / "missing"), age=()))

    assert (found.error, found.overwrites, found.deletes) == ("", False, True)
    assert PROBE not in {one.name for one in open_store(place).entries()}
    assert "does not exist" in closed.error


def test_a_probe_says_how_a_bucket_keeps_what_is_deleted(s3):
    plain, locked = (
        s3.place(s3.bucket("plain")),
        s3.place(s3.bucket("versions", ObjectLockEnabledForBucket=True)),
    )

    assert not probe(plain).protection.is_versioned
    assert probe(locked).protection.is_versioned


def versions(client, bucket):
    return client.list_object_versions(Bucket=bucket).get("Versions", [])


def test_what_a_locked_bucket_keeps_is_named_with_its_end_and_not_hidden(
    s3, daily_copies, tmp_path
):
    """With versioning a deletion would succeed, and hide the copy until then."""
    bucket = s3.bucket("worm", ObjectLockEnabledForBucket=True)
    store, client, events = sent(daily_copies[:4], s3.place(bucket)), s3.client, []
    until = datetime.now(UTC) + timedelta(days=30)
    for one in versions(client, "worm"):
        of = {"Bucket": "worm", "Key": one["Key"], "VersionId": one["VersionId"]}
        if daily_copies[1].name in one["Key"]:
            client.put_object_retention(
                **of, Retention={"Mode": "COMPLIANCE", "RetainUntilDate": until}
            )
        elif daily_copies[2].name in one["Key"]:
            client.put_object_legal_hold(**of, LegalHold={"Status": "ON"})
    (tmp_path / "copies").mkdir()

    result = rotated(tmp_path / "copies", [s3.place(bucket)], events, keep_daily=0)

    assert result["removed"] == 1
    assert names(store) == [copy.name for copy in daily_copies[:3]]
    said = logged(events)
    assert f"{daily_copies[1].name} is kept by the bucket until {until:%Y-%m-%d %H:%M} UTC" in said
    assert f"{daily_copies[2].name} is kept by the bucket by a legal hold" in said
    assert sum(one["Key"].endswith(".gz") for one in versions(client, "worm")) == 4


def test_a_copy_of_the_future_makes_no_place_fresh_and_is_not_removed(s3, daily_copies, tmp_path):
    """As left by a machine whose clock was ahead."""
    place, now = s3.place(s3.bucket("ahead")), datetime.now(UTC)
    ahead = dated(daily_copies[0], tmp_path / "ahead", now + timedelta(days=400))
    send(ahead, read(ahead), place, lambda _: None)
    store = open_store(place)
    (tmp_path / "copies").mkdir()

    result = rotated(tmp_path / "copies", [place], keep_last=1, keep_daily=0)

    assert catalogue.newest_by_name(store, "a", now) is None
    assert (result["removed"], names(store)) == (0, [ahead.name])


def test_a_retention_that_has_ended_keeps_nothing():
    now = datetime(2026, 2, 9, tzinfo=UTC)

    assert Protection(kept_until=now + timedelta(hours=1)).why_kept(now) == (
        "until 2026-02-09 01:00 UTC"
    )
    assert Protection(kept_until=now).why_kept(now) == ""
    assert Protection(is_versioned=True).why_kept(now) == ""


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, Protection()),
        ({"x-amz-version-id": "null", "x-amz-object-lock-legal-hold": "OFF"}, Protection()),
        ({"X-Amz-Version-Id": "3HL4", "x-amz-object-lock-legal-hold": "ON"},
         Protection(is_versioned=True, is_on_hold=True)),
        ({"x-amz-object-lock-retain-until-date": "2026-12-30T17:49:31.612Z"},
         Protection(kept_until=datetime(2026, 12, 30, 17, 49, 31, 612000, tzinfo=UTC))),
        ({"x-ms-immutability-policy-until-date": "Wed, 30 Dec 2026 17:49:31 GMT",
          "x-ms-legal-hold": "true", "x-ms-version-id": "2026-01-01T00:00:00.0000000Z"},
         Protection(True, datetime(2026, 12, 30, 17, 49, 31, tzinfo=UTC), True)),
        ({"x-amz-object-lock-retain-until-date": "soon"}, Protection()),
        ({"x-amz-object-lock-retain-until-date": "9" * 10**6}, Protection()),
        ({"x-amz-object-lock-retain-until-date": "0001-01-01T00:00:00+14:00"}, Protection()),
    ],
)  # fmt: skip
def test_headers_say_how_an_object_is_kept_and_odd_ones_say_nothing(headers, expected):
    assert of_headers(headers) == expected


def test_a_store_that_tells_nothing_keeps_nothing(tmp_path):
    endpoint = f"http://127.0.0.1:{free_port()}"
    dead = Place("s3://dead/x", endpoint, "r", "a", "b", answer=params.Duration(1.0))

    assert open_store(dead).protection("x") == Protection()
    assert open_store(Place(str(tmp_path))).protection("x") == Protection()


def test_a_plan_keeps_the_order_of_time():
    assert placed.decide([], Place("s3://b/x"), rotation.Policy(1), datetime.now(UTC), UTC) == ()
