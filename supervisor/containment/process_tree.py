"""Process tree helpers: adopt orphans, list and name children, kill until none are left.

Knows nothing of runs, jobs or packets. Fork server, keepers and supervisor all use it.

Invariant: a pid is signalled only while it is an unreaped child of this process, and a
group only while such a child is in it, so a recycled pid is never signalled
(`kill_stray_instance`, where parents do not help, uses pidfds). A descendant becomes a
child when its parent dies (PR_SET_CHILD_SUBREAPER), so repeated rounds reach all.

Standard library only, and little of it.
"""

import contextlib
import ctypes
import os
import signal
import time
import typing
from collections.abc import Collection

from supervisor.containment import instance_mark

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_ROUND_S = 0.001
_PIECE_BYTES = 32 * 1024
NAME_CHARACTERS = 200

_prctl = ctypes.CDLL(None, use_errno=True).prctl


class NoProcError(Exception):
    """A /proc that does not show this PID namespace's processes; the text says what to do."""


class Swept(typing.NamedTuple):
    """`pid argv` of the processes that a sweep killed, and of those that are left."""

    killed: list[str]
    left: list[str]


def need_proc() -> None:
    """Check that processes are visible in /proc. Raises: NoProcError."""
    try:
        seen = os.readlink("/proc/self")
        _numbers(f"/proc/self/task/{seen}/children")
    except FileNotFoundError:
        seen = seen if os.path.exists("/proc/self/stat") else ""
    except OSError:
        seen = ""
    if seen != str(os.getpid()):
        raise NoProcError(
            "/proc does not show the processes of this PID namespace, and without it what jobs "
            "leave behind cannot be found: mount it (mount -t proc proc /proc)"
        )


def adopt_orphans() -> None:
    """Make this process adopt descendants whose parent dies."""
    if _prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def set_parent_death_signal(of_parent: int, by: signal.Signals) -> bool:
    """Request a signal when the parent dies; return False if it is already dead.

    The kernel watches the parent's *thread* that forked, and does not report a parent
    that died before the call.
    """
    _prctl(_PR_SET_PDEATHSIG, int(by), 0, 0, 0)
    return os.getppid() == of_parent


def children() -> list[int]:
    """Return the pids of this process' children, zombies included."""
    try:
        # One thread, as in keepers and the fork server, is one link beside "." and "..".
        if os.stat("/proc/self/task").st_nlink == 3:
            return _numbers("/proc/thread-self/children")
        found: list[int] = []
        for thread in os.listdir("/proc/self/task"):
            found += _numbers(f"/proc/self/task/{thread}/children")
    except FileNotFoundError:  # a kernel without CONFIG_PROC_CHILDREN, or a thread gone
        return _children_by_search()
    return found


def names(pids: Collection[int]) -> dict[int, str]:
    """Return `pid argv` of the living ones among `pids` and their descendants."""
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


def state(pid: int) -> str:
    """Return the kernel's state letter of a process (proc(5)); "" if there is no such process."""
    return _short_and_state(pid)[1]


def survivors(pids: Collection[int]) -> list[str]:
    """Return `pid argv` of each, and why SIGKILL does not end it, if that is visible."""
    return [f"{pid} {_name(pid)}{_why_it_survives(pid)}" for pid in pids]


def kill(pids: Collection[int]) -> None:
    """Send SIGKILL to these children and to the groups they are in.

    Groups first: against a fork bomb, no fork in progress escapes a signal to its group.
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
    """Kill and reap every child not in `spare`; return the pids that did not die in time."""
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
    """Reap dead children not in `spare` and return their pids."""
    return [pid for pid in children() if pid not in spare and _reaped(pid)]


def kill_stray_instance(instance: str, within_s: float = 5.0) -> Swept:
    """Kill processes that carry the instance, in their environment or by the limit.

    For the trees of a supervisor that was killed together with its fork server and
    keepers. Never kills this process or its ancestors. Processes of another user may
    be out of reach and are returned as left.
    """
    spared = _lineage()
    deadline = time.monotonic() + within_s
    seen: dict[int, str] = {}
    while found := [
        pid for pid in _all_pids() if pid not in spared and _has_instance(pid, instance)
    ]:
        for pid in found:
            seen.setdefault(pid, f"{pid} {_name(pid)}")
            _kill_if_instance(pid, instance)
        if time.monotonic() > deadline:
            break
        time.sleep(_ROUND_S)
    return Swept([name for pid, name in seen.items() if pid not in found], survivors(found))


def _lineage() -> set[int]:
    pids, pid = set(), os.getpid()
    while pid > 0 and pid not in pids:
        pids.add(pid)
        pid = _parent(pid)
    return pids


def _has_instance(pid: int, instance: str) -> bool:
    """Return whether a process carries the mark and is not only a zombie."""
    # The mark first: nearly every process on the machine has none.
    return instance_mark.is_on(pid, instance) and (
        state(pid) not in ("Z", "X", "") or _has_threads(pid)
    )


def _kill_if_instance(pid: int, instance: str) -> None:
    with contextlib.suppress(OSError):
        handle = os.pidfd_open(pid)
        try:
            # From here on the handle refers to this process, even if its pid is reused.
            if _has_instance(pid, instance):
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
    """Return the argv of a living process, [its short name] if it has none, "" if it is dead."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb", buffering=0) as file:
            argv = file.read(4 * NAME_CHARACTERS) or b""
    except OSError:
        return ""
    short, letter = _short_and_state(pid)
    if letter in ("Z", "X", "") and not _has_threads(pid):
        return ""
    text = argv.replace(b"\0", b" ").decode(errors="backslashreplace").strip()
    return text[:NAME_CHARACTERS] or f"[{short}]"


def _name(pid: int) -> str:
    """Return the argv of a process, or its short name if it has none, dead or alive."""
    return _argv(pid) or f"[{_short_and_state(pid)[0]}]"


def _short_and_state(pid: int) -> tuple[str, str]:
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
            stat = file.read(1000) or b""
    except OSError:
        return "", ""
    short, _, rest = stat.partition(b"(")[2].rpartition(b") ")
    return short.decode(errors="backslashreplace"), rest[:1].decode()


def _has_threads(pid: int) -> bool:
    """Return whether a process whose main thread has ended still has threads."""
    with contextlib.suppress(OSError):
        return os.stat(f"/proc/{pid}/task").st_nlink > 3
    return False


def _why_it_survives(pid: int) -> str:
    letter = state(pid)
    if letter == "Z" and not _has_threads(pid):
        return " (it has ended, but a process that traces it holds it)"
    if letter == "D":
        return " (it waits inside the kernel)"
    with contextlib.suppress(OSError):
        owner = os.stat(f"/proc/{pid}").st_uid
        if os.getuid() not in (0, owner):
            return f" (it belongs to uid {owner}, and may not be killed)"
    return ""


def _children_by_search() -> list[int]:
    return [pid for pid in _all_pids() if _parent(pid) == os.getpid()]


def _all_pids() -> list[int]:
    return [int(entry) for entry in os.listdir("/proc") if entry.isdecimal()]


def _parent(pid: int) -> int:
    """Return the parent's pid; 0 if there is none, or no such process."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return int(file.read().rpartition(b") ")[2].split()[1])
    except (OSError, IndexError):
        return 0
