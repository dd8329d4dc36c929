"""Restore the environment that this process received at exec.

Standard library only, because this module also runs in other interpreters.
"""

import os

# PEP 538: if Python finds no locale it sets LC_CTYPE, which child processes inherit.
_COERCED = "LC_CTYPE"


def restore() -> None:
    """Undo Python's own change to os.environ.

    The interpreter keeps the locale that it chose.
    """
    try:
        with open("/proc/self/environ", "rb") as file:
            entries = file.read().split(b"\0")
    except OSError:
        return
    given = [entry for entry in entries if entry.startswith(b"LC_CTYPE=")]
    if not given:
        os.environ.pop(_COERCED, None)
        return
    value = os.fsdecode(given[0].partition(b"=")[2])
    if os.environ.get(_COERCED) != value:
        os.environ[_COERCED] = value
