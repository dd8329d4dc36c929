"""What a check of a database found, and what that means for the run.

Pure. A finding counts in full and shows a few; a check that found nothing is
a finding that counts 0, so that the result names each check that was made.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

SHOWN = 3
_LONGEST_EXAMPLE = 120


class Severity(StrEnum):
    """failure: the data is wrong and a person must look; warning: it may be right; note: it is."""

    FAILURE = "failure"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Finding:
    """`count` things of one kind.

    check: the name of the check, a key of the result. what: their name, in
    the plural. examples: the first of them, at most SHOWN.
    """

    check: str
    severity: Severity
    count: int
    what: str
    examples: tuple[str, ...] = ()


def sentence(finding: Finding) -> str:
    """What was found, how many, and the examples: `cards without a set: 2 (a-1, a-2)`."""
    if not finding.examples:
        return f"{finding.what}: {finding.count}"
    shown = ", ".join(_shown(example) for example in finding.examples[:SHOWN])
    more = ", ..." if finding.count > len(finding.examples[:SHOWN]) else ""
    return f"{finding.what}: {finding.count} ({shown}{more})"


def of(severity: Severity, findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Those of this severity that found anything."""
    return tuple(one for one in findings if one.count and one.severity is severity)


def counts(findings: Sequence[Finding]) -> dict[str, int]:
    """How many things each check found, 0 included."""
    found: dict[str, int] = {}
    for one in findings:
        found[one.check] = found.get(one.check, 0) + one.count
    return found


def merged(findings: Sequence[Finding]) -> list[Finding]:
    """Return one finding for each kind of thing, with the counts of all and the first examples."""
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
    # Ids and JSON come from anybody: a line break would forge a line of the log.
    text = example if example.isprintable() else ascii(example)[1:-1]
    return text if len(text) <= _LONGEST_EXAMPLE else text[:_LONGEST_EXAMPLE] + "..."
