"""`${NAME}`, `${NAME:-default}`, `${file:/path}`, `${file:/path:-default}` and `$${` in a text.

`split` is pure: text -> parts. `Sources` gives the values and remembers which
it gave, so that a cached result can be checked against the world. What was put
in is not looked through again.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from supervisor.config.files import Absent, Unreadable, read_regular
from supervisor.config.outcome import Read
from supervisor.config.problems import Wrong, shown
from supervisor.config.zones import MachineZone, machine_zone

DEEPEST = 20
LARGEST_FILE_BYTES = 1024 * 1024

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_UNCLOSED = '"${{" without its "}}" in {}'
_RULE = "expected ${NAME}, ${NAME:-default} or ${file:/path}"


class Unset(Wrong):
    """A name without a value and without a default, or a file that cannot be read."""


class Missing(Unset):
    """A file that is not there."""


@dataclass(frozen=True, slots=True)
class Variable:
    """`${name:-default}`; default None: there is none."""

    name: str
    default: "tuple[Part, ...] | None"


@dataclass(frozen=True, slots=True)
class Content:
    """`${file:path}` or `${file:path:-default}`, the latter for a file that is not there."""

    path: "tuple[Part, ...]"
    default: "tuple[Part, ...] | None" = None


Part = str | Variable | Content


@dataclass(slots=True)
class Sources:
    """Where values come from; relative paths are relative to `folder`."""

    environ: Mapping[str, str]
    folder: str
    _variables: dict[str, str | None] = field(default_factory=dict)
    _files: dict[str, str | None] = field(default_factory=dict)
    _zone: MachineZone | None = None

    def variable(self, name: str) -> str | None:
        """The value of an environment variable. Raises: Wrong if it is no text."""
        value = self._variables[name] = self.environ.get(name)
        if value is not None and any("\ud800" <= c <= "\udfff" for c in value):
            raise Wrong(f"the value of ${{{name}}} is not UTF-8")
        return value

    def file(self, path: str) -> str:
        """The content of a file without its last newline. Raises: Unset."""
        where = str(Path(self.folder, path))
        self._files[where] = None
        try:
            text = read_regular(Path(where), LARGEST_FILE_BYTES).decode()
        except Absent as error:
            raise Missing(f"${{file:{path}}}: {error}") from error
        except Unreadable as error:
            raise Unset(f"${{file:{path}}}: {error}") from error
        except UnicodeDecodeError as error:
            raise Unset(f"${{file:{path}}}: is not UTF-8") from error
        self._files[where] = text
        return text.removesuffix("\n").removesuffix("\r")

    def zone(self) -> MachineZone:
        """The zone of the machine, or of $TZ. Raises: Wrong."""
        self._zone = machine_zone(self.environ)
        return self._zone

    def reads(self) -> tuple[Read, ...]:
        """All that was asked for so far."""
        given = [("variable", *pair) for pair in self._variables.items()]
        given += [("file", *pair) for pair in self._files.items()]
        if self._zone is not None:
            given.append(("zone", "", f"{self._zone.name} {self._zone.trouble}"))
        return tuple(Read(kind, name, digest(value)) for kind, name, value in given)

    def again(self, read: Read) -> str:
        """The digest that a read would have now."""
        try:
            if read.kind == "file":
                self.file(read.name)
                return digest(self._files[read.name])
            if read.kind == "zone":
                zone = self.zone()
                return digest(f"{zone.name} {zone.trouble}")
            return digest(self.variable(read.name))
        except Wrong:
            return ""


def digest(value: str | None) -> str:
    """The SHA-256 of a value; "" for one that is not there."""
    return (
        "" if value is None else hashlib.sha256(value.encode(errors="surrogatepass")).hexdigest()
    )


@lru_cache(maxsize=4096)
def split(text: str) -> tuple[Part, ...]:
    """The parts of a text. Raises: Wrong where `${` begins nothing known."""
    parts, _ = _parts(text, 0, 0)
    return parts


def _parts(text: str, at: int, depth: int) -> tuple[tuple[Part, ...], int]:
    """Parts from `at` to the closing brace (depth > 0) or the end; where they end."""
    if depth > DEEPEST:
        raise Wrong(f"expected at most {DEEPEST} levels of ${{...}} in each other")
    parts: list[Part] = []
    plain_from = at
    while at < len(text):
        if text.startswith("$${", at):
            parts += [text[plain_from:at], "${"]
            plain_from = at = at + 3
        elif text.startswith("${", at):
            parts.append(text[plain_from:at])
            part, at = _reference(text, at + 2, depth)
            parts.append(part)
            plain_from = at
        elif depth and text[at] == "}":
            break
        else:
            at += 1
    if depth and at >= len(text):
        raise Wrong(_UNCLOSED.format(shown(text)))
    parts.append(text[plain_from:at])
    return tuple(part for part in parts if part != ""), at


def _reference(text: str, at: int, depth: int) -> tuple[Part, int]:
    if text.startswith("file:", at):
        parts, end = _parts(text, at + 5, depth + 1)
        content = _content(parts)
        if not content.path:
            raise Wrong(f"{_RULE}, got {shown(text)}")
        return content, end + 1
    match = _NAME.match(text, at)
    if match is not None and text.startswith("}", match.end()):
        return Variable(match[0], None), match.end() + 1
    if match is not None and text.startswith(":-", match.end()):
        default, end = _parts(text, match.end() + 2, depth + 1)
        return Variable(match[0], default), end + 1
    if match is not None and match.end() == len(text):
        raise Wrong(_UNCLOSED.format(shown(text)))
    raise Wrong(f"{_RULE}, got {shown(text)}", 'write "$${" for a "${" that is to stay')


def _content(parts: tuple[Part, ...]) -> Content:
    """A path, and what follows its first ":-" as the default."""
    for place, part in enumerate(parts):
        if isinstance(part, str) and ":-" in part:
            path, _, default = part.partition(":-")
            before = (*parts[:place], path) if path else parts[:place]
            after = (default, *parts[place + 1 :]) if default else parts[place + 1 :]
            return Content(before, after)
    return Content(parts)
