"""An object store that speaks S3: what it refuses, keeps and loses, and our messages."""

import os
import random
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest

from tests.workers.backup_folder import a_database, a_small_disk, root_only, run, the_copy
from tests.workers.proxy import Proxy, running
from tests.workers.s3_server import PREFIX, s3_server
from workers.backup.errors import BackupError
from workers.backup.listing import State
from workers.backup.manifest import read
from workers.backup.places import catalogue, removal
from workers.backup.places.open_store import open_store
from workers.backup.places.send import send
from workers.backup.places.store import PlaceError, TakenError

SENDS = """
import sys
from pathlib import Path
from tests.workers.s3_server import S3Server
from workers.backup.manifest import read
from workers.backup.places.send import send
import obstore, obstore.store
place, copy = S3Server(sys.argv[1]).place(sys.argv[2]), Path(sys.argv[3])
print("up", flush=True)
send(copy, read(copy), place, lambda done: None)
"""


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """Make a copy that is sent in one request."""
    room = tmp_path_factory.mktemp("made")
    run(a_database(room / "a.db", rows=300), room / "copies")
    return the_copy(room / "copies")


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """Make a copy that is sent in parts."""
    room = tmp_path_factory.mktemp("large")
    run(a_database(room / "a.db", rows=70_000), room / "copies")
    made = the_copy(room / "copies")
    assert made.stat().st_size > 2 * (8 << 20)
    return made


@pytest.fixture
def file(tmp_path):
    """Make a file that is sent in parts."""
    made = tmp_path / "file"
    made.write_bytes(os.urandom(20_000_000))
    return made


def no_step(_done):
    pass


def names(store):
    return [one.name for one in store.entries()]


def refused(copy, place):
    with pytest.raises(BackupError) as failed:
        send(copy, read(copy), place, no_step)
    assert "a-secret-key" not in str(failed.value)
    return str(failed.value)


def test_one_of_many_that_create_a_name_at_once_has_it(s3):
    store = open_store(s3.place(s3.bucket("race")))

    def create(number):
        try:
            store.create_small("one", str(number).encode())
        except TakenError:
            return None
        return str(number).encode()

    with ThreadPoolExecutor(8) as threads:
        had = [one for one in threads.map(create, range(24)) if one is not None]

    assert had == [store.read_small(["one"])["one"]]


def test_the_empty_object_of_a_folder_is_none_of_its_objects(s3):
    place = s3.place(s3.bucket("folder"))
    s3.client.put_object(Bucket="folder", Key=f"{PREFIX}/", Body=b"")

    assert open_store(place).entries() == []
    assert catalogue.placed_copies(open_store(place)) == []


@pytest.mark.parametrize("after", [2_000_000, 12_000_000])
def test_a_bit_that_changes_on_the_way_is_refused_by_the_store(s3, file, after):
    bucket = s3.bucket(f"spoiled-{after}")
    with running(Proxy(s3.port, spoil_after=after)) as proxy:
        store = open_store(s3.place(bucket, endpoint=f"http://127.0.0.1:{proxy.port}"))
        with pytest.raises(PlaceError, match="write big: "):
            store.create("big", file, "", no_step)

    assert names(open_store(s3.place(bucket))) == []


@pytest.mark.parametrize("after", [30_000, 9_000_000])
def test_a_connection_that_is_cut_in_the_middle_leaves_no_object(s3, file, after):
    bucket = s3.bucket(f"cut-{after}")
    with running(Proxy(s3.port, cut_after=after)) as proxy:
        store = open_store(s3.place(bucket, endpoint=f"http://127.0.0.1:{proxy.port}"))
        with pytest.raises(PlaceError, match="write big: "):
            store.create("big", file, "", no_step)

    assert names(open_store(s3.place(bucket))) == []


def test_a_store_that_falls_silent_in_the_middle_is_given_up(s3, large):
    bucket = s3.bucket("stalled")
    with running(Proxy(s3.port, swallow_after=10_000_000)) as proxy:
        endpoint = f"http://127.0.0.1:{proxy.port}"

        said = refused(large, s3.place(bucket, endpoint=endpoint, answer=1.0))

    assert f"write {large.name}: an upload in parts failed, and its parts could not be" in said
    left = catalogue.placed_copies(open_store(s3.place(bucket)))
    assert [one.backup.state for one in left if one.backup.state is State.VERIFIED] == []


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"access_key_id": "another"}, "list: InvalidAccessKeyId"),
        ({"secret_access_key": "another"}, "list: SignatureDoesNotMatch"),
    ],
)
def test_wrong_keys_are_named(s3, copy, keys, said):
    assert said in refused(copy, s3.place("s3://closed/x", **keys))


@pytest.mark.skipif(shutil.which("faketime") is None, reason="faketime is not installed")
@pytest.mark.parametrize("ahead", ["+3h", "-3h"])
def test_a_wrong_clock_of_this_machine_is_named(s3, copy, ahead):
    place = s3.place(s3.bucket(f"clock{ahead[1:]}{'ahead' if ahead[0] == '+' else 'behind'}"))
    command = ["faketime", "-f", ahead, sys.executable, "-c", SENDS]

    done = subprocess.run(
        [*command, s3.endpoint, place.to, str(copy)], capture_output=True, text=True
    )

    assert "the clock of this machine is wrong" in done.stderr, done.stderr
    assert open_store(place).entries() == []


def test_a_locked_version_outlives_everything_and_says_so(s3, copy):
    bucket = s3.bucket("vault", ObjectLockEnabledForBucket=True)
    kept = {"Mode": "COMPLIANCE", "Days": 30}
    s3.client.put_object_lock_configuration(
        Bucket="vault",
        ObjectLockConfiguration={
            "ObjectLockEnabled": "Enabled",
            "Rule": {"DefaultRetention": kept},
        },
    )
    store, now = open_store(s3.place(bucket)), datetime.now(UTC)

    data = send(copy, read(copy), s3.place(bucket), no_step)

    (found,) = catalogue.placed_copies(store)
    assert found.backup.state is State.VERIFIED
    protection = store.protection(data)
    assert protection.is_versioned
    assert abs(protection.kept_until - now - timedelta(days=30)) < timedelta(hours=1)
    removed = removal.remove(store, [found], now, lambda: None)
    assert removed.locked == {data: f"until {protection.kept_until:%Y-%m-%d %H:%M} UTC"}
    assert len(names(store)) == 4


@root_only
@pytest.mark.long
def test_a_store_whose_disk_is_full_is_an_error_and_holds_nothing_false(tmp_path, large):
    with a_small_disk(tmp_path / "disk", "14m") as disk, s3_server(disk) as server:
        bucket = server.bucket("full")
        said = refused(large, server.place(bucket))
        copies = catalogue.placed_copies(open_store(server.place(bucket)))

    assert "write " in said
    assert [one for one in copies if one.backup.state is State.VERIFIED] == []


def test_a_run_killed_while_it_sends_parts_leaves_nothing_false(s3, large):
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    dice, place = random.Random(seed), s3.place(s3.bucket("killed-large"))
    for _ in range(4):
        command = [sys.executable, "-c", SENDS, s3.endpoint, place.to, str(large)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as sender:
            sender.stdout.readline()
            with suppress(subprocess.TimeoutExpired):
                sender.wait(dice.uniform(0, 1.5))
            sender.kill()

    content, store = large.read_bytes(), open_store(place)
    for found in catalogue.placed_copies(store):
        assert found.backup.state in (State.VERIFIED, State.UNVERIFIED)
        assert b"".join(store.read(found.data, found.backup.size_bytes)) == content
