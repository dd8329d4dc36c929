"""Run all parts in turn, each with a time limit, and keep the measurements.

    benchmarks/run [--rounds N] [--only PART,...] [--quick] [--into FILE]

A full session takes some two hours, in which the machine should do nothing else. Results are
written to benchmarks/results/<date>.json after each part. A part that fails or exceeds its time
limit is reported, and the others go on. --into continues an earlier session: its parts are not
measured again, unless --only names them. When every part has run, RESULTS.md and the pictures
are generated again.
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
from parts import PlannedPart
from results import End, Part, Results

HERE = Path(__file__).parent
RESULTS = HERE / "results"
PAGE = HERE / "RESULTS.md"
# On SIGTERM a benchmark first removes a gigabyte or stops a server.
END_S = 60.0
_SAID_CHARACTERS = 300
_PR_SET_CHILD_SUBREAPER = 36


def main() -> None:
    """Run the requested parts, and report the results."""
    given = parsed()
    options.end_on_signals()
    adopt()
    compiled()
    planned = parts.QUICK if given.quick else parts.FULL
    path, found = begun(given.into, given.quick)
    if found.absent:
        say(f"not installed, and left out: {', '.join(found.absent)}")
    for each in planned:
        if each.name in given.only if given.only else not found.has(each.name):
            found = with_part(found, *run_part(each, each.rounds(given.rounds)))
            found.save(path)
    names = {part.name for part in found.parts}
    rows = [row for each in planned if each.name in names for row in each.rows]
    text = results.page(found, rows)
    print(text)
    say(f"results are in {path}")
    if not given.quick and {each.name for each in planned} <= names:
        PAGE.write_text(text)
        say(f"made {', '.join(str(each) for each in (PAGE, *drawn(found)))}")
    bad = [part.name for part in found.parts if part.end is not End.MEASURED]
    sys.exit(f"not measured to the end: {', '.join(bad)}" if bad else 0)


def compiled() -> None:
    """Write the bytecode of all modules, as pip does for an installation.

    Otherwise each launch would compile them again where PYTHONDONTWRITEBYTECODE is set.
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
        sys.exit(f"go on with {into}: only one of the two sessions is a --quick one")
    if earlier.machine != found.machine:
        sys.exit(f"go on with {into}: measured on {earlier.machine}, and this is {found.machine}")
    return into, replace(
        found, began_at=earlier.began_at, parts=earlier.parts, found=earlier.found
    )


def run_part(planned: PlannedPart, rounds: int) -> tuple[Part, measured.Measured]:
    """Run one part in a separate process; return the part and its measured values."""
    say(f"{planned.name}: {rounds} rounds, at most {planned.bound_s(rounds) / 60:.0f} minutes")
    with tempfile.TemporaryDirectory(prefix="bench-") as room:
        values, log = Path(room) / "values", Path(room) / "log"
        program, *rest = planned.command
        command = [sys.executable, str(HERE / program), *rest, f"--rounds={rounds}"]
        load_before = load()
        before = time.monotonic()
        with open(log, "wb") as to:
            process = subprocess.Popen(
                [*command, f"--values={values}"], stdin=subprocess.DEVNULL, stdout=to, stderr=to
            )
            end = waited(process, planned.bound_s(rounds))
        took_s = round(time.monotonic() - before, 1)
        said = "" if end is End.MEASURED else last_line(log)
        say(f"{planned.name}: {end} in {took_s:.0f} s {said}")
        part = Part(planned.name, end, took_s, rounds, load_before, said)
        try:
            return part, measured.load(values)
        except msgspec.DecodeError as error:
            return replace(part, end=End.FAILED, said=f"its values: {error}"), measured.Measured()


def last_line(log: Path) -> str:
    """Return the last line of the log: the reason, if the part failed."""
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


def with_part(found: Results, part: Part, values: measured.Measured) -> Results:
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
