"""Quiet hours: when they begin and end, also when the clock changes during them."""

from datetime import datetime

import pytest

from supervisor.core.config_model import QuietHours
from supervisor.core.quiet_hours import quiet_until

NIGHT = QuietHours(22 * 60, 7 * 60, "Europe/Berlin")
NOON = QuietHours(12 * 60, 13 * 60 + 30, "Europe/Berlin")
EARLY = QuietHours(60, 2 * 60 + 30, "Europe/Berlin")
TO_MIDNIGHT = QuietHours(20 * 60, 0, "Europe/Berlin")


@pytest.mark.parametrize(
    ("hours", "at", "end"),
    [
        (NIGHT, "2026-01-05T21:59:59+01:00", None),
        (NIGHT, "2026-01-05T22:00:00+01:00", "2026-01-06T07:00+01:00"),
        (NIGHT, "2026-01-05T23:59:59+01:00", "2026-01-06T07:00+01:00"),
        (NIGHT, "2026-01-06T00:00:00+01:00", "2026-01-06T07:00+01:00"),
        (NIGHT, "2026-01-06T06:59:59+01:00", "2026-01-06T07:00+01:00"),
        (NIGHT, "2026-01-06T07:00:00+01:00", None),
        (NIGHT, "2026-01-05T21:00:00+00:00", "2026-01-06T07:00+01:00"),
        (NOON, "2026-01-05T12:00:00+01:00", "2026-01-05T13:30+01:00"),
        (NOON, "2026-01-05T13:30:00+01:00", None),
        (NOON, "2026-01-05T02:00:00+01:00", None),
        (TO_MIDNIGHT, "2026-01-05T23:30:00+01:00", "2026-01-06T00:00+01:00"),
        (TO_MIDNIGHT, "2026-01-06T00:00:00+01:00", None),
        # Nights of a clock change: 02:00 becomes 03:00, and 03:00 becomes 02:00.
        (NIGHT, "2026-03-28T23:00:00+01:00", "2026-03-29T07:00+02:00"),
        (NIGHT, "2026-10-24T23:00:00+02:00", "2026-10-25T07:00+01:00"),
        (EARLY, "2026-03-29T03:00:00+02:00", None),
        (EARLY, "2026-10-25T02:10:00+02:00", "2026-10-25T02:30+02:00"),
        (EARLY, "2026-10-25T02:40:00+02:00", None),
        (EARLY, "2026-10-25T02:10:00+01:00", "2026-10-25T02:30+01:00"),
    ],
)
def test_quiet_hours_hold_by_the_clock_on_the_wall(hours, at, end):
    found = quiet_until(hours, datetime.fromisoformat(at))

    assert found == (None if end is None else datetime.fromisoformat(end))


def test_an_end_is_always_ahead():
    night = (datetime.fromisoformat(f"2026-03-29T0{h}:{m:02}:30+00:00") for h in range(4)
             for m in range(60))  # fmt: skip

    ends = [(at, quiet_until(EARLY, at)) for at in night]

    assert [at for at, end in ends if end is not None and end <= at] == []
