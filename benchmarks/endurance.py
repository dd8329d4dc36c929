"""What thousands of runs leave behind in the processes of the service.

    python benchmarks/endurance.py [--runs N] [--every N] [--values FILE]

A real supervisor with 50 jobs, which are requested over the API again and again: commands,
shells, Python functions, some that fail, print much, or leave a child behind. At regular
intervals, while nothing runs, its processes are measured from outside: memory, descriptors,
threads, and leftovers, of which there should be none: zombies, processes of runs, temporary
files.

Growth is measured between the means of the first and the last quarter of the curve. The first
sample comes after one round of all jobs, when every keeper has started.
"""

import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import options
from measured import ALL, Measured
from memory import children, descendants, machine, pss_bytes
from peers import CONCURRENT, NEVER, OURS, Command, Living, living
from rows import GROWN

JOBS = 50
ROUND_S = 60.0
LOOK_S = 0.01
QUIET_S = 1.0  # time for late writes, and for idle processes to exit
MB = 1e6
# The kinds of processes of a sample.
KINDS = ("supervisor", "fork server", "keepers")
_WORKER = "def small(params, report):\n    report.progress(1, 1, 'rows')\n    return {'sum': 3}\n"


@dataclass(frozen=True, slots=True)
class Usage:
    """Sums over the processes of one kind at one time, and their number."""

    processes: int
    rss_bytes: int
    pss_bytes: int
    descriptors: int
    threads: int


@dataclass(frozen=True, slots=True)
class Sample:
    """The service after a number of runs. litter: zombies, runs' processes, temporary files."""

    runs: int
    supervisor: Usage
    fork_server: Usage
    keepers: Usage
    litter: int


def main() -> None:
    """Run the jobs, take the samples, and print the curve and the verdict."""
    parser = options.parser(__doc__, "what thousands of runs leave behind", rounds=1)
    parser.add_argument("--runs", type=options.count, default=5000)
    parser.add_argument("--every", type=options.count, default=250)
    given = parser.parse_args()
    options.end_on_signals()
    measured = Measured()
    for _ in range(given.rounds):
        samples, took_s = endured(given.runs, given.every)
        add_curves(samples, measured)
        measured.save(given.values)
        print(table(samples, took_s))


def endured(runs: int, every: int) -> tuple[list[Sample], float]:
    """Return the samples of one service, and the seconds it took."""
    with tempfile.TemporaryDirectory(prefix="endurance-") as name:
        folder = Path(name) / "one"
        package = folder / "burst_work"
        package.mkdir(parents=True)
        (package / "small.py").write_text(_WORKER)
        before = time.perf_counter()
        with living(OURS, folder, jobs(), NEVER) as service:
            samples = curve(service, folder, runs, every)
        return samples, time.perf_counter() - before


def add_curves(samples: list[Sample], measured: Measured) -> None:
    """Add the curves of the memory, and the row of its growth, to `measured`."""
    for place, kind in enumerate(KINDS):
        points = [(float(one.runs), float(usages(one)[place].pss_bytes)) for one in samples]
        measured.draw("memory", kind, points)
    first, last = ends(samples, lambda one: sum(kind.pss_bytes for kind in usages(one)))
    measured.add("endurance", ALL, "the first", first)
    measured.add("endurance", ALL, "the last", last)


def usages(one: Sample) -> tuple[Usage, Usage, Usage]:
    """Return the usages of the three kinds, in the order of KINDS."""
    return one.supervisor, one.fork_server, one.keepers


def ends(samples: list[Sample], of: Callable[[Sample], int]) -> tuple[float, float]:
    """Return the means of the first and of the last quarter of the samples."""
    quarter = max(1, len(samples) // 4)
    return statistics.mean(map(of, samples[:quarter])), statistics.mean(
        map(of, samples[-quarter:])
    )


def jobs() -> dict[str, Command]:
    """Return fifty jobs of six kinds."""
    kinds: list[Command] = [
        ["/bin/true"],
        "true",
        "burst_work.small:small",
        ["/bin/false"],
        "head -c 65536 /dev/zero | tr '\\0' '.'",
        "sleep 60 & true",
    ]
    return {f"job-{number}": kinds[number % len(kinds)] for number in range(JOBS)}


def curve(service: Living, folder: Path, runs: int, every: int) -> list[Sample]:
    """Return the samples, from after the first round to after the last."""
    ask_all(service)
    done, samples = JOBS, [sample(service, folder, JOBS)]
    while done < runs:
        ask_all(service)
        done += JOBS
        if done - samples[-1].runs >= every or done >= runs:
            samples.append(sample(service, folder, done))
    return samples


def ask_all(service: Living) -> None:
    """Run every job once, and wait until all of them have ended."""
    for name in jobs():
        service.ask(f"/v1/jobs/{name}/run", "POST")
    until = time.monotonic() + ROUND_S
    while time.monotonic() < until:
        answer = json.loads(service.ask(OURS.status))
        if not answer["runs"] and not answer["pool"]["running"]:
            return
        time.sleep(LOOK_S)
    raise RuntimeError(f"{JOBS} runs took longer than {ROUND_S:.0f} s")


def sample(service: Living, folder: Path, runs: int) -> Sample:
    """Return a sample of the idle service."""
    time.sleep(QUIET_S)
    fork_server = children(service.pid)
    keepers = [pid for one in fork_server for pid in children(one)]
    others = set(descendants(service.pid)) - {*fork_server, *keepers}
    temporary = folder / "state" / "tmp"
    files = len(os.listdir(temporary)) if temporary.exists() else 0
    zombies = sum(_field(pid, "State:").startswith("Z") for pid in (*fork_server, *keepers))
    return Sample(
        runs,
        _usage([service.pid]),
        _usage(fork_server),
        _usage(keepers),
        len(others) + files + zombies,
    )


def table(samples: list[Sample], took_s: float) -> str:
    """Return the curve, one line per sample, and the verdict."""
    lines = [
        f"{samples[-1].runs} runs of {JOBS} jobs, {CONCURRENT} at a time, in {took_s:.0f} s; "
        f"{machine()}",
        "",
        "        supervisor            fork server               keepers",
        "  runs    RSS   PSS  fds thr      RSS   PSS  fds     n    RSS    PSS  fds   litter",
    ]
    for one in samples:
        own, server, keepers = one.supervisor, one.fork_server, one.keepers
        lines.append(
            f"{one.runs:6d} {own.rss_bytes / MB:6.1f} {own.pss_bytes / MB:5.1f} "
            f"{own.descriptors:4d} {own.threads:3d}   {server.rss_bytes / MB:6.1f} "
            f"{server.pss_bytes / MB:5.1f} {server.descriptors:4d}   {keepers.processes:3d} "
            f"{keepers.rss_bytes / MB:6.1f} {keepers.pss_bytes / MB:6.1f} "
            f"{keepers.descriptors:4d}   {one.litter:6d}"
        )
    return "\n".join([*lines, "", verdict(samples)])


def verdict(samples: list[Sample]) -> str:
    """Return whether anything grew, and by how much."""
    watched: dict[str, Callable[[Sample], int]] = {
        "supervisor RSS": lambda one: one.supervisor.rss_bytes,
        "fork server RSS": lambda one: one.fork_server.rss_bytes,
        "RSS a keeper": lambda one: one.keepers.rss_bytes // max(1, one.keepers.processes),
        "PSS of all": lambda one: sum(kind.pss_bytes for kind in usages(one)),
        "descriptors": lambda one: sum(kind.descriptors for kind in usages(one)),
        "threads": lambda one: one.supervisor.threads,
    }
    said, has_grown = [], any(one.litter for one in samples)
    for name, of in watched.items():
        first, last = ends(samples, of)
        has_grown = has_grown or last > first * GROWN
        said.append(f"{name} {(last / first - 1) * 100:+.1f} %")
    litter = max(one.litter for one in samples)
    word = "it grows" if has_grown else "it does not grow"
    return f"{word}: {', '.join(said)}, litter {litter} (first quarter to last)"


def _usage(pids: list[int]) -> Usage:
    return Usage(
        len(pids),
        sum(_number(pid, "VmRSS:") * 1024 for pid in pids),
        sum(pss_bytes(pid) for pid in pids),
        sum(_descriptors(pid) for pid in pids),
        sum(_number(pid, "Threads:") for pid in pids),
    )


def _descriptors(pid: int) -> int:
    with suppress(OSError):
        return len(os.listdir(f"/proc/{pid}/fd"))
    return 0


def _number(pid: int, name: str) -> int:
    return int((_field(pid, name).split() or ["0"])[0])


def _field(pid: int, name: str) -> str:
    """Return a line of a process's status; "" if the process or the line is missing."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith(name):
                return line[len(name) :].strip()
    return ""


if __name__ == "__main__":
    main()
