"""A file system in an image file, which can be copied as a power cut would leave it."""

import filecmp
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


def make_disk_image(image: Path, size: int) -> None:
    """Make an ext4 of `size` bytes in a new file."""
    with open(image, "wb") as file:
        file.truncate(size)
    subprocess.run(["mkfs.ext4", "-q", image], check=True)


@contextmanager
def a_disk_image(image: Path, folder: Path) -> Iterator[Path]:
    """Mount the ext4 of an image; the image can be copied at any time."""
    folder.mkdir(exist_ok=True)
    mount = ["mount", "-o", "loop", str(image), str(folder)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("a loop image cannot be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def copied_at_one_instant(image: Path, cut: Path) -> None:
    """Copy an image that the kernel may still write to.

    Two consecutive equal copies show the state between them; a single copy may have an old block
    of data beside a newer journal.
    """
    again = cut.with_suffix(".again")
    shutil.copyfile(image, again)
    while True:
        again.rename(cut)
        shutil.copyfile(image, again)
        if filecmp.cmp(cut, again, shallow=False):
            again.unlink()
            return
