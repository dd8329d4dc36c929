"""docs/rules.md agrees with the calendar."""

from tests.core.daylight_tables import RULES, rewritten


def test_the_tables_of_daylight_saving_are_what_the_calendar_makes():
    text = RULES.read_text()

    assert rewritten(text) == text
