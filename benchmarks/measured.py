"""Measured values by row, cores and side, and the curves of pictures.

Values are seconds or bytes, one for each round; `rows.py` makes a table of them. A
benchmark saves them after each side, so that an interrupted one keeps what it measured.
Nothing here measures, compares or prints.
"""

import math
import os
import statistics
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

# The number of cores of rows that use all of them.
ALL = 0
# Suffixes of rows that show the 99th percentile or the maximum, not the median.
P99, WORST = "p99", "worst"
Points = list[tuple[float, float]]


@dataclass
class Measured:
    """Values by (row, cores, side), curves by (picture, side); absent: not measured."""

    values: dict[tuple[str, int, str], list[float]] = field(default_factory=dict)
    curves: dict[tuple[str, str], Points] = field(default_factory=dict)

    def add(self, row: str, cores: int, side: str, *found: float) -> None:
        """Add the values of one round."""
        self.values.setdefault((row, cores, side), []).extend(found)

    def draw(self, picture: str, side: str, points: Points) -> None:
        """Set a curve, replacing an earlier one, because a picture shows one round."""
        self.curves[picture, side] = points

    def newest(self, side: str, cores: int) -> str:
        """Return the last value of each row so far, for progress messages."""
        found = [
            f"({row}) {values[-1]:.4g}"
            for (row, count, name), values in self.values.items()
            if (name, count) == (side, cores)
        ]
        return ", ".join(found)

    def cores(self, row: str) -> list[int]:
        """Return the numbers of cores that a row was measured on, largest first."""
        return sorted({cores for key, cores, _ in self.values if key == row}, reverse=True)

    def median_of(self, row: str, cores: int, side: str) -> float | None:
        """Return the median of a row, or its P99 or WORST value; None if it was not measured."""
        found = self.values.get((row, cores, side))
        if not found:
            return None
        if row.endswith(P99):
            return sorted(found)[math.ceil(len(found) * 0.99) - 1]
        return max(found) if row.endswith(WORST) else statistics.median(found)

    def take(self, other: "Measured") -> None:
        """Add everything of `other`, which replaces values and curves with the same key."""
        self.values |= other.values
        self.curves |= other.curves

    def save(self, path: Path | None) -> None:
        """Write everything to `path` atomically; do nothing without a path."""
        if path is None:
            return
        fresh = path.with_name(f"{path.name}.fresh")
        fresh.write_bytes(msgspec.json.encode(self.written()))
        os.replace(fresh, path)

    def written(self) -> "Written":
        """Return everything in the form of the file."""
        return Written(
            [Values(*key, found) for key, found in self.values.items()],
            [Curve(*key, points) for key, points in self.curves.items()],
        )


@dataclass(frozen=True)
class Values:
    """One row of one side in a file."""

    row: str
    cores: int
    side: str
    values: list[float]


@dataclass(frozen=True)
class Curve:
    """One curve of a picture in a file."""

    picture: str
    side: str
    points: Points


@dataclass(frozen=True)
class Written:
    """The content of a benchmark's file of values."""

    values: list[Values] = field(default_factory=list)
    curves: list[Curve] = field(default_factory=list)

    def measured(self) -> Measured:
        """Return the content as `Measured`."""
        return Measured(
            {(each.row, each.cores, each.side): each.values for each in self.values},
            {(each.picture, each.side): each.points for each in self.curves},
        )


def load(path: Path) -> Measured:
    """Return what a benchmark has saved; empty if it was interrupted before that.

    Raises: msgspec.DecodeError.
    """
    if not path.exists():
        return Measured()
    return msgspec.json.decode(path.read_bytes(), type=Written).measured()
