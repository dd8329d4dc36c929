"""What the kernel reports about processes; ending processes; waiting for a full minute.

CPU clocks, proportional memory, children and cores are read from outside, in the same way
for every measured program. Nothing here is specific to a service.
"""

import math
import os
import platform
import signal
import subprocess
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


def cpu_s(pid: int) -> float:
    """Return the CPU seconds of a process without its children; 0 if it is gone.

    The clock is CPUCLOCK_SCHED of the whole process.
    """
    with suppress(OSError):
        return time.clock_gettime((~pid << 3) | 2)
    return 0.0


def pss_bytes(pid: int) -> int:
    """Return a process's proportional share of memory; 0 if it is gone."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0


def children(pid: int) -> list[int]:
    """Return the living children of all threads of a process."""
    found: list[int] = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            found += [int(number) for number in path.read_text().split()]
    return found


def descendants(pid: int) -> list[int]:
    """Return all living descendants of a process."""
    found = children(pid)
    for one in found:  # grows during the iteration
        found += children(one)
    return found


def ended(process: subprocess.Popen[bytes] | subprocess.Popen[str], grace_s: float) -> None:
    """End a process and all of its descendants; nothing is left running."""
    left = _handles(descendants(process.pid))
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(grace_s)
    process.kill()
    process.wait()
    for handle in left:
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(handle, signal.SIGKILL)
        os.close(handle)


def _handles(pids: list[int]) -> list[int]:
    """Return pidfds of these processes, which stay valid if a PID is reused."""
    found = []
    for pid in pids:
        with suppress(ProcessLookupError):
            found.append(os.pidfd_open(pid))
    return found


def cores_of(count: int) -> list[int]:
    """Return the first `count` cores that this process may use."""
    return sorted(os.sched_getaffinity(0))[:count]


def machine() -> str:
    """Return a description of the machine and its load."""
    return f"{hardware()}, load {load()}"


def hardware() -> str:
    """Return a description of the machine."""
    model = "an unknown processor"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(": ")[2]
            break
    cores = len(os.sched_getaffinity(0))
    version = platform.python_version()
    return f"{cores} cores of {model}, Linux {platform.release()}, Python {version}"


def load() -> str:
    """Return the load averages of the last one, five and fifteen minutes."""
    return ", ".join(f"{each:.1f}" for each in os.getloadavg())


def wait_for_minute(lead_s: float) -> float:
    """Sleep until `lead_s` before a full minute; return that minute in seconds since 1970."""
    minute = math.ceil((time.time() + lead_s) / 60) * 60.0
    time.sleep(max(0.0, minute - lead_s - time.time()))
    return minute


@contextmanager
def pinned(cores: Collection[int]) -> Iterator[None]:
    """Pin processes started in this block to these cores; none: to the present ones."""
    mine = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores or mine)
    try:
        yield
    finally:
        os.sched_setaffinity(0, mine)
