"""Parses the text of one scalar into a value, by the kind of its key.

Pure. Types are never inferred from the text: the key alone decides what `1:30`, `010`,
`on` and `no` mean. Enter by `read_scalar`.
"""

import base64
import re
from collections.abc import Callable, Mapping
from functools import lru_cache

from supervisor.config import cron_hints
from supervisor.config.key import Key, ValueKind
from supervisor.config.problems import BadValueError, quote_value
from supervisor.config.timezones import check_zone
from supervisor.core import schedule
from workers import path_text
from workers.units import is_whole, parse_duration, parse_size
from workers.url_text import is_url, split_url

NAME = re.compile(r"[a-z][a-z0-9._-]{0,62}")
NAME_RULE = "a name of at most 63 of a-z, 0-9, '.', '_' and '-' that begins with a letter"

_NONE = ("none", "null", "~")
_EMPTY_IS_NONE = (
    *(ValueKind.URL, ValueKind.ADDRESS, ValueKind.PATH, ValueKind.TEXT),
    *(ValueKind.SERVER_URL, ValueKind.SERVICE_URL, ValueKind.SECRET, ValueKind.SIGNING_KEY),
)
_BOOLS = {
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,62}")
_WHOLE = re.compile(r"-?[0-9]{1,18}")
_NUMBER = re.compile(r"-?[0-9]{1,18}(\.[0-9]{1,18})?")
_MODE = re.compile(r"(0o)?[0-7]{3,4}")
SIGNING_PREFIX = "whsec_"
_MAIL_ADDRESS = re.compile(r"[^\s@<>,;:\"()\[\]\\]{1,64}@[A-Za-z0-9.-]{1,255}")
_SERVICE_URL = re.compile(r"[a-z][a-z0-9+.-]{0,30}://\S{1,2000}", re.IGNORECASE)
_HOURS = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])-([01][0-9]|2[0-4]):([0-5][0-9])")
_ADDRESS = re.compile(r"([A-Za-z0-9.-]*|\[[0-9A-Fa-f:.]+\]):([0-9]{1,5})")


def read_scalar(key: Key, text: str) -> object:
    """Return the value of `text` under `key`, or None if `text` means no value.

    Raises:
        BadValueError: with what was expected and what was found.
    """
    if key.none and (text in _NONE or (not text and key.kind in _EMPTY_IS_NONE)):
        return None
    return _READERS[key.kind](key, text)


def expected_text(key: Key) -> str:
    """Return a description of the values that a key expects."""
    if key.kind is ValueKind.CHOICE:
        return ", ".join(key.choices[:-1]) + " or " + key.choices[-1]
    if key.kind is ValueKind.SERVER_URL:
        begins = " or ".join(f"{scheme}://" for scheme in key.choices)
        return f"a URL that begins with {begins} and has no path"
    if key.kind in (ValueKind.COUNT, ValueKind.NUMBER) and key.least is not None:
        most = f"from {key.least} to {key.most}" if key.most is not None else f">= {key.least}"
        return f"{key.kind} {most}"
    return str(key.kind)


def bad_value(key: Key, text: str, hint: str = "") -> BadValueError:
    """Return the standard error for a text that does not fit its key."""
    return BadValueError(f"expected {expected_text(key)}, got {quote_value(text)}", hint)


@lru_cache(maxsize=65536)
def cron(text: str) -> str:
    """Validate a cron expression; return it with macros expanded and single spaces.

    Raises:
        BadValueError: it cannot be parsed, or never fires.
    """
    words = text.split()
    first = words[0].lower() if words else ""
    if first == "@reboot":
        raise BadValueError("@reboot is not a time", "write run_on_startup: true instead")
    if first.startswith("@") and first not in schedule.MACROS:
        listed = ", ".join(schedule.MACROS)
        said = f"expected a cron expression or one of {listed}, got {quote_value(text)}"
        raise BadValueError(said, cron_hints.advice(text))
    if len(text) > 1000 or not words:
        raise BadValueError(f"expected a cron expression of 5 fields, got {quote_value(text)}")
    spelt = schedule.MACROS.get(" ".join(words).lower(), " ".join(words))
    try:
        schedule.Calendar((spelt,), "UTC")
    except schedule.CronError as error:
        raise BadValueError(str(error), cron_hints.advice(text)) from error
    return spelt


def name(text: str) -> str:
    """Return a valid name of a job or group unchanged. Raises: BadValueError."""
    if NAME.fullmatch(text):
        return text
    slug = re.sub(r"[^a-z0-9._-]+", "-", text[:63].lower()).strip("-._")
    hint = f'for example "{slug}"' if NAME.fullmatch(slug) else ""
    raise BadValueError(f"expected {NAME_RULE}, got {quote_value(text)}", hint)


def labels(text: str) -> tuple[str, ...]:
    """Return the labels in a text with commas; () for a blank one. Raises: BadValueError."""
    found = tuple(part.strip() for part in text.split(",") if part.strip())
    for label in found:
        if not _LABEL.fullmatch(label):
            rule = "a label of at most 63 of A-Z, a-z, 0-9, '.', '_', ':' and '-'"
            raise BadValueError(f"expected {rule}, got {quote_value(label)}")
    return found


def mail_address(text: str) -> str:
    """Return a mail address unchanged. Raises: BadValueError."""
    if not _MAIL_ADDRESS.fullmatch(text):
        raise BadValueError(f"expected {ValueKind.MAIL_ADDRESS}, got {quote_value(text)}")
    return text


def _bool(key: Key, text: str) -> bool:
    if text in _BOOLS:
        return _BOOLS[text]
    # Imported here, since only a mistake needs it.
    from supervisor.config import foreign_keys

    raise bad_value(key, text, foreign_keys.bool_advice(text))


def _count(key: Key, text: str) -> int:
    if not _WHOLE.fullmatch(text):
        if key.most is None and is_whole(text):
            raise BadValueError(
                f"expected a whole number of at most 18 digits, got {quote_value(text)}"
            )
        raise bad_value(key, text)
    return int(_within(key, int(text), text))


def _number(key: Key, text: str) -> float:
    if not _NUMBER.fullmatch(text):
        raise bad_value(key, text)
    return _within(key, float(text), text)


def _duration(key: Key, text: str) -> float:
    try:
        seconds = parse_duration(text)
    except ValueError as error:
        hint = 'write "none" for no limit' if key.none and not text else ""
        raise BadValueError(str(error), hint) from error
    if key.least and seconds < key.least:
        hint = 'write "none" for no limit' if key.none else ""
        raise BadValueError(f"expected a duration above 0, got {quote_value(text)}", hint)
    return seconds


def _size(key: Key, text: str) -> int:
    try:
        return int(_within(key, parse_size(text), text))
    except BadValueError:
        raise
    except ValueError as error:
        raise BadValueError(str(error)) from error


def _mode(key: Key, text: str) -> int:
    if not _MODE.fullmatch(text) or int(text, 8) > 0o777:
        raise bad_value(key, text)
    return int(text, 8)


def _choice(key: Key, text: str) -> object:
    for choice in key.choices:
        if choice == text:
            return choice
    from supervisor.config import foreign_keys

    raise bad_value(key, text, foreign_keys.value_advice(key.name, text))


def _group(_: Key, text: str) -> str | None:
    if text in _BOOLS:
        return "exclusive" if _BOOLS[text] else None
    try:
        return name(text)
    except BadValueError as error:
        from supervisor.config import foreign_keys

        # "No" must not lead to the group "no".
        raise BadValueError(error.message, foreign_keys.bool_advice(text) or error.hint) from error


def _url(key: Key, text: str) -> str:
    # The message omits the text: such a URL is a secret.
    if not is_url(text):
        raise BadValueError(f"expected {expected_text(key)}")
    return text


def _server_url(key: Key, text: str) -> str:
    """Return a URL of a scheme, a host and perhaps a user and a port."""
    # The messages omit the texts of URLs and keys: they are secrets.
    wrong = BadValueError(f"expected {expected_text(key)}")
    try:
        parts = split_url(text, key.choices)
    except ValueError:
        raise wrong from None
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise wrong
    return text


def _service_url(key: Key, text: str) -> str:
    if not _SERVICE_URL.fullmatch(text) or not text.isprintable():
        raise BadValueError(f"expected {expected_text(key)}")
    return text


def _signing_key(key: Key, text: str) -> str:
    try:
        secret = base64.b64decode(text.removeprefix(SIGNING_PREFIX), validate=True)
    except ValueError:
        secret = b""
    if not 24 <= len(secret) <= 64:
        raise BadValueError(f"expected {expected_text(key)}")
    return text


def _hours(key: Key, text: str) -> tuple[int, int]:
    """Return begin and end in minutes after midnight."""
    match = _HOURS.fullmatch(text)
    if match is None:
        raise bad_value(key, text)
    since, until = (60 * int(match[n]) + int(match[n + 1]) for n in (1, 3))
    if until > 24 * 60 or since == until % (24 * 60):
        raise bad_value(key, text)
    return since, until % (24 * 60)


def _zone(_: Key, text: str) -> str:
    check_zone(text)
    return text


def _path(key: Key, text: str) -> str:
    if not text:
        raise bad_value(key, text)
    wrong = path_text.mistake(text)
    if wrong:
        raise BadValueError(wrong)
    return text


def _address(key: Key, text: str) -> str:
    match = _ADDRESS.fullmatch(text)
    if match is None or not 0 < int(match[2]) < 65536:
        raise bad_value(key, text)
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
    raise bad_value(key, text, hint)


def _text(_: Key, text: str) -> str:
    return text


def _within(key: Key, number: float, text: str) -> float:
    too_small = key.least is not None and number < key.least
    if too_small or (key.most is not None and number > key.most):
        raise bad_value(key, text)
    return number


_READERS: Mapping[ValueKind, Callable[[Key, str], object]] = {
    ValueKind.TEXT: _text,
    ValueKind.BOOL: _bool,
    ValueKind.COUNT: _count,
    ValueKind.NUMBER: _number,
    ValueKind.DURATION: _duration,
    ValueKind.SIZE: _size,
    ValueKind.MODE: _mode,
    ValueKind.CHOICE: _choice,
    ValueKind.GROUP: _group,
    ValueKind.URL: _url,
    ValueKind.SERVER_URL: _server_url,
    ValueKind.SERVICE_URL: _service_url,
    ValueKind.SECRET: _text,
    ValueKind.SIGNING_KEY: _signing_key,
    ValueKind.MAIL_ADDRESS: lambda _, text: mail_address(text),
    ValueKind.HOURS: _hours,
    ValueKind.ZONE: _zone,
    ValueKind.PATH: _path,
    ValueKind.ADDRESS: _address,
    ValueKind.WORKER: _worker,
}
