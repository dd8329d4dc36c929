"""Tiny workers to launch as `tests.actors:<name>`; each does one thing to its keeper."""

import os
import resource
import signal
import sys
import time


def obedient(params, report):
    """Works until it is told to stop, and says so."""
    while not report.cancelled:
        signal.sigtimedwait([signal.SIGUSR2], 0.02)
    return {"stopped": True}


def deaf(params, report):
    """Hears no TERM."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    report.log("deaf")
    time.sleep(600)


def greeter(params, report):
    """Ends well at once, with what it was given."""
    report.progress(1, 2, "words")
    print("hello from", params.get("name", "nobody"))
    return {"name": params.get("name"), "dry": report.dry_run, "slot": str(report.slot)}


def parent_of_orphans(params, report):
    """Leaves a deaf grandchild in a session of its own, twice removed."""
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            time.sleep(600)
        os._exit(0)
    os.wait()


def fork_chain(params, report):
    """A process that forks itself and ends, over and over, each in a new session."""
    if os.fork() == 0:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            if os.fork() > 0:
                os._exit(0)
            os.setsid()
            signal.signal(signal.SIGTERM, signal.SIG_IGN)


def fork_bomb(params, report):
    """Up to 200 deaf processes, each a child of the one before."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    for _ in range(200):
        if os.fork() > 0:
            time.sleep(600)
    time.sleep(600)


def stopper(params, report):
    """Stops itself, as ^Z would."""
    report.log("standing still")
    os.kill(os.getpid(), signal.SIGSTOP)
    while not report.cancelled:
        signal.sigtimedwait([signal.SIGUSR2], 0.02)


def closer(params, report):
    """Closes every descriptor it has."""
    os.closerange(0, 1000)
    return {"closed": True}


def chatterbox(params, report):
    """One megabyte of output."""
    for number in range(16_384):
        print(f"{number:063d}")


def printer(params, report):
    """A hundred megabytes of output."""
    for _ in range(100):
        os.write(1, b"x" * 1023 * 1024 + b"\n" * 1024)
    os.write(1, b"the end\n")


def half_spoken(params, report):
    """Dies in the middle of a message."""
    fd = _message_fd(report)
    os.write(fd, b'{"message": "done", "resu')
    os._exit(0)


def garbler(params, report):
    """Writes what is no message, and then a proper one."""
    os.write(_message_fd(report), b"\xff\xfe{nonsense\n[1,2]\n")
    return {}


def flooder(params, report):
    """Speaks more than anybody can want to hear."""
    while True:
        report.log("x" * 50_000)


def runner(params, report):
    """Reports progress a thousand times at once."""
    for number in range(1000):
        report.progress(number, 999, "steps")


def silent(params, report):
    """Leaves without a word."""
    os._exit(0)


def crasher(params, report):
    """Raises."""
    raise ValueError("the moon is in the wrong house")


def quitter(params, report):
    """Calls sys.exit."""
    sys.exit(3)


def failing(params, report):
    """Fails by its own decision."""
    report.fail("nothing to be done", permanent=True)


def glutton(params, report):
    """Wants more memory than there is."""
    raise MemoryError


def babbler(params, report):
    """Returns what no ledger can hold."""
    return {"fine": 1, "list": [1, 2]}


def needs_missing_package(params, report):
    """Cannot even import what it needs."""
    import a_package_nobody_has.inside  # noqa: F401


def _message_fd(report):
    return report.send.__self__._fd


def bound(params, report):
    """Says by what it is bound: first a child that it forks at once, then itself."""
    child = os.fork()
    if child == 0:
        print(os.nice(0), resource.getrlimit(resource.RLIMIT_NOFILE)[0], flush=True)
        os._exit(0)
    os.waitpid(child, 0)
    print(os.nice(0), resource.getrlimit(resource.RLIMIT_NOFILE)[0])


def toucher(params, report):
    """Makes a file in its folder."""
    open("begun", "w").close()
