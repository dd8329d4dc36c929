"""The settings of a crontab: what an assignment means for the lines below it.

Pure. Most become the environment of jobs; those that cron keeps for itself are
told apart here, each with what takes its place.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from supervisor.config.blocks import ENV_NAME, RESERVED_ENV
from supervisor.config.problems import Wrong
from supervisor.config.zones import check_zone

SH = "/bin/sh"


@dataclass(frozen=True, slots=True)
class Settings:
    """What the assignments so far have made of the lines below them.

    zone: of the times, "" for the machine's. bad_shell, bad_zone: why no line
    below can be kept.
    """

    env: tuple[tuple[str, str], ...] = ()
    shell: str = SH
    home: str = ""
    zone: str = ""
    bad_shell: str = ""
    bad_zone: str = ""


@dataclass(frozen=True, slots=True)
class Remark:
    """A comment, or a setting of cron's own and what takes its place."""

    line: int
    text: str


@dataclass(frozen=True, slots=True)
class Lost:
    """A line that cannot be kept, and why."""

    line: int
    text: str
    reason: str


Read = tuple[Remark | Lost | None, Settings]


def assign(number: int, line: str, name: str, value: str, settings: Settings) -> Read:
    """What a setting comes to: a word about it (None: none needed), and the settings below it."""
    name, value = _unquoted(name), _unquoted(value)
    if name in _OF_CRON:
        return _OF_CRON[name](number, line, value, settings)
    if not ENV_NAME.fullmatch(name):
        return Lost(number, line, "expected a name of letters, digits and _"), settings
    if name in RESERVED_ENV:
        return Lost(number, line, "the service sets it for each run"), settings
    return None, _with(settings, name, value)


def _with(settings: Settings, name: str, value: str) -> Settings:
    env = tuple(sorted({**dict(settings.env), name: value}.items()))
    return replace(settings, env=env)


def _unquoted(text: str) -> str:
    text = text.strip()
    is_quoted = len(text) >= 2 and text[0] == text[-1] and text[0] in "\"'"
    return text[1:-1] if is_quoted else text


def words(wrong: Wrong) -> str:
    """Why a line is lost."""
    return f"{wrong.message} ({wrong.hint})" if wrong.hint else wrong.message


def _mail(number: int, line: str, value: str, settings: Settings) -> Read:
    instead = "nothing is mailed: nightshift logs JOB shows output, notify tells of failures"
    return Remark(number, f"# {line} ({instead})"), settings


def _cron_zone(number: int, line: str, value: str, settings: Settings) -> Read:
    try:
        if value:
            check_zone(value)
    except Wrong as wrong:
        why = f"CRON_TZ of line {number} is no zone that is known here"
        return Lost(number, line, words(wrong)), replace(settings, bad_zone=why)
    return None, replace(settings, zone=value, bad_zone="")


def _zone(number: int, line: str, value: str, settings: Settings) -> Read:
    said = Remark(number, f"# {line} (for commands only, as with cron; times: key timezone)")
    return said, _with(settings, "TZ", value)


def _shell(number: int, line: str, value: str, settings: Settings) -> Read:
    if not value.startswith("/"):
        why = f"SHELL of line {number} is no absolute path"
        lost = Lost(number, line, "expected an absolute path")
        return lost, replace(settings, bad_shell=why)
    return None, replace(_with(settings, "SHELL", value), shell=value, bad_shell="")


def _home(number: int, line: str, value: str, settings: Settings) -> Read:
    return None, replace(_with(settings, "HOME", value), home=value)


def _login(number: int, line: str, value: str, settings: Settings) -> Read:
    return Remark(number, f"# {line} (cron does not let it be set either)"), settings


def _at_random(number: int, line: str, value: str, settings: Settings) -> Read:
    return Lost(number, line, "jobs begin at their full minute, at every hour"), settings


_OF_CRON: dict[str, Callable[[int, str, str, Settings], Read]] = {
    "MAILTO": _mail,
    "MAILFROM": _mail,
    "CRON_TZ": _cron_zone,
    "TZ": _zone,
    "SHELL": _shell,
    "HOME": _home,
    "LOGNAME": _login,
    "RANDOM_DELAY": _at_random,
    "START_HOURS_RANGE": _at_random,
}
