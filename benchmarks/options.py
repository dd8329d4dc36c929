"""Command-line options shared by all benchmarks, and their reaction to signals.

A signal ends a benchmark with SystemExit, so that `with` statements end the processes they
started and remove their files. Further signals are ignored, because the terminal and `run`
both send one.
"""

import argparse
import signal
import sys
from pathlib import Path
from types import FrameType

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def parser(module: str, description: str, rounds: int) -> argparse.ArgumentParser:
    """Return a parser with the common options; `module`: the benchmark's docstring, for help."""
    found = argparse.ArgumentParser(
        description=description, epilog=module, formatter_class=argparse.RawTextHelpFormatter
    )
    found.add_argument("--rounds", type=count, default=rounds, help=f"default: {rounds}")
    found.add_argument(
        "--values", type=Path, metavar="FILE", help="save what is measured there, as JSON"
    )
    return found


def count(text: str) -> int:
    """Parse a number of at least one. Raises: argparse.ArgumentTypeError."""
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected a number of at least 1, got {text!r}")
    return number


def end_on_signals() -> None:
    """Raise SystemExit on the first signal that ends a process; ignore further ones."""
    for each in _ENDING:
        signal.signal(each, _end)


def _end(number: int, _frame: FrameType | None) -> None:
    for each in _ENDING:
        signal.signal(each, signal.SIG_IGN)
    sys.exit(128 + number)
