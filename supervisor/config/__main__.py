"""`python -m supervisor.config PATH --into OUT [--cache DIR] [--text FILE] [--limit SECONDS]`.

Loads jobs.yaml in a separate process and writes the outcome. Exit status 0: accepted,
2: rejected. --text: a stored text to use as the content of PATH. An alarm ends the
process after --limit seconds.
"""

import argparse
import os
import signal
import sys
from pathlib import Path

from supervisor.config.load_file import load
from supervisor.config.result import write_outcome


def main() -> int:
    """Load the file, write the outcome, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m supervisor.config")
    parser.add_argument("path", type=Path)
    parser.add_argument("--into", type=Path, required=True)
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--text", type=Path)
    parser.add_argument("--limit", type=int, default=0)
    asked = parser.parse_args()
    signal.alarm(asked.limit)
    loaded = load(asked.path, os.environ, asked.cache, asked.text)
    write_outcome(loaded, asked.into)
    return 2 if loaded.config is None else 0


if __name__ == "__main__":
    sys.exit(main())
