"""Findings of the checks of a database, and their severity.

Pure. A finding has the full count and a few examples. A check without findings returns a
finding with count 0, so that the result names each check that was made.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

SHOWN = 3
_LONGEST_EXAMPLE = 120


class Severity(StrEnum):
    """Severity; failure: the data is wrong; warning: it may be right; note: it is right."""

    FAILURE = "failure"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Finding:
    """A number of things of one kind.

    check: the name of the check, a key of the result. what: the name of the things, in
    the plural. examples: the first of them, at most SHOWN.
    """

    check: str
    severity: Severity
    count: int
    what: str
    examples: tuple[str, ...] = ()


def sentence(finding: Finding) -> str:
    """Return the finding as text with examples: `cards without a set: 2 (a-1, a-2)`."""
    if not finding.examples:
        return f"{finding.what}: {finding.count}"
    shown = ", ".join(_shown(example) for example in finding.examples[:SHOWN])
    more = ", ..." if finding.count > len(finding.examples[:SHOWN]) else ""
    return f"{finding.what}: {finding.count} ({shown}{more})"


def of(severity: Severity, findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Return the findings of this severity with a count above 0."""
    return tuple(one for one in findings if one.count and one.severity is severity)


def counts(findings: Sequence[Finding]) -> dict[str, int]:
    """Return the count of each check, including 0."""
    found: dict[str, int] = {}
    for one in findings:
        found[one.check] = found.get(one.check, 0) + one.count
    return found


def merged(findings: Sequence[Finding]) -> list[Finding]:
    """Return one finding for each kind of thing, with the sum of counts and the first examples."""
    kinds: dict[tuple[str, Severity, str], list[Finding]] = {}
    for one in findings:
        kinds.setdefault((one.check, one.severity, one.what), []).append(one)
    return [
        replace(
            alike[0],
            count=sum(one.count for one in alike),
            examples=tuple(text for one in alike for text in one.examples)[:SHOWN],
        )
        for alike in kinds.values()
    ]


def _shown(example: str) -> str:
    # Ids and JSON are untrusted: a line break would forge a log line.
    text = example if example.isprintable() else ascii(example)[1:-1]
    return text if len(text) <= _LONGEST_EXAMPLE else text[:_LONGEST_EXAMPLE] + "..."
