"""Exit statuses, and the exception that ends a command with a status other than 0.

The code that raises a `CliError` sets text, hint and status. The code that catches it
(`command.py`) only prints.
"""

import sys
from enum import IntEnum

from supervisor.cli.output import columns, complain, folded
from supervisor.core.escape import escape_control
from workers.text import readable


class ExitCode(IntEnum):
    """Exit statuses that scripts may rely on."""

    YES = 0
    NO = 1  # the request failed
    USAGE = 2  # usage or configuration
    NO_SUPERVISOR = 3  # no supervisor
    DETACHED = 130  # Ctrl-C


class CliError(Exception):
    """Error that ends a command with a status other than 0.

    text: may have several lines. hint: what the user can do.
    body: the response body of the API, for `--json`.
    """

    def __init__(self, status: ExitCode, text: str, hint: str = "", body: bytes = b"") -> None:
        super().__init__(text)
        self.status, self.text, self.hint, self.body = status, text, hint, body

    def show(self, as_json: bool) -> None:
        """Print the text on standard error; as JSON, the API's response on standard output.

        An error that no API answered has the same form there, and is also a text.
        """
        if as_json and self.body:
            print(self.body.decode(errors="replace"))
            return
        if as_json:
            # Late: only a failed command needs it.
            import json

            print(json.dumps({"error": readable(self.text), "hint": readable(self.hint)}))
        width = columns(sys.stderr)
        for line in f"nightshift: {readable(self.text)}".split("\n"):
            complain(folded(escape_control(line), width, "  "))
        if self.hint:
            hint = escape_control(readable(self.hint))
            complain(folded(hint, width, "  ", "  hint: "))
