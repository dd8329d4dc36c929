"""The fast JSON encoder writes what `json.dumps` writes, for any value."""

import enum
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers import json_text

plain = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
values = st.recursive(
    plain,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=9) | st.integers() | st.none(), inner, max_size=4)
    ),
    max_leaves=12,
)


class Level(enum.IntEnum):
    LOW = 1


class Name(str):
    __slots__ = ()


class Ratio(float):
    def __repr__(self) -> str:
        return "a ratio"


@given(values)
def test_any_value_has_the_text_of_json_dumps(value):
    assert json_text.encode(value) == json.dumps(value)


@pytest.mark.parametrize(
    "value",
    [
        Level.LOW,
        {"level": Level.LOW, Name("name"): Name('a "name"')},
        {"ratio": Ratio(0.5)},
        {True: 1, 1.5: "number"},
        {"sum": 2**70, "small": 1e-9, "large": -1e300, "none": None},
        {"infinite": float("inf"), "none": float("nan")},
        {"a": {"b": {"c": [1, (2, 3)]}}, "empty": {}},
    ],
    ids=str,
)
def test_a_value_of_a_subclass_has_the_text_of_json_dumps(value):
    assert json_text.encode(value) == json.dumps(value)


@pytest.mark.parametrize(
    "value", [pytest.param(object(), id="object"), {"a": {1, 2}}, {(1, 2): 3}], ids=repr
)
def test_what_json_cannot_express_is_refused(value):
    with pytest.raises(TypeError):
        json_text.encode(value)
