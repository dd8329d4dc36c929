"""Words and shapes of states: a state is shown by shape and word, never by colour alone."""

from collections.abc import Iterable

from supervisor.core.config_model import Severity
from supervisor.core.model import State

# Path data of a mark in a box of 12 by 12.
SHAPES = {
    "success": "M6 1a5 5 0 1 1 0 10a5 5 0 1 1 0-10z",
    "failed": "M1 1h10v10H1z",
    "missed": "M2.5 1L6 4.5L9.5 1L11 2.5L7.5 6L11 9.5L9.5 11L6 7.5L2.5 11L1 9.5L4.5 6L1 2.5z",
    "interrupted": "M1 1h4v10H1zM7 1h4v10H7z",
    "skipped": "M1 1l5 5l-5 5zM6 1l5 5l-5 5z",
    "cancelled": "M1 4.5h10v3H1z",
    "running": "M2 .5l9 5.5l-9 5.5z",
    "retrying": "M6 .5l5.5 5.5L6 11.5L.5 6z",
    "pending": "M6 1a5 5 0 1 1 0 10a5 5 0 1 1 0-10zm0 2a3 3 0 1 0 0 6a3 3 0 1 0 0-6z",
    "disabled": "M1 5h10v2H1z",
    "paused": "M2 1h3v10H2zM7 1h3v10H7z",
    "none": "M5 5h2v2H5z",
    "verified": "M1 6.5l1.8-1.8L5 6.9L9.7 2l1.5 1.6L5 10z",
    "unverified": "M6 1a5 5 0 1 1 0 10a5 5 0 1 1 0-10zm0 2a3 3 0 1 0 0 6a3 3 0 1 0 0-6z",
    "damaged": "M1 1h10v10H1z",
    "alive": "M6 1a5 5 0 1 1 0 10a5 5 0 1 1 0-10z",
    "silent": "M6 1a5 5 0 1 1 0 10a5 5 0 1 1 0-10zm0 2a3 3 0 1 0 0 6a3 3 0 1 0 0-6z",
    "lost": "M1 1h10v10H1z",
    "critical": "M6 .5l6 11H0z",
    "error": "M1 1h10v10H1z",
    "warning": "M6 .5l6 11H0z",
    "info": "M6 1a5 5 0 1 1 0 10a5 5 0 1 1 0-10z",
}
# From bad to good, the order of a sorted list.
_BAD_FIRST = (
    *("failed", "interrupted", "missed", "retrying", "running", "pending"),
    *("cancelled", "skipped", "success"),
)
RANK = {state: place for place, state in enumerate(_BAD_FIRST)}


def icon_of(incidents: Iterable[str], last: Iterable[str]) -> str:
    """Return the icon of the page: `bad`, `warn` or `ok`."""
    severities = set(incidents)
    if severities & {Severity.ERROR, Severity.CRITICAL} or State.FAILED in set(last):
        return "bad"
    return "warn" if severities else "ok"
