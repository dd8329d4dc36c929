"""Durations, sizes and counts as people write them."""

import pytest

from workers.units import (
    format_count,
    format_days,
    format_duration,
    format_size,
    is_whole,
    parse_duration,
    parse_size,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90),
        ("0", 0),
        ("1.5", 1.5),
        ("90s", 90),
        ("1h30m", 5400),
        ("2d", 172800),
        ("1w", 604800),
        ("250ms", 0.25),
        ("1.5h", 5400),
        (" 5M ", 300),
        ("010", 10),
    ],
)
def test_a_duration_is_seconds(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text",
    ["", "5 parsecs", "-5", "1h 30", "h", "1:30", "1e3", "m5", "٣s", "５m", "1001w9999999h"],
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected a duration"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "near"),
    [
        ("5min", "5m"),
        ("5 minutes", "5m"),
        ("1h 30m", "1h30m"),
        ("1 hour, 30 minutes", "1h30m"),
        ("1h and 5sec", "1h5s"),
        ("PT5M", "5m"),
        ("P1DT2H", "1d2h"),
        ("1,5h", "1.5h"),
        ("300msec", "300ms"),
    ],
)
def test_a_foreign_duration_brings_the_right_form(text: str, near: str) -> None:
    with pytest.raises(ValueError, match=f'got "{text}"; did you mean "{near}"[?]'):
        parse_duration(text)
    assert parse_duration(near)


@pytest.mark.parametrize("text", ["P1M", "P1Y", "1 month", "0x5m", "1:30", "5 parsecs", "min"])
def test_an_ambiguous_duration_brings_no_other(text: str) -> None:
    with pytest.raises(ValueError, match=r'got "[^"]*"$'):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "near"),
    [("10G", "10GB"), ("64 k", "64KB"), ("2Gi", "2GiB"), ("1,5 MB", "1.5MB"), ("1_000", "1000")],
)
def test_a_foreign_size_brings_the_right_form(text: str, near: str) -> None:
    with pytest.raises(ValueError, match=f'got "{text}"; did you mean "{near}"'):
        parse_size(text)
    assert parse_size(near)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("4096", 4096),
        ("64KiB", 65536),
        ("64kb", 64000),
        ("2GB", 2 * 10**9),
        ("1.5 MiB", 1572864),
        ("7b", 7),
    ],
)
def test_a_size_is_bytes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text", ["", "lots", "-1", "1 KiB B", "9000PiB", "9" * 30, "1e3", "٣KiB", "1\u212aiB"]
)
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected a size"):
        parse_size(text)


@pytest.mark.parametrize("text", ["0", "017", "9" * 5000])
def test_ascii_digits_are_a_whole_number(text: str) -> None:
    assert is_whole(text)


@pytest.mark.parametrize("text", ["", "-1", "+1", "1.0", "1_0", " 1", "²", "٣", "１", "1²", "Ⅷ"])
def test_what_int_reads_otherwise_is_no_whole_number(text: str) -> None:
    assert not is_whole(text)


@pytest.mark.parametrize("parse", [parse_duration, parse_size])
@pytest.mark.parametrize("text", ["1" * 200_000 + "x", "9" * 200_000, "1." * 100_000])
def test_endless_digits_are_refused_at_once(parse: object, text: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        parse(text)  # type: ignore[operator]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0s"),
        (0.004, "4ms"),
        (0.4, "0.4s"),
        (45, "45s"),
        (300, "5m"),
        (5400, "1h30m"),
        (172800, "2d"),
        (90061, "1d1h"),
    ],
)
def test_a_duration_is_said_shortly(seconds: float, words: str) -> None:
    assert format_duration(seconds) == words


@pytest.mark.parametrize(
    ("size", "words"), [(948, "948 bytes"), (18_800_000, "18.8 MB"), (1e18, "1000.0 PB")]
)
def test_a_size_is_said_with_one_digit(size: float, words: str) -> None:
    assert format_size(size) == words


@pytest.mark.parametrize(
    ("number", "texts"),
    [
        (0, ("0 jobs", "0 copies", "0 rows differ")),
        (1, ("1 job", "1 copy", "1 row differs")),
        (2, ("2 jobs", "2 copies", "2 rows differ")),
    ],
)
def test_only_one_of_a_thing_is_singular(number: int, texts: tuple[str, ...]) -> None:
    assert texts == (
        format_count(number, "job"),
        format_count(number, "copy", "copies"),
        format_count(number, "row differs", "rows differ"),
    )


@pytest.mark.parametrize(
    ("days", "text"),
    [(0.2, "0 days"), (1.0, "1 day"), (3652.0, "3652 days"), (3653.0, "more than 10 years"),
     (float("inf"), "more than 10 years")],
)  # fmt: skip
def test_a_number_of_days_is_bounded(days, text):
    assert format_days(days) == text
