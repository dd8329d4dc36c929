"""Terminal output as a screen shows it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.notifications.terminal_screen import MOST_STEPS, shown


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("", []),
        ("one\ntwo\n", ["one", "two"]),
        ("one\r\ntwo\r\n", ["one", "two"]),
        ("\n\none", ["", "", "one"]),
        ("10 %\r20 %\r100 %", ["100 %"]),
        ("\r10 %\r20 %\n", ["20 %"]),
        ("downloading\rdone", ["doneloading"]),
        ("downloading\r\x1b[Kdone", ["done"]),
        ("downloading\r\x1b[2Kdone", ["done"]),
        ("downloading\x1b[2K\rdone", ["done"]),
        ("\x1b[1K\rdone", ["done"]),
        ("spin -\b\\\b|\b/", ["spin /"]),
        ("pass\b \b\b \b", ["pa"]),
        ("a\tb\rc", ["c       b"]),
        ("\x1b[1;31mred\x1b[0m plain", ["red plain"]),
        ("\x1b]0;a title\x07text", ["text"]),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", ["link"]),
        ("a: 1\nb: 1\n\x1b[2Aa: 2\nb: 2\n", ["a: 2", "b: 2"]),
        ("a: 1\nb: 1\n\x1b[2A\x1b[Ja: 2\n", ["a: 2"]),
        ("old\n\x1b[H\x1b[2Jnew", ["new"]),
        ("old\n\x1bcnew", ["old", "new"]),
        ("abc\x1b[2Dx\x1b[Cy", ["axcy"]),
        ("abc\x1b[1GX", ["Xbc"]),
        ("abcdef\x1b[1G\x1b[2P", ["cdef"]),
        ("abcdef\x1b[1G\x1b[2X", ["  cdef"]),
        ("bell\x07 and nul\x00", ["bell and nul"]),
        ("gr\u00f6\u00dfe 1\rgr\u00f6\u00dfe 2", ["gr\u00f6\u00dfe 2"]),
        ("e\u0301a\rx", ["xa"]),
        ("\u884c\u6570 10\r\u884c\u6570 99", ["\u884c\u6570 99"]),
        ("\u884c\u6570\rx", ["x \u6570"]),
        ("\u884c\u6570\x1b[1G\x1b[Cx", [" x\u6570"]),
        ("half a sequence \x1b[", ["half a sequence"]),
        ("half a title \x1b]0;", ["half a title"]),
        ("\x1b", []),
    ],
)
def test_the_text_is_what_a_terminal_shows(text, lines):
    assert shown(text) == lines


def test_progress_of_a_whole_day_is_one_line():
    assert shown("".join(f"\r{n} of 20000" for n in range(2000))) == ["1999 of 20000"]


ANY = st.lists(
    st.one_of(
        st.text(max_size=8),
        st.sampled_from(["\r", "\n", "\b", "\t", "\x1b[K", "\x1b[999999999A", "\x1b[J"]),
        st.builds("\x1b[{}{}".format, st.integers(0, 10**9), st.sampled_from("ABCDEFGHJKPX@m")),
    ),
    max_size=60,
).map("".join)


@given(ANY)
def test_whatever_was_written_it_ends_and_stays_small(text):
    lines = shown(text)

    assert not any(letter in "\r\n\b\t\x1b" for line in lines for letter in line)
    assert all(len(line) <= MOST_STEPS + 8 * len(text) + 8 for line in lines)
    assert len(lines) <= 1 + len(text) + text.count("\x1b") * MOST_STEPS


@given(st.lists(st.text(st.characters(codec="ascii", categories=["L", "N", "P"]), min_size=1)))
def test_plain_lines_stay_as_they_are(lines):
    assert shown("".join(f"{line}\n" for line in lines)) == lines
