"""Finding processes from outside, by what they cannot easily shed."""

import os
from pathlib import Path


def bearing(token: str) -> list[int]:
    """The living processes that have this very word among their arguments."""
    mark = token.encode()
    return [pid for pid in pids() if mark in _read(pid, "cmdline").split(b"\0")]


def is_free_of(token: str) -> bool:
    """Whether no process bears this word; who forks fast may escape one look, not five."""
    return not any(bearing(token) for _ in range(5))


def carrying(instance: str) -> list[int]:
    """The living processes of one state folder: nursery, keepers, and runs."""
    mark = f"NIGHTSHIFT_INSTANCE={instance}".encode()
    return [pid for pid in pids() if mark in _read(pid, "environ").split(b"\0")]


def children(pid: int) -> list[int]:
    """The children of a process, the dead ones too."""
    return [each for each in pids() if parent(each) == pid]


def parent(pid: int) -> int:
    """The parent's pid; 0: there is none, or no such process."""
    fields = _stat(pid)
    return int(fields[1]) if fields else 0


def is_dead(pid: int) -> bool:
    """Whether a process is a zombie, or gone."""
    return _stat(pid)[:1] in ([], ["Z"], ["X"])


def zombies_of(pid: int) -> list[int]:
    """Children that nobody has waited for."""
    return [each for each in children(pid) if _stat(each)[:1] == ["Z"]]


def pss_bytes(*family: int) -> int:
    """The memory of these processes, shared pages divided among those who share them."""
    lines = (line for pid in family for line in _read(pid, "smaps_rollup").splitlines())
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith(b"Pss:"))


def pids() -> list[int]:
    """Every process."""
    return [int(name) for name in os.listdir("/proc") if name.isdecimal()]


def _stat(pid: int) -> list[str]:
    """What stands behind the name in /proc/PID/stat."""
    return _read(pid, "stat").decode(errors="replace").rpartition(") ")[2].split()


def _read(pid: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""
