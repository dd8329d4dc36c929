"""The `with` block, typed by the Params class of a worker."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from workers.params import Duration, ParamError, ParamsError, Size, parse

MINUTE = Duration(60.0)


@dataclass(frozen=True, slots=True)
class Limits:
    age: Duration = MINUTE
    share: float = 0.1


@dataclass(frozen=True, slots=True)
class Params:
    database: Path
    name: str = ""
    count: int = 1
    ratio: float = 0.5
    dry: bool = False
    max_age: Duration | None = None
    most: Size | None = None
    tables: tuple[str, ...] = ()
    copies: tuple[Path, ...] = ()
    limits: Limits = Limits()

    def __post_init__(self) -> None:
        if self.count < 0:
            raise ValueError("count: expected at least 0")


def problems(given: dict[str, object]) -> list[ParamError]:
    with pytest.raises(ParamsError) as raised:
        parse(Params, {"database": "x", **given})
    return raised.value.problems


@pytest.mark.parametrize(
    ("key", "given", "value"),
    [
        ("database", "a/b", Path("a/b")),
        ("name", 5, "5"),
        ("name", True, "true"),
        ("count", "010", 10),
        ("count", 3, 3),
        ("ratio", 1, 1.0),
        ("ratio", "1e3", 1000.0),
        ("dry", "true", True),
        ("dry", False, False),
        ("max_age", "2d", 172800.0),
        ("max_age", 90, 90.0),
        ("max_age", None, None),
        ("max_age", "none", None),
        ("most", "64KiB", 65536),
        ("tables", "all", ("all",)),
        ("tables", ["a", 5], ("a", "5")),
        ("tables", "", ()),
        ("copies", ["/a"], (Path("/a"),)),
    ],
)
def test_a_value_becomes_what_is_declared(key: str, given: object, value: object) -> None:
    found = parse(Params, {"database": "x", key: given})

    assert getattr(found, key) == value


@pytest.mark.parametrize(
    ("key", "given", "text"),
    [
        ("database", "", 'expected a path, got ""'),
        ("database", "a\0b", "expected a path"),
        ("database", None, "expected a path"),
        ("name", ["a"], "expected text"),
        ("name", None, "expected text, got nothing"),
        ("count", "many", 'expected a whole number, got "many"'),
        ("count", 1.5, "expected a whole number"),
        ("count", True, "expected a whole number"),
        ("dry", "yes", 'expected true or false, got "yes"'),
        ("max_age", "soon", "expected a duration"),
        ("most", "lots", "expected a size"),
        ("tables", [["a"]], "expected text"),
    ],
)
def test_a_value_of_another_type_is_a_problem(key: str, given: object, text: str) -> None:
    (problem,) = problems({key: given})

    assert problem.key == key
    assert text in problem.text


def test_all_problems_come_at_once_with_the_nearest_name() -> None:
    found = problems({"databse": "x", "count": "many", "dry": 5})

    assert [problem.key for problem in found] == ["databse", "count", "dry"]
    assert found[0].hint == 'did you mean "database"?'


def test_what_has_no_default_is_required() -> None:
    with pytest.raises(ParamsError, match="database: is required"):
        parse(Params, {})


def test_a_check_of_params_on_themselves_names_its_key() -> None:
    assert problems({"count": -1}) == [ParamError("count", "expected at least 0")]


def test_the_keys_of_a_mapping_are_typed_by_its_own_declaration() -> None:
    found = parse(Params, {"database": "x", "limits": {"age": "2d"}})

    assert found.limits == Limits(age=Duration(172800.0), share=0.1)


def test_a_problem_inside_a_mapping_names_its_whole_key() -> None:
    found = problems({"limits": {"aeg": "2d", "share": "half"}, "count": "many"})

    assert {problem.key for problem in found} == {"limits.aeg", "limits.share", "count"}
    assert found[1].hint == 'did you mean "age"?'
    assert problems({"limits": "2d"}) == [ParamError("limits", 'expected a mapping, got "2d"')]
