"""Where a run's time goes, by process, compared with a bare loop that starts the same command.

    benchmarks/profile [--jobs N] [--cores N] [--functions] [--strace]

N jobs are due in one real minute. Each runs `touch FILE`, or a Python function, whose bare loop
forks a process that sends its result through a pipe. CPU, page faults, context switches and
system calls are divided by the runs. The supervisor includes its threads, the keepers include
their forks, and the children are the jobs themselves, from vfork to exit. System calls are
counted with strace, in a separate burst, since it slows everything.
"""

import argparse
import operator
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import options
from memory import children, cores_of, cpu_s, machine, pinned
from peers import OURS, Command, Living
from workloads import burst, settle, small_functions, touches

_TICKS = os.sysconf("SC_CLK_TCK")
_CALL = re.compile(r"^(\d+) +\w+\(", re.MULTILINE)
_TABLES = ("runs", "attempts", "jobs")
_WAL_HEADER_BYTES, _FRAME_BYTES = 32, 24 + 4096


@dataclass(frozen=True, slots=True)
class Costs:
    """Resource use of processes: seconds of CPU and of it in the kernel, faults, switches."""

    cpu_s: float = 0.0
    kernel_s: float = 0.0
    faults: int = 0
    switches: int = 0

    def __add__(self, other: "Costs") -> "Costs":
        return Costs(*map(operator.add, astuple(self), astuple(other)))

    def __sub__(self, other: "Costs") -> "Costs":
        return Costs(*map(operator.sub, astuple(self), astuple(other)))


@dataclass(frozen=True, slots=True)
class Parts:
    """The costs of a service by the kind of process."""

    supervisor: Costs
    fork_server: Costs
    keepers: Costs
    children: Costs


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of job: the jobs to run in a folder, and the program of the bare loop."""

    jobs: Callable[[Path, int], Mapping[str, Command]]
    bare: str


def main() -> None:
    """Run the burst and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--jobs", type=options.count, default=1000, help="default: 1000")
    parser.add_argument("--cores", type=options.count, default=2, help="default: 2")
    parser.add_argument("--functions", action="store_true", help="Python functions as jobs")
    parser.add_argument("--strace", action="store_true", help="count system calls, too")
    given = parser.parse_args()
    options.end_on_signals()
    if given.strace and shutil.which("strace") is None:
        sys.exit("strace is not installed: leave out --strace")
    with tempfile.TemporaryDirectory(prefix="costs-") as name:
        folder = Path(name)
        kind = FUNCTIONS if given.functions else COMMANDS
        parts, ledger = of_burst(folder / "burst", kind, given.jobs, given.cores)
        bare = of_bare_loop(folder / "bare", kind, given.jobs, given.cores)
        calls = Counter[str]()
        if given.strace:
            calls = of_calls(folder / "calls", kind, given.jobs, given.cores)
    print(f"{given.jobs} runs on {given.cores} cores; {machine()}\n")
    print(table(parts, bare, calls, given.jobs))
    print(f"\nledger, per run: {ledger}")


def of_burst(folder: Path, kind: Kind, jobs: int, cores: int) -> tuple[Parts, str]:
    """Return the costs of a burst by process, and what it left in the ledger."""
    with service_before_burst(folder, kind, jobs, cores) as service:
        before = costs_of(service)
        settle(OURS, folder, jobs)
        after = costs_of(service)
        ledger = rows_of(folder / "state" / "ledger.sqlite3", jobs)
    used = (getattr(after, each.name) - getattr(before, each.name) for each in fields(Parts))
    return Parts(*used), ledger


@contextmanager
def service_before_burst(folder: Path, kind: Kind, jobs: int, cores: int) -> Iterator[Living]:
    """Yield a service shortly before the minute in which its jobs are due."""
    folder.mkdir()
    with burst(OURS, folder, kind.jobs(folder, jobs), cores) as (service, _):
        yield service


def of_bare_loop(folder: Path, kind: Kind, jobs: int, cores: int) -> Costs:
    """Return the costs of a loop that starts each job and waits for it."""
    folder.mkdir()
    (folder / "marks").mkdir()
    with pinned(cores_of(cores)):
        said = subprocess.run(
            [sys.executable, "-S", "-c", kind.bare + _SAID, str(folder / "marks"), str(jobs)],
            check=True, capture_output=True, text=True,
        ).stdout.split()  # fmt: skip
    return Costs(float(said[0]), float(said[1]), int(said[2]), int(said[3]))


def of_calls(folder: Path, kind: Kind, jobs: int, cores: int) -> Counter[str]:
    """Return the number of system calls by process, in a burst under strace."""
    with service_before_burst(folder, kind, jobs, cores) as service:
        trace = folder / "trace"
        tracer = subprocess.Popen(
            ["strace", "-f", "-qq", "-o", str(trace), "-p", ",".join(map(str, _all(service)))]
        )
        try:
            settle(OURS, folder, jobs)
            (server,) = children(service.pid)
            kinds = dict.fromkeys(map(int, os.listdir(f"/proc/{service.pid}/task")), "supervisor")
            kinds |= {server: "fork_server"}
            kinds |= dict.fromkeys(children(server), "keepers")
        finally:
            tracer.terminate()
            tracer.wait()
    pids = (int(pid) for pid in _CALL.findall(trace.read_text(errors="replace")))
    return Counter(kinds.get(pid, "children") for pid in pids)


def costs_of(service: Living) -> Parts:
    """Return what the processes of a service have used so far."""
    servers = children(service.pid)
    keepers = [keeper for server in servers for keeper in children(server)]
    reaped = (_reaped(_stat(keeper)) for keeper in keepers)
    return Parts(of(service.pid), total(map(of, servers)), total(map(of, keepers)), total(reaped))


def total(each: Iterable[Costs]) -> Costs:
    """Return the sum of costs."""
    return sum(each, Costs())


def of(pid: int) -> Costs:
    """Return what a process itself has used; nothing if it is gone."""
    stat, switches = _stat(pid), 0
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            lines = (task / "status").read_text().splitlines()
            switches += sum(int(line.split()[1]) for line in lines if "ctxt_switches" in line)
    return Costs(cpu_s(pid), stat[14] / _TICKS, stat[9], switches)


def rows_of(ledger: Path, jobs: int) -> str:
    """Return the number of rows in each table, and of pages written, per run."""
    wal = ledger.with_name(f"{ledger.name}-wal")
    pages = (wal.stat().st_size - _WAL_HEADER_BYTES) / _FRAME_BYTES if wal.exists() else 0
    with closing(sqlite3.connect(f"{ledger.as_uri()}?mode=ro", uri=True)) as db:
        counts = {
            name: db.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in _TABLES
        }
    said = [f"{count / jobs:.1f} in {name}" for name, count in counts.items()]
    return f"rows {', '.join(said)}; {pages / jobs:.1f} pages of its log"


def table(parts: Parts, bare: Costs, calls: Counter[str], runs: int) -> str:
    """Return the table of all processes, per run."""
    lines = [
        "| per run | CPU, us | in the kernel, us | page faults | switches | system calls |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    named = {each.name: getattr(parts, each.name) for each in fields(Parts)}
    named |= {"all": total(named.values()), "bare loop": bare}
    calls["all"] = sum(calls.values())
    for name, costs in named.items():
        count = f"{calls[name] / runs:.1f}" if calls[name] else "-"
        lines.append(
            f"| {name.replace('_', ' ')} | {costs.cpu_s / runs * 1e6:.0f} "
            f"| {costs.kernel_s / runs * 1e6:.0f} | {costs.faults / runs:.0f} "
            f"| {_or_dash(costs.switches / runs)} | {count} |"
        )
    return "\n".join(lines)


def _or_dash(value: float) -> str:
    return f"{value:.1f}" if value else "-"


def _all(service: Living) -> list[int]:
    servers = children(service.pid)
    return [service.pid, *servers, *(pid for server in servers for pid in children(server))]


def _reaped(stat: list[int]) -> Costs:
    """Return what the children that a process has waited for used; switches are not known."""
    user, kernel = stat[15] / _TICKS, stat[16] / _TICKS
    return Costs(user + kernel, kernel, stat[10])


def _stat(pid: int) -> list[int]:
    """Return /proc/PID/stat, numbered from 0 as in proc(5) less one; zeros if it is gone."""
    with suppress(OSError):
        rest = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
        return [0, 0, 0, *map(int, rest[1:])]
    return [0] * 52


_BARE = """
import os, resource, sys
folder, count = sys.argv[1], int(sys.argv[2])
for number in range(count):
    os.waitpid(os.posix_spawn("/usr/bin/touch", ["touch", f"{folder}/{number}"], os.environ), 0)
"""
_BARE_FUNCTIONS = """
import json, os, resource, sys
for number in range(int(sys.argv[2])):
    mine, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(theirs, json.dumps({"sum": 3}).encode())
        os._exit(0)
    os.close(theirs)
    os.read(mine, 100)
    os.close(mine)
    os.waitpid(pid, 0)
"""
_SAID = """
both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
print(sum(u.ru_utime + u.ru_stime for u in both), sum(u.ru_stime for u in both),
      sum(u.ru_minflt for u in both), sum(u.ru_nvcsw + u.ru_nivcsw for u in both))
"""
COMMANDS = Kind(touches, _BARE)
FUNCTIONS = Kind(small_functions, _BARE_FUNCTIONS)


if __name__ == "__main__":
    main()
