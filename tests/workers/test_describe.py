"""Descriptions of the fields of a Params class, from which the page builds its form."""

from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Literal

import pytest

from workers.backup.places.place import Place
from workers.describe import ParameterField, describe
from workers.params import Duration, ParamsError, Size, parse
from workers.rotation import params as rotation

TWO, NINETY = Size(2), Duration(90.0)


class Pick(Enum):
    NEWEST = "newest"
    RANDOM = "random"


@dataclass(frozen=True)
class Params:
    """What `with` may say; a first: sentence is of no field.

    source: the folder: it must be there.
    level: 1 to 9. mode, pick: how it is read, and
        which one. first ... third: so many of each.

    Another paragraph: not of any field.
    """

    source: Path
    level: int = 3
    ratio: float = 0.5
    is_strict: bool = True
    mode: Literal["fast", "slow"] = "slow"
    pick: Pick = Pick.NEWEST
    first: Size = TWO
    second: Duration = NINETY
    third: Duration | None = None
    tables: tuple[str, ...] = ("all",)
    types: dict[str, str] = field(default_factory=lambda: {"a": "b"})
    place: Place | None = None
    copies: tuple[Path, ...] = (Path("/a"),)
    dsn: str = field(default="", repr=False, metadata={"doc": "where it goes"})
    endless: float = float("inf")


FIELDS = {each.name: each for each in describe(Params)}


@pytest.mark.parametrize(
    ("name", "kind", "default", "form"),
    [
        ("source", "text", None, "a path"),
        ("level", "whole", 3, ""),
        ("ratio", "number", 0.5, ""),
        ("is_strict", "flag", True, ""),
        ("mode", "choice", "slow", ""),
        ("pick", "choice", "newest", ""),
        ("first", "text", 2, "a size such as 64KiB or 2GB"),
        ("second", "text", "1m30s", "a duration such as 90s, 5m or 1h30m"),
        ("tables", "json", ["all"], 'a list as JSON, such as ["one", "two"]'),
        ("types", "json", {"a": "b"}, 'a mapping as JSON, such as {"name": "value"}'),
        ("place", "json", None, 'a text, or a mapping as JSON, such as {"name": "value"}'),
        ("copies", "json", ["/a"], 'a list as JSON, such as ["one", "two"]'),
        ("endless", "number", None, ""),
    ],
)
def test_a_field_has_the_form_of_its_type(name, kind, default, form):
    found = FIELDS[name]

    assert (found.kind, found.default, found.form) == (kind, default, form)


def test_what_is_required_secret_or_none_is_said():
    assert [name for name, each in FIELDS.items() if each.is_required] == ["source"]
    assert [name for name, each in FIELDS.items() if each.is_secret] == ["dsn"]
    assert [name for name, each in FIELDS.items() if each.may_be_none] == ["third", "place"]
    assert FIELDS["mode"].choices == ("fast", "slow")
    assert FIELDS["pick"].choices == ("newest", "random")


@pytest.mark.parametrize(
    ("name", "doc"),
    [
        ("source", "the folder: it must be there"),
        ("level", "1 to 9"),
        ("mode", "how it is read, and which one"),
        ("pick", "how it is read, and which one"),
        ("second", "so many of each"),
        ("dsn", "where it goes"),
        ("ratio", ""),
    ],
)
def test_the_text_of_a_field_is_in_the_docstring(name, doc):
    assert FIELDS[name].doc == doc


def test_a_default_is_written_as_jobs_yaml_would_write_it():
    given: dict[str, object] = {
        name: each.default
        for name, each in FIELDS.items()
        if not each.is_required and name not in ("endless", "place")
    }

    assert parse(Params, {"source": "x", **given}) == Params(Path("x"))


def test_a_builtin_worker_describes_itself():
    found = {each.name: each for each in describe(rotation.Params)}

    assert found["keep_weekly"].doc.startswith("the newest of each of so many days")
    assert found["max_age"] == ParameterField(
        "max_age",
        "text",
        "a duration such as 90s, 5m or 1h30m",
        "of the newest verified copy, beyond which nothing is deleted; none: dates are not"
        " looked at",
        False,
        "2d",
        (),
        True,
        False,
    )


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"mode": "quick"}, 'expected fast or slow, got "quick"'),
        ({"pick": 5}, 'expected newest or random, got "5"'),
    ],
)
def test_another_word_than_those_of_a_choice_is_refused(given, text):
    with pytest.raises(ParamsError, match=text):
        parse(Params, {"source": "x", **given})
