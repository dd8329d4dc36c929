"""What the kernel says of processes, their end, and the clock of full minutes.

CPU clocks, proportional memory, children and cores; all from outside, the same
way for every program that is measured. Knows no service.
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
    """CPU that a process has used by itself; 0 where it is gone. See CPUCLOCK_SCHED."""
    with suppress(OSError):
        return time.clock_gettime((~pid << 3) | 2)
    return 0.0


def pss_bytes(pid: int) -> int:
    """A process' proportional share of memory; 0 where it is gone."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0


def children(pid: int) -> list[int]:
    """The living children of a process, of all its threads."""
    found: list[int] = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            found += [int(number) for number in path.read_text().split()]
    return found


def descendants(pid: int) -> list[int]:
    """The living children of a process, and theirs."""
    found = children(pid)
    for one in found:  # grows as it is walked
        found += children(one)
    return found


def ended(process: subprocess.Popen[bytes] | subprocess.Popen[str], grace_s: float) -> None:
    """End a process, and every process that it had; nothing is left running."""
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
    """Descriptors that mean these very processes, whoever gets their numbers."""
    found = []
    for pid in pids:
        with suppress(ProcessLookupError):
            found.append(os.pidfd_open(pid))
    return found


def cores_of(count: int) -> list[int]:
    """The first `count` cores that this process may use."""
    return sorted(os.sched_getaffinity(0))[:count]


def machine() -> str:
    """What the numbers were measured on, and what else it does."""
    return f"{hardware()}, load {load()}"


def hardware() -> str:
    """What the numbers were measured on."""
    model = "an unknown processor"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(": ")[2]
            break
    cores = len(os.sched_getaffinity(0))
    version = platform.python_version()
    return f"{cores} cores of {model}, Linux {platform.release()}, Python {version}"


def load() -> str:
    """The load of the last minute, five and fifteen."""
    return ", ".join(f"{each:.1f}" for each in os.getloadavg())


def wait_for_minute(lead_s: float) -> float:
    """Sleep until `lead_s` before a full minute; that minute, in seconds since 1970."""
    minute = math.ceil((time.time() + lead_s) / 60) * 60.0
    time.sleep(max(0.0, minute - lead_s - time.time()))
    return minute


@contextmanager
def pinned(cores: Collection[int]) -> Iterator[None]:
    """What is started in this block stays on these cores; none: on ours."""
    mine = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores or mine)
    try:
        yield
    finally:
        os.sched_setaffinity(0, mine)
