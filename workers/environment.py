"""The environment that this process was given at its exec, without what Python added.

Standard library only: this also runs in the interpreter of another environment.
"""

import os

# PEP 538: a Python that finds no locale sets this for itself and for all it starts.
_COERCED = "LC_CTYPE"


def restore() -> None:
    """Make os.environ again what it was before this interpreter began.

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
