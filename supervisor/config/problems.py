"""Problems of jobs.yaml: exceptions of readers, hints for misspelled words, formatting.

A reader raises `BadValueError`; a caller that knows the position turns it into a `Problem`.
"""

import difflib
from collections.abc import Collection

from supervisor.core.config_model import Problem

# Each comparison takes some microseconds: ten thousand unknown names among ten thousand
# jobs would take an hour. Hints stop at this bound.
MOST_COMPARISONS = 100_000


class BadValueError(ValueError):
    """A value that cannot be used: what was expected, and a hint."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UnknownNameError(BadValueError):
    """A word outside a known set; the nearest known word is searched when it is reported."""

    def __init__(self, message: str, word: str, known: Collection[str]) -> None:
        super().__init__(message)
        self.word = word
        self.known = known


class Nearest:
    """Finds the nearest known word, with a bound on the total work."""

    def __init__(self) -> None:
        self._left = MOST_COMPARISONS

    def match(self, word: str, known: Collection[str]) -> str:
        """Return a hint with the nearest known word, else with all words if few, else ""."""
        if self._left < len(known) or len(word) > 100:
            return ""
        found = next(iter(known)) if len(known) == 1 else self.word(word, known)
        if found:
            return f'did you mean "{found}"?'
        return f"known: {', '.join(known)}" if 0 < len(known) <= 10 else ""

    def word(self, word: str, known: Collection[str], cutoff: float = 0.6) -> str:
        """Return the nearest known word, or "" if none is close enough."""
        self._left -= len(known)
        if self._left < 0 or len(word) > 100:
            return ""
        found = difflib.get_close_matches(word, known, 1, cutoff)
        return found[0] if found else ""


def quote_value(text: str) -> str:
    """Return a text for use in a message: quoted, on one line, shortened."""
    cut = text if len(text) <= 60 else text[:57] + "..."
    return '"' + "".join(c if c.isprintable() else repr(c)[1:-1] for c in cut) + '"'


def dotted(*parts: str) -> str:
    """Return a path such as `jobs.backup.timeout`."""
    return ".".join(part if part.isprintable() and part else quote_value(part) for part in parts)[
        :200
    ]


def format_problem(problem: Problem, filename: str) -> str:
    """Format as `jobs.yaml:14:5: jobs.backup.timeout: expected ..., got ... (a hint)`."""
    where = f"{filename}:{problem.line}:{problem.column}: "
    path = f"{problem.path}: " if problem.path else ""
    hint = f" ({problem.hint})" if problem.hint else ""
    return f"{where}{path}{problem.message}{hint}"
