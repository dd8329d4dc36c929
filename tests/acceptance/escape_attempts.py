"""Commands that try to outlive their run: `python escape_attempts.py NAME TOKEN`.

Each one creates a file `TOKEN` in its working folder when it is running.
"""

import os
import signal
import sys
import time

LIFE_S = 600


def deaf() -> None:
    """Ignore SIGTERM."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    at_work()
    time.sleep(LIFE_S)


def daemon() -> None:
    """Start a daemonised grandchild in its own session that ignores SIGTERM."""
    if os.fork() == 0:
        os.setsid()
        if os.fork() > 0:
            os._exit(0)
        deaf()
    os.wait()
    time.sleep(LIFE_S)


def restless() -> None:
    """Fork and exit hundreds of times a second, each time in a new session."""
    if os.fork() == 0:
        while os.fork() == 0:
            os.setsid()
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            at_work()
        os._exit(0)
    time.sleep(LIFE_S)


def statue() -> None:
    """Stop itself and a child with SIGSTOP."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.fork()
    at_work()
    os.kill(os.getpid(), signal.SIGSTOP)
    time.sleep(LIFE_S)


def mute() -> None:
    """Close every descriptor, also in a child that ignores SIGTERM."""
    os.fork()
    os.closerange(0, 65536)
    deaf()


def nameless() -> None:
    """Run on with an empty environment, also in a child in another session."""
    if "PATH" in os.environ:
        os.execve(sys.executable, [sys.executable, "-S", *sys.argv], {})
    if os.fork() == 0:
        os.setsid()
    deaf()


def at_work() -> None:
    """Create the file that signals the start."""
    os.close(os.open(sys.argv[2], os.O_CREAT | os.O_WRONLY))


if __name__ == "__main__":
    globals()[sys.argv[1]]()
