"""Copies verified in parallel: the same verdicts, within the free space of the disk."""

import contextlib
import os
import shutil
import signal
import threading
from pathlib import Path

import pytest

from tests.workers.backup_folder import a_database, a_small_disk, run
from workers import parallel
from workers.backup import filenames, verify_all
from workers.backup.verify_all import Verdict, at_once

TWO_CORES = pytest.mark.skipif(parallel.cores() < 2, reason="needs two processors")


@pytest.fixture
def copies(tmp_path):
    """Make five copies: valid, flipped bit, valid, without a manifest, and a missing one."""
    for name in "abcd":
        run(a_database(tmp_path / f"{name}.db", rows=2000), tmp_path / "copies")
    found = sorted((tmp_path / "copies").glob("*.gz"))
    content = bytearray(found[1].read_bytes())
    content[len(content) // 2] ^= 1
    found[1].write_bytes(content)
    found[3].with_name(f"{found[3].name}{filenames.MANIFEST}").unlink()
    return [*found, found[0].with_name("gone.gz")]


@pytest.fixture
def new_children():
    """Return a function that lists children of this process started after this point."""
    before = set(all_children())
    return lambda: sorted(set(all_children()) - before)


def all_children():
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(OSError):
            yield from map(int, (task / "children").read_text().split())


@contextlib.contextmanager
def one_core():
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@TWO_CORES
def test_the_verdicts_are_those_of_a_sequential_run(copies, new_children):
    alone = list(verify_all.verify_all(copies))
    beside = list(verify_all.verify_all(copies, worth_bytes=0))

    assert (at_once(copies, verify_all.WORTH_BYTES), at_once(copies, 0) > 1) == (1, True)
    assert beside == alone
    assert [bool(one.error) for one in beside] == [False, True, False, True, True]
    assert not new_children()


@TWO_CORES
def test_copies_whose_processes_are_killed_are_not_verified_and_named(copies, new_children):
    over = threading.Event()

    def kill():
        while not over.wait(0.001):
            for pid in new_children():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        verdicts = list(verify_all.verify_all(copies, worth_bytes=0))
    finally:
        over.set()
        killer.join()

    first, last = verdicts[0], verdicts[-1]
    assert [one.path for one in verdicts] == copies
    assert first.error == (
        f"copy {copies[0]} is not verified: its process was killed by SIGKILL; verify it again"
    )
    assert last == Verdict(
        copies[-1],
        f"copy {copies[-1]} is not verified: no process is left to do it; verify it again",
    )


def test_one_copy_and_one_core_need_no_process(copies):
    assert at_once(copies[:1], 0) == 1
    with one_core():
        assert at_once(copies, 0) == 1


def test_no_more_run_at_once_than_the_disk_has_room_for(tmp_path):
    for name in "xyz":
        run(a_database(tmp_path / f"{name}.db", rows=6000), tmp_path / "copies")
    packed = sum(file.stat().st_size for file in (tmp_path / "copies").iterdir())
    room = (tmp_path / "x.db").stat().st_size * 3 // 2
    with a_small_disk(tmp_path / "disk", str(packed + room)) as disk:
        shutil.copytree(tmp_path / "copies", disk, dirs_exist_ok=True)
        copies = sorted(disk.glob("*.gz"))

        assert at_once(copies, 0) == 1
        assert [one.error for one in verify_all.verify_all(copies, worth_bytes=0)] == [""] * 3
