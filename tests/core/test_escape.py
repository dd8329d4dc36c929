"""Escaping of control characters in text from outside."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.core.escape import escape_control, keep_colours


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain, größe, 日本, 🔴", "plain, größe, 日本, 🔴"),
        ("\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m"),
        ("two\nlines\r\n", "two\\nlines\\r\\n"),
        ("txt.\u202eexe", "txt.\\u202eexe"),
        ("a\u200bb\ufeff", "a\\u200bb\\ufeff"),
        ("\u2028\u2029\x85", "\\u2028\\u2029\\x85"),
        ("\x00\x07\x7f\x9b", "\\x00\\x07\\x7f\\x9b"),
        ("\udce9", "\\udce9"),
        ("C:\\new", "C:\\new"),
    ],
)
def test_what_cannot_be_seen_is_written_out(text, shown):
    assert escape_control(text) == shown


@given(st.text())
def test_nothing_invisible_is_left(text):
    shown = escape_control(text)

    assert shown.isprintable()
    assert escape_control(shown) == shown


@pytest.mark.parametrize(
    ("printed", "shown"),
    [
        ("\x1b[1;31mred\x1b[0m\n", "\x1b[1;31mred\x1b[0m\n"),
        ("\x1b[38:2::255:0:0mrgb\x1b[m", "\x1b[38:2::255:0:0mrgb\x1b[m"),
        ("\x1b[2J\x1b[Hhome", "home"),
        ("\x1b]0;title\x07text", "text"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1bPdevice\x1b\\x", "x"),
        ("\x1bc reset", " reset"),
        ("\x9b2Jc1", "c1"),
        ("10%\r20%\ttab\n", "10%\r20%\ttab\n"),
        ("bell\x07 back\x08space\x00", "bell backspace"),
        ("cut \x1b[3", "cut "),
        ("cut \x1b", "cut "),
    ],
)
def test_output_keeps_lines_and_colours_and_no_other_command(printed, shown):
    assert keep_colours(printed) == shown


@given(st.text(alphabet="\x1b[]0;m\x07\\P\x9b1aJ\n"))
def test_every_escape_that_is_left_begins_a_colour(text):
    rest = keep_colours(text)

    for place, letter in enumerate(rest):
        if letter == "\x1b":
            body = rest[place + 1 :]
            assert body.startswith("[")
            assert body.lstrip("[").lstrip("0123456789;:").startswith("m")
    assert not set("\x07\x9b") & set(rest)
