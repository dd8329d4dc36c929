"""Interpolation of `${NAME}`, `${NAME:-default}`, `${file:/path}`, `${file:/path:-default}`.

`split` is pure: text -> parts; `$${` yields a literal `${`. `Sources` supplies the values
and records each read, so that a cached result can be validated later. Inserted text is
not interpolated again.
"""

import hashlib
import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from msgspec import Struct, field

from supervisor.config.problems import BadValueError, quote_value
from supervisor.config.result import SourceRead
from supervisor.config.timezones import MachineZone, system_zone
from workers.regular_file import MissingFileError, UnreadableFileError, read_regular

DEEPEST = 20
LARGEST_FILE_BYTES = 1024 * 1024

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_UNCLOSED = '"${{" without its "}}" in {}'
_RULE = "expected ${NAME}, ${NAME:-default} or ${file:/path}"


class UnsetVariableError(BadValueError):
    """A variable without a value and without a default, or a file that cannot be read."""


class MissingSecretFileError(UnsetVariableError):
    """A file that does not exist."""


class Variable(Struct, frozen=True):
    """`${name:-default}`; default is None if there is none."""

    name: str
    default: "tuple[Part, ...] | None"


class Content(Struct, frozen=True):
    """`${file:path}` or `${file:path:-default}`; the default applies if the file is missing."""

    path: "tuple[Part, ...]"
    default: "tuple[Part, ...] | None" = None


Part = str | Variable | Content


class Sources(Struct):
    """Source of interpolated values; relative paths are relative to `folder`."""

    environ: Mapping[str, str]
    folder: str
    _variables: dict[str, str | None] = field(default_factory=dict)
    _files: dict[str, str | None] = field(default_factory=dict)
    _zone: MachineZone | None = None

    def variable(self, name: str) -> str | None:
        """Return the value of a variable, or None. Raises: BadValueError if it is not UTF-8."""
        value = self._variables[name] = self.environ.get(name)
        if value is not None and any("\ud800" <= c <= "\udfff" for c in value):
            raise BadValueError(f"the value of ${{{name}}} is not UTF-8")
        return value

    def file(self, path: str) -> str:
        """Return the content of a file without its last newline. Raises: UnsetVariableError."""
        where = str(Path(self.folder, path))
        self._files[where] = None
        try:
            text = read_regular(Path(where), LARGEST_FILE_BYTES).decode()
        except MissingFileError as error:
            raise MissingSecretFileError(f"${{file:{path}}}: {error}") from error
        except UnreadableFileError as error:
            raise UnsetVariableError(f"${{file:{path}}}: {error}") from error
        except UnicodeDecodeError as error:
            raise UnsetVariableError(f"${{file:{path}}}: is not UTF-8") from error
        self._files[where] = text
        return text.removesuffix("\n").removesuffix("\r")

    def zone(self) -> MachineZone:
        """Return the zone of the machine, or of $TZ. Raises: BadValueError."""
        self._zone = system_zone(self.environ)
        return self._zone

    def reads(self) -> tuple[SourceRead, ...]:
        """Return all reads so far, with the digests of their values."""
        given = [("variable", *pair) for pair in self._variables.items()]
        given += [("file", *pair) for pair in self._files.items()]
        if self._zone is not None:
            given.append(("zone", "", f"{self._zone.name} {self._zone.error}"))
        return tuple(SourceRead(kind, name, digest(value)) for kind, name, value in given)

    def fingerprint_again(self, read: SourceRead) -> str:
        """Repeat a read and return the digest of its current value."""
        try:
            if read.kind == "file":
                self.file(read.name)
                return digest(self._files[read.name])
            if read.kind == "zone":
                zone = self.zone()
                return digest(f"{zone.name} {zone.error}")
            return digest(self.variable(read.name))
        except BadValueError:
            return ""


def digest(value: str | None) -> str:
    """Return the SHA-256 of a value in hex, or "" for None."""
    return (
        "" if value is None else hashlib.sha256(value.encode(errors="surrogatepass")).hexdigest()
    )


@lru_cache(maxsize=4096)
def split(text: str) -> tuple[Part, ...]:
    """Return the parts of a text. Raises: BadValueError for an invalid `${`."""
    parts, _ = _parts(text, 0, 0)
    return parts


def _parts(text: str, at: int, depth: int) -> tuple[tuple[Part, ...], int]:
    """Parse from `at` to the closing brace (depth > 0) or the end of the text.

    Returns the parts and the index at which they end.
    """
    if depth > DEEPEST:
        raise BadValueError(f"expected at most {DEEPEST} levels of ${{...}} in each other")
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
        raise BadValueError(_UNCLOSED.format(quote_value(text)))
    parts.append(text[plain_from:at])
    return tuple(part for part in parts if part != ""), at


def _reference(text: str, at: int, depth: int) -> tuple[Part, int]:
    if text.startswith("file:", at):
        parts, end = _parts(text, at + 5, depth + 1)
        content = _content(parts)
        if not content.path:
            raise BadValueError(f"{_RULE}, got {quote_value(text)}")
        return content, end + 1
    match = _NAME.match(text, at)
    if match is not None and text.startswith("}", match.end()):
        return Variable(match[0], None), match.end() + 1
    if match is not None and text.startswith(":-", match.end()):
        default, end = _parts(text, match.end() + 2, depth + 1)
        return Variable(match[0], default), end + 1
    if match is not None and match.end() == len(text):
        raise BadValueError(_UNCLOSED.format(quote_value(text)))
    raise BadValueError(
        f"{_RULE}, got {quote_value(text)}", 'write "$${" for a "${" that is to stay'
    )


def _content(parts: tuple[Part, ...]) -> Content:
    """Build a Content: the path, and the text after its first ":-" as the default."""
    for place, part in enumerate(parts):
        if isinstance(part, str) and ":-" in part:
            path, _, default = part.partition(":-")
            before = (*parts[:place], path) if path else parts[:place]
            after = (default, *parts[place + 1 :]) if default else parts[place + 1 :]
            return Content(before, after)
    return Content(parts)
