"""Generate the daylight saving tables of docs/rules.md from the calendar itself.

`python -m tests.core.daylight_tables` rewrites them.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from supervisor.core import dst, schedule

RULES = Path(__file__).parents[2] / "docs" / "rules.md"
ZONES = ("America/New_York", "Europe/Berlin")
EXPRESSIONS = (
    "30 1 * * *",
    "0 2 * * *",
    "30 2 * * *",
    "0 3 * * *",
    "0 1,2,3 * * *",
    "0 * * * *",
    "*/30 * * * *",
    "*/30 1 * * *",
    "*/30 2 * * *",
)
YEAR = datetime(2026, 1, 1, tzinfo=UTC)
# The tables show what runs from 01:00 to 04:00 in local time.
HOURS = (1, 2, 3)
AROUND = timedelta(hours=4)


def table(zone_name: str) -> str:
    """Return the slots of each expression in the two clock changes of 2026, as Markdown."""
    zone = schedule.zone(zone_name)
    spring, autumn = dst.offset_changes(zone, YEAR, YEAR + timedelta(days=365))
    rows = [
        f"| {zone_name} | {_change(spring)} | {_change(autumn)} |",
        "| --- | --- | --- |",
    ]
    for expression in EXPRESSIONS:
        cells = [_slots(expression, zone_name, change) for change in (spring, autumn)]
        rows.append(f"| `{expression}` | {cells[0]} | {cells[1]} |")
    return "\n".join(rows)


def _change(change: dst.OffsetChange) -> str:
    word = "does not exist" if change.is_gap else "comes twice"
    return f"{change.since:%Y-%m-%d}: {change.since:%H:%M} to {change.until:%H:%M} {word}"


def _slots(expression: str, zone_name: str, change: dst.OffsetChange) -> str:
    zone = schedule.zone(zone_name)
    slots = schedule.calendar((expression,), zone_name).slots(
        change.at - AROUND, change.at + AROUND
    )
    local = [slot.astimezone(zone) for slot in slots]
    shown = [f"{slot:%H:%M %Z}" for slot in local if slot.hour in HOURS]
    return ", ".join(shown) or "none"


def rewritten(text: str) -> str:
    """Return the document with its tables generated again."""
    for zone_name in ZONES:
        head, rest = text.split(f"<!-- {zone_name} -->\n")
        tail = rest.partition("\n\n")[2]
        text = f"{head}<!-- {zone_name} -->\n{table(zone_name)}\n\n{tail}"
    return text


if __name__ == "__main__":
    RULES.write_text(rewritten(RULES.read_text()))
