"""Time zones: is a name one, and which zone does this machine keep."""

import os
import zoneinfo
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from supervisor.config import zone_hints
from supervisor.config.problems import Unknown, Wrong, shown
from supervisor.core import schedule

LOCALTIME = Path("/etc/localtime")


def check_zone(name: str) -> None:
    """Nothing, if `name` is a zone. Raises: Wrong."""
    if not is_zone(name):
        message = f'expected an IANA name such as "Europe/Berlin", got {shown(name)}'
        is_spelling = name.lower() in _all_by_lower_case()
        advice = "" if is_spelling else zone_hints.advice(name, _all_by_city())
        if advice:
            raise Wrong(message, advice)
        raise Unknown(message, name, _all_by_lower_case().get(name.lower(), ()) or _all())


@lru_cache(maxsize=1024)
def is_zone(name: str) -> bool:
    """Whether `name` is an IANA name that this machine knows."""
    try:
        schedule.zone(name)
    except schedule.BadCron:
        return False
    return True


def machine_zone(environ: Mapping[str, str], localtime: Path = LOCALTIME) -> str:
    """$TZ if it names a zone, else what /etc/localtime points to, else UTC."""
    named = environ.get("TZ", "").removeprefix(":")
    if named and is_zone(named):
        return named
    try:
        target = os.path.realpath(localtime)
    except OSError:
        return "UTC"
    _, found, linked = target.partition("/zoneinfo/")
    return linked if found and is_zone(linked) else "UTC"


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
