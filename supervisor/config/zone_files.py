"""Finds the IANA zone that a zone file's content or a POSIX TZ string stands for.

The result is always a zone name: names appear in API answers, are passed to jobs, and
a worker must be able to open them. `tzlocal` returns an object without a name for a
copied file and does not support POSIX strings, so the zone database is searched here.
None of this runs where /etc/localtime is the usual link.
"""

import re
import struct
import zoneinfo
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import cache, lru_cache
from io import BytesIO
from pathlib import Path

from msgspec import Struct

MAGIC = b"TZif"
LARGEST_BYTES = 64 * 1024

_OFFSET = r"[+-]?\d{1,3}(?::\d{2}){0,2}"
_NAME = r"<[A-Za-z0-9+-]{3,}>|[A-Za-z]{3,}"
_DATE = r"(?:M\d{1,2}\.\d\.\d|J?\d{1,3})"
_RULE = rf"({_DATE})(?:/({_OFFSET}))?"
_POSIX = re.compile(rf"({_NAME})({_OFFSET})(?:({_NAME})({_OFFSET})?,{_RULE},{_RULE})?", re.ASCII)
_HOUR_S = 3600
# Instants at which two zones are compared: those that jobs will see, and historical
# ones that distinguish zones which are equal today.
_FROM_NOW_ON = tuple(
    datetime(year, month, day, tzinfo=UTC)
    for year in range(2020, 2038)
    for month in range(1, 13)
    for day in (1, 15)
)
_EVER = tuple(
    datetime(year, month, 1, tzinfo=UTC) for year in range(1900, 2038) for month in (1, 4, 7, 10)
)


class Rule(Struct, frozen=True):
    """A POSIX TZ string without its abbreviations.

    Offsets are seconds east of UTC. begins, ends: date and second of day of each change.
    """

    standard_s: int
    summer_s: int | None = None
    begins: tuple[str, int] | None = None
    ends: tuple[str, int] | None = None


@lru_cache(maxsize=8)
def zone_of_content(content: bytes, hint: str = "") -> str | None:
    """Return the zone whose file has this content or the same behaviour, or None.

    hint: the name to prefer among several equal zones.
    """
    if not content.startswith(MAGIC):
        return None
    same = [name for name, known in _database().items() if known == content]
    if not same:
        same = _behaving_like(content)
    if same:
        return hint if hint in same else min(same, key=_preference)
    return zone_of_posix(_footer(content))


@lru_cache(maxsize=64)
def zone_of_posix(text: str) -> str | None:
    """Return a zone that follows the rule of a POSIX string from now on, or None."""
    parsed = _parse(text)
    if parsed is None:
        return None
    abbreviations, rule = parsed
    found = [name for name, (_, other) in _rules().items() if other == rule]
    likely = [name for name in found if _rules()[name][0] == abbreviations]

    def rank(name: str) -> tuple[bool, bool, tuple[bool, bool, bool, str]]:
        is_fixed = rule.summer_s is None and not abbreviations[0].isalpha()
        is_own = name == abbreviations[0] or text.startswith(name)
        return not is_own, is_fixed and not name.startswith("Etc/"), _preference(name)

    if likely:
        return min(likely, key=rank)
    # Prefer a fixed offset: a place may change its rules, Etc/GMT+N cannot.
    hours = [name for name in found if name.startswith("Etc/")]
    return min(hours or found, key=rank, default=None)


def _parse(text: str) -> tuple[tuple[str, str], Rule] | None:
    match = _POSIX.fullmatch(text)
    if match is None:
        return None
    standard, offset, summer, summer_offset, *changes = match.groups()
    # POSIX offsets count west of UTC.
    standard_s = -_seconds(offset)
    abbreviations = standard.strip("<>"), (summer or "").strip("<>")
    if summer is None:
        return abbreviations, Rule(standard_s)
    summer_s = standard_s + _HOUR_S if summer_offset is None else -_seconds(summer_offset)
    first, first_at, last, last_at = changes
    begins, ends = (first, _seconds(first_at or "2")), (last, _seconds(last_at or "2"))
    return abbreviations, Rule(standard_s, summer_s, begins, ends)


def _seconds(offset: str) -> int:
    sign = -1 if offset.startswith("-") else 1
    parts = [*map(int, offset.lstrip("+-").split(":")), 0, 0]
    return sign * (parts[0] * _HOUR_S + parts[1] * 60 + parts[2])


def _footer(content: bytes) -> str:
    """Return the POSIX string at the end of a zone file, or "" for a version 1 file."""
    lines = content.rsplit(b"\n", 2)
    return lines[1].decode("ascii", "replace") if len(lines) == 3 and not lines[2] else ""


@cache
def _rules() -> dict[str, tuple[tuple[str, str], Rule]]:
    parsed = {name: _parse(_footer(content)) for name, content in _database().items()}
    return {name: rule for name, rule in parsed.items() if rule is not None}


def _behaving_like(content: bytes) -> list[str]:
    """Return the zones with the same times as a file of another tzdata edition or compiler."""
    try:
        wanted = zoneinfo.ZoneInfo.from_file(BytesIO(content))
    except (ValueError, OSError, struct.error):
        return []
    footer = _footer(content)
    of_rule = [name for name, known in _database().items() if _footer(known) == footer]
    now_on = _times(wanted, _FROM_NOW_ON)
    found = {
        name: zoneinfo.ZoneInfo(name)
        for name in (of_rule if footer else _database())
        if _times(zoneinfo.ZoneInfo(name), _FROM_NOW_ON) == now_on
    }
    ever = _times(wanted, _EVER)
    alike = {name: _count_same(_times(zone, _EVER), ever) for name, zone in found.items()}
    most = max(alike.values(), default=0)
    return [name for name, count in alike.items() if count == most]


def _times(zone: zoneinfo.ZoneInfo, instants: Iterable[datetime]) -> list[tuple[object, object]]:
    walls = (instant.astimezone(zone) for instant in instants)
    return [(wall.utcoffset(), wall.tzname()) for wall in walls]


def _count_same(some: Iterable[object], others: Iterable[object]) -> int:
    return sum(one == other for one, other in zip(some, others, strict=True))


def _preference(name: str) -> tuple[bool, bool, bool, str]:
    """Return a sort key: UTC first, then main names of places, then all others."""
    return name != "UTC", name not in _main_names(), "/" not in name, name


@cache
def _database() -> dict[str, bytes]:
    """Return the content of every zone file that can be opened, by zone name."""
    read = (_reader(Path(folder)) for folder in zoneinfo.TZPATH)
    readers = [*read, _of_package]
    found = {}
    for name in sorted(zoneinfo.available_timezones() - {"localtime", "Factory", "posixrules"}):
        contents = (reader(name) for reader in readers)
        content = next((each for each in contents if each.startswith(MAGIC)), b"")
        if content:
            found[name] = content
    return found


@cache
def _main_names() -> frozenset[str]:
    readers = [*(_reader(Path(folder)) for folder in zoneinfo.TZPATH), _of_package]
    table = next((text for reader in readers if (text := reader("zone1970.tab"))), b"")
    rows = (line.split("\t") for line in table.decode(errors="replace").splitlines())
    return frozenset(row[2] for row in rows if len(row) > 2 and not row[0].startswith("#"))


def _reader(folder: Path) -> Callable[[str], bytes]:
    def read(name: str) -> bytes:
        try:
            return (folder / name).read_bytes()
        except OSError:
            return b""

    return read


def _of_package(name: str) -> bytes:
    # Imported here: few machines lack zones of their own, and it brings a dozen modules.
    from importlib.resources import files

    try:
        return files("tzdata").joinpath("zoneinfo", *name.split("/")).read_bytes()
    except (ImportError, OSError):
        return b""
