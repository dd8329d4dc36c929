"""Small files, locks with an owner, and the free space of a volume."""

import os
import shutil
import subprocess
import sys

import pytest

from workers import lock_file, volume
from workers.regular_file import (
    MissingFileError,
    UnreadableFileError,
    UnsuitableFileError,
    read_regular,
)

HOLDER = """
import os, sys
from workers import lock_file
lock_file.acquire_and_sign(os.open(sys.argv[1], os.O_RDWR | os.O_CREAT))
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    return path


def test_a_file_is_read_up_to_its_limit(file):
    assert read_regular(file, 10) == b"0123456789"
    with pytest.raises(UnsuitableFileError, match="is larger than 9 bytes"):
        read_regular(file, 9)


def test_a_file_without_a_size_is_bounded_too():
    assert read_regular("/proc/self/status", 1 << 20).startswith(b"Name:")
    with pytest.raises(UnsuitableFileError, match="is larger than 100 bytes"):
        read_regular("/proc/self/status", 100)


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda path: None, MissingFileError, "no such file"),
        (os.mkdir, UnsuitableFileError, "is a folder, expected a file"),
        (os.mkfifo, UnsuitableFileError, "is not a regular file"),
        (lambda path: os.symlink("/dev/zero", path), UnsuitableFileError, "is not a regular file"),
        (lambda path: os.symlink(path, path), UnreadableFileError, "cannot be read: Too many"),
    ],
)
def test_what_is_no_file_is_refused_and_leaves_no_descriptor(tmp_path, make, error, words):
    make(tmp_path / "odd")
    before = os.listdir("/proc/self/fd")

    with pytest.raises(error, match=words):
        read_regular(tmp_path / "odd", 1 << 20)

    assert os.listdir("/proc/self/fd") == before


def test_a_lock_names_its_owner_and_goes_with_its_process(file):
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        holder.stdout.readline()
        with open(file, "r+b") as ours:
            with pytest.raises(lock_file.HeldError) as refused:
                lock_file.acquire_and_sign(ours.fileno())
            holder.communicate()
            lock_file.acquire_and_sign(ours.fileno())

    assert refused.value.owner.startswith(f"pid {holder.pid} on ")
    assert file.read_text().startswith(f"pid {os.getpid()} on ")


def test_a_lock_file_with_any_content_names_another_process(file):
    file.write_bytes(b"\n\xff\xfe")
    with open(file, "r+b") as theirs, open(file, "r+b") as ours:
        lock_file.acquire(theirs.fileno())
        with pytest.raises(lock_file.HeldError, match="held by another process"):
            lock_file.acquire(ours.fileno())


def test_the_space_of_a_volume_is_that_of_df(tmp_path):
    found, known = volume.space(tmp_path), shutil.disk_usage(tmp_path)

    # Other programs write at the same time.
    assert found.free_bytes == pytest.approx(known.free, rel=0.2)
    assert found.used_bytes == pytest.approx(known.used, rel=0.2)


def test_the_space_of_a_missing_folder_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        volume.space(tmp_path / "missing")
