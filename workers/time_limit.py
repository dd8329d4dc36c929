"""Wait for a call that may block for ever, for a limited time.

Standard library only. Invariant: a signal is noticed while the call blocks.
"""

import threading
import time
from collections.abc import Callable
from typing import TypeVar

_LOOK_EVERY_S = 0.05
T = TypeVar("T")


def within(limit_s: float, work: Callable[[], T], check: Callable[[], None]) -> T:
    """Return the result of `work()`, run in a daemon thread, or raise what it raises.

    `check` is called meanwhile; an exception from it is raised, and the thread is left behind.

    Raises:
        TimeoutError: it has not ended after `limit_s` seconds; the thread is left behind.
    """
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:  # raised again in the thread that waits
            errors.append(error)

    deadline = time.monotonic() + limit_s
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    while thread.is_alive():
        check()
        if time.monotonic() >= deadline:
            raise TimeoutError
        thread.join(_LOOK_EVERY_S)
    if errors:
        raise errors[0]
    return results[0]
