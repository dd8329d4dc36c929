"""Days and coming slots of all jobs: local days, gaps split by day, one merged list."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import msgspec
import pytest

from supervisor.core import calendar_views
from supervisor.core.calendar_views import DayBounds, DayCount
from supervisor.core.config_model import Config, Job
from supervisor.core.decide import decide
from supervisor.core.events import At, Memory, Restored
from supervisor.core.model import MissedRange
from supervisor.core.state import SchedulerState

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 2, 9, 1, 59, tzinfo=UTC)
QUARTERS = Job("quarters", 0, argv=("x",), cron=("*/15 * * * *",))
NIGHTLY = Job("nightly", 1, argv=("x",), cron=("0 2 * * *",))
YEARLY = Job("yearly", 2, argv=("x",), cron=("0 0 1 1 *",))


def world_of(*jobs, zone="UTC"):
    config = Config(jobs, timezone=zone)
    scheduler, _ = decide(SchedulerState(config), Restored(At(NOW, 1.0), config, Memory()))
    return scheduler


def bounds(since, until, zone=UTC):
    return DayBounds(date.fromisoformat(since), date.fromisoformat(until), zone)


@pytest.mark.parametrize(
    ("instant", "day"),
    [
        ("2026-03-28T22:59:59+00:00", "2026-03-28"),
        ("2026-03-28T23:00:00+00:00", "2026-03-29"),
        ("2026-03-29T21:59:59+00:00", "2026-03-29"),  # the day with 23 hours
        ("2026-03-29T22:00:00+00:00", "2026-03-30"),
    ],
)
def test_a_day_begins_at_midnight_of_the_zone(instant, day):
    found = bounds("2026-03-28", "2026-03-30", BERLIN).day_of(datetime.fromisoformat(instant))

    assert found == date.fromisoformat(day)


@pytest.mark.parametrize("instant", ["2026-03-27T22:00:00+00:00", "2026-03-31T22:00:00+00:00"])
def test_an_instant_outside_has_no_day(instant):
    outside = bounds("2026-03-28", "2026-03-31", BERLIN)

    assert outside.day_of(datetime.fromisoformat(instant)) is None


def test_a_gap_is_divided_among_its_days_and_nothing_is_lost():
    gap = MissedRange(
        "quarters",
        datetime(2026, 2, 5, 12, tzinfo=UTC),
        datetime(2026, 2, 8, 6, tzinfo=UTC),
        264,
        "no supervisor ran",
    )
    found = calendar_views.days(world_of(QUARTERS), {}, [gap], bounds("2026-02-01", "2026-02-09"))

    (job,) = found.jobs
    assert [(each.day.day, each.missed) for each in job.days] == [
        (5, 48),
        (6, 96),
        (7, 96),
        (8, 24),
    ]


def test_the_part_of_a_gap_before_the_days_is_left_out():
    gap = MissedRange("quarters", NOW - timedelta(days=4), NOW, 384, "no supervisor ran")
    found = calendar_views.days(world_of(QUARTERS), {}, [gap], bounds("2026-02-08", "2026-02-09"))

    assert sum(each.missed for each in found.jobs[0].days) == 104


def test_jobs_are_in_the_order_of_the_file_and_others_follow():
    ended = {"gone": {date(2026, 2, 8): {"success": 1}}}

    found = calendar_views.days(
        world_of(QUARTERS, NIGHTLY), ended, [], bounds("2026-02-08", "2026-02-09")
    )

    assert [job.job for job in found.jobs] == ["quarters", "nightly", "gone"]
    assert found.jobs[2].days == (DayCount(date(2026, 2, 8), success=1),)


def test_90_days_of_a_job_that_runs_each_quarter_of_an_hour_are_small():
    span = bounds("2025-11-12", "2026-02-09")
    ended = {"quarters": {day: {"success": 90, "failed": 3, "skipped": 3} for day in span.days}}

    found = calendar_views.days(world_of(QUARTERS), ended, [], span)

    assert len(found.jobs[0].days) == 90
    assert len(msgspec.json.encode(found)) < 50_000


def test_coming_slots_of_all_jobs_are_merged():
    found, are_all = calendar_views.upcoming(
        world_of(QUARTERS, NIGHTLY, YEARLY), NOW, NOW + timedelta(hours=1), None, 100
    )

    assert are_all
    assert [job for _, job in found] == ["quarters", "nightly", "quarters", "quarters", "quarters"]
    assert all(one <= other for (one, _), (other, _) in pairwise(found))


def test_a_busy_job_can_leave_room_for_others():
    found, are_all = calendar_views.upcoming(
        world_of(QUARTERS, NIGHTLY, YEARLY), NOW, NOW + timedelta(days=2), 2, 100
    )

    assert are_all
    assert [job for _, job in found] == ["quarters", "nightly", "quarters", "nightly"]


def test_what_does_not_fit_is_said():
    found, are_all = calendar_views.upcoming(world_of(QUARTERS), NOW, None, None, 3)

    assert (len(found), are_all) == (3, False)
