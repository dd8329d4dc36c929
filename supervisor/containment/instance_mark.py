"""Marks the processes of a service instance by an environment variable and a limit.

A process may overwrite or clear its environment. The limit stays: it is inherited by
every fork and exec, shown in /proc/PID/limits, and has had no effect since Linux 2.4.
"""

import contextlib
import os
import resource

VARIABLE = "NIGHTSHIFT_INSTANCE"
_RLIMIT_LOCKS = 10  # <asm-generic/resource.h>; the resource module has no name for it
_LIMIT_LINE = b"Max file locks"


def put_on(pid: int, instance: str) -> None:
    """Set the limit that marks a process (0: this one) and all that it starts from now on."""
    value = _limit_of(instance)
    with contextlib.suppress(OSError, ValueError):  # a lower hard limit cannot be raised
        resource.prlimit(pid, _RLIMIT_LOCKS, (value, value))


def is_on(pid: int, instance: str) -> bool:
    """Return whether a process carries the mark of this instance; False if it is unreadable."""
    if _has_limit(pid, _limit_of(instance)):
        return True
    variable = f"{VARIABLE}={instance}".encode()
    environ = _content(f"/proc/{pid}/environ")
    if environ:
        return variable in environ.split(b"\0")
    # If the main thread has ended, the other threads still have the environment.
    with contextlib.suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            if variable in _content(f"/proc/{pid}/task/{thread}/environ").split(b"\0"):
                return True
    return False


def _has_limit(pid: int, limit: int) -> bool:
    try:
        return limit in resource.prlimit(pid, _RLIMIT_LOCKS)
    except PermissionError:  # a process of another user: its file is slower, but open to all
        lines = _content(f"/proc/{pid}/limits").splitlines()
        return any(
            line.startswith(_LIMIT_LINE) and b"%d" % limit in line.split() for line in lines
        )
    except OSError:
        return False


def _limit_of(instance: str) -> int:
    """Return a 56-bit number for an instance; no real limit is as high as that."""
    number = 0
    for byte in instance.encode():
        number = (number * 1_000_003 ^ byte) & ((1 << 55) - 1)
    return number | 1 << 55


def _content(path: str) -> bytes:
    try:
        with open(path, "rb", buffering=0) as file:
            return file.read()
    except OSError:
        return b""
