"""Whose child is whose, and how a tree of processes is ended.

Adopts orphans, lists and names children, and kills in rounds. Knows nothing of
runs, jobs or packets; nursery, keepers and supervisor all end trees with it.

The law: a pid is signalled only while it is an unreaped child of this very
process, and a group only while such a child is in it: no number that the kernel
has given away again is ever hit (`sweep`, which knows no parents, goes by pidfd).
What hides deeper becomes a child as soon as its parent dies
(PR_SET_CHILD_SUBREAPER), so rounds reach everything.

Standard library only, and little of it.
"""

import contextlib
import ctypes
import os
import signal
import time
from collections.abc import Collection

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_ROUND_S = 0.001
_PIECE_BYTES = 32 * 1024
NAME_CHARACTERS = 200

_prctl = ctypes.CDLL(None, use_errno=True).prctl


def adopt_orphans() -> None:
    """From now on descendants whose parent dies become children of this process."""
    if _prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def hear_of_death(of_parent: int, by: signal.Signals) -> bool:
    """Ask for a signal when the parent dies; False: it is dead already.

    The kernel means the parent's *thread* that forked, and says nothing of a
    parent that died before the call.
    """
    _prctl(_PR_SET_PDEATHSIG, int(by), 0, 0, 0)
    return os.getppid() == of_parent


def children() -> list[int]:
    """The pids of this process' children, zombies included."""
    try:
        # One thread, as keepers and nursery have, is one link beside "." and "..".
        if os.stat("/proc/self/task").st_nlink == 3:
            return _numbers("/proc/thread-self/children")
        found: list[int] = []
        for thread in os.listdir("/proc/self/task"):
            found += _numbers(f"/proc/self/task/{thread}/children")
    except FileNotFoundError:  # a kernel without CONFIG_PROC_CHILDREN, or a thread gone
        return _children_by_search()
    return found


def names(pids: Collection[int]) -> dict[int, str]:
    """`pid argv` of those of `pids` and of their descendants that still live."""
    named: dict[int, str] = {}
    waiting = list(pids)
    while waiting and len(named) < 1000:
        pid = waiting.pop(0)
        argv = _argv(pid)
        if argv and pid not in named:
            named[pid] = f"{pid} {argv}"
        with contextlib.suppress(OSError):
            for thread in os.listdir(f"/proc/{pid}/task"):
                waiting += _numbers(f"/proc/{pid}/task/{thread}/children")
    return named


def kill(pids: Collection[int]) -> None:
    """SIGKILL to these children and to the groups they are in.

    The group first: against a fork bomb that is the one blow which no fork in
    progress escapes.
    """
    ours = os.getpgrp()
    groups: set[int] = set()
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            groups.add(os.getpgid(pid))
    for group in groups - {ours}:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)


def end_children(spare: Collection[int] = (), within_s: float = 2.0) -> list[int]:
    """Kill and reap every child but the spared; the pids that would not die in time."""
    deadline = time.monotonic() + within_s
    while True:
        doomed = [pid for pid in children() if pid not in spare]
        kill(doomed)
        living = [pid for pid in doomed if not _reaped(pid)]
        if not doomed or time.monotonic() > deadline:
            return living
        if living:
            time.sleep(_ROUND_S)


def reap(spare: Collection[int] = ()) -> list[int]:
    """Reap the children that are dead, but never one of the spared; their pids."""
    return [pid for pid in children() if pid not in spare and _reaped(pid)]


def sweep(instance: str, within_s: float = 5.0) -> list[str]:
    """Kill what carries NIGHTSHIFT_INSTANCE=<instance> in its environment; `pid argv` of each.

    For the trees of a supervisor that was killed together with its nursery and
    keepers. Never this process or its ancestors. What cleared its environment, or
    belongs to a user whose processes may not be read, is out of reach.
    """
    mark = f"NIGHTSHIFT_INSTANCE={instance}".encode()
    spared = _lineage()
    deadline = time.monotonic() + within_s
    killed: dict[int, str] = {}
    while found := [pid for pid in _all_pids() if pid not in spared and _carries(pid, mark)]:
        for pid in found:
            killed.setdefault(pid, f"{pid} {_argv(pid)}")
            _kill_if_it_carries(pid, mark)
        if time.monotonic() > deadline:
            break
        time.sleep(_ROUND_S)
    return list(killed.values())


def _lineage() -> set[int]:
    pids, pid = set(), os.getpid()
    while pid > 0 and pid not in pids:
        pids.add(pid)
        pid = _parent(pid)
    return pids


def _carries(pid: int, mark: bytes) -> bool:
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return mark in file.read().split(b"\0")
    except OSError:
        return False


def _kill_if_it_carries(pid: int, mark: bytes) -> None:
    with contextlib.suppress(OSError):
        handle = os.pidfd_open(pid)
        try:
            if _carries(pid, mark):  # still: from here on the handle means this very process
                signal.pidfd_send_signal(handle, signal.SIGKILL)
        finally:
            os.close(handle)


def _reaped(pid: int) -> bool:
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:
        return True


def _numbers(path: str) -> list[int]:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    text = b""
    try:
        while piece := os.read(fd, _PIECE_BYTES):
            text += piece
    except ProcessLookupError:  # it died while its file was open
        return []
    finally:
        os.close(fd)
    return [int(number) for number in text.split()]


def _argv(pid: int) -> str:
    """The argv of a living process, [its short name] if it has none, "" if it is dead."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb", buffering=0) as file:
            argv = file.read(4 * NAME_CHARACTERS) or b""
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
            stat = file.read(1000) or b""
    except OSError:
        return ""
    short, _, rest = stat.partition(b"(")[2].rpartition(b") ")
    if rest[:1] in (b"Z", b"X", b""):
        return ""
    text = argv.replace(b"\0", b" ").decode(errors="backslashreplace").strip()
    return text[:NAME_CHARACTERS] or f"[{short.decode(errors='backslashreplace')}]"


def _children_by_search() -> list[int]:
    return [pid for pid in _all_pids() if _parent(pid) == os.getpid()]


def _all_pids() -> list[int]:
    return [int(entry) for entry in os.listdir("/proc") if entry.isdecimal()]


def _parent(pid: int) -> int:
    """The parent's pid; 0 where there is none, or no such process."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return int(file.read().rpartition(b") ")[2].split()[1])
    except (OSError, IndexError):
        return 0
