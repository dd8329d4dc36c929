"""Small workers to launch as `tests.sample_workers:<name>`; each tests one keeper behaviour."""

import os
import resource
import signal
import sys
import time


def end_on_cancel(params, report):
    """Work until cancelled, and report that."""
    while not report.cancelled:
        signal.sigtimedwait([signal.SIGUSR2], 0.02)
    return {"stopped": True}


def ignore_sigterm(params, report):
    """Ignore SIGTERM."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    report.log("deaf")
    time.sleep(600)


def return_input(params, report):
    """Succeed at once and return the input."""
    report.progress(1, 2, "words")
    print("hello from", params.get("name", "nobody"))
    return {"name": params.get("name"), "dry": report.dry_run, "slot": str(report.slot)}


def parent_of_orphans(params, report):
    """Leave a daemonised grandchild that ignores SIGTERM in its own session."""
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            time.sleep(600)
        os._exit(0)
    os.wait()


def fork_chain(params, report):
    """Fork and exit over and over, each time in a new session."""
    if os.fork() == 0:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            if os.fork() > 0:
                os._exit(0)
            os.setsid()
            signal.signal(signal.SIGTERM, signal.SIG_IGN)


def fork_bomb(params, report):
    """Create up to 200 processes that ignore SIGTERM, each the child of the previous one."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    for _ in range(200):
        if os.fork() > 0:
            time.sleep(600)
    time.sleep(600)


def stop_itself(params, report):
    """Stop itself, like ^Z."""
    report.log("standing still")
    os.kill(os.getpid(), signal.SIGSTOP)
    while not report.cancelled:
        signal.sigtimedwait([signal.SIGUSR2], 0.02)


def close_descriptors(params, report):
    """Close every file descriptor."""
    os.closerange(0, 1000)
    return {"closed": True}


def print_megabyte(params, report):
    """Print one megabyte."""
    for number in range(16_384):
        print(f"{number:063d}")


def print_hundred_megabytes(params, report):
    """Print a hundred megabytes."""
    for _ in range(100):
        os.write(1, b"x" * 1023 * 1024 + b"\n" * 1024)
    os.write(1, b"the end\n")


def exit_in_message(params, report):
    """Exit in the middle of a message."""
    fd = _message_fd(report)
    os.write(fd, b'{"message": "done", "resu')
    os._exit(0)


def send_garbage(params, report):
    """Write invalid messages, then return normally."""
    os.write(_message_fd(report), b"\xff\xfe{nonsense\n[1,2]\n")
    return {}


def send_endlessly(params, report):
    """Send log messages without end."""
    while True:
        report.log("x" * 50_000)


def report_progress(params, report):
    """Report progress a thousand times at once."""
    for number in range(1000):
        report.progress(number, 999, "steps")


def exit_silently(params, report):
    """Exit without a message."""
    os._exit(0)


def raise_value_error(params, report):
    """Raise ValueError."""
    raise ValueError("the moon is in the wrong house")


def call_exit(params, report):
    """Call sys.exit."""
    sys.exit(3)


def report_failure(params, report):
    """Fail with report.fail."""
    report.fail("nothing to be done", permanent=True)


def raise_memory_error(params, report):
    """Raise MemoryError."""
    raise MemoryError


def return_list(params, report):
    """Return a result that the ledger cannot store."""
    return {"fine": 1, "list": [1, 2]}


def needs_missing_package(params, report):
    """Import a package that is not installed."""
    import a_package_nobody_has.inside  # noqa: F401


def _message_fd(report):
    return report.send.__self__._fd


def print_limits(params, report):
    """Print nice value and RLIMIT_NOFILE: first of a child forked at once, then its own."""
    child = os.fork()
    if child == 0:
        print(os.nice(0), resource.getrlimit(resource.RLIMIT_NOFILE)[0], flush=True)
        os._exit(0)
    os.waitpid(child, 0)
    print(os.nice(0), resource.getrlimit(resource.RLIMIT_NOFILE)[0])


def touch_file(params, report):
    """Create a file in the working folder."""
    open("begun", "w").close()
