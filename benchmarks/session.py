"""Plays the parts one after the other, each bounded, and keeps what they measured.

    benchmarks/run [--rounds N] [--only PART,...] [--quick] [--into FILE]

A full sitting takes some two hours, in which the machine should do nothing else.
Results stand in benchmarks/results/<date>.json after each part. A part that
fails or is over its bound is reported, and the others go on. --into takes an
earlier sitting up again: what it has is not measured again, unless --only names
it. When every part was played, RESULTS.md and the pictures are made anew.
"""

import argparse
import compileall
import ctypes
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import measured
import msgspec
import options
import parts
import results
from memory import children, ended, load
from parts import Play
from results import End, Part, Results

HERE = Path(__file__).parent
RESULTS = HERE / "results"
PAGE = HERE / "RESULTS.md"
# On SIGTERM a benchmark first removes a gigabyte or stops a server.
END_S = 60.0
_SAID_CHARACTERS = 300
_PR_SET_CHILD_SUBREAPER = 36


def main() -> None:
    """Play the requested parts, and report the results."""
    given = parsed()
    options.end_on_signals()
    adopt()
    compiled()
    plays = parts.QUICK if given.quick else parts.FULL
    path, found = begun(given.into, given.quick)
    if found.absent:
        say(f"not installed, and left out: {', '.join(found.absent)}")
    for each in plays:
        if each.name in given.only if given.only else not found.has(each.name):
            found = taken(found, *played(each, each.rounds(given.rounds)))
            found.save(path)
    names = {part.name for part in found.parts}
    rows = [row for each in plays if each.name in names for row in each.rows]
    text = results.page(found, rows)
    print(text)
    say(f"results are in {path}")
    if not given.quick and {each.name for each in plays} <= names:
        PAGE.write_text(text)
        say(f"made {', '.join(str(each) for each in (PAGE, *drawn(found)))}")
    bad = [part.name for part in found.parts if part.end is not End.MEASURED]
    sys.exit(f"not measured to the end: {', '.join(bad)}" if bad else 0)


def compiled() -> None:
    """Write the bytecode of all modules, as pip does for an installation.

    Else each launch would compile them anew where PYTHONDONTWRITEBYTECODE is set.
    """
    compileall.compile_dir(HERE, maxlevels=0, quiet=1)
    for name in ("supervisor", "workers"):
        compileall.compile_dir(HERE.parent / name, quiet=1)


def drawn(found: Results) -> list[Path]:
    """Draw the pictures of these results; return their paths."""
    import pictures  # matplotlib is slow to import, and only needed here

    return pictures.draw(found.measured(), pictures.HERE)


def parsed() -> argparse.Namespace:
    """Parse the command line; on an error, exit with 2 and a reason."""
    parser = argparse.ArgumentParser(
        prog="benchmarks/run", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    names = [each.name for each in parts.FULL]
    parser.add_argument("--rounds", type=options.count, default=3, help="default: 3")
    parser.add_argument("--only", metavar="PART,...", default="", help=", ".join(names))
    parser.add_argument("--quick", action="store_true", help="one small round: does it run?")
    parser.add_argument("--into", type=Path, metavar="FILE", help="go on with these results")
    given = parser.parse_args()
    given.only = given.only.split(",") if given.only else []
    if given.quick:
        given.rounds = 1
        names = [each.name for each in parts.QUICK]
    for name in given.only:
        if name not in names:
            parser.error(f"unknown part {name!r}: expected some of {', '.join(names)}")
    return given


def begun(into: Path | None, is_quick: bool) -> tuple[Path, Results]:
    """Return the results file, and the results that it contains."""
    found = results.fresh(is_quick)
    if into is None:
        RESULTS.mkdir(exist_ok=True)
        kind = "quick-" if is_quick else ""
        path = RESULTS / f"{kind}{found.began_at:%Y-%m-%d}.json"
        if path.exists():
            path = RESULTS / f"{kind}{found.began_at:%Y-%m-%d-%H%M%S}.json"
        found.save(path)
        say(f"if this is cut: benchmarks/run --into {path}{' --quick' if is_quick else ''}")
        return path, found
    try:
        earlier = results.load(into)
    except (OSError, ValueError) as error:
        sys.exit(f"go on with {into}: {error}")
    if earlier.is_quick != is_quick:
        sys.exit(f"go on with {into}: only one of the two sittings is a --quick one")
    if earlier.machine != found.machine:
        sys.exit(f"go on with {into}: measured on {earlier.machine}, and this is {found.machine}")
    return into, replace(
        found, began_at=earlier.began_at, parts=earlier.parts, found=earlier.found
    )


def played(play: Play, rounds: int) -> tuple[Part, measured.Measured]:
    """Play one part in a separate process; return the part and its measured values."""
    say(f"{play.name}: {rounds} rounds, at most {play.bound_s(rounds) / 60:.0f} minutes")
    with tempfile.TemporaryDirectory(prefix="bench-") as room:
        values, log = Path(room) / "values", Path(room) / "log"
        program, *rest = play.command
        command = [sys.executable, str(HERE / program), *rest, f"--rounds={rounds}"]
        weight = load()
        before = time.monotonic()
        with open(log, "wb") as to:
            process = subprocess.Popen(
                [*command, f"--values={values}"], stdin=subprocess.DEVNULL, stdout=to, stderr=to
            )
            end = waited(process, play.bound_s(rounds))
        took_s = round(time.monotonic() - before, 1)
        said = "" if end is End.MEASURED else last_line(log)
        say(f"{play.name}: {end} in {took_s:.0f} s {said}")
        part = Part(play.name, end, took_s, rounds, weight, said)
        try:
            return part, measured.load(values)
        except msgspec.DecodeError as error:
            return replace(part, end=End.FAILED, said=f"its values: {error}"), measured.Measured()


def last_line(log: Path) -> str:
    """Return the last line of the log: the reason, if the part ended badly."""
    lines = log.read_text("utf-8", "replace").strip().splitlines()
    return lines[-1].strip()[-_SAID_CHARACTERS:] if lines else ""


def waited(process: subprocess.Popen[bytes], bound_s: float) -> End:
    """Wait for the process, and end it at its time limit; none of its processes are left."""
    try:
        return End.FAILED if process.wait(bound_s) else End.MEASURED
    except subprocess.TimeoutExpired:
        return End.OVER
    finally:
        if process.poll() is None:
            ended(process, END_S)
        orphans_ended()


def adopt() -> None:
    """Become a subreaper, so that processes left by a killed benchmark can be ended."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def orphans_ended() -> None:
    """Kill and reap adopted processes until there are none."""
    while left := children(os.getpid()):
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            with suppress(ChildProcessError):
                os.waitpid(pid, 0)


def taken(found: Results, part: Part, values: measured.Measured) -> Results:
    """Return the results with this part, which replaces an earlier one of the same name."""
    everything = found.measured()
    everything.take(values)
    others = [each for each in found.parts if each.name != part.name]
    return replace(found, parts=[*others, part], found=everything.written())


def say(text: str) -> None:
    """Print progress to stderr, so that it is not mixed with the table."""
    print(f"{datetime.now(UTC):%H:%M:%S} {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
