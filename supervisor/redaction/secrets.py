"""Decides which texts count as secrets and must be masked wherever they appear.

Secrets are collected while the file is read, because only then is the name of each
value known. `supervisor/redaction/mask.py` decides in which forms a secret is found
and which words are never masked.
"""

import re
from collections.abc import Iterable
from urllib.parse import unquote, unquote_plus, urlsplit

# Words of a name whose value is a secret: a word may end in one of _ENDINGS (PGPASSWORD)
# or equal one of _WORDS (API_KEY, but not MONKEY; URL, but not CURL).
_ENDINGS = (
    *("PASSWORD", "PASSWORDS", "PASSWD", "PASSPHRASE"),
    *("SECRET", "SECRETS", "TOKEN", "TOKENS"),
)
_WORDS = frozenset(
    ("KEY", "KEYS", "APIKEY", "DSN", "URL", "URLS", "PASS", "CREDENTIAL", "CREDENTIALS")
)
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")

# user:password@ up to the last @; a port is not a password.
_IN_URL = re.compile(r"://[^/\s:@\"'<>]*:(?!\d{1,5}(?:[/?#,]|$))([^\s\"'<>]+)@")
_IN_DSN = re.compile(
    r"(?:\b(?:ssl)?passw(?:or)?d|(?:^|;)\s*pwd)\s*=\s*"
    r"(?:'((?:[^'\\]|\\.|'')*)'|\"((?:[^\"\\]|\\.)*)\"|\{((?:[^}]|\}\})*)\}|([^\s'\"{}]+))",
    re.IGNORECASE,
)

# One or two characters, or a small number, would match in every second line of a log.
SHORTEST = 3
# A part of a service's URL that is shorter is no token.
_SHORTEST_TOKEN = 8
_SMALL_NUMBER = re.compile(r"\d{1,3}(\.\d{1,2})?")
# A switch such as USE_TOKEN=true must not mask every "true" in an answer.
_SWITCHES = frozenset({"true", "false", "none", "null", "yes", "no", "on", "off"})
# A path such as /data or /api/v1 is public; one that holds a token is a secret.
_KNOWN_PATH = re.compile(r"/?[a-z]*(/[a-z]+|/v\d+)*/?")


class Secrets:
    """A growing set of texts to mask."""

    def __init__(self) -> None:
        self._found: set[str] = set()

    def add(self, text: str) -> None:
        """Add the text and each of its lines, whatever its name."""
        for part in (text, *text.splitlines()):
            is_common = part.lower() in _SWITCHES or _SMALL_NUMBER.fullmatch(part)
            if len(part) >= SHORTEST and not is_common:
                self._found.add(part)

    def add_named(self, name: str, text: str) -> None:
        """Add the text if its name says that it is a secret."""
        if is_secret_name(name):
            self.add(text)

    def add_webhook(self, url: str) -> None:
        """Add the path and query of a URL, which are all that a caller needs to know."""
        parts = urlsplit(url)
        for part in (parts.path, parts.query):
            if part and _KNOWN_PATH.fullmatch(part) is None:
                self.add(part)
            elif part.strip("/"):
                self.add(f"{parts.netloc.rpartition('@')[2]}{part}")

    def add_service_url(self, url: str) -> None:
        """Add what follows the scheme, and each part that may be a token by itself.

        Which part of such a URL is the token depends on the service.
        """
        rest = url.partition("://")[2]
        self.add(rest)
        for part in re.split(r"[/@:?&=#,]+", rest):
            is_host = "." in part and "@" not in part
            if len(part) >= _SHORTEST_TOKEN and not is_host and not part.isalpha():
                self.add(part)
                self.add(unquote(part))

    def add_passwords_in(self, text: str) -> None:
        """Add the passwords inside URLs, libpq and ODBC connection strings."""
        for match in _IN_URL.finditer(text):
            self._add_password(match[1], unquote(match[1]))
        for match in _IN_DSN.finditer(text):
            quoted = next((part for part in match.groups()[:3] if part is not None), None)
            if quoted is not None:
                plain = re.sub(r"\\(.)", r"\1", quoted)
                self._add_password(quoted, plain, quoted.replace("''", "'").replace("}}", "}"))
            else:
                # ODBC ends a value at a semicolon, a URL's query at &, libpq only at a blank.
                bare = match[4]
                self._add_password(bare, *re.split("[;&]", bare)[:1], unquote_plus(bare))

    def as_tuple(self) -> tuple[str, ...]:
        """Return all secrets, longest first, so that one inside another does not hide it."""
        return tuple(sorted(self._found, key=lambda text: (-len(text), text)))

    def _add_password(self, *spellings: str) -> None:
        for text in spellings:
            self.add(text)


def is_secret_name(name: str) -> bool:
    """Return whether a value of this name is a secret: API_KEY, dbPassword, PGPASSWORD."""
    words = [word.upper() for word in _WORD.findall(name)]
    return any(word in _WORDS or word.endswith(_ENDINGS) for word in words)


def secrets_among(named: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """Return the secrets among (name, text) pairs, such as an environment."""
    secrets = Secrets()
    for name, text in named:
        secrets.add_named(name, text)
        secrets.add_passwords_in(text)
    return secrets.as_tuple()
