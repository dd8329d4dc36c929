"""Converts ExecStart= and similar settings to a command, and time spans to seconds.

Pure. Follows systemd.service(5): prefixes before the program, `${NAME}` inside a word,
`$NAME` as a whole word, `$$` for a dollar sign. A command becomes a line for the shell if
it needs variables, several commands, or an ignored failure.
"""

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from supervisor.config.problems import BadValueError, quote_value
from supervisor.config.systemd.units import specified

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}|\$\$")
_OWN_WORD = re.compile(r"\$[A-Za-z_][A-Za-z0-9_]*")
_SPAN = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]*)")
_UNITS = {
    **dict.fromkeys(("us", "usec"), 1e-6),
    **dict.fromkeys(("ms", "msec"), 1e-3),
    **dict.fromkeys(("", "s", "sec", "second", "seconds"), 1.0),
    **dict.fromkeys(("m", "min", "minute", "minutes"), 60.0),
    **dict.fromkeys(("h", "hr", "hour", "hours"), 3600.0),
    **dict.fromkeys(("d", "day", "days"), 86400.0),
    **dict.fromkeys(("w", "week", "weeks"), 604800.0),
    **dict.fromkeys(("M", "month", "months"), 2629800.0),
    **dict.fromkeys(("y", "year", "years"), 31557600.0),
}


@dataclass(frozen=True, slots=True)
class Exec:
    """One command.

    expands: whether variables are substituted. has_rights: prefix `+`, `!` or `!!`.
    """

    words: tuple[str, ...]
    ignores_failure: bool = False
    expands: bool = True
    has_rights: bool = False


def read_exec(words: Sequence[str], values: Mapping[str, str]) -> Exec:
    """Return the command of a setting, given its words. Raises: BadValueError."""
    first = words[0]
    program = first.lstrip("-@:+!|")
    prefix = first[: len(first) - len(program)]
    rest = [program, *words[1:]]
    if "@" in prefix:
        # With @, the second word is argv[0], not an argument.
        del rest[1:2]
    if not program:
        raise BadValueError(f"no program in {quote_value(' '.join(words))}")
    found = tuple(specified(word, values) for word in rest)
    return Exec(found, "-" in prefix, ":" not in prefix, bool(set("+!") & set(prefix)))


def is_plain(found: Exec) -> bool:
    """Return whether the command can be a list of words, executed without a shell."""
    words = [word.replace("$$", "") for word in found.words]
    has_variable = any("${" in word or _OWN_WORD.fullmatch(word) for word in words)
    return not found.ignores_failure and not (found.expands and has_variable)


def as_words(found: Exec) -> list[str]:
    """Return the words of a plain command."""
    if not found.expands:
        return list(found.words)
    return [word.replace("$$", "$") for word in found.words]


def as_shell(found: Sequence[Exec]) -> str:
    """Return a shell line that runs all commands until one fails."""
    lines = []
    for each in found:
        line = " ".join(_shell_word(word, each.expands) for word in each.words)
        lines.append(f"{{ {line} || true; }}" if each.ignores_failure else line)
    return " && ".join(lines)


def _shell_word(word: str, expands: bool) -> str:
    if not expands:
        return shlex.quote(word)
    if _OWN_WORD.fullmatch(word):
        return word
    written, at = [], 0
    for found in _VARIABLE.finditer(word):
        literal = word[at : found.start()]
        written += [shlex.quote(literal)] if literal else []
        written.append(f'"${{{found[1]}}}"' if found[1] else "'$'")
        at = found.end()
    rest = word[at:]
    return "".join([*written, shlex.quote(rest)] if rest or not written else written)


def seconds(text: str) -> float | None:
    """Return the seconds of a time span such as `5min 20s`; None for infinity.

    Raises:
        BadValueError: it is not a time span.
    """
    if text == "infinity":
        return None
    total, at = 0.0, 0
    while at < len(text.rstrip()):
        found = _SPAN.match(text, at)
        if found is None or found[2] not in _UNITS or len(found[1]) > 15:
            raise BadValueError(f"expected a time span such as 5min 20s, got {quote_value(text)}")
        total += float(found[1]) * _UNITS[found[2]]
        at = found.end()
    return total
