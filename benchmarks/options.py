"""What every benchmark asks of its command line, and how it is cut.

A signal ends a benchmark as an exit would: with statements end what was started
and remove what was written. A second signal, which a terminal and `run` both
send, does not disturb that.
"""

import argparse
import signal
import sys
from pathlib import Path
from types import FrameType

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def parser(module: str, description: str, rounds: int) -> argparse.ArgumentParser:
    """The options that all benchmarks have; `module` is the text that says what is measured."""
    found = argparse.ArgumentParser(
        description=description, epilog=module, formatter_class=argparse.RawTextHelpFormatter
    )
    found.add_argument("--rounds", type=count, default=rounds, help=f"default: {rounds}")
    found.add_argument(
        "--values", type=Path, metavar="FILE", help="save what is measured there, as JSON"
    )
    return found


def count(text: str) -> int:
    """A number of at least one. Raises: argparse.ArgumentTypeError."""
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected a number of at least 1, got {text!r}")
    return number


def end_on_signals() -> None:
    """From now on a signal to end raises SystemExit, once."""
    for each in _ENDING:
        signal.signal(each, _end)


def _end(number: int, _frame: FrameType | None) -> None:
    for each in _ENDING:
        signal.signal(each, signal.SIG_IGN)
    sys.exit(128 + number)
