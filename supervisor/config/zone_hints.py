"""Hints for time zones that are not IANA names, and warnings for misleading names.

Pure. Abbreviations are ambiguous (CST is three zones). The sign of `Etc/GMT+2` is that of
POSIX, the reverse of what people expect.
"""

import re
from collections.abc import Mapping, Sequence

_MACHINE = frozenset(("local", "localtime", "system", "machine", "default", "host", "auto"))
_UTC = frozenset(("z", "zulu", "utc0", "gmt0", "universal", "utc+0"))
_ABBREVIATIONS = {
    "CEST": "Europe/Berlin", "MESZ": "Europe/Berlin", "MEZ": "Europe/Berlin",
    "EEST": "Europe/Helsinki", "WEST": "Europe/Lisbon",
    "BST": "Europe/London", "IST": "Asia/Kolkata", "MSK": "Europe/Moscow",
    "TRT": "Europe/Istanbul",
    "EDT": "America/New_York", "ET": "America/New_York", "EASTERN": "America/New_York",
    "CST": "America/Chicago", "CDT": "America/Chicago", "CT": "America/Chicago",
    "MDT": "America/Denver", "MT": "America/Denver", "PST": "America/Los_Angeles",
    "PDT": "America/Los_Angeles", "PT": "America/Los_Angeles", "PACIFIC": "America/Los_Angeles",
    "AKST": "America/Anchorage", "AKDT": "America/Anchorage", "AST": "America/Halifax",
    "ADT": "America/Halifax", "BRT": "America/Sao_Paulo", "ART": "America/Argentina/Buenos_Aires",
    "SAST": "Africa/Johannesburg", "EAT": "Africa/Nairobi", "WAT": "Africa/Lagos",
    "CAT": "Africa/Maputo", "GST": "Asia/Dubai", "PKT": "Asia/Karachi", "NPT": "Asia/Kathmandu",
    "ICT": "Asia/Bangkok", "WIB": "Asia/Jakarta", "SGT": "Asia/Singapore", "HKT": "Asia/Hong_Kong",
    "PHT": "Asia/Manila",
    "JST": "Asia/Tokyo", "KST": "Asia/Seoul", "AWST": "Australia/Perth",
    "ACST": "Australia/Adelaide", "ACDT": "Australia/Adelaide", "AEST": "Australia/Sydney",
    "AEDT": "Australia/Sydney", "NZST": "Pacific/Auckland", "NZDT": "Pacific/Auckland",
}  # fmt: skip
_WINDOWS = {
    "w. europe standard time": "Europe/Berlin", "romance standard time": "Europe/Paris",
    "central europe standard time": "Europe/Budapest", "gmt standard time": "Europe/London",
    "central european standard time": "Europe/Warsaw", "fle standard time": "Europe/Helsinki",
    "eastern standard time": "America/New_York", "central standard time": "America/Chicago",
    "mountain standard time": "America/Denver", "pacific standard time": "America/Los_Angeles",
    "tokyo standard time": "Asia/Tokyo", "china standard time": "Asia/Shanghai",
    "india standard time": "Asia/Kolkata", "aus eastern standard time": "Australia/Sydney",
}  # fmt: skip
_OFFSET = re.compile(
    r"(?:UTC|GMT|Etc/UTC)?\s*([+-])\s*([0-9]{1,2})(?::?([0-9]{2}))?", re.IGNORECASE
)
_POSIX_NAME = re.compile(r"Etc/GMT([+-])([0-9]{1,2})")
_POSIX_RULE = re.compile(r"[A-Za-z]{3,}[+-]?[0-9:]+(?:[A-Za-z]{3,}.*)?")


def advice(name: str, by_city: Mapping[str, Sequence[str]]) -> str:
    """Return what to write instead of an unknown zone; "" for a mere misspelling.

    by_city: all zones by the last part of their names, in lower case.
    """
    text = name.strip()
    lower = text.lower()
    if lower in _UTC:
        return 'write "UTC"'
    if lower in _MACHINE:
        return "leave timezone out: then it is the zone of the machine ($TZ, /etc/localtime)"
    if text.startswith("right/"):
        return f'right/ counts leap seconds, which shift slots: write "{text[6:]}"'
    named = _ABBREVIATIONS.get(text.upper()) or _WINDOWS.get(lower)
    if named:
        return f'no IANA name: write a place, such as "{named}"'
    offset = _OFFSET.fullmatch(text)
    if offset:
        return _of_offset(offset)
    cities = by_city.get(_as_city(lower), ())
    if len(cities) == 1 or (cities and "/" not in text):
        return f'did you mean "{min(cities, key=len)}"?'
    if _POSIX_RULE.fullmatch(text) and any(map(str.isdigit, text)):
        return 'a rule of POSIX is no IANA name: write a place, such as "Europe/Berlin"'
    return ""


def warning(name: str) -> str:
    """Return why the name of an existing zone is misleading; "" for most zones."""
    found = _POSIX_NAME.fullmatch(name)
    if found and int(found[2]):
        sign = "-" if found[1] == "+" else "+"
        other = f"Etc/GMT{sign}{found[2]}"
        return (
            f"{name} is UTC{sign}{found[2]}: the sign is the reverse of what it looks like "
            f"(UTC{found[1]}{found[2]} is {other})"
        )
    if name in ("EST", "MST", "HST"):
        return f"{name} has no daylight saving: a place such as America/New_York has"
    return ""


def _of_offset(offset: re.Match[str]) -> str:
    sign, hours, minutes = offset[1], int(offset[2]), offset[3]
    place = 'or a place, such as "Europe/Berlin", which knows daylight saving'
    if not hours and minutes in (None, "00"):
        return 'write "UTC"'
    if minutes not in (None, "00") or hours > (14 if sign == "+" else 12):
        return 'an offset is no zone: write a place, such as "Asia/Kolkata"'
    reverse = "-" if sign == "+" else "+"
    return f'write "Etc/GMT{reverse}{hours}" (its sign is the reverse), {place}'


def _as_city(text: str) -> str:
    return text.rpartition("/")[2].replace(" ", "_").replace("-", "_")
