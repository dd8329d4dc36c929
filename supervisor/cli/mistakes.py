"""Mistakes of jobs.yaml in lines; reading the file has bounded how many there are."""

from collections.abc import Sequence

from supervisor.config import format_problem
from supervisor.core.model import Problem, Severity, replace


def in_lines(problems: Sequence[Problem], filename: str) -> list[str]:
    """Return `jobs.yaml:14:5: jobs.backup.timeout: expected ..., got ... (hint)` of each."""
    return [format_problem(_marked(problem), filename) for problem in problems]


def _marked(problem: Problem) -> Problem:
    if problem.severity is Severity.ERROR:
        return problem
    return replace(problem, message=f"warning: {problem.message}")
