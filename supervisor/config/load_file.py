"""Loads the file jobs.yaml: reads it, parses it or uses the cache, checks its workers."""

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from supervisor.config import cache
from supervisor.config.cache import Entry
from supervisor.config.interpolation import Sources
from supervisor.config.result import Loaded, has_error, in_order
from supervisor.config.worker_check import check_workers
from supervisor.core.config_model import Problem
from supervisor.core.model import replace
from supervisor.redaction.mask import make_mask
from workers.regular_file import UnreadableFileError, read_regular

LARGEST_BYTES = 16 * 1024**2


def load(
    path: Path,
    environ: Mapping[str, str],
    cache_dir: Path | None = None,
    text: Path | None = None,
) -> Loaded:
    """Load the file; return its config or all its problems.

    text: a stored text to use as the content of `path`.
    """
    try:
        content = read_regular(text or path, LARGEST_BYTES)
    except UnreadableFileError as error:
        return Loaded(None, (Problem(1, 1, "", str(error)),), "", "")
    entry = _entry(content, path, environ, cache_dir)
    # The user's own workers may have changed since the entry was stored. Ours have not:
    # the key of the entry covers our code.
    own = [use for use in entry.parsed.uses if use.is_own]
    found = (*entry.parsed.problems, *entry.found, *check_workers(own, environ))
    problems = in_order(_masked(found, entry.parsed.secrets))
    config = None if has_error(problems) else entry.parsed.config
    return Loaded(config, problems, _text(content), hashlib.sha256(content).hexdigest())


def _entry(
    content: bytes, path: Path, environ: Mapping[str, str], cache_dir: Path | None
) -> Entry:
    """Return the parsed text with its built-in workers checked, from the cache if possible."""
    key = cache.cache_key(content, path) if cache_dir is not None else ""
    if cache_dir is not None:
        sources = Sources(environ, os.path.dirname(os.path.abspath(path)))
        entry = cache.find(cache_dir, key, sources)
        if entry is not None:
            return entry
    # Imported here: a file that is in the cache needs neither YAML nor the parser.
    from supervisor.config import parse_text

    parsed = parse_text.parse(content, path, environ)
    found = check_workers([use for use in parsed.uses if not use.is_own], environ)
    entry = Entry(parsed, found)
    if cache_dir is not None and not has_error((*parsed.problems, *found)):
        cache.store(cache_dir, key, entry)
    return entry


def _masked(problems: Iterable[Problem], secrets: Sequence[str]) -> list[Problem]:
    """Return problems with secrets masked: an invalid value in a message may be a password."""
    mask = make_mask(secrets)
    return [
        replace(
            problem,
            path=mask(problem.path),
            message=mask(problem.message),
            hint=mask(problem.hint),
        )
        for problem in problems
    ]


def _text(content: bytes) -> str:
    """Return the text without its byte order mark; "" if it is not UTF-8."""
    try:
        return content.decode().removeprefix("\ufeff")
    except UnicodeDecodeError:
        return ""
