"""Run a command on a pseudo-terminal and read what a user would see."""

import os
import pty
import re
from collections.abc import Callable

import pytest

from tests.acceptance.daemon import Sandbox

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def plain(said: str) -> str:
    """Return the text without colours."""
    return _COLOUR.sub("", said)


def pseudo_terminal() -> tuple[int, int]:
    """Return both ends of a new terminal; skip the test if there is no /dev/pts."""
    try:
        return pty.openpty()
    except OSError as error:
        pytest.skip(f"no pseudo-terminal is available: {error}")


def at_terminal(
    sandbox: Sandbox, *words: str, types: str = "", reads: Callable[[bytes], object] = bool
) -> tuple[int, str]:
    """Return exit status and terminal output. reads: called with all output so far."""
    ours, theirs = pseudo_terminal()
    process = sandbox.begin(*words, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    os.write(ours, types.encode())
    said = b""
    while True:
        try:
            piece = os.read(ours, 65536)
        except OSError:  # EIO: the other end of the terminal is closed
            break
        said += piece
        reads(said)
    os.close(ours)
    return process.wait(10), said.decode()
