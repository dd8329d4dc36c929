"""Print: lines, JSON, and tables that know whether a person looks at them.

On a terminal a table is drawn by rich, folded to its width and coloured
(unless $NO_COLOR says no); in a pipe it is plain aligned text, one row a line,
nothing cut. Texts from outside lose what a terminal could take for a command.
"""

import contextlib
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from typing import Any, TextIO

import click
import msgspec

from supervisor.cli import widths
from supervisor.core.escape import escape_control, keep_colours
from workers.text import readable
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
MOST_RESULTS = 6
# On a terminal one of them for so many columns, beyond those of the other cells.
_COLUMNS_A_RESULT, _COLUMNS_BESIDE = 20, 60
# Drawing costs a millisecond a row; who lists more than this wants them soon.
MOST_DRAWN = 300


def say(text: str = "") -> None:
    """Print a line for people; what cannot be seen in it is written out."""
    print(escape_control(readable(text)))


def say_output(text: str) -> None:
    """Print what a program printed; a terminal is sent its lines and colours only."""
    print(keep_colours(text) if sys.stdout.isatty() else text)


def complain(text: str) -> None:
    """A line on standard error; where it cannot be written, the exit status says it alone."""
    try:
        print(text.encode(errors="replace").decode(), file=sys.stderr, flush=True)
    except OSError:
        mute(sys.stderr)


def mute(stream: TextIO) -> None:
    """Let a stream that cannot be written end in /dev/null: Python would try once more."""
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def tell(text: str, indent: int = 0) -> None:
    """A sentence for people, folded where they look at it; indent: of its further lines."""
    print(folded(escape_control(readable(text)), columns(sys.stdout), " " * indent))


def folded(text: str, width: int | None, indent: str = "", first: str = "") -> str:
    """In lines of this width, broken between words; None: as it is, behind `first`."""
    if width is None:
        return first + text
    # Late: nothing is folded in a pipe.
    import textwrap

    return textwrap.fill(
        text,
        width=width,
        initial_indent=first,
        subsequent_indent=indent,
        # A path is copied from the screen; the terminal breaks it where it must.
        break_long_words=False,
        break_on_hyphens=False,
    )


def columns(stream: TextIO) -> int | None:
    """The width of the terminal (or $COLUMNS); None: nobody looks."""
    return shutil.get_terminal_size().columns if stream.isatty() else None


def print_json(body: bytes) -> None:
    """An answer of the API, unchanged."""
    print(body.decode(errors="replace"))


def print_value(value: Any) -> None:
    """A value of our own as JSON."""
    try:
        body = msgspec.json.encode(value, enc_hook=str)
    except UnicodeEncodeError:  # names of files that are not UTF-8
        body = msgspec.json.encode(_all_readable(msgspec.to_builtins(value, enc_hook=str)))
    print_json(body)


def _all_readable(value: Any) -> Any:
    match value:
        case str():
            return readable(value)
        case list():
            return [_all_readable(each) for each in value]
        case dict():
            return {_all_readable(key): _all_readable(each) for key, each in value.items()}
        case _:
            return value


def clean(text: str) -> str:
    """Return the text on one line; what cannot be seen is written out."""
    return escape_control(readable(text).strip())


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
    """The first few of a worker's results: `added=12 changed=0`; fewer where it is narrow."""
    items = [(key, value) for key, value in (result or {}).items() if value != ""]
    width = columns(sys.stdout)
    most = MOST_RESULTS
    if width is not None:
        most = max(1, min(most, (width - _COLUMNS_BESIDE) // _COLUMNS_A_RESULT))
    more = " ..." if len(items) > most else ""
    return " ".join(f"{key}={_number(value)}" for key, value in items[:most]) + more


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
        sizes = [max(map(len, column)) for column in self._columns()]
        for row in (self._headers, *self._rows):
            cells = (cell.ljust(width) for cell, width in zip(row, sizes, strict=True))
            say(widths.GAP.join(cells).rstrip())

    def _draw(self) -> None:
        # Late: rich takes longer to import than the rest of `status` takes to run.
        from rich.console import Console
        from rich.table import Table as Drawn
        from rich.text import Text

        console = Console(highlight=False)
        wanted = {column[0]: max(map(len, column)) for column in self._columns()}
        found = widths.fitting(wanted, self._spare, console.width)
        drawn = Drawn(box=None, pad_edge=False, header_style="bold")
        for header, width in found.items():
            is_fixed = not widths.folds(header)
            drawn.add_column(header, overflow="fold", no_wrap=is_fixed, width=width)
        kept = [self._headers.index(header) for header in found]
        for row in self._rows:
            drawn.add_row(*(Text(row[place], _STYLES.get(row[place], "")) for place in kept))
        console.print(drawn)

    def _columns(self) -> list[tuple[str, ...]]:
        return list(zip(self._headers, *self._rows, strict=True))


def _number(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else clean(str(value))
