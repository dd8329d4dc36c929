"""Find processes from outside, by properties that they cannot easily change."""

import os
from pathlib import Path


def pids_with_argument(token: str) -> list[int]:
    """Return the pids of processes that have exactly this word among their arguments."""
    mark = token.encode()
    return [pid for pid in pids() if mark in _read(pid, "cmdline").split(b"\0")]


def is_in_no_process(token: str) -> bool:
    """Return whether no process has this word; checked five times because of fast forks."""
    return not any(pids_with_argument(token) for _ in range(5))


def pids_of_instance(instance: str) -> list[int]:
    """Return the pids of one state folder: fork server, keepers and runs."""
    mark = f"NIGHTSHIFT_INSTANCE={instance}".encode()
    return [pid for pid in pids() if mark in _read(pid, "environ").split(b"\0")]


def children(pid: int) -> list[int]:
    """Return the children of a process, including zombies."""
    return [each for each in pids() if parent(each) == pid]


def parent(pid: int) -> int:
    """Return the parent's pid; 0 if there is none or no such process."""
    fields = _stat(pid)
    return int(fields[1]) if fields else 0


def is_dead(pid: int) -> bool:
    """Return whether a process is a zombie or gone."""
    return _stat(pid)[:1] in ([], ["Z"], ["X"])


def zombies_of(pid: int) -> list[int]:
    """Return the zombie children of a process."""
    return [each for each in children(pid) if _stat(each)[:1] == ["Z"]]


def pss_bytes(*family: int) -> int:
    """Return the memory of these processes, with shared pages split between them."""
    lines = (line for pid in family for line in _read(pid, "smaps_rollup").splitlines())
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith(b"Pss:"))


def pids() -> list[int]:
    """Return the pids of all processes."""
    return [int(name) for name in os.listdir("/proc") if name.isdecimal()]


def _stat(pid: int) -> list[str]:
    """Return the fields after the name in /proc/PID/stat."""
    return _read(pid, "stat").decode(errors="replace").rpartition(") ")[2].split()


def _read(pid: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""
