"""Draw curves that are hard to read from a table, as small SVG files.

    python benchmarks/pictures.py RESULTS.json

burst.svg: the number of started jobs over time, of a thousand, for both services on two
cores. memory.svg: the memory of the processes of one service over thousands of runs. A
picture whose curves were not measured is left out.
"""

import argparse
import sys
from pathlib import Path

import matplotlib
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from measured import Measured, Points
from results import load

HERE = Path(__file__).parent / "pictures"
# More points would not be visible, and would make the file larger.
MOST_POINTS = 200
MB = 1e6
SIZE_INCHES = (6.4, 3.6)


def main() -> None:
    """Draw the pictures of a results file."""
    parser = argparse.ArgumentParser(description="pictures of results")
    parser.add_argument("results", type=Path, help="a file that benchmarks/run has made")
    parser.add_argument("--to", type=Path, default=HERE, help=f"default: {HERE}")
    given = parser.parse_args()
    try:
        made = draw(load(given.results).measured(), given.to)
    except (OSError, ValueError) as error:
        sys.exit(f"make pictures of {given.results}: {error}")
    print("\n".join(map(str, made)) or f"no curves in {given.results}")


def draw(measured: Measured, folder: Path) -> list[Path]:
    """Draw the pictures whose curves were measured; return their paths."""
    # Reproducible files: no random ids, no date, text not converted to paths.
    matplotlib.rcParams.update({"svg.hashsalt": "benchmarks", "svg.fonttype": "none"})
    folder.mkdir(parents=True, exist_ok=True)
    return [
        path
        for path in (
            _burst(measured, folder / "burst.svg"),
            _memory(measured, folder / "memory.svg"),
        )
        if path is not None
    ]


def _burst(measured: Measured, path: Path) -> Path | None:
    """Draw the starts of each side over time."""
    curves = _curves(measured, "burst 2")
    if not curves:
        return None
    figure, axes = pyplot.subplots(figsize=SIZE_INCHES)
    for side, points in curves:
        seconds, numbers = zip(*_thinned(points), strict=True)
        axes.step(seconds, numbers, where="post", label=side)
    _named(axes, "1,000 commands due in one minute, on 2 cores", "seconds after the full minute",
           "jobs begun")  # fmt: skip
    return _saved(figure, path)


def _memory(measured: Measured, path: Path) -> Path | None:
    """Draw the memory over runs, stacked by kind of process."""
    curves = _curves(measured, "memory")
    if not curves:
        return None
    figure, axes = pyplot.subplots(figsize=SIZE_INCHES)
    runs = [at for at, _ in curves[0][1]]
    weights = [[size_bytes / MB for _, size_bytes in points] for _, points in curves]
    axes.stackplot(runs, weights, labels=[side for side, _ in curves], alpha=0.7)
    _named(axes, "Memory of all processes, by kind", "runs", "PSS, MB")
    axes.set_ylim(0, 1.25 * max(map(sum, zip(*weights, strict=True))))
    axes.legend(frameon=False, loc="upper right", ncols=len(curves))
    return _saved(figure, path)


def _curves(measured: Measured, picture: str) -> list[tuple[str, Points]]:
    """Return the curves of one picture, by side."""
    return [(side, points) for (name, side), points in measured.curves.items() if name == picture]


def _thinned(points: Points) -> Points:
    step = max(1, len(points) // MOST_POINTS)
    return [*points[:-1:step], points[-1]]


def _named(axes: Axes, title: str, along: str, up: str) -> None:
    axes.set(title=title, xlabel=along, ylabel=up, ylim=(0, None))
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, loc="lower right")


def _saved(figure: Figure, path: Path) -> Path:
    figure.tight_layout()
    figure.savefig(path, format="svg", metadata={"Date": None})
    pyplot.close(figure)
    return path


if __name__ == "__main__":
    main()
