"""Forecast of what a clock change does to a job's slots."""

from datetime import UTC, timedelta

import pytest

from supervisor.core import dst, schedule
from tests.core.core_harness import instant, job
from tests.core.test_daylight_saving import MOMENTS

WINTER = instant("2026-01-05 00:00")

# zone | expression | forecast for the next 400 days
TABLE = """
Europe/Berlin       | 30 2 * * *   | 2026-03-29 02:30 does not exist in Europe/Berlin: it runs at 03:00
Europe/Berlin       | 0 3 * * *    |
Europe/Berlin       | 0 * * * *    |
Europe/Berlin       | */30 2 * * * | 2026-03-29 02:00 does not exist in Europe/Berlin: it is dropped; 2026-03-29 02:30 does not exist in Europe/Berlin: it is dropped; 2026-10-25 02:00 comes twice in Europe/Berlin: it runs twice; 2026-10-25 02:30 comes twice in Europe/Berlin: it runs twice
America/New_York    | 0 2 * * *    | 2026-03-08 02:00 does not exist in America/New_York: it runs at 03:00
America/New_York    | 30 1 * * *   |
Australia/Lord_Howe | 15 2 * * *   | 2026-10-04 02:15 does not exist in Australia/Lord_Howe: it runs at 02:30
Australia/Lord_Howe | 0 * * * *    | 2026-10-04 02:00 does not exist in Australia/Lord_Howe: it is dropped
Australia/Lord_Howe | 45 * * * *   | 2026-04-05 01:45 comes twice in Australia/Lord_Howe: it runs twice
Australia/Lord_Howe | */15 * * * * |
UTC                 | 30 2 * * *   |
"""  # noqa: E501
ROWS = [tuple(cell.strip() for cell in line.split("|")) for line in TABLE.strip().splitlines()]


@pytest.mark.parametrize(
    ("zone", "expression", "said"), [pytest.param(*row, id=" ".join(row[:2])) for row in ROWS]
)
def test_slots_that_will_be_moved_dropped_or_doubled_are_named(zone, expression, said):
    found = dst.describe(job("a", cron=expression, timezone=zone), WINTER)

    assert "; ".join(found) == said


# Expressions with and without fixed hours; with `*` hours only breaks in the rhythm are shown.
EXPRESSIONS = [
    "30 2 * * *",
    "0,30 0-3 * * *",
    "0-59 2 * * *",
    "0 12 * * *",
    "*/30 2 * * *",
    "*/15 1 * * *",
    "*/20 1-3 * * *",
    "*/30 0 * * *",
    "0 */2 * * *",
    "*/10 */3 * * *",
    "* 2 * * 0",
]


def foretold(expression, where, since, until, reported):
    """Return the slots in (since, until]: each local time once, plus the forecast changes."""
    walls = [each.astimezone(where).replace(tzinfo=UTC) for each in (since, until)]
    found = set()
    for slot in schedule.calendar((expression,), "UTC").slots(*walls):
        first, second = (slot.replace(tzinfo=where, fold=fold) for fold in (0, 1))
        match next((move for move in reported if move.local == slot.replace(tzinfo=None)), None):
            case None:
                found.add(first.astimezone(UTC))
            case dst.SlotChange(fate=dst.SlotChangeKind.MOVED, runs_at=runs_at):
                found.add(runs_at.astimezone(UTC))
            case dst.SlotChange(fate=dst.SlotChangeKind.DOUBLED):
                found |= {first.astimezone(UTC), second.astimezone(UTC)}
    return sorted(slot for slot in found if since < slot <= until)


@pytest.mark.parametrize("expression", ["30 2 * * *", "0,30 2 * * *", "15 2 29 3 *"])
def test_a_moved_slot_runs_when_it_was_said(expression):
    reported = dst.slot_changes(
        job("a", cron=expression, timezone="Europe/Berlin"), WINTER, WINTER + timedelta(days=200)
    )
    slots = list(
        schedule.calendar((expression,), "Europe/Berlin").slots(
            instant("2026-03-29 00:00"), instant("2026-03-29 02:00")
        )
    )

    assert {move.runs_at for move in reported} == set(slots)


@pytest.mark.parametrize(("zone", "change"), MOMENTS)
@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_what_is_said_of_a_change_and_what_the_wall_shows_make_up_its_slots(
    expression, zone, change
):
    since, until = instant(change) - timedelta(hours=14), instant(change) + timedelta(hours=14)
    reported = dst.slot_changes(job("a", cron=expression, timezone=zone), since, until)

    slots = list(schedule.calendar((expression,), zone).slots(since, until))

    assert slots == foretold(expression, schedule.zone(zone), since, until, reported)


def test_a_job_without_cron_has_nothing_to_move():
    assert dst.describe(job("a", timezone="Europe/Berlin"), WINTER) == []
