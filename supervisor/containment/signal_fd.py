"""SIGCHLD and SIGTERM as a descriptor: no handler runs, and no pipe has to be written.

Both signals stay blocked in this process, so each child that it starts must unblock
them: a mask is inherited by fork and exec. After a fork the descriptor shows the signals
of the process that reads it. Standard library only, which has no name for signalfd(2).
"""

import ctypes
import os
import signal

WATCHED = (signal.SIGCHLD, signal.SIGTERM)

_BYTES = 4096  # of many siginfo structures; the kernel merges equal signals
_SIGSET_WORDS = 1024 // 8 // ctypes.sizeof(ctypes.c_ulong)
_signalfd = ctypes.CDLL(None, use_errno=True).signalfd


def open_signal_fd() -> int:
    """Block the signals, and return a descriptor that is readable while one is pending.

    Raises:
        OSError: no descriptor is left.
    """
    watched = (ctypes.c_ulong * _SIGSET_WORDS)()
    for number in WATCHED:
        watched[0] |= 1 << (number - 1)
        # A blocked signal is queued even if its default is to be ignored, but not with SIG_IGN.
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_BLOCK, WATCHED)
    fd: int = _signalfd(-1, watched, os.O_CLOEXEC | os.O_NONBLOCK)
    if fd < 0:
        raise OSError(ctypes.get_errno(), "signalfd")
    return fd


def drain(fd: int) -> None:
    """Take the pending signals."""
    try:
        os.read(fd, _BYTES)
    except BlockingIOError:
        return
