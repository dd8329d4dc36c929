"""The settings of a crontab: the effect of an assignment on the lines below it.

Pure. Most settings become environment variables of jobs. Those that cron interprets
itself are handled separately, each with its replacement. cron exports these too, so they
are added to the environment of a command that names them.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from supervisor.config.crontab.dialects import Dialect
from supervisor.config.parse_values import ENV_NAME, RESERVED_ENV
from supervisor.config.problems import BadValueError
from supervisor.config.timezones import check_zone

SH = "/bin/sh"
# Blanks that are stripped from a value.
_BLANKS = " \t\r\f\v"
Env = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Settings:
    """The combined effect of the assignments above a line.

    own: settings that cron interprets itself, for commands that use them. zone: of the
    times, "" for the machine's. bad_shell, bad_zone: why no line below can be converted.
    """

    env: Env = ()
    own: Env = ()
    shell: str = SH
    home: str = ""
    zone: str = ""
    bad_shell: str = ""
    bad_zone: str = ""

    def used_by(self, command: str) -> "Settings":
        """Return settings with cron's own variables in env, where the command names them."""
        used = [pair for pair in self.own if re.search(rf"\b{re.escape(pair[0])}\b", command)]
        return replace(self, env=_laid_over(self.env, used))


@dataclass(frozen=True, slots=True)
class Remark:
    """A comment, or a setting that cron interprets itself with its replacement.

    warning: text to show to the user; "" if the setting is harmless.
    """

    line: int
    text: str
    warning: str = ""


@dataclass(frozen=True, slots=True)
class Lost:
    """A line that cannot be converted, and the reason."""

    line: int
    text: str
    reason: str


@dataclass(frozen=True, slots=True)
class _Assignment:
    """One assignment: its position, its text, and the context it is evaluated in."""

    line: int
    text: str
    name: str
    value: str
    dialect: Dialect
    is_folder: Callable[[str], bool]

    def remark(self, why: str, warning: str = "") -> Remark:
        """Return a comment that replaces the assignment."""
        return Remark(self.line, f"# {self.text} ({why})", warning)

    def lost(self, reason: str) -> Lost:
        """Return the assignment as a lost line."""
        return Lost(self.line, self.text, reason)


Read = tuple[Remark | Lost | None, Settings]


def assign(
    number: int,
    found: re.Match[str],
    dialect: Dialect,
    is_folder: Callable[[str], bool],
    settings: Settings,
) -> Read:
    """Return an item for a setting (None if not needed), and the settings for the lines below."""
    name, value = _unquoted(found[1]), _unquoted(found[2])
    given = _Assignment(number, found[0], name, value, dialect, is_folder)
    if name in _OF_CRON:
        return _OF_CRON[name](given, settings)
    if not ENV_NAME.fullmatch(name):
        return given.lost("expected a name of letters, digits and _"), settings
    if name in RESERVED_ENV:
        return given.lost("the service sets it for each run"), settings
    return None, _with(settings, name, value)


def _with(settings: Settings, name: str, value: str) -> Settings:
    return replace(settings, env=_laid_over(settings.env, [(name, value)]))


def _laid_over(env: Env, pairs: list[tuple[str, str]]) -> Env:
    return tuple(sorted({**dict(env), **dict(pairs)}.items()))


def _own(given: _Assignment, settings: Settings) -> Settings:
    return replace(settings, own=_laid_over(settings.own, [(given.name, given.value)]))


def _unquoted(text: str) -> str:
    text = text.strip(_BLANKS)
    is_quoted = len(text) >= 2 and text[0] == text[-1] and text[0] in "\"'"
    return text[1:-1] if is_quoted else text


def words(wrong: BadValueError) -> str:
    """Return the text of an error with its hint."""
    return f"{wrong.message} ({wrong.hint})" if wrong.hint else wrong.message


def _mail(given: _Assignment, settings: Settings) -> Read:
    instead = "nothing is mailed: nightshift logs JOB shows output, notify tells of failures"
    return given.remark(instead), _own(given, settings)


def _cron_zone(given: _Assignment, settings: Settings) -> Read:
    if given.dialect is Dialect.DEBIAN:
        said = "Debian's cron does not heed it: the times are in the machine's zone"
        warning = f"CRON_TZ: {said}; --cron cronie reads them in {given.value or 'it'}"
        return given.remark(said, warning), _own(given, settings)
    try:
        if given.value:
            check_zone(given.value)
    except BadValueError as wrong:
        why = f"CRON_TZ of line {given.line} is no zone that is known here"
        return given.lost(words(wrong)), replace(settings, bad_zone=why)
    return None, replace(_own(given, settings), zone=given.value, bad_zone="")


def _zone(given: _Assignment, settings: Settings) -> Read:
    said = given.remark("for commands only, as with cron; times: key timezone")
    return said, _with(settings, "TZ", given.value)


def _shell(given: _Assignment, settings: Settings) -> Read:
    if not given.value.startswith("/"):
        why = f"SHELL of line {given.line} is no absolute path"
        return given.lost("expected an absolute path"), replace(settings, bad_shell=why)
    found = replace(_with(settings, "SHELL", given.value), shell=given.value, bad_shell="")
    return None, found


def _home(given: _Assignment, settings: Settings) -> Read:
    found = _with(settings, "HOME", given.value)
    if given.value.startswith("/") and given.is_folder(given.value):
        return None, replace(found, home=given.value)
    why = "no folder of this machine: its jobs have no cwd of it"
    return given.remark(why, f"HOME={given.value} is {why}"), replace(found, home="")


def _login(given: _Assignment, settings: Settings) -> Read:
    return given.remark("cron does not let it be set either"), settings


def _at_random(given: _Assignment, settings: Settings) -> Read:
    if given.dialect is Dialect.DEBIAN:
        said = "Debian's cron does not heed it"
        return given.remark(said, f"{given.name}: {said}"), _own(given, settings)
    return given.lost("jobs begin at their full minute, at every hour"), _own(given, settings)


def _hours(given: _Assignment, settings: Settings) -> Read:
    return given.remark("anacron heeds it, cron does not"), _own(given, settings)


_OF_CRON: dict[str, Callable[[_Assignment, Settings], Read]] = {
    **dict.fromkeys(("MAILTO", "MAILFROM", "CONTENT_TYPE", "CONTENT_TRANSFER_ENCODING"), _mail),
    "CRON_TZ": _cron_zone,
    "TZ": _zone,
    "SHELL": _shell,
    "HOME": _home,
    "LOGNAME": _login,
    "RANDOM_DELAY": _at_random,
    "START_HOURS_RANGE": _hours,
}
