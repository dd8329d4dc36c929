"""Text from outside is made encodable, and otherwise left unchanged."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.text import is_utf8, readable


@given(st.text(st.characters()))
def test_any_text_can_be_encoded_afterwards(text):
    assert is_utf8(readable(text))
    readable(text).encode("utf-8")


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_text_that_can_be_encoded_is_left_alone(text):
    assert readable(text) == text


@given(st.binary())
def test_any_name_of_the_file_system_can_be_encoded_afterwards(name):
    readable(os.fsdecode(name)).encode("utf-8")


@pytest.mark.parametrize(
    ("text", "shown"),
    [("caf\udce9", r"caf\xe9"), ("\udc80\udcff", r"\x80\xff"), ("\ud800é", "\\ud800é")],
)
def test_a_byte_is_shown_by_its_number_and_another_surrogate_by_its_own(text, shown):
    assert readable(text) == shown
