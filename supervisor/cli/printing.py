"""Print: lines, JSON, and tables that know whether a person looks at them.

On a terminal a table is drawn by rich, folded to its width and coloured
(unless $NO_COLOR says no); in a pipe it is plain aligned text, one row a line,
nothing cut. Texts from outside lose what a terminal could take for a command.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import click
import msgspec

from workers.units import format_duration

_STYLES = {
    "running": "cyan",
    "pending": "cyan",
    "retrying": "yellow",
    "success": "green",
    "failed": "red",
    "skipped": "yellow",
    "missed": "yellow",
    "cancelled": "yellow",
    "interrupted": "yellow",
    "error": "red",
    "critical": "bold red",
    "warning": "yellow",
    "disabled": "dim",
    "paused": "yellow",
    "well": "green",
    "note": "yellow",
    "mend": "red",
}
# Columns whose words are their own affair: they give way where it is narrow.
_FOLDED = frozenset(
    {"JOB", "CAUSE", "DETAIL", "DESCRIPTION", "RUNS", "ANSWER", "WHAT", "SCHEDULE"}
)
_LEAST = 14
_GAP = "  "
MOST_RESULTS = 6
# Drawing costs a millisecond a row; who lists more than this wants them soon.
MOST_DRAWN = 300


def say(text: str = "") -> None:
    """A line for people."""
    print(text)


def print_json(body: bytes) -> None:
    """An answer of the API, unchanged."""
    print(body.decode(errors="replace"))


def print_value(value: Any) -> None:
    """A value of our own as JSON."""
    print_json(msgspec.json.encode(value, enc_hook=str))


def clean(text: str) -> str:
    """On one line, without control characters."""
    return "".join(c if c.isprintable() else " " for c in text).strip()


def count(number: int, noun: str) -> str:
    """`1 job`, `3 jobs`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def styled(text: str, word: str) -> str:
    """`text` in the colour of this word, where a person sees colours."""
    if not sys.stdout.isatty() or os.environ.get("NO_COLOR"):
        return text
    return click.style(text, fg=_STYLES.get(word))


def took(seconds: float | None) -> str:
    """A duration in short, or a dash."""
    return "-" if seconds is None else format_duration(seconds)


def results(result: Mapping[str, Any] | None) -> str:
    """The first few of a worker's results: `added=12 changed=0`."""
    items = [(key, value) for key, value in (result or {}).items() if value != ""]
    more = " ..." if len(items) > MOST_RESULTS else ""
    return " ".join(f"{key}={_number(value)}" for key, value in items[:MOST_RESULTS]) + more


class Table:
    """Rows under headers, printed at once.

    spare: headers that a narrow terminal goes without, the first to go first.
    """

    def __init__(self, *headers: str, spare: Sequence[str] = ()) -> None:
        self._headers = headers
        self._spare = spare
        self._rows: list[tuple[str, ...]] = []

    def add(self, *cells: str) -> None:
        """One row; as many cells as there are headers."""
        self._rows.append(tuple(clean(cell) for cell in cells))

    def show(self) -> None:
        """Print it, if it has rows."""
        if not self._rows:
            return
        if sys.stdout.isatty() and len(self._rows) <= MOST_DRAWN:
            self._draw()
        else:
            self._align()

    def _align(self) -> None:
        widths = [max(map(len, column)) for column in self._columns()]
        for row in (self._headers, *self._rows):
            cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            say(_GAP.join(cells).rstrip())

    def _draw(self) -> None:
        # Late: rich takes longer to import than the rest of `status` takes to run.
        from rich.console import Console
        from rich.table import Table as Drawn
        from rich.text import Text

        console = Console(highlight=False)
        kept = self._fitting(console.width)
        drawn = Drawn(box=None, pad_edge=False, header_style="bold")
        for place in kept:
            header = self._headers[place]
            drawn.add_column(header, overflow="fold", no_wrap=header not in _FOLDED)
        for row in self._rows:
            drawn.add_row(*(Text(row[place], _STYLES.get(row[place], "")) for place in kept))
        console.print(drawn)

    def _fitting(self, width: int) -> list[int]:
        """The columns that are drawn, so that what is left can be read."""
        least = [
            min(max(map(len, column)), _LEAST if column[0] in _FOLDED else width)
            for column in self._columns()
        ]
        kept = list(range(len(least)))
        for header in self._spare:
            if sum(least[place] + len(_GAP) for place in kept) <= width + len(_GAP):
                break
            kept.remove(self._headers.index(header))
        return kept

    def _columns(self) -> list[tuple[str, ...]]:
        return list(zip(self._headers, *self._rows, strict=True))


def _number(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else clean(str(value))
