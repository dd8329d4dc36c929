"""The scenarios of burst.py: each is run with one side and adds to the measured values.

A scenario gets a side, an empty folder, a number of cores and a `Measured`. It starts the side,
lets it work, and leaves nothing running. The start of a job is the ctime of the file that it
creates. Nothing here prints or compares.
"""

import ctypes
import os
import select
import sqlite3
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import datetime
from importlib.util import find_spec
from pathlib import Path

from crond import cron, crontab_of, is_here
from launching import launched
from measured import P99, WORST, Measured
from memory import cores_of, pinned, wait_for_minute
from peers import CONCURRENT, CRONSTABLE, NEVER, OURS, Command, Living, Side, living
from rows import APSCHEDULER, CRON

FEW = 10
MANY = 1000
MOST = 10_000
LEAD_S = 8.0
BURST_S = 45.0
QUIET_S = 2.0
IDLE_S = 5.0  # longer than either side takes to become idle
AROUND_S = 2.0
ASKED = 500
LOOK_S = 0.05
BETWEEN_ASKS_S = 0.005
_IN_CREATE = 0x100
_WORKER = "def small(params, report):\n    return {'sum': 3}\n"


Scenario = Callable[[Side, Path, int, Measured], None]


def listed(side: Side, folder: Path, cores: int, measured: Measured) -> None:
    """Measure rows (a) and (e): commands that are lists."""
    with burst(side, folder, touches(folder, MANY), cores) as (service, minute):
        before, others = service.cpu_s(), service.others_cpu_s()
        measured.add("a", cores, side.name, last_start(folder, minute) - minute)
        measured.add("a first", cores, side.name, started(folder, minute)[0][0])
        measured.draw(f"burst {cores}", side.name, started(folder, minute))
        settle(side, folder)
        own = service.cpu_s() - before
        measured.add("e", cores, side.name, own)
        measured.add("e all", cores, side.name, own + service.others_cpu_s() - others)


def worded(side: Side, folder: Path, cores: int, measured: Measured) -> None:
    """Measure row (b): commands that are texts of plain words."""
    _texts("b", "", side, folder, cores, measured)


def shelled(side: Side, folder: Path, cores: int, measured: Measured) -> None:
    """Measure row (b): commands that only a shell understands."""
    _texts("b shell", " && true", side, folder, cores, measured)


def _texts(key: str, rest: str, side: Side, folder: Path, cores: int, measured: Measured) -> None:
    texts = {name: " ".join(words) + rest for name, words in touches(folder, MANY).items()}
    with burst(side, folder, texts, cores) as (_, minute):
        measured.add(key, cores, side.name, last_start(folder, minute) - minute)
        settle(side, folder)


def few(side: Side, folder: Path, cores: int, measured: Measured) -> None:
    """Measure rows (c), (g) and the idle half of (h): ten jobs."""
    with burst(side, folder, touches(folder, FEW), cores) as (service, minute):
        seconds = [timed(service, side.job.format("job-1")) for _ in range(ASKED)]
        measured.add("h", cores, side.name, statistics.median(seconds))
        measured.add("g", cores, side.name, service.pss_bytes())
        if time.time() > minute:
            raise RuntimeError("the minute came too early")
        measured.add("c", cores, side.name, first_file(folder / "marks") - minute)
        last_start(folder, minute, FEW)
        time.sleep(IDLE_S)
        measured.add("g after", cores, side.name, service.pss_bytes())


def functions(side: Side, folder: Path, cores: int, measured: Measured) -> None:
    """Measure row (d), with APScheduler as the peer; the other peers are skipped."""
    if side is CRONSTABLE:
        return
    with burst(side, folder, small_functions(folder, MANY), cores) as (_, minute):
        results = settle(side, folder)
        measured.add("d", cores, side.name, max(results) - minute)
    if find_spec("apscheduler") is not None:
        measured.add("d", cores, APSCHEDULER, forks(cores))


def small_functions(folder: Path, count: int) -> dict[str, Command]:
    """Write a module into the folder; return jobs that call its function."""
    package = folder / "burst_work"
    package.mkdir()
    (package / "small.py").write_text(_WORKER)
    return {f"job-{number}": "burst_work.small:small" for number in range(count)}


def asked(side: Side, folder: Path, cores: int, measured: Measured) -> None:
    """Measure the other half of row (h): status requests while a thousand jobs start."""
    with burst(side, folder, touches(folder, MANY), cores) as (service, minute):
        time.sleep(max(0.0, minute - time.time()))
        seconds: list[float] = []
        while len(os.listdir(folder / "marks")) < MANY and time.time() < minute + BURST_S:
            seconds.append(timed(service, side.status))
            time.sleep(BETWEEN_ASKS_S)
        last_start(folder, minute)
        measured.add(f"h {P99}", cores, side.name, *seconds)
        measured.add(f"h {WORST}", cores, side.name, max(seconds))


def ready(side: Side, folder: Path, cores: int, measured: Measured) -> None:
    """Measure row (f) with ten jobs and with a thousand."""
    for size in (FEW, MANY):
        start(side, folder / str(size), size, cores, measured)


def ready_ten_thousand(side: Side, folder: Path, cores: int, measured: Measured) -> None:
    """Measure row (f) with ten thousand jobs."""
    start(side, folder / "most", MOST, cores, measured)


def not_due(side: Side, folder: Path, cores: int, measured: Measured) -> None:
    """Measure row (t): the CPU around a full minute in which none of ten thousand jobs is due."""
    with living(side, folder, touches(folder, MOST), NEVER, cores_of(cores)) as service:
        time.sleep(QUIET_S)
        minute = wait_for_minute(AROUND_S)
        before = service.cpu_s()
        time.sleep(minute + AROUND_S - time.time())
        measured.add("t", cores, side.name, service.cpu_s() - before)


def of_cron(side: Side, folder: Path, cores: int, measured: Measured) -> None:
    """Measure row (c) for Debian's cron, in our turn, if it is installed and can be isolated."""
    if side is not OURS or not is_here():
        return
    marks = folder / "marks"
    marks.mkdir()
    minute = wait_for_minute(LEAD_S)
    with cron(folder, crontab_of(touches(folder, FEW))):
        measured.add("c", cores, CRON, first_file(marks) - minute)
        last_start(folder, minute, FEW)


def start(side: Side, folder: Path, size: int, cores: int, measured: Measured) -> None:
    """Measure row (f): exec to answer, first with a config that was never read, then again."""
    folder.mkdir()
    for row in (f"f {size}", f"f {size} again"):
        with living(side, folder, touches(folder, size), NEVER, cores_of(cores)) as service:
            measured.add(row, cores, side.name, service.ready_s)


@contextmanager
def burst(
    side: Side, folder: Path, commands: Mapping[str, Command], cores: int
) -> Iterator[tuple[Living, float]]:
    """Yield a service that is ready shortly before a full minute, and that minute."""
    (folder / "marks").mkdir()
    minute = wait_for_minute(LEAD_S)
    with living(side, folder, commands, cores=cores_of(cores)) as service:
        if time.time() > minute:
            raise RuntimeError(f"{side.name} was not ready {LEAD_S:.0f} s after its start")
        if os.listdir(folder / "marks"):
            raise RuntimeError(f"{side.name} began before the minute")
        yield service, minute


def touches(folder: Path, count: int) -> dict[str, list[str]]:
    """Return `count` jobs, each of which creates a file when it starts."""
    program = "/usr/bin/touch"
    return {f"job-{each}": [program, f"{folder}/marks/{each}"] for each in range(count)}


def last_start(folder: Path, minute: float, count: int = MANY) -> float:
    """Wait until `count` jobs have started; return the time of the last start.

    Between its checks it sleeps, so that it does not disturb what it measures.
    """
    time.sleep(max(0.0, minute - time.time()))
    marks = folder / "marks"
    while len(os.listdir(marks)) < count:
        if time.time() > minute + BURST_S:
            raise RuntimeError(f"{len(os.listdir(marks))} of {count} jobs began")
        time.sleep(LOOK_S)
    return max(_starts(folder))


def started(folder: Path, minute: float) -> list[tuple[float, float]]:
    """Return the curve of started jobs: seconds after the minute, and the number."""
    seconds = [round(at - minute, 3) for at in sorted(_starts(folder))]
    return [(at, number) for number, at in enumerate(seconds, 1)]


def _starts(folder: Path) -> list[float]:
    with os.scandir(folder / "marks") as entries:
        return [entry.stat().st_ctime_ns / 1e9 for entry in entries]


def settle(side: Side, folder: Path, count: int = MANY) -> list[float]:
    """Wait until the last jobs have ended; for our side, return when each ended by the ledger."""
    if side is not OURS:
        time.sleep(QUIET_S)
        return []
    uri = f"{(folder / 'state' / 'ledger.sqlite3').as_uri()}?mode=ro"
    ended: list[str] = []
    until = time.time() + BURST_S + LEAD_S
    while len(ended) < count and time.time() < until:
        time.sleep(QUIET_S / 4)
        with closing(sqlite3.connect(uri, uri=True)) as ledger:
            found = ledger.execute("SELECT ended_at FROM runs WHERE state = 'success'")
            ended = [at for (at,) in found]
    if len(ended) != count:
        raise RuntimeError(f"{len(ended)} of {count} runs are in the ledger as successes")
    return [datetime.fromisoformat(at).timestamp() for at in ended]


def timed(service: Living, path: str) -> float:
    """Return the seconds from a request to its complete answer."""
    before = time.perf_counter()
    service.ask(path)
    return time.perf_counter() - before


def first_file(marks: Path) -> float:
    """Return the time at which the first file is created, by inotify."""
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


def forks(cores: int) -> float:
    """Return the seconds of APScheduler's thousand functions; see apscheduler_peer.py."""
    program = str(Path(__file__).with_name("apscheduler_peer.py"))
    with pinned(cores_of(cores)):
        return float(launched([sys.executable, program, str(MANY), str(CONCURRENT)]).said)


# Each scenario with its rows, and whether it is run on every number of cores.
SCENARIOS: tuple[tuple[Scenario, str, bool], ...] = (
    (listed, "ae", True),
    (worded, "b", True),
    (shelled, "b", True),
    (few, "cgh", False),
    (of_cron, "c", False),
    (functions, "d", False),
    (asked, "h", False),
    (ready, "f", False),
    (ready_ten_thousand, "f", False),
    (not_due, "t", False),
)
