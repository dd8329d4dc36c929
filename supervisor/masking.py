"""Secrets -> `***`, in every text that leaves: logs, alerts, rows, answers, metrics.

Pure. What counts as a secret is decided where jobs.yaml is read
(`config/secrets.py`); here each is found in all the forms a program may print it in:
as it is, and as JSON, Python's repr, a shell, HTML or a URL write it. Passwords inside
URLs and connection strings are masked wherever they turn up.

A short or plain word such as `backup` is masked only where it stands alone, and never
inside the names and paths of the configuration: `backup-nightly` stays readable.
"""

import html
import json
import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Sequence
from urllib.parse import quote, quote_plus

from supervisor.core.model import Config, Reason, State

Mask = Callable[[str], str]
SHOWN = "***"

# From this length on a secret that is no plain word is masked inside other words too.
LONG = 8
# So much of the beginning of a secret is recognised where a text was cut off.
SHORTEST_BEGINNING = 12

_HEX_ESCAPE = re.compile(r"(?:%|\\\\x|\\\\u[0-9a-fA-F]{2})[0-9a-fA-F]{2}")
_PLAIN = re.compile(r"[A-Za-z]+")
_ALONE = r"(?<![\w./-])(?:{})(?![\w/-]|\.\w)"
_NAME = r"(?<![\w-])(?:{})(?![\w-])"
_CUT_OFF = re.compile(r"\s?(?:…|\.\.\.)|$")

# user:password@ up to the last @ before a blank or quote; a port is no password.
_URL_PASSWORD = re.compile(
    r"(\b[a-zA-Z][a-zA-Z0-9+.-]*://[^\s/:@\"'<>]*:)(?!\d{1,5}(?:[/?#,]|$))[^\s\"'<>]+(@)"
)
# libpq's and JDBC's password=, ODBC's PWD= (which alone is a shell's working folder)
_NAMED_PASSWORD = re.compile(
    r"((?:\b(?:ssl)?passw(?:or)?d|;\s*pwd)\s*=\s*)"
    r"(?:'(?:[^'\\]|\\.|'')*'|\"(?:[^\"\\]|\\.)*\"|\{(?:[^}]|\}\})*\}|[^\s;&,'\"{}]+)",
    re.IGNORECASE,
)


def masker(secrets: Iterable[str], names: Iterable[str] = ()) -> Mask:
    """Return a function that masks these texts in every form, and passwords of any URL.

    names: texts that stay as they are, even where a secret stands in them.
    """
    known = {form for secret in secrets if secret for form in forms(secret)}
    names = {name for name in names if any(secret in name for secret in known)}
    pattern = _pattern(known, names)
    beginnings = _Beginnings(known)

    def mask(text: str) -> str:
        if pattern is not None:
            text = pattern.sub(lambda found: found[0] if found.lastgroup else SHOWN, text)
            text = beginnings.mask(text)
        if "://" in text:
            text = _URL_PASSWORD.sub(rf"\1{SHOWN}\2", text)
        return _NAMED_PASSWORD.sub(rf"\1{SHOWN}", text) if "=" in text else text

    return mask


def mask_of(config: Config, secrets: Iterable[str] = ()) -> Mask:
    """Return the mask of a configuration, and of the secrets given besides."""
    return masker((*config.secrets, *secrets), names_of(config))


def names_of(config: Config) -> Iterator[str]:
    """Yield the words that answers are made of: jobs, groups, states, kinds, paths."""
    yield from State
    yield from Reason
    for job in config.jobs:
        yield job.name
        yield job.exclusive or ""
        yield job.worker or ""
        yield from (job.cwd or "", job.python or "")
        yield from (text for text in job.argv or () if text.startswith("/"))
        yield from _paths(json.loads(job.params_json))


def forms(secret: str) -> Iterator[str]:
    """Yield the secret as it is and as other notations write it."""
    yield secret
    as_json = json.dumps(secret)[1:-1]
    yield from (as_json, as_json.replace("/", "\\/"), json.dumps(secret, ensure_ascii=False)[1:-1])
    data = secret.encode(errors="surrogateescape")
    yield from (repr(secret)[1:-1], repr(data)[2:-1])
    yield from (quote(data, safe=""), quote(data), quote_plus(data))
    yield from (html.escape(secret), html.escape(secret, quote=False))
    yield shlex.quote(secret).strip("'")


def _paths(value: object) -> Iterator[str]:
    match value:
        case str():
            if value.startswith("/"):
                yield value
        case list():
            for each in value:
                yield from _paths(each)
        case dict():
            yield from _paths(list(value.values()))


def _pattern(secrets: Iterable[str], names: Iterable[str]) -> re.Pattern[str] | None:
    """Return one pattern: a match in a group is a name to keep, any other a secret."""
    longest_first = sorted(secrets, key=len, reverse=True)
    inside = [text for text in longest_first if any(text in name for name in names)]
    others = [text for text in longest_first if text not in inside]
    kept = sorted(map(re.escape, names), key=len, reverse=True)
    parts = [
        *_alternatives(others),
        *([f"(?P<name>{_NAME.format('|'.join(kept))})"] if kept else []),
        *_alternatives(inside),
    ]
    return re.compile("|".join(parts)) if parts else None


def _alternatives(secrets: Sequence[str]) -> Iterator[str]:
    anywhere = [_literal(text) for text in secrets if is_distinctive(text)]
    alone = [_literal(text) for text in secrets if not is_distinctive(text)]
    if anywhere:
        yield "|".join(anywhere)
    if alone:
        yield _ALONE.format("|".join(alone))


def _literal(text: str) -> str:
    """Return a pattern of the text; hexadecimal digits of an escape may be of either case."""
    return _HEX_ESCAPE.sub(lambda found: f"(?i:{found[0]})", re.escape(text))


def is_distinctive(secret: str) -> bool:
    """Return whether the secret may be masked inside other words as well."""
    return len(secret) >= LONG and _PLAIN.fullmatch(secret) is None


class _Beginnings:
    """Masks what is left of a long secret at the place where a text was cut off."""

    def __init__(self, secrets: Iterable[str]) -> None:
        self._secrets = [text for text in secrets if len(text) > SHORTEST_BEGINNING]
        heads = {re.escape(text[:SHORTEST_BEGINNING]) for text in self._secrets}
        self._heads = re.compile("|".join(heads)) if heads else None

    def mask(self, text: str) -> str:
        """Return the text without beginnings of secrets before an ellipsis or its end."""
        if self._heads is None or self._heads.search(text) is None:
            return text
        pieces, done = list[str](), 0
        for cut in _CUT_OFF.finditer(text):
            begin = self._begin(text, done, cut.start())
            if begin < cut.start():
                pieces.append(text[done:begin] + SHOWN)
                done = cut.start()
        return "".join((*pieces, text[done:]))

    def _begin(self, text: str, since: int, until: int) -> int:
        """Return where a beginning of a secret starts that ends at `until`, or `until`."""
        found = until
        for secret in self._secrets:
            for size in range(min(len(secret), until - since), SHORTEST_BEGINNING - 1, -1):
                if text.startswith(secret[:size], until - size):
                    found = min(found, until - size)
                    break
        return found
