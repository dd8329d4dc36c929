"""Daylight saving as in Debian's cron: tables of single clock changes, and a reference check."""

from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from supervisor.core import schedule
from tests.core import debian_cron
from tests.core.core_harness import Harness, instant, job

# clock change | zone | first and last instant (UTC)
DATES = {
    "new york spring": ("America/New_York", "2026-03-08 05:00", "2026-03-08 09:00"),
    "new york autumn": ("America/New_York", "2026-11-01 04:00", "2026-11-01 09:00"),
    "berlin spring": ("Europe/Berlin", "2026-03-28 23:00", "2026-03-29 03:00"),
    "berlin autumn": ("Europe/Berlin", "2026-10-24 22:00", "2026-10-25 03:00"),
    "lord howe spring": ("Australia/Lord_Howe", "2026-10-03 13:30", "2026-10-03 17:00"),
    "lord howe autumn": ("Australia/Lord_Howe", "2026-04-04 13:00", "2026-04-04 17:15"),
    "beirut spring": ("Asia/Beirut", "2026-03-28 20:00", "2026-03-28 23:59"),
    "apia 2011": ("Pacific/Apia", "2011-12-29 10:00", "2011-12-31 09:59"),
}

# In a skipped day cronsim checks each minute, for each slot before it.
OFTEN = {"apia 2011": "0 */4 * * *"}

# date | expression | local time of each slot
FIXED = """
new york spring  | 30 1 * * *      | 01:30
new york spring  | 0 2 * * *       | 03:00
new york spring  | 30 2 * * *      | 03:00
new york spring  | 0,30 2 * * *    | 03:00
new york spring  | 0 3 * * *       | 03:00
new york spring  | 0 1-4 * * *     | 01:00 03:00 04:00
new york spring  | 30 2,3 * * *    | 03:00 03:30
new york autumn  | 30 0 * * *      | 00:30
new york autumn  | 0 1 * * *       | 01:00-04
new york autumn  | 30 1 * * *      | 01:30-04
new york autumn  | 0,30 1 * * *    | 01:00-04 01:30-04
new york autumn  | 0 2 * * *       | 02:00
new york autumn  | 30 1-3 * * *    | 01:30-04 02:30 03:30
berlin spring    | 30 1 * * *      | 01:30
berlin spring    | 0 2 * * *       | 03:00
berlin spring    | 30 2 * * *      | 03:00
berlin spring    | 59 2 * * *      | 03:00
berlin spring    | 1 3 * * *       | 03:01
berlin autumn    | 0 2 * * *       | 02:00+02
berlin autumn    | 30 2 * * *      | 02:30+02
berlin autumn    | 0 3 * * *       | 03:00
berlin autumn    | 0 1-3 * * *     | 01:00 02:00+02 03:00
lord howe spring | 0 2 * * *       | 02:30
lord howe spring | 15 2 * * *      | 02:30
lord howe spring | 0,15,30 2 * * * | 02:30
lord howe spring | 45 2 * * *      | 02:45
lord howe autumn | 15 1 * * *      | 01:15
lord howe autumn | 30 1 * * *      | 01:30+11
lord howe autumn | 45 1 * * *      | 01:45+11
lord howe autumn | 0 2 * * *       | 02:00
beirut spring    | 0 0 * * *       | 01:00
beirut spring    | 30 0 29 3 *     | 01:00
apia 2011        | 0 12 29 12 *    | 12:00
apia 2011        | 0 12 30 12 *    | 00:00
apia 2011        | 0 12 31 12 *    | 12:00
apia 2011        | 0 12 * * *      | 12:00 00:00 12:00
"""
RHYTHM = """
new york spring  | */30 * * * *    | 00:30 01:00 01:30 03:00 03:30 04:00 04:30 05:00
new york spring  | 0 * * * *       | 01:00 03:00 04:00 05:00
new york spring  | 0 */2 * * *     | 04:00
new york spring  | */30 2 * * *    |
new york autumn  | 0 * * * *       | 01:00-04 01:00-05 02:00 03:00 04:00
new york autumn  | */30 1 * * *    | 01:00-04 01:30-04 01:00-05 01:30-05
new york autumn  | 0 */2 * * *     | 02:00 04:00
berlin spring    | */20 1-3 * * *  | 01:00 01:20 01:40 03:00 03:20 03:40
berlin spring    | 30 * * * *      | 00:30 01:30 03:30 04:30
berlin autumn    | 30 * * * *      | 00:30 01:30 02:30+02 02:30+01 03:30
berlin autumn    | */30 2 * * *    | 02:00+02 02:30+02 02:00+01 02:30+01
lord howe spring | */15 2 * * *    | 02:30 02:45
lord howe autumn | */15 1 * * *    | 01:00 01:15 01:30+11 01:45+11 01:30+1030 01:45+1030
lord howe autumn | 45 * * * *      | 00:45 01:45+11 01:45+1030 02:45 03:45
lord howe autumn | */30 2-3 * * *  | 02:00 02:30 03:00 03:30
beirut spring    | */30 * * * *    | 22:30 23:00 23:30 01:00 01:30 02:00 02:30
beirut spring    | */30 0 29 * *   |
apia 2011        | 0 */12 * * *    | 12:00 00:00 12:00
"""


def rows(table):
    return [tuple(cell.strip() for cell in line.split("|")) for line in table.strip().splitlines()]


def shown(slots, where, expected):
    """Return the slots in local time, with the offset where the table states one."""
    found = []
    for slot, want in zip(slots, [*expected, *[""] * len(slots)], strict=False):
        local = slot.astimezone(ZoneInfo(where))
        offset = f"{local:%z}"
        if offset.endswith("00"):
            offset = offset[:3]
        found.append(f"{local:%H:%M}" + (offset if len(want) > 5 else ""))
    return found


@pytest.mark.parametrize(
    ("date", "expression", "expected"),
    [pytest.param(*row, id=f"{row[0]}: {row[1]}") for row in rows(FIXED)],
)
def test_a_fixed_time_runs_right_after_the_skipped_hour_and_once_in_the_repeated_one(
    date, expression, expected
):
    where, since, until = DATES[date]
    calendar = schedule.calendar((expression,), where)

    slots = list(calendar.slots(instant(since), instant(until)))

    assert shown(slots, where, expected.split()) == expected.split()


@pytest.mark.parametrize(
    ("date", "expression", "expected"),
    [pytest.param(*row, id=f"{row[0]}: {row[1]}") for row in rows(RHYTHM)],
)
def test_what_is_interval_like_keeps_its_rhythm_through_both_changes(date, expression, expected):
    where, since, until = DATES[date]
    calendar = schedule.calendar((expression,), where)

    slots = list(calendar.slots(instant(since), instant(until)))

    assert shown(slots, where, expected.split()) == expected.split()


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("* * * * *", True),
        ("*/5 2 * * *", True),
        ("0 * * * *", True),
        ("0 */2 * * *", True),
        ("@hourly", True),
        ("*/15,7 2 * * *", True),
        ("0 2 * * *", False),
        ("0-59 2 * * *", False),
        ("0 0-23 * * *", False),
        ("0 2 */2 * *", False),
        ("@daily", False),
    ],
)
def test_interval_like_means_that_minute_or_hour_begin_with_a_star(expression, expected):
    assert schedule.is_interval_like(expression) is expected


def test_two_slots_that_fall_together_are_one():
    calendar = schedule.calendar(("0 2 * * *", "30 2 * * *", "0 3 * * *"), "Europe/Berlin")

    slots = list(calendar.slots(instant("2026-03-28 23:00"), instant("2026-03-29 10:00")))

    assert slots == [instant("2026-03-29 01:00")]


def test_a_fixed_time_in_the_skipped_hour_is_run_once_by_the_service():
    service = Harness(
        job("a", cron="30 2 * * *", timezone="Europe/Berlin"), start="2026-03-28 22:00"
    )

    service.at("2026-03-29 22:00")

    assert service.slots("a") == ["29 01:00"]


def test_a_fixed_time_in_the_repeated_hour_is_run_once_by_the_service():
    service = Harness(
        job("a", cron="30 2 * * *", timezone="Europe/Berlin"), start="2026-10-24 22:00"
    )

    service.at("2026-10-25 22:00")

    assert service.slots("a") == ["25 00:30"]


def test_a_restart_between_the_two_occurrences_does_not_run_it_again():
    service = Harness(
        job("a", cron="30 2 * * *", timezone="Europe/Berlin"), start="2026-10-24 22:00"
    )
    service.at("2026-10-25 00:40")
    service.ends("a")
    service.stops()

    service.starts("2026-10-25 01:10")
    service.at("2026-10-25 12:00")

    assert service.states("a") == ["success"]


@pytest.mark.parametrize(
    ("date", "calendar"),
    [
        (date, each)
        for date in DATES
        for each in (("30 1-3 * * *",), (OFTEN.get(date, "*/20 * * * *"), "5 2 * * *"))
    ],
    ids=lambda value: value if isinstance(value, str) else " + ".join(value),
)
def test_the_slots_around_a_change_are_the_same_from_wherever_one_looks(date, calendar):
    where, since, until = DATES[date]
    found = schedule.calendar(calendar, where)
    whole = list(found.slots(instant(since), instant(until)))

    pace = max(timedelta(minutes=17), (instant(until) - instant(since)) / 16)
    step, pieces = instant(since), []
    while step < instant(until):
        following = min(step + pace, instant(until))
        pieces += found.slots(step, following)
        step = following

    assert pieces == whole


# --- reference implementation ----------------------------------------------------------------

number = st.integers


@st.composite
def field(draw, low, high):
    kind = draw(st.sampled_from(["star", "star", "step", "one", "list", "range", "stepped"]))
    first = draw(number(low, high))
    last = draw(number(first, high))
    step = draw(number(1, max(2, high // 2)))
    return {
        "star": "*",
        "step": f"*/{step}",
        "one": str(first),
        "list": f"{first},{last}",
        "range": f"{first}-{last}",
        "stepped": f"{low}-{high}/{step}",
    }[kind]


@st.composite
def expressions(draw):
    minute = draw(st.one_of(field(0, 59), st.sampled_from(["0", "30", "*/30", "0,15,45"])))
    hour = draw(st.one_of(field(0, 23), st.sampled_from(["*", "2", "1-3", "0,1", "2-3"])))
    day = draw(st.sampled_from(["*", "*", "*", "*/2", "1", "8", "29-31", "1-10,24,25,30"]))
    weekday = draw(st.sampled_from(["*", "*", "*", "0", "7", "1-5", "6-7", "*/2"]))
    return f"{minute} {hour} {day} * {weekday}"


# In autumn 2010 the clock of America/St_Johns went from 00:01 back to 23:01 the day before.
CHANGES = {
    "America/New_York": ["2026-03-08 07:00", "2026-11-01 06:00", "2026-07-01 12:00"],
    "Europe/Berlin": ["2026-03-29 01:00", "2026-10-25 01:00"],
    "Australia/Lord_Howe": ["2026-10-03 15:30", "2026-04-04 15:00"],
    "Pacific/Chatham": ["2026-09-26 14:00", "2026-04-04 14:00"],
    "America/St_Johns": ["2010-03-14 03:31", "2010-11-07 02:31", "2026-11-01 04:30"],
    "America/Santiago": ["2026-09-06 04:00", "2026-04-05 03:00"],
    "Asia/Beirut": ["2026-03-28 22:00", "2026-10-24 21:00"],
    "America/Nuuk": ["2026-03-29 01:00", "2026-10-25 01:00"],
    "Africa/Casablanca": ["2026-02-15 02:00", "2026-03-22 02:00"],
    "Asia/Kolkata": ["2026-03-29 01:00"],
    "UTC": ["2026-02-28 23:00"],
}
MOMENTS = [(zone, change) for zone, changes in CHANGES.items() for change in changes]


@given(
    moment=st.sampled_from(MOMENTS),
    texts=st.lists(expressions(), min_size=1, max_size=2),
    before=st.integers(30, 600),
)
@settings(
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_the_calendar_says_what_debians_cron_would_do(moment, texts, before):
    zone, change = moment
    since = instant(change) - timedelta(minutes=before)
    until = instant(change) + timedelta(hours=10)

    slots = list(schedule.Calendar(tuple(texts), zone).slots(since, until))

    assert slots == debian_cron.slots(texts, zone, since, until)


# Local clocks that change at no full hour: the hour in which they change begins in the gap.
ODD = [each for each in MOMENTS if each[0] in ("Australia/Lord_Howe", "Pacific/Chatham")]


@pytest.mark.parametrize(("zone", "change"), ODD)
@pytest.mark.parametrize("text", ["*/15 */2 * * *", "*/15 3 * * *", "50 */3 * * *", "0 4 * * *"])
def test_the_next_slot_is_the_same_wherever_one_begins_before_it(zone, change, text):
    since = instant(change) - timedelta(hours=1)
    calendar = schedule.Calendar((text,), zone)
    slots = list(calendar.slots(since, since + timedelta(hours=30)))

    for minute in range(0, 180, 7):
        begin = since + timedelta(minutes=minute, seconds=6)
        assert calendar.next_after(begin) == next(slot for slot in slots if slot > begin), begin
