"""Time zones: validates zone names and finds the zone of this machine."""

import difflib
import os
import re
import zoneinfo
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from msgspec import Struct

from supervisor.config import zone_hints
from supervisor.config.problems import BadValueError, UnknownNameError, quote_value
from supervisor.config.zone_files import LARGEST_BYTES, zone_of_content, zone_of_posix
from supervisor.core import schedule
from workers.regular_file import UnreadableFileError, read_regular

LOCALTIME = Path("/etc/localtime")
# `zoneinfo-posix`, `zoneinfo/uclibc` and the like are copies of the database.
_IN_DATABASE = re.compile(r"/zoneinfo(?:[-.][a-z]+)?/(?:uclibc/)?")
# Entries of the database that are not zones: machine-dependent or placeholders.
_NO_NAMES = frozenset({"", "localtime", "posixrules", "Factory"})


def check_zone(name: str) -> None:
    """Check that `name` is a known zone. Raises: BadValueError."""
    if not is_zone(name):
        message = f'expected an IANA name such as "Europe/Berlin", got {quote_value(name)}'
        is_spelling = name.lower() in _all_by_lower_case()
        advice = "" if is_spelling else zone_hints.advice(name, _all_by_city())
        if advice:
            raise BadValueError(message, advice)
        raise UnknownNameError(message, name, _all_by_lower_case().get(name.lower(), ()) or _all())


@lru_cache(maxsize=1024)
def is_zone(name: str) -> bool:
    """Return whether `name` is an IANA name known on this machine."""
    try:
        schedule.zone(name)
    except schedule.CronError:
        return False
    return True


class MachineZone(Struct, frozen=True):
    """The zone of this machine; error: why UTC is used instead, or ""."""

    name: str
    error: str = ""


def system_zone(environ: Mapping[str, str], localtime: Path | None = None) -> MachineZone:
    """Return the zone that `date` would use: of $TZ if set, else of /etc/localtime.

    Raises:
        BadValueError: $TZ names no zone.
    """
    if "TZ" not in environ:
        return _of_localtime(localtime or LOCALTIME)
    value = environ["TZ"].removeprefix(":")
    if value == "localtime":
        return _of_localtime(localtime or LOCALTIME)
    # As in the C library, a TZ that is set but empty means UTC.
    return MachineZone(_of_variable(value) if value else "UTC")


def _of_variable(value: str) -> str:
    found = _of_path(Path(value)) if value.startswith("/") else _of_name(value)
    found = found or zone_of_posix(value)
    if found is not None:
        return found
    message = (
        f"the environment variable TZ is {quote_value(value)}: expected an IANA name such as "
        '"Europe/Berlin", or a POSIX string whose rule some zone has'
    )
    near = difflib.get_close_matches(value.lower(), _all_by_lower_case(), 1)
    did_you_mean = f'did you mean "{_all_by_lower_case()[near[0]][0]}"? ' if near else ""
    raise BadValueError(message, f'{did_you_mean}a "timezone" in jobs.yaml stands before TZ')


def _of_localtime(localtime: Path) -> MachineZone:
    hint = _first_line(localtime.with_name("timezone"))
    found = _of_path(localtime, hint)
    if found is not None:
        return MachineZone(found)
    if not os.path.lexists(localtime):
        # The C library reads no other file, so it falls back to UTC.
        is_other = is_zone(hint) and hint not in ("UTC", "Etc/UTC")
        said = f"there is no {localtime}, though {localtime.with_name('timezone')} says {hint}"
        return MachineZone("UTC", said if is_other else "")
    where = os.path.realpath(localtime)
    via = "" if where == str(localtime) else f" (a link to {quote_value(where)})"
    return MachineZone("UTC", f"{localtime}{via} is like no zone in the zone database")


def _of_path(path: Path, hint: str = "") -> str | None:
    """Return the zone of a file, by its path in a zone database or else by its content."""
    where = os.path.realpath(path)
    _, found, name = _IN_DATABASE.sub("/zoneinfo/", where).partition("/zoneinfo/")
    named = _of_name(name) if found else None
    if named is not None:
        return named
    try:
        return zone_of_content(read_regular(path, LARGEST_BYTES), hint)
    except UnreadableFileError:
        return None


def _of_name(name: str) -> str | None:
    # `posix/` holds the same zones, `right/` those with leap seconds.
    plain = name.removeprefix("posix/").removeprefix("right/")
    return plain if plain not in _NO_NAMES and is_zone(plain) else None


def _first_line(path: Path) -> str:
    try:
        text = read_regular(path, LARGEST_BYTES).decode()
    except (UnreadableFileError, UnicodeDecodeError):
        return ""
    return text.strip().partition("\n")[0].strip()


@lru_cache(maxsize=1)
def _all() -> tuple[str, ...]:
    return tuple(sorted(zoneinfo.available_timezones()))


@lru_cache(maxsize=1)
def _all_by_lower_case() -> dict[str, tuple[str]]:
    return {name.lower(): (name,) for name in _all()}


@lru_cache(maxsize=1)
def _all_by_city() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name in _all():
        found.setdefault(name.rpartition("/")[2].lower(), []).append(name)
    return found
