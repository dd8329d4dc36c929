"""Parse and format durations and sizes (`1h30m`, `2GB`, `64KiB`), and format counts.

Pure. Both packages import this module; it depends on neither.
"""

import re

_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_DURATION_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d|w)")
_FOREIGN_UNITS = {
    word: unit
    for unit, words in {
        "ms": "ms msec msecs millisecond milliseconds",
        "s": "s sec secs second seconds",
        "m": "m min mins minute minutes",
        "h": "h hr hrs hour hours",
        "d": "d day days",
        "w": "w week weeks",
    }.items()
    for word in words.split()
}
_FOREIGN_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([a-z]+)(?:\.?\s+and\b|\s*\.(?=\s))?\s*")
# ISO 8601 without years and months, which are no fixed time.
_ISO_DURATION = re.compile(
    r"p(?=.)(?:([0-9]+)w)?(?:([0-9]+)d)?(?:t(?=.)(?:([0-9]+)h)?(?:([0-9]+)m)?(?:([0-9.]+)s)?)?"
)
_FOREIGN_SIZE = re.compile(r"([0-9]+(?:[_.,][0-9]+)?)\s*([kmgtp]?i?b?)", re.IGNORECASE)
_BYTES = {
    "": 1,
    "b": 1,
    **{f"{letter}b": 1000**power for power, letter in enumerate("kmgtp", 1)},
    **{f"{letter}ib": 1024**power for power, letter in enumerate("kmgtp", 1)},
}
_LARGER = ("kB", "MB", "GB", "TB", "PB")
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([a-z]*)")

# Longer than any real value; the patterns take quadratic time on long digit strings.
_LONGEST_TEXT = 64

# A thousand years; a datetime overflows beyond that.
LONGEST_S = 1000 * 366 * 86400

# A forecast beyond it is not a figure.
_TEN_YEARS_DAYS = 3652


def parse_duration(text: str) -> float:
    """Return the seconds of `90`, `90s`, `1h30m`, `2d` or `250ms`; a bare number is seconds.

    Raises:
        ValueError: not a duration; the text says what was expected.
    """
    body = text.strip().lower() if _is_short_ascii(text) else ""
    if re.fullmatch(r"[0-9]+(\.[0-9]+)?", body):
        return _bounded(float(body), text)
    parts = _DURATION_PART.findall(body)
    if not parts or "".join(number + unit for number, unit in parts) != body:
        near = _did_you_mean(_near_duration(body))
        raise ValueError(f'expected a duration such as "5m", got "{text[:60]}"{near}')
    return _bounded(sum(float(number) * _SECONDS[unit] for number, unit in parts), text)


def parse_size(text: str) -> int:
    """Return the bytes of `4096`, `64KiB` or `2GB`; KB is 1000 bytes, KiB is 1024.

    Raises:
        ValueError: not a size; the text says what was expected.
    """
    match = _SIZE.fullmatch(text.strip().lower()) if _is_short_ascii(text) else None
    if match is None or match[2] not in _BYTES:
        near = _did_you_mean(_near_size(text))
        raise ValueError(f'expected a size such as "64KiB" or "2GB", got "{text[:60]}"{near}')
    size = float(match[1]) * _BYTES[match[2]]
    if size >= 2**63:
        raise ValueError(f'expected a size below 8EiB, got "{text}"')
    return int(size)


def is_whole(text: str) -> bool:
    """Return whether the text has ASCII digits only, at least one.

    `str.isdigit` also accepts `²`, which `int` refuses, and digits of other scripts.
    """
    return text.isascii() and text.isdigit()


def format_duration(seconds: float) -> str:
    """Return a duration as short text: `0.4s`, `45s`, `5m`, `1h30m`, `2d`."""
    if seconds < 10 and seconds != int(seconds):
        return f"{seconds:.1f}s" if seconds >= 0.1 else f"{seconds * 1000:.0f}ms"
    rest = round(seconds)
    words = []
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        count, rest = divmod(rest, size)
        if count:
            words.append(f"{count}{unit}")
    return "".join(words[:2]) or "0s"


def format_count(number: int, noun: str, plural: str = "") -> str:
    """Return `1 job`, `3 jobs`, `2 copies`; plural: if it is not the noun and an s."""
    return f"{number} {noun if number == 1 else plural or f'{noun}s'}"


def format_days(days: float) -> str:
    """Return `1 day`, `14 days`, and from ten years on `more than 10 years`."""
    return "more than 10 years" if days > _TEN_YEARS_DAYS else format_count(round(days), "day")


def format_size(size_bytes: float) -> str:
    """Return a size with one decimal: `18.8 MB`, `948 bytes`."""
    if size_bytes < 1000:
        return f"{size_bytes:.0f} bytes"
    power = 0
    while size_bytes >= 1000 and power < len(_LARGER):
        size_bytes /= 1000
        power += 1
    return f"{size_bytes:.1f} {_LARGER[power - 1]}"


def _is_short_ascii(text: str) -> bool:
    return len(text) <= _LONGEST_TEXT and text.isascii()


def _did_you_mean(near: str) -> str:
    return f'; did you mean "{near}"?' if near else ""


def _near_duration(text: str) -> str:
    """Return the duration that a foreign text in lower case means, such as `5 min`; "" if none."""
    iso = _ISO_DURATION.fullmatch(text)
    if iso is not None:
        given = zip(iso.groups(), "wdhms", strict=True)
        return "".join(number + unit for number, unit in given if number)
    parts = _FOREIGN_PART.findall(text.replace(",", "."))
    units = [_FOREIGN_UNITS.get(word, "") for _, word in parts]
    is_whole_text = _FOREIGN_PART.sub("", text.replace(",", ".")).strip() == ""
    if not is_whole_text or not all(units):
        return ""
    return "".join(number + unit for (number, _), unit in zip(parts, units, strict=True))


def _near_size(text: str) -> str:
    """Return the size that a foreign text means, such as `10G` or `1,5 MB`; "" if none."""
    found = _FOREIGN_SIZE.fullmatch(text.strip()) if _is_short_ascii(text) else None
    if found is None:
        return ""
    number, unit = found[1].replace("_", "").replace(",", "."), found[2].upper()
    unit = f"{unit[:1]}iB" if unit.endswith("I") else f"{unit}B" if len(unit) == 1 else found[2]
    return number + unit


def _bounded(seconds: float, text: str) -> float:
    if seconds > LONGEST_S:
        raise ValueError(f'expected a duration below 1000 years, got "{text}"')
    return seconds
