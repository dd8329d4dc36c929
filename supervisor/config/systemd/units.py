"""Parses the text of systemd unit files into settings.

Pure. Handles sections, comments, continued lines and specifiers, as described in
systemd.unit(5) and systemd.syntax(7). The meaning of settings is in `service.py`,
`timer.py` and `jobs.py`.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from supervisor.config.problems import BadValueError, quote_value

_SECTION = re.compile(r"\[([^\]]*)\]")
_SETTING = re.compile(r"([A-Za-z0-9-]+)\s*=\s*(.*)", re.DOTALL)
_SPECIFIER = re.compile(r"%(.)", re.DOTALL)
_BLANKS = " \t\r\f\v"
_ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "s": " "}
_CODED = re.compile(r"x([0-9a-fA-F]{2})|([0-7]{3})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})")


@dataclass(frozen=True, slots=True)
class Setting:
    """One assignment: its section, name, value and position."""

    section: str
    name: str
    value: str
    file: str = ""
    line: int = 0


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit: its full name (`foo@bar.timer`), and all its settings in order."""

    name: str
    settings: tuple[Setting, ...] = ()

    def all(self, section: str, name: str) -> list[Setting]:
        """Return the settings of this name; an empty value resets the ones before it."""
        found: list[Setting] = []
        for setting in self.settings:
            if (setting.section, setting.name) == (section, name):
                found = [*found, setting] if setting.value else []
        return found

    def last(self, section: str, name: str) -> str:
        """Return the effective value of a setting that takes only one, or ""."""
        found = self.all(section, name)
        return found[-1].value if found else ""

    @property
    def stem(self) -> str:
        """Return the name without its type: `foo@bar`."""
        return self.name.rpartition(".")[0] or self.name

    @property
    def instance(self) -> str:
        """Return `bar` for `foo@bar.timer`."""
        return self.stem.partition("@")[2]


def parse_unit(text: str, file: str) -> tuple[Setting, ...]:
    """Return the settings of one file. Invalid lines are ignored, as in systemd."""
    settings = []
    section = ""
    for number, line in _logical_lines(text):
        found = _SECTION.fullmatch(line)
        if found:
            section = found[1]
            continue
        setting = _SETTING.fullmatch(line)
        if setting and section:
            value = setting[2].strip(_BLANKS)
            settings.append(Setting(section, setting[1], value, file, number))
    return tuple(settings)


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield lines without comments; a line that ends with a backslash is joined to the next."""
    begun, kept = 0, ""
    for number, raw in enumerate(text.split("\n"), 1):
        line = raw.strip(_BLANKS)
        if line.startswith(("#", ";")):
            continue  # also between continued lines
        if not kept:
            begun = number
        if line.endswith("\\"):
            kept += line[:-1] + " "
            continue
        if (kept + line).strip(_BLANKS):
            yield begun, (kept + line).strip(_BLANKS)
        kept = ""
    if kept.strip(_BLANKS):
        yield begun, kept.strip(_BLANKS)


def specified(text: str, values: Mapping[str, str]) -> str:
    """Return the text with its specifiers (`%i`) expanded.

    Raises:
        BadValueError: a specifier has no value.
    """

    def put_in(found: re.Match[str]) -> str:
        if found[1] == "%":
            return "%"
        if found[1] not in values:
            raise BadValueError(f"the specifier %{found[1]} is known to a running systemd only")
        return values[found[1]]

    return _SPECIFIER.sub(put_in, text)


def specifiers(unit: Unit, home: str) -> dict[str, str]:
    """Return the values of specifiers in a system unit that are known without systemd."""
    prefix = unit.stem.partition("@")[0]
    return {
        "n": unit.name,
        "N": unit.stem,
        "p": prefix,
        "P": unescaped(prefix),
        "i": unit.instance,
        "I": unescaped(unit.instance),
        "j": prefix.rpartition("-")[2],
        "J": unescaped(prefix.rpartition("-")[2]),
        "f": "/" + unescaped(unit.instance or prefix).lstrip("/"),
        "h": home,
        "t": "/run",
        "S": "/var/lib",
        "C": "/var/cache",
        "L": "/var/log",
        "E": "/etc",
        "T": "/tmp",
        "V": "/var/tmp",
    }


def unescaped(text: str) -> str:
    r"""Return `/srv/a-b` for `srv-a\x2db`."""
    coded = re.compile(r"\\x([0-9a-fA-F]{2})")
    return coded.sub(lambda found: chr(int(found[1], 16)), text.replace("-", "/"))


@dataclass(frozen=True, slots=True)
class Word:
    """A word of a value without quotes and escapes; is_bare: it had none."""

    text: str
    is_bare: bool = True


def split_words(text: str) -> list[Word]:
    """Return the words of a value. Raises: BadValueError."""
    words: list[Word] = []
    current: Word | None = None
    quote = ""
    at = 0
    while at < len(text):
        letter = text[at]
        at += 1
        so_far = current.text if current else ""
        if letter == "\\":
            decoded, at = _escaped(text, at)
            current = Word(so_far + decoded, False)
        elif letter == quote or (letter in "\"'" and not quote):
            quote = "" if quote else letter
            current = Word(so_far, False)
        elif letter in " \t\n" and not quote:
            words += [current] if current else []
            current = None
        else:
            current = Word(so_far + letter, current.is_bare if current else True)
    if quote:
        raise BadValueError(f"a quote without its end in {quote_value(text)}")
    return [*words, current] if current else words


def _escaped(text: str, at: int) -> tuple[str, int]:
    """Return the character after a backslash, and the index of the text after it."""
    if at >= len(text):
        raise BadValueError(f"a backslash without a letter in {quote_value(text)}")
    if text[at] in _ESCAPES:
        return _ESCAPES[text[at]], at + 1
    coded = _CODED.match(text, at)
    if coded:
        number = int(coded[2], 8) if coded[2] else int(coded[1] or coded[3] or coded[4], 16)
        if number and number <= 0x10FFFF and not 0xD800 <= number <= 0xDFFF:
            return chr(number), coded.end()
    elif text[at] in "\\\"';":
        return text[at], at + 1
    return f"\\{text[at]}", at + 1


def commands(settings: Sequence[Setting]) -> Iterator[list[str]]:
    """Yield the words of each command in Exec settings; a bare `;` separates two.

    Raises:
        BadValueError: a value cannot be split into words.
    """
    for setting in settings:
        words: list[str] = []
        for word in [*split_words(setting.value), Word(";")]:
            if word != Word(";"):
                words.append(word.text)
            elif words:
                yield words
                words = []
