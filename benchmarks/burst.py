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
import signal
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

from scenes import MANY, SCENES, Measured, Scene, ready_ten_thousand, touches
from sides import CRONSTABLE, NEVER, OURS, living
from weighing import machine

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


# What --quick leaves out.
LONG = (ready_ten_thousand,)


def main() -> None:
    """Run the rounds and print the table."""
    parser = argparse.ArgumentParser(description="what a burst costs")
    parser.add_argument("--only", default="a,b,c,d,e,f,g,h", help="rows, such as a,e")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cores", default="2,1", help="for rows a, b and e")
    parser.add_argument("--quick", action="store_true", help="one round, two cores, no 10,000")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # what was started is ended, too
    rounds = 1 if arguments.quick else arguments.rounds
    cores = [2] if arguments.quick else [int(each) for each in arguments.cores.split(",")]
    rows = set(arguments.only.split(","))
    measured = Measured()
    for number in range(rounds):
        for scene, its_rows, is_for_all_cores in SCENES:
            if not rows & set(its_rows) or (arguments.quick and scene in LONG):
                continue
            for count in cores if is_for_all_cores else cores[:1]:
                played(scene, count, measured)
        say(f"after round {number + 1} of {rounds}:\n{table(measured, rows, number + 1)}\n")
    print(table(measured, rows, rounds))


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
                said = measured.newest(side.name, cores)
            except (OSError, RuntimeError) as error:  # the other rows are worth having
                said = f"failed: {error}"
        say(f"{scene.__name__}, {cores} cores: {side.name} {said}")


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
