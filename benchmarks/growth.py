#!/usr/bin/env python3
"""How the cost of each operation grows: with jobs, runs, backups, tables, clients and so on.

Each line is one of our operations, called with its real parts, at growing numbers of one thing.
The result is an exponent: the slope of the curve on logarithmic axes between its last two
points. 1 is linear, 2 is quadratic; n log n is about 1.1. Seconds are CPU seconds, except for
tables: PostgreSQL works there, too, so they are wall-clock seconds.
"""

import math
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import growth_core
import growth_files
import growth_service
import growth_tables
import options
from measured import ALL, Measured, Points
from memory import machine
from rows import GROWTH, growth, table

# An operation at one number of things: its name, and its cost in seconds or bytes.
Costs = Iterator[tuple[str, float]]


@dataclass(frozen=True, slots=True)
class Axis:
    """A growing quantity, its numbers, and the function that measures at one of them."""

    what: str
    numbers: tuple[int, ...]
    quick: tuple[int, ...]
    costs: Callable[[int, Path], Costs]


TENS = (10, 100, 1_000, 10_000)
AXES = (
    Axis("jobs", TENS, (10, 100), growth_core.of_jobs),
    Axis("incidents", (1, 10, 100, 1_000), (1, 10), growth_core.of_incidents),
    Axis("history", (100, 1_000, 10_000, 100_000, 1_000_000), (100, 1_000), growth_files.of_runs),
    Axis("backups", TENS, (10, 100), growth_files.of_backups),
    Axis("tables", (1, 10, 100, 1_000), (1, 10), growth_tables.of_tables),
    Axis("running", (8, 50, 200), (2, 4), growth_service.of_running),
    Axis("clients", (1, 8, 64), (1, 2), growth_service.of_clients),
)


def main() -> None:
    """Measure the axes and print the curves and the table."""
    names = ",".join(axis.what for axis in AXES)
    parser = options.parser(__doc__ or "", "how costs grow", rounds=1)
    parser.add_argument("--only", default=names, help=f"axes, out of {names}")
    parser.add_argument("--quick", action="store_true", help="small numbers: minutes, no result")
    given = parser.parse_args()
    chosen = [axis for axis in AXES if axis.what in given.only.split(",")]
    if len(chosen) != len(given.only.split(",")):
        parser.error(f"--only: expected some out of {names}, got {given.only!r}")
    options.end_on_signals()
    measured = Measured()
    for _ in range(given.rounds):
        for axis in chosen:
            for operation, points in curves(axis, given.quick).items():
                measured.draw(f"growth {axis.what} {operation}", "nightshift", points)
                measured.add(growth(axis.what, operation), ALL, "nightshift", exponent(points))
                print(f"{axis.what}, {operation}: {shown(points)}", file=sys.stderr)
            measured.save(given.values)
    print(f"How costs grow, {given.rounds} rounds; {machine()}\n\n{answer(measured)}")
    print(f"\n{table(measured, [row for row in GROWTH if measured.cores(row.key)])}")


def curves(axis: Axis, is_quick: bool) -> dict[str, Points]:
    """Return the curve of each operation of an axis."""
    found: dict[str, Points] = {}
    for number in axis.quick if is_quick else axis.numbers:
        with tempfile.TemporaryDirectory(prefix="nightshift-bench-", dir="/tmp") as folder:
            for operation, cost in axis.costs(number, Path(folder)):
                found.setdefault(operation, []).append((float(number), cost))
    return found


def exponent(points: Sequence[tuple[float, float]]) -> float:
    """Return the slope between the last two points on logarithmic axes.

    Values too small to measure count as a microsecond, or a byte.
    """
    (few, before), (many, after) = points[-2:]
    return math.log(max(after, 1e-6) / max(before, 1e-6)) / math.log(many / few)


def shown(points: Sequence[tuple[float, float]]) -> str:
    """Return a curve as text."""
    return ", ".join(f"{number:,.0f}: {cost:.4g}" for number, cost in points)


def answer(measured: Measured) -> str:
    """Return the curves as a Markdown table."""
    lines = ["| what grows, operation | costs (seconds of CPU, or bytes) |", "| --- | --- |"]
    for (picture, _), points in measured.curves.items():
        lines.append(f"| {picture.removeprefix('growth ')} | {shown(points)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
