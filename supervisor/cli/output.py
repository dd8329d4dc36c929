"""Print lines, JSON and tables, depending on whether standard output is a terminal.

On a terminal, rich draws a table, folded to the width and coloured (unless $NO_COLOR is
set). In a pipe it is plain aligned text, one row per line, nothing cut. Control
characters in text from outside are escaped.
"""

import contextlib
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from typing import Any, TextIO

import click
import msgspec

from supervisor.cli import column_widths
from supervisor.core.config_model import Problem, Severity
from supervisor.core.escape import escape_control, keep_colours
from supervisor.core.model import replace
from workers.text import readable
from workers.units import format_duration


def in_lines(problems: Sequence[Problem], filename: str) -> list[str]:
    """Return `jobs.yaml:14:5: jobs.backup.timeout: expected ..., got ... (hint)` for each."""
    # Late: no other output needs the package, which takes half of a command's start.
    from supervisor.config import format_problem

    return [format_problem(_marked(problem), filename) for problem in problems]


def _marked(problem: Problem) -> Problem:
    if problem.severity == Severity.ERROR:
        return problem
    return replace(problem, message=f"warning: {problem.message}")


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
    "ok": "green",
    "info": "cyan",
}
MOST_RESULTS = 6
# Columns per result on a terminal, and columns that the other cells need.
_COLUMNS_A_RESULT, _COLUMNS_BESIDE = 20, 60
# Drawing costs a millisecond per row; a longer listing is printed plain.
MOST_DRAWN = 300


def echo(text: str = "") -> None:
    """Print a line, with control characters escaped."""
    print(escape_control(readable(text)))


def say_output(text: str) -> None:
    """Print a program's output; on a terminal only its line breaks and colours pass."""
    print(keep_colours(text) if sys.stdout.isatty() else text)


def complain(text: str) -> None:
    """Print a line on standard error; ignore a failure to write it."""
    try:
        print(text.encode(errors="replace").decode(), file=sys.stderr, flush=True)
    except OSError:
        mute(sys.stderr)


def mute(stream: TextIO) -> None:
    """Redirect a stream to /dev/null: Python flushes it again at exit and would fail again."""
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def echo_wrapped(text: str, indent: int = 0) -> None:
    """Print a sentence, folded on a terminal; indent: of the continuation lines."""
    print(folded(escape_control(readable(text)), columns(sys.stdout), " " * indent))


def folded(text: str, width: int | None, indent: str = "", first: str = "") -> str:
    """Fold text between words to `width` columns; None: return it unfolded after `first`."""
    if width is None:
        return first + text
    # Late: not needed in a pipe.
    import textwrap

    return textwrap.fill(
        text,
        width=width,
        initial_indent=first,
        subsequent_indent=indent,
        # A path must be copyable from the screen; the terminal wraps long ones.
        break_long_words=False,
        break_on_hyphens=False,
    )


def columns(stream: TextIO) -> int | None:
    """Return the width of the terminal (or $COLUMNS); None if it is not a terminal."""
    return shutil.get_terminal_size().columns if stream.isatty() else None


def print_json(body: bytes) -> None:
    """Print a response body of the API unchanged."""
    print(body.decode(errors="replace"))


def print_value(value: Any) -> None:
    """Print a value as JSON."""
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
    """Return the text on one line, stripped, with control characters escaped."""
    return escape_control(readable(text).strip())


def styled(text: str, word: str) -> str:
    """Return `text` in the colour of `word`, unless colours are off."""
    if not sys.stdout.isatty() or os.environ.get("NO_COLOR"):
        return text
    return click.style(text, fg=_STYLES.get(word))


def format_seconds(seconds: float | None) -> str:
    """Return a short duration, or a dash for None."""
    return "-" if seconds is None else format_duration(seconds)


def results(result: Mapping[str, Any] | None) -> str:
    """Return the first results of a worker: `added=12 changed=0`.

    Fewer are shown on a narrow terminal.
    """
    items = [(key, value) for key, value in (result or {}).items() if value != ""]
    width = columns(sys.stdout)
    most = MOST_RESULTS
    if width is not None:
        most = max(1, min(most, (width - _COLUMNS_BESIDE) // _COLUMNS_A_RESULT))
    more = " ..." if len(items) > most else ""
    return " ".join(f"{key}={_number(value)}" for key, value in items[:most]) + more


class Table:
    """Rows under headers, printed together by `show`.

    spare: headers to drop on a narrow terminal, in this order.
    """

    def __init__(self, *headers: str, spare: Sequence[str] = ()) -> None:
        self._headers = headers
        self._spare = spare
        self._rows: list[tuple[str, ...]] = []

    def add(self, *cells: str) -> None:
        """Add a row with one cell per header."""
        self._rows.append(tuple(clean(cell) for cell in cells))

    def show(self) -> None:
        """Print the table, if it has rows."""
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
            echo(column_widths.GAP.join(cells).rstrip())

    def _draw(self) -> None:
        # Late: rich takes longer to import than the rest of `status` takes to run.
        from rich.console import Console
        from rich.table import Table as Drawn
        from rich.text import Text

        console = Console(highlight=False)
        wanted = {column[0]: max(map(len, column)) for column in self._columns()}
        found = column_widths.fitting(wanted, self._spare, console.width)
        drawn = Drawn(box=None, pad_edge=False, header_style="bold")
        for header, width in found.items():
            is_fixed = not column_widths.folds(header)
            drawn.add_column(header, overflow="fold", no_wrap=is_fixed, width=width)
        kept = [self._headers.index(header) for header in found]
        for row in self._rows:
            drawn.add_row(*(Text(row[place], _STYLES.get(row[place], "")) for place in kept))
        console.print(drawn)

    def _columns(self) -> list[tuple[str, ...]]:
        return list(zip(self._headers, *self._rows, strict=True))


def _number(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else clean(str(value))
