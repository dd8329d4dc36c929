"""Lines of a log that contain a text, for the API and for commands that read the files.

Pure: the caller reads the log and masks its secrets.
"""

import re


def lines_with(text: str, wanted: str) -> str:
    """Return the lines of a text that contain another one, in upper or lower case."""
    is_wanted = re.compile(re.escape(wanted), re.IGNORECASE).search
    return "".join(line for line in text.splitlines(keepends=True) if is_wanted(line))
