"""Commands that would like to outlive their end: `python fugitives.py NAME TOKEN`.

Each says that it is at work by making a file `TOKEN`, in the folder it is started in.
"""

import os
import signal
import sys
import time

LIFE_S = 600


def deaf() -> None:
    """Hears no TERM."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    at_work()
    time.sleep(LIFE_S)


def daemon() -> None:
    """Its grandchild is in a session of its own, twice removed, and deaf."""
    if os.fork() == 0:
        os.setsid()
        if os.fork() > 0:
            os._exit(0)
        deaf()
    os.wait()
    time.sleep(LIFE_S)


def restless() -> None:
    """Forks itself and ends, hundreds of times a second, each time in a new session."""
    if os.fork() == 0:
        while os.fork() == 0:
            os.setsid()
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            at_work()
        os._exit(0)
    time.sleep(LIFE_S)


def statue() -> None:
    """Stops itself, and its child too."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.fork()
    at_work()
    os.kill(os.getpid(), signal.SIGSTOP)
    time.sleep(LIFE_S)


def mute() -> None:
    """Closes every descriptor that it has, and so does its deaf child."""
    os.fork()
    os.closerange(0, 65536)
    deaf()


def nameless() -> None:
    """Lives on with an empty environment, and so does its deaf child in another session."""
    if "PATH" in os.environ:
        os.execve(sys.executable, [sys.executable, "-S", *sys.argv], {})
    if os.fork() == 0:
        os.setsid()
    deaf()


def at_work() -> None:
    """Make the file that tells so."""
    os.close(os.open(sys.argv[2], os.O_CREAT | os.O_WRONLY))


if __name__ == "__main__":
    globals()[sys.argv[1]]()
