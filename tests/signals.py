"""Send signals to single processes, which may be gone by then.

A pid that a test looked up is 0 if the process is not there: the kernel would send the signal
to the process group of the tests themselves, and end or stop them all.
"""

import contextlib
import os
import signal


def send(number: int, *pids: int) -> None:
    """Send a signal to each of these processes that is still there.

    Raises:
        AssertionError: a pid is that of no single process; nothing was sent.
    """
    assert all(pid > 1 for pid in pids), f"signal {number} to no process: {pids}"
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def kill(*pids: int) -> None:
    """Send SIGKILL to each of these processes that is still there."""
    send(signal.SIGKILL, *pids)
