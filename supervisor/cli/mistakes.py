"""Mistakes of jobs.yaml in lines: as many as anybody reads, and how many more there are."""

from collections.abc import Sequence

from supervisor.config import format_problem
from supervisor.core.model import Problem, Severity, replace

MOST_SHOWN = 100


def in_lines(problems: Sequence[Problem], filename: str) -> list[str]:
    """`jobs.yaml:14:5: jobs.backup.timeout: expected ..., got ... (hint)`, and a count."""
    said = [format_problem(_marked(problem), filename) for problem in problems[:MOST_SHOWN]]
    left = len(problems) - MOST_SHOWN
    return [*said, f"{filename}: and {left} more"] if left > 0 else said


def _marked(problem: Problem) -> Problem:
    if problem.severity is Severity.ERROR:
        return problem
    return replace(problem, message=f"warning: {problem.message}")
