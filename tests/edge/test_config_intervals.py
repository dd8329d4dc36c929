"""The cron expression of an interval: its slots are exactly that far apart."""

import itertools
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as some

from supervisor.config.intervals import expression
from supervisor.core import schedule

BEGIN = datetime(2026, 2, 9, 2, 30, tzinfo=UTC)
MINUTE, HOUR, DAY = 60, 3600, 86400
HAVE_ONE = (
    [n * MINUTE for n in range(1, 60) if 60 % n == 0]
    + [n * HOUR for n in range(1, 24) if 24 % n == 0]
    + [DAY, 7 * DAY]
)


@pytest.mark.parametrize("length_s", HAVE_ONE)
def test_slots_are_as_far_apart_as_the_interval_says(length_s: int) -> None:
    slots = schedule.calendar((expression(length_s),), "UTC").slots_after(BEGIN)

    for one, following in itertools.pairwise(itertools.islice(slots, 100)):
        assert following - one == timedelta(seconds=length_s)


@given(some.one_of(some.integers(-DAY, 14 * DAY), some.floats(-1e9, 1e9)))
def test_no_other_interval_has_an_expression(length_s: float) -> None:
    assert bool(expression(length_s)) is (length_s in HAVE_ONE)
