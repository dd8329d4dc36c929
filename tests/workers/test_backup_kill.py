"""Kills and power cuts at any time: every file with a final name verifies."""

import os
import random
import shutil
import signal
import subprocess
import sys

import pytest

from tests.disk_image import a_disk_image, copied_at_one_instant, make_disk_image
from tests.workers.backup_folder import a_database, a_writer, ours, root_only, run
from workers.backup import listing, verify

DRIVER = """
import sys
from pathlib import Path
from datetime import UTC, datetime
from workers import backup
from workers.report import Report
wanted = backup.Params(Path(sys.argv[1]), Path(sys.argv[2]))
print("up", flush=True)
while True:
    print(backup.run(wanted, Report(lambda _: None, datetime.now(UTC)))["file"], flush=True)
"""

# SIGKILL just before the n-th rename: more exact than any clock.
AT_A_NAME = """
import os, signal, sys
from pathlib import Path
left = int(sys.argv[1])
def count(event, _arguments):
    global left
    if event in ("os.rename", "os.remove", "os.link"):
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
from datetime import UTC, datetime
from workers import backup, rotation
from workers.report import Report
source, copies = Path(sys.argv[3]), Path(sys.argv[4])
sys.addaudithook(count)
if sys.argv[2] == "backup":
    backup.run(backup.Params(source, copies), Report(lambda _: None, datetime.now(UTC)))
else:
    rotation.prune(copies, 1, "UTC", False)
"""


def killed_after(source, copies, seconds):
    """Return the copies that a worker finished before it got SIGKILL."""
    command = [sys.executable, "-c", DRIVER, str(source), str(copies)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdout
        worker.stdout.readline()
        try:
            worker.wait(seconds)
        except subprocess.TimeoutExpired:
            worker.kill()
        assert worker.wait(10) == -signal.SIGKILL
        return worker.stdout.read().split()


@pytest.mark.long
@pytest.mark.parametrize("wal", [True, False], ids=["wal", "rollback"])
def test_a_killed_backup_leaves_only_copies_that_verify(tmp_path, wal):
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    dice = random.Random(seed)
    source, copies = a_database(tmp_path / "a.db", rows=12_000, wal=wal), tmp_path / "copies"
    proven, cut = set(), 0

    with a_writer(source, 0.005):
        for _ in range(5):
            finished = killed_after(source, copies, dice.uniform(0.01, 0.3))
            found = listing.list_backups(copies) if copies.exists() else []
            assert set(finished) <= {one.path.name for one in found}
            for path in {one.path for one in found} - proven:
                assert verify.verify(path)
                proven.add(path)
            cut += copies.exists() and any(
                ".part" in name or "scratch" in name for name in os.listdir(copies)
            )
        run(source, copies)

    assert cut, "no kill came during a copy"
    names = [one.path.name for one in listing.list_backups(copies)]
    assert ours(copies) == sorted(f"{n}{end}" for n in names for end in ("", ".json", ".sha256"))


def verified_names(copies):
    """Verify all complete copies, which consist of three files, and return their names."""
    found = listing.list_backups(copies) if copies.exists() else []
    for one in found:
        assert verify.verify(one.path)
    return [one.path.name for one in found]


def test_a_backup_killed_before_its_copy_has_a_name_leaves_what_the_next_sweeps(tmp_path):
    source, copies = a_database(tmp_path / "a.db"), tmp_path / "copies"

    ended = subprocess.run([sys.executable, "-c", AT_A_NAME, "2", "backup", source, copies])
    left = os.listdir(copies)

    assert ended.returncode == -signal.SIGKILL
    assert verified_names(copies) == []
    assert len(left) > 1
    run(source, copies)
    assert len(ours(copies)) == 3 * len(verified_names(copies)) == 3


@pytest.mark.long
def test_a_backup_killed_before_any_change_of_a_name_leaves_copies_that_verify(tmp_path):
    source, copies = a_database(tmp_path / "a.db"), tmp_path / "copies"
    seen = []

    for moment in range(20):
        command = [sys.executable, "-c", AT_A_NAME, str(moment), "backup", source, copies]
        ended = subprocess.run(command).returncode
        seen.append(len(verified_names(copies)))
        if ended == 0:
            break

    assert ended == 0
    assert moment >= 4
    assert seen == sorted(seen)
    assert len(ours(copies)) == 3 * len(verified_names(copies))


@pytest.mark.long
def test_a_rotation_killed_before_any_change_of_a_name_leaves_copies_that_verify(tmp_path):
    source, copies = a_database(tmp_path / "a.db"), tmp_path / "copies"
    made = [run(source, copies)["file"] for _ in range(4)]

    for moment in range(20):
        command = [sys.executable, "-c", AT_A_NAME, str(moment), "rotation", source, copies]
        ended = subprocess.run(command).returncode
        assert made[-1] in verified_names(copies)
        if ended == 0:
            break

    assert ended == 0
    assert verified_names(copies) == made[-1:]
    run(source, copies)
    assert len(ours(copies)) == 3 * 2


@root_only
@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.skipif(not shutil.which("mkfs.ext4"), reason="needs mkfs.ext4")
def test_a_power_cut_leaves_only_copies_that_verify(tmp_path):
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    dice, image = random.Random(seed), tmp_path / "disk.img"
    make_disk_image(image, 96 << 20)
    source = a_database(tmp_path / "a.db", rows=12_000)
    finished = 0

    with a_disk_image(image, tmp_path / "disk") as disk:
        for number in range(12):
            cut = tmp_path / f"cut-{number}.img"
            command = [sys.executable, "-c", DRIVER, str(source), str(disk / "copies")]
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as worker:
                assert worker.stdout
                for _ in range(dice.randrange(1, 4)):
                    worker.stdout.readline()
                try:
                    worker.wait(dice.uniform(0, 0.15))
                except subprocess.TimeoutExpired:
                    worker.send_signal(signal.SIGSTOP)
                    copied_at_one_instant(image, cut)
                worker.kill()
            finished += proven_after(cut, tmp_path / "cut")
            shutil.rmtree(disk / "copies", ignore_errors=True)

    assert finished


def proven_after(image, folder):
    """Verify all copies on the disk after the cut, and return how many there are."""
    with a_disk_image(image, folder):
        found = listing.list_backups(folder / "copies") if (folder / "copies").exists() else []
        for one in found:
            assert verify.verify(one.path)
    image.unlink()
    return len(found)
