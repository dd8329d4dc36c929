"""Values read back from PostgreSQL: equal to the text sent, or another value."""

import json
from datetime import UTC, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.replication.value_roundtrip import same

# The type, the text sent, and what PostgreSQL returns.
KEPT = [
    ("numeric(10,2)", "1", "1.00"),
    ("numeric", "1.10", "1.1"),
    ("numeric", "1e3", "1000"),
    ("numeric", "nan", "NaN"),
    ("double precision", "1e5", "100000"),
    ("real", "0.1", "0.1"),
    ("bigint", "007", "7"),
    ("date", "2026-01-01", "2026-01-01"),
    ("date", "20260101", "2026-01-01"),
    ("date", "2026-1-5", "2026-01-05"),
    ("date", "2026-01-01T00:00:00Z", "2026-01-01"),
    ("date", "Infinity", "infinity"),
    ("date", "0044-03-15 BC", "0044-03-15 BC"),
    ("timestamp without time zone", "2026-01-01T12:00:00Z", "2026-01-01 12:00:00"),
    ("timestamp without time zone", "2026-01-01 24:00", "2026-01-02 00:00:00"),
    ("timestamp(3) without time zone", "2026-01-01 12:00:00.1230", "2026-01-01 12:00:00.123"),
    ("timestamp with time zone", "2026-02-09T00:00:00+01:00", "2026-02-08 23:00:00+00"),
    ("timestamp with time zone", "2026-02-09", "2026-02-09 00:00:00+00"),
    ("time without time zone", "12:30", "12:30:00"),
    ("time with time zone", "12:30+02:00", "12:30:00+02"),
    ("interval", "90 minutes", "01:30:00"),
    ("interval", "2 weeks", "14 days"),
    ("interval", "1 year 2 mons -3 days", "1 year 2 mons -3 days"),
    ("jsonb", '{"b":1,"a":[1.0,1e2]}', '{"a": [1.0, 100], "b": 1}'),
    ("jsonb", r'"\u00e9"', '"é"'),
    ("boolean", "1", "t"),
    ("boolean", "FALSE", "f"),
    ("uuid", "{A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11}", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
    ("inet", "0:0:0:0:0:0:0:1", "::1"),
    ("inet", "10.0.0.1/32", "10.0.0.1"),
    ("macaddr", "08002B:010203", "08:00:2b:01:02:03"),
    ("bit(4)", "xF", "1111"),
    ("integer[]", "{ 1, 02,NULL }", "{1,2,NULL}"),
    ("text[]", '{a b,"c,\\"d"}', '{"a b","c,\\"d"}'),
    ("text[]", '{"plain"}', "{plain}"),
    ("character(3)", "abc", "abc"),
    ("mood", "sad", "sad"),
]  # fmt: skip
LOST = [
    ("numeric(10,2)", "1.005", "1.01"),
    ("real", "16777217", "16777216"),
    ("real", "0.30000000000000004", "0.3"),
    ("double precision", "9007199254740993", "9007199254740992"),
    ("double precision", "0.10000000000000001", "0.1"),
    ("date", "2026-01-01 12:00", "2026-01-01"),
    ("date", "2026-01-01+02:00", "2026-01-01"),
    ("date", "01/02/03", "2001-02-03"),
    ("date", "260101", "2026-01-01"),
    ("date", "today", "2026-11-30"),
    ("date", "epoch", "1970-01-01"),
    ("date", "J2451187", "1999-01-08"),
    ("timestamp without time zone", "now", "2026-11-30 12:00:00.123456"),
    ("timestamp without time zone", "2026-01-01 12:00+02", "2026-01-01 12:00:00"),
    ("timestamp without time zone", "2026-01-01 12:00:00.1234567", "2026-01-01 12:00:00.123457"),
    ("timestamp(0) without time zone", "2026-01-01 12:00:00.6", "2026-01-01 12:00:01"),
    ("timestamp with time zone", "2026-01-01 12:00 Europe/Berlin", "2026-01-01 11:00:00+00"),
    ("timestamp with time zone", "tomorrow", "2026-12-01 00:00:00+00"),
    ("time without time zone", "allballs", "00:00:00"),
    ("time without time zone", "12:00+02", "12:00:00"),
    ("time without time zone", "2026-01-01 12:00", "12:00:00"),
    ("time(0) without time zone", "12:00:00.5", "12:00:01"),
    ("interval", "1.5 months", "1 mon 15 days"),
    ("interval year", "14 months", "1 year"),
    ("interval(0)", "0.4 seconds", "00:00:00"),
    ("jsonb", '{"a":1,"a":2}', '{"a": 2}'),
    ("jsonb", '[{"a":{"b":1,"b":1}}]', '[{"a": {"b": 1}}]'),
    ("boolean", "tr", "t"),
    ("boolean", "yes", "t"),
    ("oid", "-1", "4294967295"),
    ("timestamp without time zone", "2460000.5", "2460-01-01 00:00:00"),
    # Deeper than the parser of any Python version accepts.
    ("jsonb", "[" * 10**6 + "]" * 10**6, "[ " * 10**6 + "]" * 10**6),
    ("inet", "010.0.0.1", "10.0.0.1"),
    ("character varying(3)", "abc ", "abc"),
    ("character(5)", "abc", "abc  "),
    ("name", "x" * 64, "x" * 63),
    ("numeric(3,1)[]", "{1.25}", "{1.3}"),
    ("date[]", "{2026-01-01 10:00}", "{2026-01-01}"),
    ("text[]", '{"NULL"}', "{NULL}"),
    ("point", "1,2", "(1,2)"),
]


@pytest.mark.parametrize(("kind", "sent", "held"), KEPT)
def test_another_spelling_of_a_value_is_no_loss(kind, sent, held):
    assert same(kind, sent, held)


@pytest.mark.parametrize(("kind", "sent", "held"), LOST)
def test_another_value_is_a_loss(kind, sent, held):
    assert not same(kind, sent, held)


@given(st.decimals(allow_nan=False, allow_infinity=False, places=3), st.integers(0, 5))
def test_zeros_behind_a_number_change_nothing(number, zeros):
    assert same("numeric", str(number), f"{number}{'0' * zeros}")


@given(st.datetimes(), st.integers(-14 * 60, 14 * 60))
def test_an_instant_is_the_same_in_every_zone(moment, minutes):
    if not 2 < moment.year < 9998:
        return
    there = moment.replace(tzinfo=UTC).astimezone(timezone(timedelta(minutes=minutes)))

    kind = "timestamp with time zone"
    assert same(kind, there.isoformat(), f"{moment.isoformat(sep=' ')}+00")
    if minutes:
        assert not same(kind, f"{moment.isoformat()}Z", there.replace(tzinfo=UTC).isoformat())


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner:
    st.lists(inner) | st.dictionaries(st.text(), inner)))  # fmt: skip
def test_a_document_may_be_written_in_any_way(document):
    tight = json.dumps(document, separators=(",", ":"), ensure_ascii=True)
    wide = json.dumps(document, sort_keys=True, indent=2, ensure_ascii=False)

    assert same("jsonb", tight, wide)
    assert not same("jsonb", tight, json.dumps([document]))


@given(st.text(), st.text(), st.sampled_from(sorted({kind for kind, _, _ in KEPT})))
def test_any_two_texts_are_compared_without_an_error(sent, held, kind):
    assert same(kind, sent, sent)
    assert same(kind, sent, held) in (True, False)


@given(st.decimals(allow_nan=False), st.decimals(allow_nan=False))
def test_numbers_are_the_same_only_if_they_are_equal(one, other):
    assert same("numeric", str(one), str(other)) == (Decimal(one) == Decimal(other))
