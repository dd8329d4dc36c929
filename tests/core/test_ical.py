"""Coming slots as iCalendar, read back by the `icalendar` package."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.core import ical
from supervisor.core.calendar_views import UpcomingSlot

icalendar = pytest.importorskip("icalendar")
BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 3, 28, 12, tzinfo=UTC)
SLOTS = (
    UpcomingSlot("backup", datetime(2026, 3, 28, 2, 30, tzinfo=BERLIN)),
    UpcomingSlot("backup", datetime(2026, 3, 29, 3, 30, tzinfo=BERLIN)),
    UpcomingSlot("sync", datetime(2026, 3, 29, 3, 30, tzinfo=BERLIN)),
)


def written(slots=SLOTS, texts=None, now=NOW):
    return ical.calendar(slots, texts or {}, now, "1.2.3", "Coming slots.")


def events(text):
    return icalendar.Calendar.from_ical(text).walk("VEVENT")


def test_each_slot_is_an_event_in_utc():
    found = events(written(texts={"sync": "New sets"}))

    assert [(str(each["SUMMARY"]), each["DTSTART"].dt) for each in found] == [
        ("backup", datetime(2026, 3, 28, 1, 30, tzinfo=UTC)),
        ("backup", datetime(2026, 3, 29, 1, 30, tzinfo=UTC)),
        ("sync", datetime(2026, 3, 29, 1, 30, tzinfo=UTC)),
    ]
    assert [each["DTSTAMP"].dt for each in found] == [NOW] * 3
    assert (found[0].get("DESCRIPTION"), str(found[2]["DESCRIPTION"])) == (None, "New sets")


def test_a_uid_is_the_same_whenever_it_is_asked_for_and_of_one_slot():
    first, later = events(written()), events(written(now=datetime(2026, 3, 28, 13, tzinfo=UTC)))

    uids = [str(each["UID"]) for each in first]
    assert uids == [str(each["UID"]) for each in later]
    assert len(set(uids)) == 3


def test_an_empty_calendar_can_be_read():
    assert events(written(())) == []


@given(text=st.text(max_size=300))
def test_any_text_comes_back_and_lines_are_narrow(text):
    content = written(SLOTS[:1], {"backup": text})

    assert content.endswith(b"END:VCALENDAR\r\n")
    for line in content.split(b"\r\n"):
        assert len(line) <= 75
        assert not {0x0A, 0x0D, 0x00} & {*line}
        line.decode()
    (found,) = events(content)
    if text.isprintable() and text.isascii():
        assert str(found.get("DESCRIPTION", "")) == text


def test_marks_and_line_ends_are_escaped():
    text = "one; two, three\\four\nfive BEGIN:VEVENT"

    (found,) = events(written(SLOTS[:1], {"backup": text}))

    assert str(found["DESCRIPTION"]) == text


def test_what_is_left_out_is_said():
    assert ical.about(30, is_cut=False, per_job=False) == "Coming slots of 30 days."
    assert ical.about(7, is_cut=True, per_job=True) == (
        "Coming slots of 7 days, at most 200 of each job, the first 1000 of all."
    )
