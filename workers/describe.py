"""Describe what a worker's `Params` class takes: names, forms, defaults and texts.

Standard library only, like `params.py`, whose types it names: it also runs in other
interpreters. The text about a field is what the class docstring says after `name: `, or
the field's metadata `doc`.
"""

import dataclasses
import enum
import math
import re
import types
import typing
from collections.abc import Mapping
from pathlib import Path

from workers.params import Duration, Size
from workers.units import format_duration, parse_duration

MOST_FIELDS = 200
_LONGEST_DOC = 500
_DEEPEST = 8

_DURATION = "a duration such as 90s, 5m or 1h30m"
_SIZE = "a size such as 64KiB or 2GB"
_MAPPING = 'a mapping as JSON, such as {"name": "value"}'


@dataclasses.dataclass(frozen=True, slots=True)
class ParameterField:
    """One parameter.

    kind: `flag`, `whole`, `number`, `choice`, `json` or `text`. form: what is expected, in
    words; "": what the kind says. default: a JSON value, as it is written in jobs.yaml.
    may_be_none: `none` is a value. is_secret: the class leaves it out of its repr.
    """

    name: str
    kind: str
    form: str
    doc: str
    is_required: bool
    default: object
    choices: tuple[str, ...]
    may_be_none: bool
    is_secret: bool


def describe(params: type) -> tuple[ParameterField, ...]:
    """Return the fields of a Params class in their order, at most MOST_FIELDS."""
    declared = dataclasses.fields(params)
    hints = typing.get_type_hints(params)
    docs = _docs(params.__doc__ or "", [field.name for field in declared])
    return tuple(
        _described(field, hints[field.name], docs)
        for field in declared[:MOST_FIELDS]
        if field.init
    )


def _described(
    field: "dataclasses.Field[typing.Any]", hint: object, docs: Mapping[str, str]
) -> ParameterField:
    kind, may_be_none = _without_none(hint)
    word, form = _kind(kind)
    default = field.default
    if field.default_factory is not dataclasses.MISSING:
        default = field.default_factory()
    is_required = default is dataclasses.MISSING
    return ParameterField(
        field.name,
        word,
        form,
        str(field.metadata.get("doc", "") or docs.get(field.name, ""))[:_LONGEST_DOC],
        is_required,
        None if is_required else _as_written(kind, default, 0),
        _choices(kind),
        may_be_none,
        not field.repr,
    )


def _without_none(hint: object) -> tuple[object, bool]:
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        inner = typing.get_args(hint)
        first = next((arg for arg in inner if arg is not type(None)), str)
        return first, type(None) in inner
    return hint, False


def _kind(hint: object) -> tuple[str, str]:
    """Return the kind of a field, and its form in words."""
    plain = {bool: ("flag", ""), int: ("whole", ""), float: ("number", ""), str: ("text", "")}
    words = {Path: "a path", Duration: _DURATION, Size: _SIZE}
    for known, found in plain.items():
        if hint is known:
            return found
    for known, form in words.items():
        if hint is known:
            return "text", form
    if _choices(hint):
        return "choice", ""
    if typing.get_origin(hint) is tuple:
        return "json", f"a list as JSON, such as {_some_list(typing.get_args(hint))}"
    if typing.get_origin(hint) is dict:
        return "json", _MAPPING
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return "json", f"a text, or {_MAPPING}" if hasattr(hint, "from_text") else _MAPPING
    return "text", ""


def _some_list(inner: tuple[object, ...]) -> str:
    return "[1, 2]" if inner[:1] in ((int,), (float,)) else '["one", "two"]'


def _choices(hint: object) -> tuple[str, ...]:
    if typing.get_origin(hint) is typing.Literal:
        return tuple(map(str, typing.get_args(hint)))
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return tuple(str(member.value) for member in hint)
    return ()


def _as_written(hint: object, value: object, depth: int) -> object:
    """Return a default as jobs.yaml would write it; None for what has no such form."""
    if depth > _DEEPEST:
        return None
    if isinstance(value, enum.Enum):
        return _as_written(hint, value.value, depth + 1)
    if hint is Duration and isinstance(value, int | float) and math.isfinite(value):
        text = format_duration(value)
        return text if parse_duration(text) == value else f"{value:g}"
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, list | tuple):
        return [_as_written(None, item, depth + 1) for item in value]
    if isinstance(value, dict):
        return {str(key): _as_written(None, item, depth + 1) for key, item in value.items()}
    return None


def _docs(text: str, names: list[str]) -> dict[str, str]:
    """Return what a docstring says after `name: `, up to the next name.

    `one, two: text` and `one ... three: text` are about each of these.
    """
    if not names:
        return {}
    known = "|".join(sorted(map(re.escape, names), key=len, reverse=True))
    label = re.compile(
        rf"(?:^|(?<=[.;]\s)|(?<=\n))\s*((?:{known})(?:(?:, | \.\.\. )(?:{known}))*): "
    )
    found = list(label.finditer(text))
    ends = [each.start() for each in found[1:]] + [len(text)]
    docs: dict[str, str] = {}
    for each, end in zip(found, ends, strict=False):  # one end is left if nothing is found
        said = " ".join(text[each.end() : end].split("\n\n")[0].split()).rstrip(". ")
        for name in _named(each[1], names):
            docs.setdefault(name, said)
    return docs


def _named(label: str, names: list[str]) -> list[str]:
    """Return the fields of `one, two` or `one ... three`, which stands for all between, too."""
    if " ... " not in label:
        return label.split(", ")
    first, _, last = label.partition(" ... ")
    return names[names.index(first.split(", ")[-1]) : names.index(last.split(", ")[0]) + 1]
