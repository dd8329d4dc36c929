"""The one way in which tests wait: for a condition, with a limit.

The limit is for what never comes. What is only slow on a busy machine passes.
"""

import time
from collections.abc import Callable


def until(condition: Callable[[], object], within_s: float = 20.0) -> None:
    """Return as soon as `condition()` holds; fail after `within_s`."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {within_s} s"
        time.sleep(0.005)
