"""How a verb may end: the exit statuses, and the one exception that says no.

Whoever raises a `Failure` knows the text, the hint and the status; whoever
catches it (`verb.py`) only prints.
"""

import sys
from enum import IntEnum

from supervisor.cli.printing import columns, complain, folded
from supervisor.core.escape import escape_control
from workers.text import readable


class Exit(IntEnum):
    """Exit statuses that scripts may rely on."""

    YES = 0
    NO = 1  # the thing asked for failed
    USAGE = 2  # usage or configuration
    NOBODY = 3  # no supervisor
    DETACHED = 130  # Ctrl-C


class Failure(Exception):  # noqa: N818 - the verb's end, not a fault of ours
    """A verb that ends with a status other than 0.

    text may have several lines; hint: what the person may do.
    body: the API's own words, for `--json`.
    """

    def __init__(self, status: Exit, text: str, hint: str = "", body: bytes = b"") -> None:
        super().__init__(text)
        self.status, self.text, self.hint, self.body = status, text, hint, body

    def show(self, as_json: bool) -> None:
        """Print the API's words on standard output, or ours on standard error."""
        if as_json and self.body:
            print(self.body.decode(errors="replace"))
            return
        width = columns(sys.stderr)
        for line in f"nightshift: {readable(self.text)}".split("\n"):
            complain(folded(escape_control(line), width, "  "))
        if self.hint:
            hint = escape_control(readable(self.hint))
            complain(folded(hint, width, "  ", "  hint: "))
