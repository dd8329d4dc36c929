"""Path, query and header parameters of the API.

A `Parameter` both parses its value from a request and describes it in JSON Schema,
so that a route and its documentation cannot differ. `reject_unknown_query` refuses
query keys that a route does not declare.
"""

import contextlib
import difflib
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar
from urllib.parse import unquote

from msgspec import Struct
from starlette.requests import Request

from supervisor.api.errors import HttpError
from supervisor.core.model import State
from supervisor.core.schedule import YEARS
from supervisor.core.year_range import within_years
from supervisor.ledger.queries import MOST
from workers.units import is_whole

# 18 digits, which fit SQLite's 64-bit integer.
_LARGEST = 10**18 - 1

LONGEST_USER = 64
LONGEST_WORDS = 200
MOST_DAYS = 366

T = TypeVar("T")


class Parameter(Struct, Generic[T], frozen=True):
    """One parameter: its name, location, parser and JSON Schema.

    place: path, query or header. otherwise: the value if it is absent.
    """

    name: str
    place: str
    read: Callable[[str, str], T]
    schema: Mapping[str, Any]
    about: str
    otherwise: T

    def of(self, request: Request) -> T:
        """Return the value in a request. Raises: HttpError if it is invalid."""
        if self.place == "path":
            return self.read(request.path_params[self.name], self.name)
        found: Mapping[str, str] = (
            request.headers if self.place == "header" else request.query_params
        )
        given = found.get(self.name)
        return self.otherwise if given is None else self.read(given, self.name)


def reject_unknown_query(request: Request, declared: Iterable[Parameter[Any]]) -> None:
    """Refuse query keys that are not declared, or given twice. Raises: HttpError."""
    known = [each.name for each in declared if each.place == "query"]
    given = [name for name, _ in request.query_params.multi_items()]
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f'did you mean "{near[0]}"?' if near else ""
            expected = f"expected {', '.join(known)}" if known else "this route takes none"
            raise HttpError(422, f'no parameter is called "{name[:40]}": {expected}', hint)
        if given.count(name) > 1:
            raise HttpError(422, f"{name}: given {given.count(name)} times, expected once")


def number_in(text: str, name: str) -> int:
    """Return the text as an integer of at most 18 digits. Raises: HttpError."""
    if not (is_whole(text) and len(text) <= 18):
        raise HttpError(422, f'{name} "{text[:40]}": expected a whole number')
    return int(text)


def _from_one_to(most: int) -> Callable[[str, str], int]:
    """Return the reader of a number from 1 to `most`."""

    def number_up_to(text: str, name: str) -> int:
        number = number_in(text, name)
        if not 1 <= number <= most:
            raise HttpError(422, f"{name} {number}: expected a number from 1 to {most}")
        return number

    return number_up_to


_up_to_most, _days_in = _from_one_to(MOST), _from_one_to(MOST_DAYS)


def _time_in(text: str, name: str) -> datetime:
    """Return a time of any year. Raises: HttpError if the text is not RFC 3339."""
    with contextlib.suppress(ValueError):
        # A plus sign in a query string is decoded as a blank.
        instant = datetime.fromisoformat(text.replace(" ", "+"))
        if instant.tzinfo is not None:
            return instant
    raise HttpError(
        422,
        f'{name} "{text[:40]}": expected RFC 3339 with an offset, such as 2026-02-09T00:00:00Z',
    )


def _instant_in(text: str, name: str) -> datetime:
    instant = _time_in(text, name)
    if instant.year not in YEARS:
        years = f"a time from {YEARS[0]} to {YEARS[-1]}"
        raise HttpError(422, f'{name} "{text[:40]}": expected {years}')
    return instant.astimezone(UTC)


def _bound_in(text: str, name: str) -> datetime:
    """Return one end of a period; beyond the years of the calendar, their first or last one."""
    return within_years(_time_in(text, name))


def _state_in(text: str, name: str) -> State:
    if text not in list(State):
        raise HttpError(422, f'{name} "{text[:40]}": expected one of {", ".join(State)}')
    return State(text)


def _flag_in(text: str, name: str) -> bool:
    if text not in ("1", "true", "0", "false"):
        raise HttpError(422, f'{name} "{text[:40]}": expected 1 or 0')
    return text in ("1", "true")


def _text_in(text: str, _name: str) -> str:
    return text


def _user_in(text: str, name: str) -> str:
    with contextlib.suppress(UnicodeDecodeError):
        user = unquote(text, errors="strict")
        if user.isprintable() and len(user) <= LONGEST_USER:
            return user
    raise HttpError(
        422,
        f"{name}: expected at most {LONGEST_USER} printable characters, percent-encoded, "
        f"got {text[:80]!r}",
    )


def _words_in(text: str, name: str) -> str:
    if not 1 <= len(text) <= LONGEST_WORDS:
        raise HttpError(422, f"{name}: expected 1 to {LONGEST_WORDS} characters, got {len(text)}")
    return text


_NUMBER = {"type": "integer", "minimum": 0, "maximum": _LARGEST}
_SOME = {"type": "integer", "minimum": 1, "maximum": MOST}
_DAYS = {"type": "integer", "minimum": 1, "maximum": MOST_DAYS}
_INSTANT = {"type": "string", "format": "date-time"}
_FLAG = {"type": "string", "enum": ["1", "true", "0", "false"]}
_TEXT = {"type": "string"}

JOB = Parameter("job", "path", _text_in, _TEXT, "a name in jobs.yaml", "")
RUN = Parameter("run", "path", number_in, _NUMBER, "the number of a run", 0)
INCIDENT = Parameter("incident", "path", number_in, _NUMBER, "the number of an incident", 0)

SLOTS = Parameter("n", "query", _up_to_most, _SOME, "how many slots (5)", 5)
AT: Parameter[datetime | None] = Parameter(
    "at", "query", _instant_in, _INSTANT, "the slot or request of this instant (the newest)", None
)
LIMIT = Parameter("limit", "query", _up_to_most, _SOME, "at most so many (100)", 100)
OF_JOB: Parameter[str | None] = Parameter(
    "job", "query", _text_in, _TEXT, "only of this job", None
)
STATE: Parameter[State | None] = Parameter(
    "state", "query", _state_in, {"type": "string", "enum": list(State)}, "only in it", None
)
SINCE: Parameter[datetime | None] = Parameter(
    "since", "query", _bound_in, _INSTANT, "only those due then or later", None
)
UNTIL: Parameter[datetime | None] = Parameter(
    "until", "query", _bound_in, _INSTANT, "only those due before then", None
)
BEFORE: Parameter[int | None] = Parameter(
    "before", "query", number_in, _NUMBER, "only smaller numbers: the page after this run", None
)
FOLLOW = Parameter("follow", "query", _flag_in, _FLAG, "go on until the run ends", False)
GREP: Parameter[str | None] = Parameter(
    "grep",
    "query",
    _words_in,
    {"type": "string", "minLength": 1, "maxLength": LONGEST_WORDS},
    "only lines that contain this text, in upper or lower case",
    None,
)
RANGE: Parameter[str] = Parameter(
    "Range",
    "header",
    _text_in,
    _TEXT,
    "bytes=0-999, bytes=1000- or bytes=-1000 (the last 1000): only these, with status 206",
    "",
)
PAST_DAYS = Parameter("days", "query", _days_in, _DAYS, "so many days, today included (90)", 90)
COMING_DAYS: Parameter[int | None] = Parameter(
    "days", "query", _days_in, _DAYS, "only within so many days (however far)", None
)
PER_JOB: Parameter[int | None] = Parameter(
    "n", "query", _up_to_most, _SOME, "at most so many of each job", None
)
SLOT_LIMIT = Parameter(
    "limit", "query", _up_to_most, _SOME, f"at most so many in all ({MOST})", MOST
)
USER = Parameter(
    "Nightshift-User",
    "header",
    _user_in,
    _TEXT,
    "the person asking, percent-encoded; kept in actions",
    "",
)
ENV = Parameter("env", "query", _flag_in, _FLAG, "also the environment of its process", False)
LAST_EVENT: Parameter[int | None] = Parameter(
    "Last-Event-ID", "header", number_in, _NUMBER, "go on after this event (from now on)", None
)
