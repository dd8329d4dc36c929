"""Masks secrets as `***` in every text that leaves: logs, alerts, rows, answers, metrics.

Pure. What counts as a secret is decided in `redaction/secrets.py`, while jobs.yaml is
read. Here each secret is found in every form in which a program may print it: as it is,
or as JSON, Python's repr, a shell, HTML or a URL writes it. Passwords in URLs and
connection strings are masked wherever they appear.

A short or plain word such as `backup` is masked only where it stands alone, and never
inside the names and paths of the configuration: `backup-nightly` stays readable.
"""

import html
import json
import re
import shlex
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from urllib.parse import quote, quote_plus

from supervisor.core.config_model import Config
from supervisor.core.model import Reason, State

Mask = Callable[[str], str]
SHOWN = "***"

# Secrets of at least this length that are not plain words are masked inside words, too.
LONG = 8
# Leading characters by which a secret is recognised where a text was cut off.
HEAD = 12

_HEX_ESCAPE = re.compile(r"(?:%|\\\\x|\\\\u[0-9a-fA-F]{2})[0-9a-fA-F]{2}")
_PLAIN = re.compile(r"[A-Za-z]{1,20}")
_ALONE = r"(?<![\w./-])(?:{})(?![\w/-]|\.\w)"
_NAME = r"(?<![\w-])(?:{})(?![\w-])"
_DSN = re.compile(r"\w+\s*=")

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


def make_mask(secrets: Iterable[str], names: Iterable[str] = ()) -> Mask:
    """Return a function that masks these secrets in every form, and passwords of any URL.

    names: texts that stay unchanged even if they contain a secret.
    """
    known = {form for secret in secrets if secret for form in forms(secret)}
    names = set(names)
    pattern = _pattern(known, {name for name in names if any(text in name for text in known)})
    beginnings = _Beginnings(known, names)

    def mask(text: str) -> str:
        if pattern is not None:
            text = pattern.sub(lambda found: found[0] if found.lastgroup else SHOWN, text)
            text = beginnings.mask(text)
        if "://" in text:
            text = _URL_PASSWORD.sub(rf"\1{SHOWN}\2", text)
        return _NAMED_PASSWORD.sub(rf"\1{SHOWN}", text) if "=" in text else text

    return mask


def mask_of(config: Config, secrets: Iterable[str] = ()) -> Mask:
    """Return the mask of a configuration and of additional secrets."""
    hidden = (*config.secrets, *secrets)
    tokens = [text for text in hidden if is_distinctive(text) and not text.startswith("/")]
    paths = {path for path in paths_of(config) if not any(token in path for token in tokens)}
    return make_mask(hidden, {*names_of(config), *paths})


def names_of(config: Config) -> Iterator[str]:
    """Yield the words that answers consist of: jobs, groups, workers, channels, states, kinds."""
    yield from State
    yield from Reason
    for job in config.jobs:
        yield from (job.name, job.exclusive or "", job.worker or "")
    for channel in config.notify.channels:
        yield from (channel.name, channel.kind)


def paths_of(config: Config) -> Iterator[str]:
    """Yield the paths that the definitions name."""
    for job in config.jobs:
        yield from _paths([job.cwd, job.python, *(job.argv or ())])
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
    """Return one pattern: a match in a group is a name to keep, any other match a secret."""
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
    """Return a pattern for the text in which hex digits of escapes match in either case."""
    return _HEX_ESCAPE.sub(lambda found: f"(?i:{found[0]})", re.escape(text))


def is_distinctive(secret: str) -> bool:
    """Return whether the secret may also be masked inside other words."""
    return len(secret) >= LONG and _PLAIN.fullmatch(secret) is None


class _Beginnings:
    """Mask for the remainder of a long secret where a text was cut off in its middle."""

    def __init__(self, secrets: Iterable[str], names: Collection[str]) -> None:
        self._by_head: dict[str, list[str]] = {}
        for secret in secrets:
            head = _head(secret)
            is_longer = is_distinctive(secret) and len(secret) > len(head)
            if is_longer and not any(head in name for name in names):
                self._by_head.setdefault(head, []).append(secret)
        heads = sorted(map(re.escape, self._by_head), key=len, reverse=True)
        self._heads = re.compile("|".join(heads)) if heads else None

    def mask(self, text: str) -> str:
        """Return the text with each beginning of a secret masked, as far as the two agree."""
        if self._heads is None:
            return text
        pieces, done = list[str](), 0
        for found in self._heads.finditer(text):
            if found.start() >= done:
                pieces += (text[done : found.start()], SHOWN)
                done = found.start() + max(
                    _common_length(secret, text[found.start() :])
                    for secret in self._by_head[found[0]]
                )
        return "".join((*pieces, text[done:]))


def _common_length(first: str, second: str) -> int:
    pairs = enumerate(zip(first, second, strict=False))
    return next((place for place, (a, b) in pairs if a != b), min(len(first), len(second)))


def _head(secret: str) -> str:
    """Return the beginning by which a secret is recognised.

    Many texts begin like a path, a URL or a connection string, so those need a longer one.
    """
    is_address = secret.startswith("/") or "://" in secret or _DSN.match(secret) is not None
    return secret[: max(HEAD, len(secret) * 3 // 4)] if is_address else secret[:HEAD]
