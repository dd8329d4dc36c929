"""Warns of a `late_after` that never comes: the next slot nearly always comes before.

Only the newest slot counts (DESIGN, section 3), so what is as long as the time
from slot to slot watches over nothing.
"""

from datetime import UTC, datetime
from itertools import islice, pairwise

from supervisor.config.document import Document, Pairs
from supervisor.core import schedule
from supervisor.core.model import Job, Severity
from workers.units import format_duration

# Enough to see a week of a daily job, from a Monday without a change of the clock.
SLOTS = 9
_FROM = datetime(2001, 1, 1, tzinfo=UTC)


def check_late_after(doc: Document, job: Job, pairs: Pairs) -> None:
    """Report a late_after that most slots of the job cannot live to see.

    pairs: the keys of the job, or of the defaults, that the value may stand in.
    """
    if job.late_after_s is None or not job.cron or "late_after" not in pairs:
        return
    slots = islice(schedule.calendar(job.cron, job.timezone).slots_after(_FROM), SLOTS)
    gaps_s = [(after - before).total_seconds() for before, after in pairwise(slots)]
    short_s = [gap_s for gap_s in gaps_s if gap_s <= job.late_after_s]
    if 2 * len(short_s) > len(gaps_s):
        doc.report(
            pairs["late_after"][1],
            ("jobs", job.name, "late_after"),
            f"{format_duration(job.late_after_s)} is not shorter than the "
            f"{format_duration(min(short_s))} from slot to slot: only the newest slot counts, "
            "so it is hardly ever late",
            "take less than the time to the next slot",
            Severity.WARNING,
        )
