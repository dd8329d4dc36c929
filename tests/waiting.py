"""The only way in which tests wait: for a condition, with a time limit.

The limit is for a condition that never holds. It is long enough for a test that is only slow
on a busy machine.
"""

import time
from collections.abc import Callable


def until(condition: Callable[[], object], within_s: float = 20.0) -> None:
    """Return as soon as `condition()` holds; fail after `within_s` seconds."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {within_s} s"
        time.sleep(0.005)
