"""What a process inherits and cannot work with: closed descriptors, signals, a locale.

`settle` comes before everything else of `nightshift`. A parent may have closed
standard streams, ignored SIGCHLD, blocked SIGTERM or chosen a locale whose encoding
lacks half of our text. Jobs get defaults from the nursery (`containment/nursery.py`).
"""

import os
import signal
import sys

from workers import environment


def settle() -> None:
    """Put standard streams, signals, environment and encoding in order."""
    environment.restore()
    _speak_utf8()
    _open_closed_streams()
    # Ignored, the kernel would reap our children itself and keep their statuses.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _speak_utf8() -> None:
    """Begin again in Python's UTF-8 mode where the locale has another encoding.

    Names, definitions and output are bytes to us; in that mode each of them survives
    the way in and out. The flag, and not $PYTHONUTF8, because jobs would inherit that.
    """
    if sys.flags.utf8_mode or sys.getfilesystemencoding().lower() == "utf-8":
        return
    os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])


def _open_closed_streams() -> None:
    """Put /dev/null in the place of each standard stream that is closed.

    The next file that is opened would take its number, and get what is printed.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    # They stay open as long as the process, like those that Python opens itself.
    sys.stdin = sys.stdin or open(0, closefd=False)  # noqa: SIM115
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115
