"""Repairs inherited process state: closed descriptors, signals, environment, locale.

`settle` runs before everything else in `nightshift`. A parent may have closed standard
streams, ignored SIGCHLD, blocked SIGTERM or chosen a locale whose encoding lacks half
of our text. Jobs get their defaults from the fork server (`containment/fork_server.py`).
"""

import os
import signal
import sys

from workers import environment


def settle() -> None:
    """Reset standard streams, signals, environment and encoding."""
    environment.restore()
    _speak_utf8()
    _open_closed_streams()
    # If SIGCHLD is ignored, the kernel reaps our children and discards their statuses.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _speak_utf8() -> None:
    """Re-execute Python in UTF-8 mode if the locale has another encoding.

    Names, definitions and output are bytes; UTF-8 mode keeps each of them unchanged on
    input and output. Use the flag and not $PYTHONUTF8, which jobs would inherit.
    """
    if sys.flags.utf8_mode or sys.getfilesystemencoding().lower() == "utf-8":
        return
    os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])


def _open_closed_streams() -> None:
    """Open /dev/null in place of each closed standard stream.

    Otherwise the next opened file would get the stream's number and receive its output.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    # Open for the lifetime of the process, like the streams that Python opens itself.
    sys.stdin = sys.stdin or open(0, closefd=False)  # noqa: SIM115
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115
