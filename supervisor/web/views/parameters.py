"""The form for a worker's parameters, and what it means when it comes back.

Fields are the keys of `with`, with the type of the value there. A masked value is left
as it is unless another one is typed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MASKED = "***"
PREFIX = "set."
MOST_FIELDS = 100


class FieldError(ValueError):
    """A value in the form that its parameter cannot have."""


@dataclass(frozen=True, slots=True)
class Field:
    """One parameter. kind: `flag`, `number`, `list` or `text`; value: as it is typed."""

    name: str
    kind: str
    value: str
    is_masked: bool


def fields(given: Mapping[str, Any]) -> list[Field]:
    """Return the fields of a worker's `with` block; nested ones are left to jobs.yaml."""
    return [
        Field(name, _kind(value), _typed(value), _kind(value) == "text" and MASKED in str(value))
        for name, value in list(given.items())[:MOST_FIELDS]
        if not isinstance(value, dict)
    ]


def changed(given: Mapping[str, Any], form: Mapping[str, str]) -> dict[str, Any]:
    """Return the parameters that the form sets otherwise than jobs.yaml. Raises: FieldError."""
    found: dict[str, Any] = {}
    for field in fields(given):
        typed = form.get(f"{PREFIX}{field.name}")
        if field.kind == "flag":
            is_shown = f"{PREFIX}{field.name}.shown" in form
            typed = ("true" if typed else "false") if is_shown else None
        if typed is None or typed == field.value or (field.is_masked and not typed):
            continue
        found[field.name] = _value(field, typed)
    return found | _more(form.get("more", ""))


def _more(text: str) -> dict[str, Any]:
    """Return the further parameters, one `name=value` a line, as `run --set` takes them."""
    found: dict[str, Any] = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        name, equals, value = line.partition("=")
        if not equals or not name.strip():
            raise FieldError(f'further parameters: expected name=value, got "{line[:80]}"')
        found[name.strip()] = scalar(value.strip())
    return found


def scalar(text: str) -> Any:
    """Return a text as jobs.yaml would read it: a flag, a number, or the text."""
    if text in ("true", "false"):
        return text == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _value(field: Field, typed: str) -> Any:
    if field.kind == "flag":
        return typed == "true"
    if field.kind == "list":
        return [line for line in map(str.strip, typed.splitlines()) if line]
    if field.kind == "number":
        value = scalar(typed.strip())
        if isinstance(value, bool | str):
            raise FieldError(f'{field.name}: expected a number, got "{typed[:80]}"')
        return value
    return typed


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "flag"
    if isinstance(value, int | float):
        return "number"
    return "list" if isinstance(value, list) else "text"


def _typed(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return "\n".join(map(str, value))
    return "" if value is None else str(value)
