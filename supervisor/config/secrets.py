"""Which texts are to be masked wherever they turn up: what counts as a secret.

Collected while the file is read, because only there is it known which value
stood under which name.
"""

import re
from collections.abc import Iterable
from urllib.parse import unquote, urlsplit

_SECRET_NAME = re.compile("PASSWORD|TOKEN|SECRET|KEY|DSN|URL", re.IGNORECASE)
_IN_URL = re.compile(r"://[^/\s:@]*:([^/\s@]+)@")
_IN_DSN = re.compile(r"password\s*=\s*(?:'((?:[^'\\]|\\.)*)'|([^\s'&]+))", re.IGNORECASE)

# A shorter text would be found in every second line of a log.
SHORTEST = 4
# A switch such as USE_TOKEN=true must not mask each "true" in an answer.
_PLAIN_WORDS = frozenset({"true", "false", "none", "null"})


class Secrets:
    """A growing set of texts to mask."""

    def __init__(self) -> None:
        self._found: set[str] = set()

    def add(self, text: str) -> None:
        """`text` is a secret, whatever it is called; so is each line of it."""
        for part in (text, *text.splitlines()):
            if len(part) >= SHORTEST and part.lower() not in _PLAIN_WORDS:
                self._found.add(part)

    def add_named(self, name: str, text: str) -> None:
        """`text` is a secret if what it is called says so."""
        if is_telling(name):
            self.add(text)

    def add_webhook(self, url: str) -> None:
        """Path and query of a URL that whoever knows it may call."""
        parts = urlsplit(url)
        for part in (parts.path, parts.query):
            self.add(part)

    def add_passwords_in(self, text: str) -> None:
        """The passwords inside URLs and libpq connection strings."""
        for match in _IN_URL.finditer(text):
            self.add(match[1])
            self.add(unquote(match[1]))
        for match in _IN_DSN.finditer(text):
            self.add(match[1] or match[2] or "")

    def found(self) -> tuple[str, ...]:
        """All of them, longest first, so that one inside another hides nothing."""
        return tuple(sorted(self._found, key=lambda text: (-len(text), text)))


def is_telling(name: str) -> bool:
    """Whether what is called so is a secret."""
    return _SECRET_NAME.search(name) is not None


def secrets_among(named: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """The secrets among (name, text) pairs, such as an environment."""
    secrets = Secrets()
    for name, text in named:
        secrets.add_named(name, text)
        secrets.add_passwords_in(text)
    return secrets.found()
