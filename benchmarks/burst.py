"""What the supervisor costs when everything is due at once, compared with other schedulers.

    python benchmarks/burst.py [--only a,e] [--rounds N] [--cores 1,2] [--quick]

The sides take turns, each in its own folder and with its own defaults. A burst has a real
minute to itself, so a full run takes most of an hour. Medians and their ratios are printed.

A job is `touch FILE`: both sides pay the same for it, and the file's ctime is its start, to the
kernel's tick (4 ms at 250 Hz). Rows (c) and (d) need better: inotify, and each side's own record
of its results. CPU is the kernel's clock of the process. cronstable has no limit for all jobs
and keeps no ledger by default; ours commits every run before it starts.
"""

import argparse
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

import options
from measured import Measured
from memory import machine
from peers import CRONSTABLE, NEVER, OURS, Side, living
from rows import BURST, table
from workloads import SCENARIOS, Scenario, not_due, ready_ten_thousand, touches

# The scenarios that --quick leaves out.
LONG = (ready_ten_thousand, not_due)


def main() -> None:
    """Run the rounds and print the table."""
    parser = options.parser(__doc__, "what a burst costs", rounds=3)
    parser.add_argument("--only", type=letters, default=list(BURST), help="rows, such as a,e")
    parser.add_argument("--cores", type=numbers, default=[2, 1], help="for rows a, b and e")
    parser.add_argument("--quick", action="store_true", help="one round, two cores, no 10,000")
    given = parser.parse_args()
    options.end_on_signals()
    rounds = 1 if given.quick else given.rounds
    cores = [2] if given.quick else given.cores
    measured, failures = Measured(), list[str]()
    for number in range(rounds):
        for scenario, its_rows, is_for_all_cores in SCENARIOS:
            if not set(given.only) & set(its_rows) or (given.quick and scenario in LONG):
                continue
            for count in cores if is_for_all_cores else cores[:1]:
                failures += run_scenario(scenario, count, measured)
                measured.save(given.values)
        say(f"after round {number + 1} of {rounds}:\n{report(measured, given.only)}\n")
    versions = ", ".join(f"{side.name} {side.version}" for side in (OURS, CRONSTABLE))
    print(f"medians of {rounds} rounds in turn; {machine()}; {versions}\n")
    print(report(measured, given.only))
    if failures or not measured.values:
        sys.exit("; ".join(failures) or "nothing was measured")


def letters(text: str) -> list[str]:
    """Parse letters of rows. Raises: argparse.ArgumentTypeError."""
    found = text.split(",")
    strange = [each for each in found if each not in BURST]
    if strange:
        known = ",".join(BURST)
        raise argparse.ArgumentTypeError(f"expected letters of rows out of {known}, got {text!r}")
    return found


def numbers(text: str) -> list[int]:
    """Parse numbers of cores. Raises: argparse.ArgumentTypeError."""
    return [options.count(each) for each in text.split(",")]


def run_scenario(scenario: Scenario, cores: int, measured: Measured) -> list[str]:
    """Run one scenario with each installed side; return the failures."""
    failures = []
    for side in (OURS, CRONSTABLE):
        if find_spec(side.module) is None:
            continue
        try:
            run_with_side(side, scenario, cores, measured)
            said = measured.newest(side.name, cores)
        except (OSError, RuntimeError) as error:  # still measure the other rows
            said = f"failed: {error}"
            failures.append(f"{scenario.__name__}, {cores} cores: {side.name} {said}")
        say(f"{scenario.__name__}, {cores} cores: {side.name} {said}")
    return failures


def run_with_side(side: Side, scenario: Scenario, cores: int, measured: Measured) -> None:
    """Run one scenario with one side, whose modules are compiled as after an installation."""
    with tempfile.TemporaryDirectory(prefix="burst-") as name:
        with living(side, Path(name) / "warm", touches(Path(name), 1), NEVER):
            pass
        folder = Path(name) / "one"
        folder.mkdir()
        scenario(side, folder, cores, measured)


def report(measured: Measured, only: list[str]) -> str:
    """Return the table of the requested rows."""
    return table(measured, (row for letter in only for row in BURST[letter]))


def say(text: str) -> None:
    """Print progress to stderr, so that it is not mixed with the table."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr)


if __name__ == "__main__":
    main()
