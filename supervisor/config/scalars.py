"""The text of one scalar -> its value, by the kind of its key.

Pure. Nothing is guessed from the looks of a text: `1:30`, `010`, `on` and `no`
are what their key makes of them.
"""

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from urllib.parse import urlsplit

from supervisor.config import cron_hints, foreign_words
from supervisor.config.keys import Key, Kind
from supervisor.config.problems import Wrong, shown
from supervisor.config.zones import check_zone
from supervisor.core import schedule
from workers import paths
from workers.units import parse_duration, parse_size

NAME = re.compile(r"[a-z][a-z0-9._-]{0,62}")
NAME_RULE = "a name of at most 63 of a-z, 0-9, '.', '_' and '-' that begins with a letter"

_NONE = ("none", "null", "~")
_EMPTY_IS_NONE = (Kind.URL, Kind.ADDRESS, Kind.PATH, Kind.TEXT)
_BOOLS = {
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_WHOLE = re.compile(r"-?[0-9]{1,18}")
_NUMBER = re.compile(r"-?[0-9]{1,18}(\.[0-9]{1,18})?")
_MODE = re.compile(r"(0o)?[0-7]{3,4}")
_ADDRESS = re.compile(r"([A-Za-z0-9.-]*|\[[0-9A-Fa-f:.]+\]):([0-9]{1,5})")


def read_scalar(key: Key, text: str) -> object:
    """The value of `text` under `key`; None where it says that there is none.

    Raises:
        Wrong: what was expected and what was found.
    """
    if key.none and (text in _NONE or (not text and key.kind in _EMPTY_IS_NONE)):
        return None
    return _READERS[key.kind](key, text)


def expected(key: Key) -> str:
    """What is to stand under a key, in words."""
    if key.kind is Kind.CHOICE:
        return ", ".join(key.choices[:-1]) + " or " + key.choices[-1]
    if key.kind in (Kind.COUNT, Kind.NUMBER) and key.least is not None:
        most = f"from {key.least} to {key.most}" if key.most is not None else f">= {key.least}"
        return f"{key.kind} {most}"
    return str(key.kind)


def refuse(key: Key, text: str, hint: str = "") -> Wrong:
    """The usual words for a text that does not fit its key."""
    return Wrong(f"expected {expected(key)}, got {shown(text)}", hint)


@lru_cache(maxsize=65536)
def cron(text: str) -> str:
    """A cron expression, checked, macros spelt out, one space between fields.

    Raises:
        Wrong: it cannot be read, or never fires.
    """
    words = text.split()
    first = words[0].lower() if words else ""
    if first == "@reboot":
        raise Wrong("@reboot is not a time", "write run_on_startup: true instead")
    if first.startswith("@") and first not in schedule.MACROS:
        listed = ", ".join(schedule.MACROS)
        said = f"expected a cron expression or one of {listed}, got {shown(text)}"
        raise Wrong(said, cron_hints.advice(text))
    if len(text) > 1000 or not words:
        raise Wrong(f"expected a cron expression of 5 fields, got {shown(text)}")
    spelt = schedule.MACROS.get(" ".join(words).lower(), " ".join(words))
    try:
        schedule.Calendar((spelt,), "UTC")
    except schedule.BadCron as error:
        raise Wrong(str(error), cron_hints.advice(text)) from error
    return spelt


def name(text: str) -> str:
    """A name of a job or group. Raises: Wrong."""
    if NAME.fullmatch(text):
        return text
    slug = re.sub(r"[^a-z0-9._-]+", "-", text[:63].lower()).strip("-._")
    hint = f'for example "{slug}"' if NAME.fullmatch(slug) else ""
    raise Wrong(f"expected {NAME_RULE}, got {shown(text)}", hint)


def _bool(key: Key, text: str) -> bool:
    if text in _BOOLS:
        return _BOOLS[text]
    raise refuse(key, text, foreign_words.bool_advice(text))


def _count(key: Key, text: str) -> int:
    if not _WHOLE.fullmatch(text):
        raise refuse(key, text)
    return int(_within(key, int(text), text))


def _number(key: Key, text: str) -> float:
    if not _NUMBER.fullmatch(text):
        raise refuse(key, text)
    return _within(key, float(text), text)


def _duration(key: Key, text: str) -> float:
    try:
        seconds = parse_duration(text)
    except ValueError as error:
        hint = 'write "none" for no limit' if key.none and not text else ""
        raise Wrong(str(error), hint) from error
    if key.least and seconds < key.least:
        hint = 'write "none" for no limit' if key.none else ""
        raise Wrong(f"expected a duration above 0, got {shown(text)}", hint)
    return seconds


def _size(key: Key, text: str) -> int:
    try:
        return int(_within(key, parse_size(text), text))
    except Wrong:
        raise
    except ValueError as error:
        raise Wrong(str(error)) from error


def _mode(key: Key, text: str) -> int:
    if not _MODE.fullmatch(text) or int(text, 8) > 0o777:
        raise refuse(key, text)
    return int(text, 8)


def _choice(key: Key, text: str) -> object:
    for choice in key.choices:
        if choice == text:
            return choice
    raise refuse(key, text, foreign_words.value_advice(key.name, text))


def _group(_: Key, text: str) -> str | None:
    if text in _BOOLS:
        return "exclusive" if _BOOLS[text] else None
    return name(text)


def _url(key: Key, text: str) -> str:
    # The text is not repeated in the message: a URL of this kind is a secret.
    wrong = Wrong(f"expected {expected(key)}")
    try:
        parts = urlsplit(text)
        port_is_right = parts.port is None or parts.port > 0
    except ValueError:
        raise wrong from None
    if parts.scheme not in ("http", "https") or not parts.hostname or not port_is_right:
        raise wrong
    if any(c.isspace() or not c.isprintable() for c in text):
        raise wrong
    return text


def _zone(_: Key, text: str) -> str:
    check_zone(text)
    return text


def _path(key: Key, text: str) -> str:
    if not text:
        raise refuse(key, text)
    wrong = paths.mistake(text)
    if wrong:
        raise Wrong(wrong)
    return text


def _address(key: Key, text: str) -> str:
    match = _ADDRESS.fullmatch(text)
    if match is None or not 0 < int(match[2]) < 65536:
        raise refuse(key, text)
    return text


def _worker(key: Key, text: str) -> str:
    path, colon, function = text.partition(":")
    dots = path.split(".")
    if not colon and len(dots) == 2 and all(map(str.isidentifier, dots)):
        return text
    if colon and function.isidentifier() and all(map(str.isidentifier, dots)):
        return text
    own = not colon and len(dots) > 2 and all(map(str.isidentifier, dots))
    hint = f'did you mean "{".".join(dots[:-1])}:{dots[-1]}"?' if own else ""
    raise refuse(key, text, hint)


def _text(_: Key, text: str) -> str:
    return text


def _within(key: Key, number: float, text: str) -> float:
    too_small = key.least is not None and number < key.least
    if too_small or (key.most is not None and number > key.most):
        raise refuse(key, text)
    return number


_READERS: Mapping[Kind, Callable[[Key, str], object]] = {
    Kind.TEXT: _text,
    Kind.BOOL: _bool,
    Kind.COUNT: _count,
    Kind.NUMBER: _number,
    Kind.DURATION: _duration,
    Kind.SIZE: _size,
    Kind.MODE: _mode,
    Kind.CHOICE: _choice,
    Kind.GROUP: _group,
    Kind.URL: _url,
    Kind.ZONE: _zone,
    Kind.PATH: _path,
    Kind.ADDRESS: _address,
    Kind.WORKER: _worker,
}
