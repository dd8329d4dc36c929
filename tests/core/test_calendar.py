"""Calendar: cron text and zone -> slots."""

from datetime import datetime, timedelta
from itertools import islice

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from supervisor.core import schedule
from supervisor.core.schedule import CronError
from supervisor.core.year_range import within_years
from tests.core.core_harness import instant
from tests.core.test_daylight_saving import MOMENTS, expressions

START = "2026-01-05 00:00"  # a Monday

# expression | the slots after START, UTC
FIRST_SLOTS = """
* * * * *         | 2026-01-05 00:01, 2026-01-05 00:02
*/20 * * * *      | 2026-01-05 00:20, 2026-01-05 00:40, 2026-01-05 01:00
5/20 * * * *      | 2026-01-05 00:05, 2026-01-05 00:25, 2026-01-05 00:45, 2026-01-05 01:05
0 2 * * *         | 2026-01-05 02:00, 2026-01-06 02:00
0 22-23 * * *     | 2026-01-05 22:00, 2026-01-05 23:00, 2026-01-06 22:00
30 6 * * mon-fri  | 2026-01-05 06:30, 2026-01-06 06:30
30 6 * * sat,sun  | 2026-01-10 06:30, 2026-01-11 06:30, 2026-01-17 06:30
0 0 * * 0         | 2026-01-11 00:00, 2026-01-18 00:00
0 0 * * 7         | 2026-01-11 00:00, 2026-01-18 00:00
0 0 * jul *       | 2026-07-01 00:00, 2026-07-02 00:00
0 0 13 * 5        | 2026-01-09 00:00, 2026-01-13 00:00, 2026-01-16 00:00
0 0 */2 * 1       | 2026-01-19 00:00, 2026-02-09 00:00
0 0 L * *         | 2026-01-31 00:00, 2026-02-28 00:00, 2026-03-31 00:00
0 0 LW * *        | 2026-01-30 00:00, 2026-02-27 00:00
0 0 * * fri#2     | 2026-01-09 00:00, 2026-02-13 00:00
0 0 * * 5L        | 2026-01-30 00:00, 2026-02-27 00:00
0 0 31 * *        | 2026-01-31 00:00, 2026-03-31 00:00, 2026-05-31 00:00
0 0 29 2 *        | 2028-02-29 00:00, 2032-02-29 00:00
@hourly           | 2026-01-05 01:00, 2026-01-05 02:00
@daily            | 2026-01-06 00:00, 2026-01-07 00:00
@midnight         | 2026-01-06 00:00, 2026-01-07 00:00
@weekly           | 2026-01-11 00:00, 2026-01-18 00:00
@monthly          | 2026-02-01 00:00, 2026-03-01 00:00
@yearly           | 2027-01-01 00:00, 2028-01-01 00:00
@annually         | 2027-01-01 00:00, 2028-01-01 00:00
@DAILY            | 2026-01-06 00:00
"""
ROWS = [
    tuple(cell.strip() for cell in line.split("|")) for line in FIRST_SLOTS.strip().splitlines()
]


@pytest.mark.parametrize(("expression", "expected"), ROWS, ids=[row[0] for row in ROWS])
def test_an_expression_has_these_slots(expression, expected):
    wanted = [instant(text.strip()) for text in expected.split(",")]

    slots = schedule.calendar((expression,), "UTC").slots_after(instant(START))

    assert list(islice(slots, len(wanted))) == wanted


@pytest.mark.parametrize("macro", sorted(schedule.MACROS))
def test_a_macro_means_its_five_fields(macro):
    short = schedule.calendar((macro,), "Europe/Berlin").slots_after(instant(START))
    long = schedule.calendar((schedule.MACROS[macro],), "Europe/Berlin").slots_after(
        instant(START)
    )

    assert list(islice(short, 5)) == list(islice(long, 5))


def test_a_leap_day_is_found_over_the_century_that_has_none():
    calendar = schedule.calendar(("0 0 29 2 *",), "UTC")

    assert calendar.next_after(instant("2096-03-01 00:00")) == instant("2104-02-29 00:00")


def test_the_last_day_of_february_is_the_29th_in_a_leap_year():
    calendar = schedule.calendar(("0 0 L 2 *",), "UTC")

    assert calendar.next_after(instant("2028-01-01 00:00")) == instant("2028-02-29 00:00")


def test_a_slot_is_strictly_after_the_instant():
    calendar = schedule.calendar(("0 2 * * *",), "UTC")

    assert calendar.next_after(instant("2026-01-05 02:00")) == instant("2026-01-06 02:00")


@pytest.mark.parametrize(
    ("offset", "expected"),
    [
        (timedelta(microseconds=-1), "2026-01-05 02:00"),
        (timedelta(microseconds=1), "2026-01-06 02:00"),
        (timedelta(seconds=59, microseconds=999999), "2026-01-06 02:00"),
    ],
    ids=["just before", "just after", "at the end of its minute"],
)
def test_fractions_of_a_second_move_no_slot(offset, expected):
    calendar = schedule.calendar(("0 2 * * *",), "UTC")

    found = calendar.next_after(instant("2026-01-05 02:00") + offset)

    assert found == instant(expected)


def test_slots_lie_after_since_and_up_to_until():
    calendar = schedule.calendar(("0 * * * *",), "UTC")

    slots = list(calendar.slots(instant("2026-01-05 01:00"), instant("2026-01-05 03:00")))

    assert slots == [instant("2026-01-05 02:00"), instant("2026-01-05 03:00")]


def test_a_list_of_expressions_is_their_union_each_slot_once():
    calendar = schedule.calendar(("0 */6 * * *", "0 12 * * *", "30 12 * * *"), "UTC")

    slots = list(calendar.slots(instant("2026-01-05 06:00"), instant("2026-01-05 18:00")))

    assert [f"{slot:%H:%M}" for slot in slots] == ["12:00", "12:30", "18:00"]


def test_the_zone_is_that_of_the_job():
    calendar = schedule.calendar(("30 6 * * *",), "Europe/Berlin")

    winter = calendar.next_after(instant("2026-01-05 00:00"))
    summer = calendar.next_after(instant("2026-07-05 00:00"))

    assert (winter, summer) == (instant("2026-01-05 05:30"), instant("2026-07-05 04:30"))


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("60 2 * * *", 'bad minute "60": expected 0-59'),
        ("0 24 * * *", 'bad hour "24": expected 0-23'),
        ("0 0 32 * *", 'bad day of month "32"'),
        ("0 0 * 13 *", 'bad month "13"'),
        ("0 0 * * 8", 'bad day of week "8"'),
        ("0 0 * * mon#6", 'bad day of week "mon#6"'),
        ("0 2 * *", "expected 5 fields"),
        ("0 0 2 * * *", "expected 5 fields"),
        ("", "expected 5 fields"),
        ("@reboot", "expected 5 fields"),
        ("*/0 * * * *", "bad minute"),
        ("5-1 * * * *", "bad minute"),
        ("0 0 31 2 *", 'bad day of month "31"'),
        ("x * * * *", 'bad minute "x"'),
        ("-1 * * * *", 'bad minute "-1"'),
        ("٣ * * * *", "bad minute"),
    ],
)
def test_an_expression_that_cannot_be_read_is_named_with_its_field(expression, words):
    with pytest.raises(CronError) as caught:
        schedule.calendar((expression,), "UTC")

    assert words in str(caught.value)
    assert f'"{expression}"' in str(caught.value)


def test_an_expression_that_never_fires_is_refused():
    with pytest.raises(CronError, match="never fires"):
        schedule.calendar(("0 0 */15 2 mon#5",), "UTC")


@pytest.mark.parametrize("name", ["Mars/Olympus", "", "../../etc/passwd", "Europe/berlin\n"])
def test_an_unknown_zone_is_named(name):
    with pytest.raises(CronError, match="unknown time zone"):
        schedule.calendar(("0 2 * * *",), name)


def test_a_zone_with_leap_seconds_is_refused_with_the_one_to_write():
    with pytest.raises(CronError, match=r"counts leap seconds.*write Europe/Berlin$"):
        schedule.calendar(("0 2 * * *",), "right/Europe/Berlin")


@pytest.mark.parametrize(
    ("at", "meant"),
    [
        ("0001-01-01T00:00:00+05:00", "2012-01-01T00:00:00+00:00"),
        ("1970-01-01T00:00:00Z", "2012-01-01T00:00:00+00:00"),
        ("2026-02-09T02:00:00+01:00", "2026-02-09T01:00:00+00:00"),
        ("9999-12-31T23:59:59-05:00", "8999-01-01T00:00:00+00:00"),
    ],
)
def test_a_period_ends_within_the_years_of_a_calendar(at, meant):
    assert within_years(datetime.fromisoformat(at)).isoformat() == meant


def test_a_calendar_is_shared():
    first = schedule.calendar(("0 2 * * *",), "Europe/Berlin")

    assert schedule.calendar(("0 2 * * *",), "Europe/Berlin") is first


def test_words_for_people():
    assert schedule.explain("0 2 * * *") == "At 02:00 every day"


# --- invariants --------------------------------------------------------------------------

PROPERTIES = settings(
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
SPANS = st.tuples(st.sampled_from(MOMENTS), st.integers(0, 2000), st.integers(1, 4000))


def span(moment, before, length):
    zone, change = moment
    since = instant(change) - timedelta(minutes=before)
    return zone, since, since + timedelta(minutes=length)


@given(texts=st.lists(expressions(), min_size=1, max_size=2), where=SPANS)
@PROPERTIES
def test_count_is_the_number_of_slots(texts, where):
    zone, since, until = span(*where)
    calendar = schedule.Calendar(tuple(texts), zone)

    assert calendar.count(since, until) == len(list(calendar.slots(since, until)))


@given(
    texts=st.lists(expressions(), min_size=1, max_size=2), where=SPANS, most=st.integers(1, 130)
)
@PROPERTIES
def test_newest_are_the_last_of_the_slots(texts, where, most):
    zone, since, until = span(*where)
    calendar = schedule.Calendar(tuple(texts), zone)

    assert calendar.newest(most, since, until) == list(calendar.slots(since, until))[-most:]


@given(texts=st.lists(expressions(), min_size=1, max_size=2), where=SPANS)
@PROPERTIES
def test_slots_are_in_order_and_on_full_minutes(texts, where):
    zone, since, until = span(*where)

    slots = list(schedule.Calendar(tuple(texts), zone).slots(since, until))

    assert slots == sorted(set(slots))
    assert all(slot.second == slot.microsecond == 0 for slot in slots)
    assert all(since < slot <= until for slot in slots)


def test_count_of_years_is_quick_and_right():
    calendar = schedule.calendar(("0 */8 * * *",), "Europe/Berlin")

    counted = calendar.count(instant("2024-01-01 00:00"), instant("2026-01-01 00:00"))

    slots = calendar.slots(instant("2024-01-01 00:00"), instant("2026-01-01 00:00"))
    assert counted == sum(1 for _ in slots)


@pytest.mark.parametrize(
    "expression",
    ["0 12 * * *", "0 */6 * * *"],
)
def test_count_holds_over_the_day_that_apia_skipped(expression):
    calendar = schedule.calendar((expression,), "Pacific/Apia")
    since, until = instant("2011-12-25 00:00"), instant("2012-01-05 00:00")

    assert calendar.count(since, until) == len(list(calendar.slots(since, until)))


@pytest.mark.parametrize("cron", [("30 2 * * *",), ("*/7 * * * *",), ("30 2 * * *", "0 * * * *")])
@pytest.mark.parametrize("hours", [-3, 0, 2, 30, 100])
def test_fixed_times_can_begin_later_than_what_is_interval_like(cron, hours):
    since, until = instant("2026-03-28 12:00"), instant("2026-03-30 12:00")
    begin = since + timedelta(hours=hours, minutes=30)
    plain = schedule.calendar(cron, "Europe/Berlin")
    later = schedule.calendar(cron, "Europe/Berlin", begin)

    wanted = {
        slot
        for expression in cron
        for slot in schedule.calendar((expression,), "Europe/Berlin").slots(since, until)
        if schedule.is_interval_like(expression) or slot > begin
    }

    assert list(later.slots(since, until)) == sorted(wanted)
    assert later.count(since, until) == len(wanted)
    assert set(wanted) <= set(plain.slots(since, until))
