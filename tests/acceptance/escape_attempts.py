"""Commands that try to outlive their run: `python escape_attempts.py NAME TOKEN`.

Each one creates a file `TOKEN` in its working folder when it is running.
"""

import os
import signal
import sys
import time

LIFE_S = 600


def immune() -> None:
    """Ignore SIGTERM."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    report_start()
    time.sleep(LIFE_S)


def daemon() -> None:
    """Start a daemonised grandchild in its own session that ignores SIGTERM."""
    if os.fork() == 0:
        os.setsid()
        if os.fork() > 0:
            os._exit(0)
        immune()
    os.wait()
    time.sleep(LIFE_S)


def forking() -> None:
    """Fork and exit hundreds of times a second, each time in a new session."""
    if os.fork() == 0:
        while os.fork() == 0:
            os.setsid()
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            report_start()
        os._exit(0)
    time.sleep(LIFE_S)


def stopped() -> None:
    """Stop itself and a child with SIGSTOP."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.fork()
    report_start()
    os.kill(os.getpid(), signal.SIGSTOP)
    time.sleep(LIFE_S)


def closed() -> None:
    """Close every descriptor, also in a child that ignores SIGTERM."""
    os.fork()
    os.closerange(0, 65536)
    immune()


def unmarked() -> None:
    """Run on with an empty environment, also in a child in another session."""
    if "PATH" in os.environ:
        os.execve(sys.executable, [sys.executable, "-S", *sys.argv], {})
    if os.fork() == 0:
        os.setsid()
    immune()


def report_start() -> None:
    """Create the file that signals the start."""
    os.close(os.open(sys.argv[2], os.O_CREAT | os.O_WRONLY))


if __name__ == "__main__":
    globals()[sys.argv[1]]()
