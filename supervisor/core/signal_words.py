"""Names and usual meanings of signals, for people. Pure."""

import signal

_MEANINGS = {
    "SIGHUP": "hang-up",
    "SIGINT": "an interrupt, as by Ctrl-C",
    "SIGQUIT": "a request to quit, as by Ctrl-\\",
    "SIGILL": "illegal instruction: built for another processor?",
    "SIGTRAP": "a breakpoint without a debugger",
    "SIGABRT": "it aborted itself, as after a failed assertion",
    "SIGBUS": "bus error: a mapped file was cut short, or its disk is full or failing",
    "SIGFPE": "arithmetic error, as by a division by zero",
    "SIGKILL": "out of memory?",
    "SIGUSR1": "a user-defined signal it does not handle",
    "SIGSEGV": "invalid memory access",
    "SIGUSR2": "a user-defined signal it does not handle",
    "SIGPIPE": "it wrote to a pipe or socket that nothing reads any more",
    "SIGALRM": "its own timer ran out",
    "SIGTERM": "a request to end, not from this service",
    "SIGSTKFLT": "stack fault",
    "SIGXCPU": "more CPU time than a limit allows",
    "SIGXFSZ": "a file larger than a limit allows",
    "SIGVTALRM": "its own timer ran out",
    "SIGPROF": "its own profiling timer ran out",
    "SIGIO": "input or output it does not handle",
    "SIGPWR": "power failure",
    "SIGSYS": "a system call that is forbidden here",
}
_FIRST_REAL_TIME = 34  # SIGRTMIN of glibc, which reserves 32 and 33
_LAST = 64


def name(number: int) -> str:
    """Return SIGTERM, SIGRTMIN+3, or `signal 99` for a number without a name."""
    if _FIRST_REAL_TIME < number <= _LAST:
        return f"SIGRTMIN+{number - _FIRST_REAL_TIME}"
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def meaning(number: int) -> str:
    """Return what an end by this signal usually means; "": unknown."""
    return _MEANINGS.get(name(number), "")
