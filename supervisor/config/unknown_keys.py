"""Suggests the intended key for an unknown key of jobs.yaml.

The meaning of a word in other schedulers takes precedence over similar spelling.
"""

from collections.abc import Collection

from supervisor.config import foreign_keys
from supervisor.config.foreign_keys import Level, Meaning
from supervisor.config.key_table import JOB_KEYS, TOP_KEYS
from supervisor.config.problems import Nearest

# Cutoffs of difflib. Below _NEAR, a misspelled word of another scheduler is as likely as
# a misspelled key of ours.
_NEAR, _FOREIGN_NEAR = 0.75, 0.85
_OF_JOBS = frozenset(key.name for key in JOB_KEYS)
_OF_FILE = frozenset(key.name for key in TOP_KEYS)
_OTHER_LEVEL = {
    Level.TOP: (
        _OF_JOBS,
        "a key of a job: write it below jobs: NAME:, or for all below defaults:",
    ),
    Level.JOB: (_OF_FILE, "a key of the whole file: write it at the left edge, beside jobs:"),
}


def meant(word: str, known: Collection[str], path: tuple[str, ...], nearest: Nearest) -> Meaning:
    """Return the intended key ("" if unknown) and a hint for an unknown word below `path`."""
    level = foreign_keys.level_of(path)
    others, advice = _OTHER_LEVEL.get(level, (frozenset[str](), ""))
    if word in others and word not in ("env",):
        return Meaning("", advice)
    found = foreign_keys.meaning(word, level)
    if found is not None:
        return found
    near = nearest.word(word, known, _NEAR)
    if near:
        return Meaning(near, f'did you mean "{near}"?')
    foreign = nearest.word(word, tuple(foreign_keys.words(level)), _FOREIGN_NEAR)
    found = foreign_keys.meaning(foreign, level) if foreign else None
    if found is not None:
        return found
    near = nearest.word(word, known)
    return Meaning(near, f'did you mean "{near}"?' if near else nearest.match(word, known))
