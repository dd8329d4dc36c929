"""Coming slots as an iCalendar text (RFC 5545), for calendar programs.

Pure. An event has no duration, as its run's is not known, and leaves its time free. Own
code, because a library for reading and writing all of RFC 5545 is many times these lines.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime

from supervisor.core.calendar_views import UpcomingSlot
from supervisor.core.escape import escape_control

# More events are not written; a calendar program would not show them well.
MOST_EVENTS = 1000
# Of each job, so that one that runs each minute leaves room for the others.
PER_JOB = 200
# Octets of a line without its end (3.1).
_WIDEST = 75


def calendar(
    slots: Iterable[UpcomingSlot],
    descriptions: Mapping[str, str],
    now: datetime,
    version: str,
    about: str,
) -> bytes:
    """Return a calendar with an event for each slot. about: a sentence on what it has."""
    lines = [
        "BEGIN:VCALENDAR",
        "VERSION:2.0",
        f"PRODID:-//Nightshift//nightshift {_text(version)}//EN",
        "CALSCALE:GREGORIAN",
        "METHOD:PUBLISH",
        "X-WR-CALNAME:nightshift",
        f"X-WR-CALDESC:{_text(about)}",
    ]
    for each in slots:
        lines += _event(each, descriptions.get(each.job, ""), now)
    lines.append("END:VCALENDAR")
    return b"".join(piece for line in lines for piece in _folded(line))


def about(days: int, is_cut: bool, per_job: bool) -> str:
    """Return the sentence on what a calendar has."""
    said = f"Coming slots of {days} days"
    if per_job:
        said += f", at most {PER_JOB} of each job"
    return f"{said}, the first {MOST_EVENTS} of all." if is_cut else f"{said}."


def _event(slot: UpcomingSlot, description: str, now: datetime) -> Iterator[str]:
    yield "BEGIN:VEVENT"
    yield f"UID:{slot.job}-{_utc(slot.slot)}@nightshift"
    yield f"DTSTAMP:{_utc(now)}"
    yield f"DTSTART:{_utc(slot.slot)}"
    yield f"SUMMARY:{_text(slot.job)}"
    if description:
        yield f"DESCRIPTION:{_text(description)}"
    yield "TRANSP:TRANSPARENT"
    yield "END:VEVENT"


def _utc(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y%m%dT%H%M%SZ}"


def _text(text: str) -> str:
    r"""Return a value of type TEXT (3.3.11): `\`, `;`, `,` and line ends are escaped."""
    lines = "\n".join(map(escape_control, text.splitlines()))
    for mark in ("\\", ";", ","):
        lines = lines.replace(mark, f"\\{mark}")
    return lines.replace("\n", "\\n")


def _folded(line: str) -> Iterator[bytes]:
    """Yield a line in pieces of at most _WIDEST octets, whole characters each."""
    piece, size = bytearray(), _WIDEST
    for character in line:
        octets = character.encode(errors="replace")
        if len(piece) + len(octets) > size:
            yield bytes(piece) + b"\r\n "
            piece, size = bytearray(), _WIDEST - 1  # the space before it counts
        piece += octets
    yield bytes(piece) + b"\r\n"
