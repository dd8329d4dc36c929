"""Cron fields: ranges that wrap around, and the effect of steps."""

from datetime import UTC, datetime
from itertools import islice

import pytest

from supervisor.core import cron_text, schedule

MINUTE, HOUR, DAY, MONTH, WEEKDAY = range(5)


@pytest.mark.parametrize(
    ("place", "text", "instead"),
    [
        (HOUR, "22-5", "22-23,0-5"),
        (HOUR, "1,22-5", "1,22-23,0-5"),
        (HOUR, "23-0", "23,0"),
        (HOUR, "22-5/2", "22,0,2,4"),
        (MINUTE, "50-10", "50-59,0-10"),
        (DAY, "25-5", "25-31,1-5"),
        (MONTH, "nov-feb", "nov-dec,jan-feb"),
        (MONTH, "11-2", "11-12,1-2"),
        (WEEKDAY, "fri-mon", "fri-sun,mon"),
        (WEEKDAY, "FRI-TUE", "fri-sun,mon-tue"),
        (WEEKDAY, "5-1", "5-7,1"),
        (WEEKDAY, "7-2", "0-2"),
        (WEEKDAY, "Monday", "mon"),
        (WEEKDAY, "Monday-Friday", "mon-fri"),
        (MONTH, "January", "jan"),
        (DAY, "?", "*"),
    ],
)
def test_what_is_refused_has_a_way_out_that_is_accepted(place, text, instead):
    assert f'write "{instead}"' in cron_text.advice(place, text)
    assert cron_text.field_values(place, text) is None
    assert cron_text.field_values(place, instead)


@pytest.mark.parametrize(
    ("text", "days"),
    [
        ("mon-sun", {0, 1, 2, 3, 4, 5, 6}),
        ("sat-sun", {6, 0}),
        ("5-0", {5, 6, 0}),
        ("sat-0", {6, 0}),
        ("mon,sat-sun", {1, 6, 0}),
        ("mon-sun/2", {1, 3, 5, 0}),
        ("0-0", {0}),
        ("sun-sat", {0, 1, 2, 3, 4, 5, 6}),
    ],
)
def test_sunday_at_the_end_of_a_range_is_the_seventh_day(text, days):
    assert {day % 7 for day in cron_text.field_values(WEEKDAY, text)} == days

    slots = schedule.calendar((f"0 0 * * {text}",), "UTC").slots_after(
        datetime(2026, 3, 1, tzinfo=UTC)
    )
    assert {slot.isoweekday() % 7 for slot in islice(slots, 20)} == days


def test_a_step_does_not_leave_a_range_of_one():
    slots = schedule.calendar(("5-5/10 * * * *",), "UTC").slots_after(
        datetime(2026, 3, 1, tzinfo=UTC)
    )

    assert {slot.minute for slot in islice(slots, 5)} == {5}


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("*/90 * * * *", 'minute "*/90" is not every 90 minutes: it is 0 of each hour'),
        ("*/40 * * * *", "it is 0 and 40 of each hour (0 follows 40 after 20 minutes)"),
        ("*/7 * * * *", "(0 follows 56 after 4 minutes)"),
        ("5/40 * * * *", "it is 5 and 45 of each hour (5 follows 45 after 20 minutes)"),
        ("0-59/40 * * * *", "it is 0 and 40 of each hour"),
        ("0 */5 * * *", "it is 0, 5, 10, 15 and 20 of each day (0 follows 20 after 4 hours)"),
        ("0 */36 * * *", 'hour "*/36" is not every 36 hours: it is 0 of each day'),
        ("0 0 */2 * *", "it is 1, 3, 5, ..., 31 of each month"),
        ("0 0 * */5 *", "it is jan, jun and nov of each year (jan follows nov after 2 months)"),
        ("0 0 * * */2", "it is sun, tue, thu and sat of each week (sun follows sat after 1 day)"),
    ],
)
def test_a_step_that_does_not_divide_its_field_is_reported(expression, said):
    [found] = schedule.uneven_steps(expression)

    assert said in found


@pytest.mark.parametrize(
    "expression",
    [
        "*/15 */6 * */3 *",
        "*/60 */24 * * */7",
        "5/15 0/12 * * *",
        "0 9-17/3 * * 1-5/2",
        "*/1 * * * *",
        "@daily",
        "0 0 L * fri#2",
    ],
)
def test_a_step_that_divides_its_field_or_ends_within_it_needs_no_word(expression):
    assert schedule.uneven_steps(expression) == []


def test_words_say_the_numbers_of_an_uneven_step():
    assert schedule.explain("*/40 * * * *") == "At minutes 0 and 40 of every hour"
    assert schedule.explain("*/90 * * * *") == "At the start of every hour"
    assert schedule.explain("*/15 * * * *") == "Every 15th minute of every hour"
