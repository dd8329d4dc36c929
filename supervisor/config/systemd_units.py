"""The text of systemd's unit files -> their settings, with drop-ins laid over.

Pure. Sections, comments, continued lines and specifiers, as systemd.unit(5) and
systemd.syntax(7) have them. What the settings mean is said in `from_systemd.py`.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from supervisor.config.problems import Wrong, shown

_SECTION = re.compile(r"\[([^\]]*)\]")
_SETTING = re.compile(r"([A-Za-z0-9-]+)\s*=\s*(.*)", re.DOTALL)
_SPECIFIER = re.compile(r"%(.)", re.DOTALL)
_BLANKS = " \t\r\f\v"
_ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "s": " "}
_CODED = re.compile(r"x([0-9a-fA-F]{2})|([0-7]{3})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})")


@dataclass(frozen=True, slots=True)
class Setting:
    """One assignment: its section, name, value, and where it stands."""

    section: str
    name: str
    value: str
    file: str = ""
    line: int = 0


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit: its whole name (`foo@bar.timer`), and all that is set, in order."""

    name: str
    settings: tuple[Setting, ...] = ()

    def all(self, section: str, name: str) -> list[Setting]:
        """The settings of a name; an empty one takes back those before it."""
        found: list[Setting] = []
        for setting in self.settings:
            if (setting.section, setting.name) == (section, name):
                found = [*found, setting] if setting.value else []
        return found

    def last(self, section: str, name: str) -> str:
        """The value that holds where only one can; "" where there is none."""
        found = self.all(section, name)
        return found[-1].value if found else ""

    @property
    def stem(self) -> str:
        """Its name without its kind: `foo@bar`."""
        return self.name.rpartition(".")[0] or self.name

    @property
    def instance(self) -> str:
        """`bar` of `foo@bar.timer`."""
        return self.stem.partition("@")[2]


def parse_unit(text: str, file: str) -> tuple[Setting, ...]:
    """The settings of one file. Lines that are none are passed over, as systemd does."""
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
    """Lines without comments, those that end with a backslash joined with the next."""
    begun, kept = 0, ""
    for number, raw in enumerate(text.split("\n"), 1):
        line = raw.strip(_BLANKS)
        if line.startswith(("#", ";")):
            continue  # also within a line that goes on
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
    """The text with its specifiers (`%i`) put in. Raises: Wrong, for one without a value."""

    def put_in(found: re.Match[str]) -> str:
        if found[1] == "%":
            return "%"
        if found[1] not in values:
            raise Wrong(f"the specifier %{found[1]} is known to a running systemd only")
        return values[found[1]]

    return _SPECIFIER.sub(put_in, text)


def specifiers(unit: Unit, home: str) -> dict[str, str]:
    """What specifiers stand for in a unit of the system, as far as a file can tell."""
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
    r"""`/srv/a-b` of `srv-a\x2db`."""
    coded = re.compile(r"\\x([0-9a-fA-F]{2})")
    return coded.sub(lambda found: chr(int(found[1], 16)), text.replace("-", "/"))


@dataclass(frozen=True, slots=True)
class Word:
    """A word of a value without quotes and escapes; is_bare: it had none."""

    text: str
    is_bare: bool = True


def split_words(text: str) -> list[Word]:
    """The words of a value. Raises: Wrong."""
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
        raise Wrong(f"a quote without its end in {shown(text)}")
    return [*words, current] if current else words


def _escaped(text: str, at: int) -> tuple[str, int]:
    """What stands behind a backslash, and where the text goes on."""
    if at >= len(text):
        raise Wrong(f"a backslash without a letter in {shown(text)}")
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
    """The commands of Exec settings, as words; a bare `;` parts two. Raises: Wrong."""
    for setting in settings:
        words: list[str] = []
        for word in [*split_words(setting.value), Word(";")]:
            if word != Word(";"):
                words.append(word.text)
            elif words:
                yield words
                words = []
