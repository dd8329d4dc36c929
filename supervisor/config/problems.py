"""Mistakes: how one is raised, how all are gathered, how one is printed.

A reader raises `Wrong`; whoever knows the place turns it into a `Problem`.
"""

import difflib
from collections.abc import Collection

from supervisor.core.model import Problem

# Comparing words costs some microseconds each; ten thousand unknown names among
# ten thousand jobs would take an hour, and nobody reads the ten thousandth hint.
MOST_COMPARISONS = 100_000


class Wrong(ValueError):  # noqa: N818 - what it says about a value
    """A value that cannot be used: what was expected, and what may be meant."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class Unknown(Wrong):
    """A word that is none of those known; the nearest is sought where it is reported."""

    def __init__(self, message: str, word: str, known: Collection[str]) -> None:
        super().__init__(message)
        self.word = word
        self.known = known


class Nearest:
    """Finds the word that may have been meant, within a bound on the work."""

    def __init__(self) -> None:
        self._left = MOST_COMPARISONS

    def to(self, word: str, known: Collection[str]) -> str:
        """A hint with the nearest known word, or with all if they are few, or ""."""
        if self._left < len(known) or len(word) > 100:
            return ""
        found = next(iter(known)) if len(known) == 1 else self.word(word, known)
        if found:
            return f'did you mean "{found}"?'
        return f"known: {', '.join(known)}" if 0 < len(known) <= 10 else ""

    def word(self, word: str, known: Collection[str], cutoff: float = 0.6) -> str:
        """The nearest known word, "" where none is near enough."""
        self._left -= len(known)
        if self._left < 0 or len(word) > 100:
            return ""
        found = difflib.get_close_matches(word, known, 1, cutoff)
        return found[0] if found else ""


def shown(text: str) -> str:
    """A text as it stands in a message: in quotes, on one line, not too long."""
    cut = text if len(text) <= 60 else text[:57] + "..."
    return '"' + "".join(c if c.isprintable() else repr(c)[1:-1] for c in cut) + '"'


def dotted(*parts: str) -> str:
    """A path such as `jobs.backup.timeout`."""
    return ".".join(part if part.isprintable() and part else shown(part) for part in parts)[:200]


def format_problem(problem: Problem, filename: str) -> str:
    """`jobs.yaml:14:5: jobs.backup.timeout: expected ..., got ... (a hint)`."""
    where = f"{filename}:{problem.line}:{problem.column}: "
    path = f"{problem.path}: " if problem.path else ""
    hint = f" ({problem.hint})" if problem.hint else ""
    return f"{where}{path}{problem.message}{hint}"
