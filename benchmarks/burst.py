"""What the supervisor costs when everything is due at once, beside its peers.

    python benchmarks/burst.py [--only a,e] [--rounds N] [--cores 1,2] [--quick]

Sides take turns, each in a folder of its own and with its own defaults; a burst
has a real minute to itself, so a full run takes most of an hour. Medians and
their ratios are printed. A job is `touch FILE`: both sides pay the same for it,
and the file's ctime is its start, to the kernel's tick (4 ms at 250 Hz); rows
(c) and (d) need better: inotify, and each side's own account of its results.
CPU is the kernel's clock of the process. cronstable has no limit for all jobs
and keeps no ledger in its default; ours commits every run before it starts.
"""

import argparse
import ctypes
import multiprocessing
import os
import select
import sqlite3
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.util import find_spec
from multiprocessing.connection import Connection
from pathlib import Path

from sides import (
    CONCURRENT,
    CRONSTABLE,
    NEVER,
    OURS,
    Command,
    Living,
    Side,
    cores_of,
    living,
    machine,
    wait_for_minute,
)

MANY = 1000
FEW = 10
SIZES = (10, 1000, 10_000)
LEAD_S = 8.0
BURST_S = 45.0
QUIET_S = 2.0
ASKED = 500
LOOK_S = 0.05
BETWEEN_ASKS_S = 0.005
_IN_CREATE = 0x100
_WORKER = "def small(params, report):\n    return {'sum': 3}\n"

# row -> (what, unit, digits, multiplier from seconds or bytes, ours to the peer's at most)
ROWS: dict[str, tuple[str, str, int, float, str]] = {
    "a": ("1,000 commands (a list) due, to the last start", "s", 3, 1, "0.62"),
    "b": ("the same through /bin/sh -c", "s", 3, 1, "0.75"),
    "c": ("first start after the full minute", "ms", 1, 1e3, ""),
    "d": ("1,000 Python functions, a process each, to the last result", "s", 3, 1, "0.20"),
    "e": ("supervisor's own CPU per start", "ms", 3, 1e3 / MANY, ""),
    "e all": ("CPU per start with nursery and keepers", "ms", 3, 1e3 / MANY, ""),
    "f 10": ("ready with 10 jobs, read for the first time", "s", 2, 1, "0.50"),
    "f 1000": ("ready with 1,000 jobs, for the first time", "s", 2, 1, "0.50"),
    "f 10000": ("ready with 10,000 jobs, for the first time", "s", 2, 1, "0.25"),
    "f 10 again": ("ready with 10 jobs, an unchanged file", "s", 2, 1, "0.50"),
    "f 1000 again": ("ready with 1,000 jobs, an unchanged file", "s", 2, 1, "0.50"),
    "f 10000 again": ("ready with 10,000 jobs, an unchanged file", "s", 2, 1, "0.25"),
    "g": ("idle with 10 jobs: PSS of all processes", "MB", 1, 1e-6, ""),
    "g after": ("idle after a minute of these 10 jobs: PSS", "MB", 1, 1e-6, "1.10"),
    "h": ("GET of a job, idle", "ms", 2, 1e3, ""),
    "h p99": ("GET of the status during the burst, p99", "ms", 1, 1e3, ""),
    "h worst": ("GET of the status during the burst, worst", "ms", 1, 1e3, ""),
}


@dataclass
class Measured:
    """Values by (row, cores, side); absent: sides that are not installed."""

    values: dict[tuple[str, int, str], list[float]] = field(default_factory=dict)

    def add(self, row: str, cores: int, side: str, *found: float) -> None:
        """Take in what one round found."""
        self.values.setdefault((row, cores, side), []).extend(found)

    def median(self, row: str, cores: int, side: str) -> float | None:
        """The median of a row, or of what a row with a name of its own stands for."""
        found = self.values.get((row, cores, side))
        if not found:
            return None
        if row == "h p99":
            return sorted(found)[int(len(found) * 0.99)]
        return max(found) if row == "h worst" else statistics.median(found)


Scene = Callable[[Side, Path, int, Measured], None]


def main() -> None:
    """Run the rounds and print the table; with --side be the peer of row (d)."""
    parser = argparse.ArgumentParser(description="what a burst costs")
    parser.add_argument("--only", default="a,b,c,d,e,f,g,h", help="rows, such as a,e")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cores", default="2,1", help="for rows a, b and e")
    parser.add_argument("--quick", action="store_true", help="one round, two cores, no 10,000")
    parser.add_argument("--side", choices=["apscheduler"])
    arguments = parser.parse_args()
    if arguments.side:
        apscheduler()
        return
    rounds = 1 if arguments.quick else arguments.rounds
    cores = [2] if arguments.quick else [int(each) for each in arguments.cores.split(",")]
    rows = set(arguments.only.split(","))
    sizes = SIZES[:2] if arguments.quick else SIZES
    measured = Measured()
    for number in range(rounds):
        for scene, its_rows, is_for_all_cores in scenes(sizes):
            for count in cores if is_for_all_cores else cores[:1]:
                if rows & set(its_rows):
                    played(scene, count, measured)
        say(f"round {number + 1} of {rounds} is over")
    print(table(measured, rows, rounds))


def scenes(sizes: tuple[int, ...]) -> list[tuple[Scene, str, bool]]:
    """What is played, for which rows, and whether on each number of cores."""

    def ready(side: Side, folder: Path, cores: int, measured: Measured) -> None:
        for size in sizes:
            start(side, folder / str(size), size, cores, measured)

    return [
        (listed, "ae", True),
        (shelled, "b", True),
        (few, "cgh", False),
        (functions, "d", False),
        (asked, "h", False),
        (ready, "f", False),
    ]


def played(scene: Scene, cores: int, measured: Measured) -> None:
    """One scene with each side that is installed."""
    for side in (OURS, CRONSTABLE):
        if find_spec(side.module) is None:
            continue
        with tempfile.TemporaryDirectory(prefix="burst-") as name:
            # Compiled modules are there, as after an installation.
            with living(side, Path(name) / "warm", touches(Path(name), 1), NEVER):
                pass
            folder = Path(name) / "one"
            folder.mkdir()
            try:
                scene(side, folder, cores, measured)
                said = "done"
            except (OSError, RuntimeError) as error:  # the other rows are worth having
                said = f"failed: {error}"
        say(f"{scene.__name__}, {cores} cores: {side.name} {said}")


def listed(side: Side, folder: Path, cores: int, measured: Measured) -> None:
    """Rows (a) and (e): commands that are lists."""
    with burst(side, folder, touches(folder, MANY), cores) as (service, minute):
        before, others = service.cpu_s(), service.others_cpu_s()
        measured.add("a", cores, side.name, last_start(folder, minute) - minute)
        settle(side, folder)
        own = service.cpu_s() - before
        measured.add("e", cores, side.name, own)
        measured.add("e all", cores, side.name, own + service.others_cpu_s() - others)


def shelled(side: Side, folder: Path, cores: int, measured: Measured) -> None:
    """Row (b): commands that are texts."""
    texts = {name: " ".join(words) for name, words in touches(folder, MANY).items()}
    with burst(side, folder, texts, cores) as (_, minute):
        measured.add("b", cores, side.name, last_start(folder, minute) - minute)
        settle(side, folder)


def few(side: Side, folder: Path, cores: int, measured: Measured) -> None:
    """Rows (c), (g) and the idle half of (h): ten jobs."""
    with burst(side, folder, touches(folder, FEW), cores) as (service, minute):
        seconds = [timed(service, side.job.format("job-1")) for _ in range(ASKED)]
        measured.add("h", cores, side.name, statistics.median(seconds))
        measured.add("g", cores, side.name, service.pss_bytes())
        if time.time() > minute:
            raise RuntimeError("the minute came too early")
        measured.add("c", cores, side.name, first_file(folder / "marks") - minute)
        last_start(folder, minute, FEW)
        time.sleep(QUIET_S)
        measured.add("g after", cores, side.name, service.pss_bytes())


def functions(side: Side, folder: Path, cores: int, measured: Measured) -> None:
    """Row (d); the peer is APScheduler here, in the turn of the other peer."""
    if side is CRONSTABLE:
        return
    package = folder / "burst_work"
    package.mkdir()
    (package / "small.py").write_text(_WORKER)
    workers = {f"job-{number}": "burst_work.small:small" for number in range(MANY)}
    with burst(side, folder, workers, cores) as (_, minute):
        results = settle(side, folder)
        measured.add("d", cores, side.name, max(results) - minute)
    if find_spec("apscheduler") is not None:
        measured.add("d", cores, "APScheduler", apscheduler_apart(cores))


def asked(side: Side, folder: Path, cores: int, measured: Measured) -> None:
    """The other half of row (h): the status, while a thousand jobs start."""
    with burst(side, folder, touches(folder, MANY), cores) as (service, minute):
        time.sleep(max(0.0, minute - time.time()))
        seconds: list[float] = []
        while len(os.listdir(folder / "marks")) < MANY and time.time() < minute + BURST_S:
            seconds.append(timed(service, side.status))
            time.sleep(BETWEEN_ASKS_S)
        last_start(folder, minute)
        measured.add("h p99", cores, side.name, *seconds)
        measured.add("h worst", cores, side.name, *seconds)


def start(side: Side, folder: Path, size: int, cores: int, measured: Measured) -> None:
    """Row (f): from exec to an answer, with a file that was never read, and again."""
    folder.mkdir()
    for row in (f"f {size}", f"f {size} again"):
        with living(side, folder, touches(folder, size), NEVER, cores_of(cores)) as service:
            measured.add(row, cores, side.name, service.ready_s)


@contextmanager
def burst(
    side: Side, folder: Path, commands: Mapping[str, Command], cores: int
) -> Iterator[tuple[Living, float]]:
    """A service that is ready a little before a minute, and that minute."""
    (folder / "marks").mkdir()
    minute = wait_for_minute(LEAD_S)
    with living(side, folder, commands, cores=cores_of(cores)) as service:
        if os.listdir(folder / "marks"):
            raise RuntimeError(f"{side.name} began before the minute")
        yield service, minute


def touches(folder: Path, count: int) -> dict[str, list[str]]:
    """So many jobs, each of which leaves a mark of its start."""
    program = "/usr/bin/touch"
    return {f"job-{each}": [program, f"{folder}/marks/{each}"] for each in range(count)}


def last_start(folder: Path, minute: float, count: int = MANY) -> float:
    """The instant of the last of so many starts; waits for it without being in the way."""
    time.sleep(max(0.0, minute - time.time()))
    marks = folder / "marks"
    while len(os.listdir(marks)) < count:
        if time.time() > minute + BURST_S:
            raise RuntimeError(f"{len(os.listdir(marks))} of {count} jobs began")
        time.sleep(LOOK_S)
    with os.scandir(marks) as entries:
        return max(entry.stat().st_ctime_ns for entry in entries) / 1e9


def settle(side: Side, folder: Path) -> list[float]:
    """Let the last jobs end; of ours: when each ended, and that each is in the ledger."""
    if side is not OURS:
        time.sleep(QUIET_S)
        return []
    uri = f"{(folder / 'state' / 'ledger.sqlite3').as_uri()}?mode=ro"
    ended: list[str] = []
    until = time.time() + BURST_S + LEAD_S
    while len(ended) < MANY and time.time() < until:
        time.sleep(QUIET_S / 4)
        with closing(sqlite3.connect(uri, uri=True)) as ledger:
            found = ledger.execute("SELECT ended_at FROM runs WHERE state = 'success'")
            ended = [at for (at,) in found]
    if len(ended) != MANY:
        raise RuntimeError(f"{len(ended)} of {MANY} runs are in the ledger as successes")
    return [datetime.fromisoformat(at).timestamp() for at in ended]


def timed(service: Living, path: str) -> float:
    """Seconds from a request to its whole answer."""
    before = time.perf_counter()
    service.ask(path)
    return time.perf_counter() - before


def first_file(marks: Path) -> float:
    """The instant at which a first file comes into being, by inotify."""
    libc = ctypes.CDLL(None, use_errno=True)
    watch = libc.inotify_init1(os.O_CLOEXEC)
    try:
        if libc.inotify_add_watch(watch, os.fsencode(marks), _IN_CREATE) < 0:
            raise OSError(ctypes.get_errno(), "inotify_add_watch", str(marks))
        if not select.select([watch], [], [], LEAD_S + BURST_S)[0]:
            raise RuntimeError("no job began")
        return time.time()
    finally:
        os.close(watch)


def apscheduler_apart(cores: int) -> float:
    """Seconds of APScheduler's thousand functions, in a process of its own."""
    import subprocess

    mine = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores_of(cores))
    try:
        command = [sys.executable, __file__, "--side", "apscheduler"]
        run = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120)
    finally:
        os.sched_setaffinity(0, mine)
    return float(run.stdout)


def apscheduler() -> None:
    """Print seconds from the instant at which a thousand functions are due to the last result."""
    import logging

    from apscheduler.executors.pool import ThreadPoolExecutor
    from apscheduler.schedulers.background import BackgroundScheduler

    logging.disable()
    lock, finished, results = threading.Lock(), threading.Event(), list[object]()

    def job() -> None:
        found = forked()
        with lock:
            results.append(found)
            if len(results) == MANY:
                finished.set()

    scheduler = BackgroundScheduler(
        executors={"default": ThreadPoolExecutor(CONCURRENT)},
        job_defaults={"misfire_grace_time": None},
        timezone=UTC,
    )
    due = time.time() + 3.0
    for _ in range(MANY):
        scheduler.add_job(job, "date", run_date=datetime.fromtimestamp(due, UTC))
    scheduler.start()
    finished.wait(BURST_S)
    took = time.time() - due
    if results != [{"sum": 3}] * MANY:
        raise RuntimeError(f"{len(results)} of {MANY} results")
    print(took)
    scheduler.shutdown()


def forked() -> object:
    """What the function gives back from a process of its own."""
    context = multiprocessing.get_context("fork")
    mine, theirs = context.Pipe(duplex=False)
    process = context.Process(target=small, args=(theirs,))
    process.start()
    theirs.close()
    found = mine.recv()
    process.join()
    mine.close()
    return found


def small(line: Connection) -> None:
    """The same function as ours, and its way back."""
    line.send({"sum": 3})


def table(measured: Measured, rows: set[str], rounds: int) -> str:
    """All that was measured, on one page."""
    versions = ", ".join(f"{side.name} {side.version}" for side in (OURS, CRONSTABLE))
    lines = [
        f"medians of {rounds} rounds in turn; {machine()}; {versions}",
        "",
        "| | what | cores | nightshift | the peer | ratio | wanted |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row, (what, unit, digits, factor, wanted) in ROWS.items():
        if row[0] not in rows:
            continue
        peer = "APScheduler" if row == "d" else CRONSTABLE.name
        for cores in sorted({cores for key, cores, _ in measured.values if key == row}):
            mine = measured.median(row, cores, OURS.name)
            theirs = measured.median(row, cores, peer)
            told = [_told(each, unit, digits, factor) for each in (mine, theirs)]
            if theirs is None:
                told[1] = f"not installed (pip install {peer.lower()})"
            ratio = f"{mine / theirs:.2f} x" if mine is not None and theirs else "-"
            target = f"<= {wanted} x" if wanted else ""
            lines.append(
                f"| {row[0]} | {what} | {cores} | {' | '.join(told)} | {ratio} | {target} |"
            )
    return "\n".join(lines)


def _told(value: float | None, unit: str, digits: int, factor: float) -> str:
    return "-" if value is None else f"{value * factor:.{digits}f} {unit}"


def say(text: str) -> None:
    """Progress, apart from the table."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr)


if __name__ == "__main__":
    main()
