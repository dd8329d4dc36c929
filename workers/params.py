"""Convert a worker's `with` block to the types that its `Params` class declares.

Pure, standard library only. `Params` is a frozen dataclass. A field's annotation selects
the conversion: `str`, `int`, `float`, `bool`, `Path`, `Duration`, `Size`,
`Literal`, an `Enum`, `tuple[str, ...]`, `tuple[Path, ...]`, `X | None`, or another such
dataclass, whose keys are named `field.key`; one with a classmethod `from_text` may be given
as a text, too. A field without a default is required. All problems are reported together,
each with its key. Only names and types are checked; the run itself checks whether a path
or server exists.
"""

import dataclasses
import difflib
import enum
import types
import typing
from collections.abc import Mapping
from pathlib import Path

from workers import path_text
from workers.units import parse_duration, parse_size

Duration = typing.NewType("Duration", float)  # seconds
Size = typing.NewType("Size", int)  # bytes
P = typing.TypeVar("P")


@dataclasses.dataclass(frozen=True, slots=True)
class ParamError:
    """One mistake in a `with` block: the key, the problem and a suggestion."""

    key: str
    text: str
    hint: str = ""


class ParamsError(ValueError):
    """All mistakes of one `with` block."""

    def __init__(self, problems: list[ParamError]) -> None:
        super().__init__("; ".join(f"{p.key}: {p.text}" for p in problems))
        self.problems = problems


def parse(kind: type[P], given: Mapping[str, object]) -> P:
    """Return the Params described by `given` (JSON values).

    Raises:
        ParamsError: all unknown keys, missing keys and wrong types.
    """
    declared = {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    annotations = typing.get_type_hints(kind)
    problems = [_unknown(key, declared) for key in given if key not in declared]
    values: dict[str, object] = {}
    for name, field in declared.items():
        if name in given:
            try:
                values[name] = _convert(annotations[name], given[name])
            except ParamsError as inner:
                problems += [_within(name, problem) for problem in inner.problems]
            except ValueError as error:
                problems.append(ParamError(name, str(error)))
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            problems.append(ParamError(name, "is required"))
    if problems:
        raise ParamsError(problems)
    try:
        return kind(**values)
    except ValueError as error:  # raised by the check of Params itself, as "key: what is wrong"
        key, _, text = str(error).partition(": ")
        found = ParamError(key, text) if key in declared else ParamError("", str(error))
        raise ParamsError([found]) from error


def _unknown(key: str, declared: Mapping[str, object]) -> ParamError:
    near = difflib.get_close_matches(key, declared, 1)
    hint = f'did you mean "{near[0]}"?' if near else f"known: {', '.join(declared)}"
    return ParamError(key, "unknown parameter", hint)


def _within(name: str, problem: ParamError) -> ParamError:
    key = f"{name}.{problem.key}" if problem.key else name
    return dataclasses.replace(problem, key=key)


def _convert(kind: object, value: object) -> object:
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        if value is None or value == "none":
            return None
        return _convert(next(arg for arg in inner if arg is not type(None)), value)
    if origin is tuple:
        if isinstance(value, str) and not value:
            return ()
        items = value if isinstance(value, list) else [value]
        return tuple(_convert(inner[0], item) for item in items)
    if origin is dict:
        if not isinstance(value, dict):
            raise ValueError(f"expected a mapping, got {_shown(value)}")
        return {str(key): _convert(inner[1], item) for key, item in value.items()}
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        if isinstance(value, str) and hasattr(kind, "from_text"):
            return kind.from_text(value)
        if not isinstance(value, dict):
            raise ValueError(f"expected a mapping, got {_shown(value)}")
        return parse(kind, value)
    if isinstance(value, dict | list) or value is None:
        raise ValueError(f"expected {_name(kind)}, got {_shown(value)}")
    if origin is typing.Literal:
        return _choice({one: one for one in inner}, value)
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return _choice({member.value: member for member in kind}, value)
    return _scalar(kind, value)


def _choice(choices: Mapping[object, object], value: object) -> object:
    """Return the choice that is spelt like the value."""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    for spelt, choice in choices.items():
        if str(spelt) == text:
            return choice
    raise ValueError(f"expected {_either(list(map(str, choices)))}, got {_shown(value)}")


def _either(words: list[str]) -> str:
    """Return `a, b or c`."""
    return " or ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def _scalar(kind: object, value: object) -> object:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    if kind is str:
        return text
    if kind is Path:
        if not text or "\0" in text:
            raise ValueError(f"expected a path, got {_shown(value)}")
        wrong = path_text.mistake(text)
        if wrong:
            raise ValueError(wrong)
        return Path(text)
    if kind is Duration:
        return parse_duration(text)
    if kind is Size:
        return parse_size(text)
    if kind is bool:
        if text.lower() not in ("true", "false"):
            raise ValueError(f"expected true or false, got {_shown(value)}")
        return text.lower() == "true"
    if kind in (int, float) and not isinstance(value, bool):
        try:
            return kind(text)
        except ValueError:
            pass
    raise ValueError(f"expected {_name(kind)}, got {_shown(value)}")


def _name(kind: object) -> str:
    names = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}
    return names.get(kind, "") or f"a {getattr(kind, '__name__', str(kind)).lower()}"  # type: ignore[call-overload]


def _shown(value: object) -> str:
    # None is also an empty YAML value or `--set key=`, so "None" was not typed.
    return "nothing" if value is None else f'"{str(value)[:60]}"'
