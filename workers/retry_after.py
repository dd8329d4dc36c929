"""Read a Retry-After header by urllib3's own rule, as a bounded wait.

It imports urllib3, so it is for runs and child processes, never for the supervisor itself.
"""

from urllib3.exceptions import InvalidHeader
from urllib3.util import Retry

# The same limit as in urllib3 2.7, for versions that have none.
LONGEST_S = 6 * 3600.0


def retry_after_s(text: str | None) -> float | None:
    """Return the seconds to wait, 0 to `LONGEST_S`; None if the header is missing or invalid.

    text: seconds in ASCII digits, or a date (RFC 9110, 10.2.3); one that is over is 0.
    """
    if text is None:
        return None
    try:
        seconds = Retry().parse_retry_after(text)
    # Python refuses years beyond 9999, numbers of over 4300 digits, and dates that are none.
    except (InvalidHeader, ValueError, OverflowError):
        return None
    return float(max(0, min(seconds, LONGEST_S)))
