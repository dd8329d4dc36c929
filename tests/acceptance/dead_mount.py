"""A mount that never answers: FUSE without a server behind it."""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_LIBC = ctypes.CDLL(None, use_errno=True)
_MNT_DETACH = 2


@contextmanager
def dead_mount(folder: Path) -> Iterator[None]:
    """Mount it over a folder; skip the test where that is not allowed."""
    try:
        device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        pytest.skip(f"/dev/fuse: {error.strerror}")
    options = f"fd={device},rootmode=40000,user_id={os.geteuid()},group_id={os.getegid()}"
    try:
        if _LIBC.mount(b"dead", os.fsencode(folder), b"fuse", 0, options.encode()) != 0:
            pytest.skip(f"mount: {os.strerror(ctypes.get_errno())}")
        try:
            yield
        finally:
            _LIBC.umount2(os.fsencode(folder), _MNT_DETACH)
    finally:
        os.close(device)  # processes still blocked on the mount get an error
