"""What was measured: values by row, cores and side, and the curves of pictures.

Values are seconds or bytes, one for each round; a table is made of them in
`rows.py`. A benchmark saves them after each side, so that what was measured
stays when it is cut. Nothing here measures, compares or prints.
"""

import math
import os
import statistics
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

# For rows that have all the cores there are.
ALL = 0
# For what of many requests almost all and all were quicker than: not the median.
P99, WORST = "p99", "worst"
Points = list[tuple[float, float]]


@dataclass
class Measured:
    """Values by (row, cores, side), curves by (picture, side); absent: not measured."""

    values: dict[tuple[str, int, str], list[float]] = field(default_factory=dict)
    curves: dict[tuple[str, str], Points] = field(default_factory=dict)

    def add(self, row: str, cores: int, side: str, *found: float) -> None:
        """Take in what one round found."""
        self.values.setdefault((row, cores, side), []).extend(found)

    def draw(self, picture: str, side: str, points: Points) -> None:
        """Take in a curve in the place of an earlier one: a picture shows one round."""
        self.curves[picture, side] = points

    def newest(self, side: str, cores: int) -> str:
        """The last value of each row so far, for those who watch."""
        found = [
            f"({row}) {values[-1]:.4g}"
            for (row, count, name), values in self.values.items()
            if (name, count) == (side, cores)
        ]
        return ", ".join(found)

    def cores(self, row: str) -> list[int]:
        """The numbers of cores that a row was measured on, the most first."""
        return sorted({cores for key, cores, _ in self.values if key == row}, reverse=True)

    def weighed(self, row: str, cores: int, side: str) -> float | None:
        """The median of a row, or what its last word says; None if it was not measured."""
        found = self.values.get((row, cores, side))
        if not found:
            return None
        if row.endswith(P99):
            return sorted(found)[math.ceil(len(found) * 0.99) - 1]
        return max(found) if row.endswith(WORST) else statistics.median(found)

    def take(self, other: "Measured") -> None:
        """Take in all of another one; where both have a row, a side or a curve, its own."""
        self.values |= other.values
        self.curves |= other.curves

    def save(self, path: Path | None) -> None:
        """Write all to a file at once, if there is to be one."""
        if path is None:
            return
        fresh = path.with_name(f"{path.name}.fresh")
        fresh.write_bytes(msgspec.json.encode(self.written()))
        os.replace(fresh, path)

    def written(self) -> "Written":
        """All, as it stands in a file."""
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
    """What a benchmark leaves in a file."""

    values: list[Values] = field(default_factory=list)
    curves: list[Curve] = field(default_factory=list)

    def measured(self) -> Measured:
        """The same to work with."""
        return Measured(
            {(each.row, each.cores, each.side): each.values for each in self.values},
            {(each.picture, each.side): each.points for each in self.curves},
        )


def load(path: Path) -> Measured:
    """What a benchmark has saved; nothing, if it was cut before that.

    Raises: msgspec.DecodeError.
    """
    if not path.exists():
        return Measured()
    return msgspec.json.decode(path.read_bytes(), type=Written).measured()
