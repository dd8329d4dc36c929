"""Retry-After may hold any text; the wait is bounded or unknown."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from workers.retry_after import LONGEST_S, retry_after_s

DATES = st.builds(
    "{}, {} {} {} {}:{}:{} {}".format,
    st.sampled_from(["Mon", "Sun", "", "x"]),
    st.integers(-1, 10**20),
    st.sampled_from(["Jan", "Feb", "Dec", "Foo"]),
    st.integers(-(10**20), 10**20),
    st.integers(-1, 100),
    st.integers(-1, 100),
    st.integers(-1, 10**20),
    st.one_of(st.sampled_from(["GMT", "EST", "", "-0000"]), st.integers().map("{:+}".format)),
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30", 30),
        (" 30 ", 30),
        ("0", 0),
        ("007", 7),
        ("9" * 400, LONGEST_S),
        ("Mon, 09 Feb 2026 02:01:00 GMT", 0),
        ("Thu, 01 Jan 1950 00:00:00 GMT", 0),
        ("Sun Nov  6 08:49:37 1994", 0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", LONGEST_S),
        ("Mon, 01 Jan 2029 00:00:00 +9999999999999999999", 0),
        ("Mon, 01 Jan 2029 00:00:00 -9999999999999999999", LONGEST_S),
        ("Mon, 01 Jan 99999999999 00:00:00 GMT", None),
        ("9" * 5000, None),
        (None, None),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("+5", None),
        ("1.5", None),
        ("1e9", None),
        ("nan", None),
        ("inf", None),
        ("²", None),
        ("٣٠", None),
        ("7, 40", None),
        (b"\xff\x80".decode("latin-1"), None),
    ],
)
def test_the_wait_is_bounded_or_unknown(text, seconds):
    assert retry_after_s(text) == seconds


def test_a_date_to_come_is_waited_for():
    soon = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)

    waited = retry_after_s(soon)

    assert waited is not None
    assert 0 < waited <= 3600


@given(st.one_of(st.text(), DATES, st.binary().map(lambda raw: raw.decode("latin-1"))))
@example("Mon, 01 Jan 2029 00:00:00 -")
def test_no_text_raises_or_makes_the_wait_endless(text):
    waited = retry_after_s(text)

    assert waited is None or 0 <= waited <= LONGEST_S
