"""Run one program from launch to exit: seconds, CPU, memory, and its output.

Every side that is not a service is timed this way. A small process is started in between,
whose only child is the program. The kernel counts in a child's peak memory also what its
parent had at the fork, and the small process has little (some 8 MB, the lower limit of any
result). On a signal or a timeout, nothing is left running.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from memory import ended

ROOT = Path(__file__).resolve().parents[1]
LIMIT_S = 1800.0
_SAID_CHARACTERS = 300


@dataclass(frozen=True)
class Launch:
    """One launch of a program: seconds, CPU seconds and peak memory, with its children."""

    wall_s: float
    cpu_s: float
    memory_bytes: int
    said: str


def launched(
    command: Sequence[str],
    environment: Mapping[str, str] | None = None,
    limit_s: float = LIMIT_S,
) -> Launch:
    """Measure a program. Raises: RuntimeError, if it failed or took longer than `limit_s`."""
    compiled = dict(environment or os.environ)
    # Modules are compiled once, as an installation has them, and not by each launch.
    compiled.pop("PYTHONDONTWRITEBYTECODE", None)
    with tempfile.NamedTemporaryFile("r") as meter:
        own = [sys.executable, "-S", "-E", "-c", _METER, meter.name, *command]
        with subprocess.Popen(
            own,
            cwd=ROOT,
            env=compiled,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                said, complaint = process.communicate(timeout=limit_s)
            except subprocess.TimeoutExpired as error:
                raise RuntimeError(f"{command[0]} took longer than {limit_s:.0f} s") from error
            finally:
                if process.poll() is None:
                    ended(process, 0)
        if process.returncode:
            reason = " ".join(complaint.split())[-_SAID_CHARACTERS:]
            raise RuntimeError(f"{command[0]} failed: {reason}")
        wall_s, cpu_s, memory_bytes = meter.read().split()
    return Launch(float(wall_s), float(cpu_s), int(memory_bytes), said)


def missing_programs(needed: Mapping[str, Sequence[str]]) -> set[str]:
    """Return the sides whose programs are not installed, and report them on stderr."""
    missing = {name for name, programs in needed.items() if not all(map(shutil.which, programs))}
    for name in sorted(missing):
        print(f"left out: {name}, which needs {' and '.join(needed[name])}", file=sys.stderr)
    return missing


_METER = """
import os, sys, time
before = time.perf_counter()
child = os.posix_spawnp(sys.argv[2], sys.argv[2:], os.environ)
_, status, used = os.wait4(child, 0)
wall_s = time.perf_counter() - before
with open(sys.argv[1], "w") as meter:
    meter.write(f"{wall_s} {used.ru_utime + used.ru_stime} {used.ru_maxrss * 1024}")
sys.exit(0 if status == 0 else f"ended with {os.waitstatus_to_exitcode(status)}")
"""
