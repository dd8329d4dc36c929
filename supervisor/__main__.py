"""`python -m supervisor` is `nightshift`."""

import sys

from supervisor.cli.program import main

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())
