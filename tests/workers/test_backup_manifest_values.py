"""Manifests that are whole, and say what no clock, user or calendar of this machine knows."""

import dataclasses
import shutil
import subprocess
import sys

import pytest

from tests.workers.backup_folder import a_database, root_only, run, the_copy
from tests.workers.catalogue_folder import a_report
from tests.workers.fixtures_health import measured
from workers import rotation
from workers.backup import listing, manifest, restore
from workers.backup.listing import State
from workers.rotation import Params

OLD = "a-2020-01-01T00-00-00Z.sqlite3.db.gz"
RESTORE = """
import sys
from pathlib import Path
from workers.backup import restore
print(restore.restore(Path(sys.argv[1]), Path(sys.argv[2]), force=False).file)
"""


@pytest.fixture
def source(tmp_path):
    return a_database(tmp_path / "a.db", rows=20, wal=False)


@pytest.fixture
def copies(source, tmp_path):
    run(source, tmp_path / "copies")
    return tmp_path / "copies"


def another(copies, name=OLD, **values):
    """Add a copy with this name, whose manifest has these values and a checksum that fits."""
    first = the_copy(copies)
    described = dataclasses.replace(manifest.read(first), name=name, **values)
    shutil.copy(first, copies / name)
    for ending, content in manifest.companions(described).items():
        (copies / f"{name}{ending}").write_bytes(content)
    return copies / name


@pytest.mark.parametrize(
    "moment", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "soon", ""]
)
def test_a_time_that_is_none_makes_its_own_copy_damaged_and_no_other(source, copies, moment):
    newest = the_copy(copies)
    odd = another(copies, taken_at=moment, name_is_later=True)

    found = {one.path: one for one in listing.list_backups(copies)}
    done = rotation.run(Params(copies, keep_last=3, max_age=None), a_report())

    assert found[odd].state is State.DAMAGED
    assert f"has a time that is none: {moment!r}" in found[odd].why
    assert found[newest].state is State.VERIFIED
    assert (done["kept"], done["kept_verified"], done["damaged"]) == (2, 1, 1)
    assert measured(source, copies)["score"] == 100


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "America/Los_Angeles"])
def test_a_name_from_before_all_clocks_is_no_copy_of_ours(copies, zone):
    odd = another(copies, "a-0001-01-01T00-00-00Z.sqlite3.db.gz")
    report = a_report()
    report.timezone = zone

    done = rotation.run(Params(copies, keep_last=1, keep_yearly=3), report)

    assert done["kept"] == 1
    assert odd.exists()


@root_only
@pytest.mark.parametrize(
    ("ids", "owner"),
    [
        ({"uid": 2**64}, 0),
        ({"uid": -5}, 0),
        ({"gid": 2**40}, 0),
        ({"uid": 2**40, "gid": -7}, 0),
        ({"uid": 12345, "gid": 12345}, 12345),
    ],
)
def test_a_copy_of_an_owner_that_cannot_be_is_restored_as_ours(copies, tmp_path, ids, owner):
    odd = another(copies, **ids)

    restore.restore(odd, tmp_path / "back.db", force=False)

    assert (tmp_path / "back.db").stat().st_uid == owner


def test_a_copy_of_an_owner_that_a_container_does_not_know_is_restored(copies, tmp_path):
    inside = ["unshare", "--user", "--map-root-user"]
    try:
        subprocess.run([*inside, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no user namespace can be made here")
    odd = another(copies, uid=12345, gid=12345)

    done = subprocess.run(
        [*inside, sys.executable, "-c", RESTORE, odd, tmp_path / "back.db"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.stdout == f"{OLD}\n", done.stderr
    assert (tmp_path / "back.db").read_bytes()
