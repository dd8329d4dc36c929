"""The form for a worker's parameters, and what it means when it comes back.

Pure. Fields are those of the worker's `Params`, or the keys of `with` if the worker could
not be read or takes any mapping. A secret is never shown, and sent only if one is typed.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from supervisor.config.worker_check import ParameterField

MASKED = "***"
PREFIX = "set."
MOST_FIELDS = 200
_SHAPES = {
    "whole": "a whole number",
    "number": "a number",
    "json": "JSON",
}


class FieldError(ValueError):
    """Values in the form that their parameters cannot have; errors: by field; found: the rest."""

    def __init__(self, errors: Mapping[str, str], found: Mapping[str, Any]) -> None:
        super().__init__("; ".join(f"{name}: {text}" for name, text in errors.items()))
        self.errors, self.found = errors, found


@dataclass(frozen=True, slots=True)
class Field:
    """One parameter as it is typed.

    kind: as in `ParameterField`. value: as the form shows it; "" for a secret, which is_hidden.
    form: what is expected, in words. default: as it would be typed.
    """

    name: str
    kind: str
    value: str
    form: str = ""
    doc: str = ""
    default: str = ""
    choices: tuple[str, ...] = ()
    is_required: bool = False
    is_hidden: bool = False
    is_masked: bool = False


def fields(given: Mapping[str, Any], known: "Sequence[ParameterField] | None") -> list[Field]:
    """Return the fields of a form. given: the `with` block; known: what the worker takes."""
    if known is None:
        from supervisor.config.worker_check import ParameterField

        known = [ParameterField(name, _kind(value)) for name, value in given.items()]
    return [_field(each, given) for each in known[:MOST_FIELDS]]


def typed(shown: Sequence[Field], form: Mapping[str, str]) -> list[Field]:
    """Return the fields with what a form has typed, for showing it again."""
    return [
        each
        if each.is_hidden
        else Field(
            *(each.name, each.kind, _text_of(each, form), each.form, each.doc, each.default),
            each.choices,
            each.is_required,
        )
        for each in shown
    ]


def changed(shown: Sequence[Field], form: Mapping[str, str]) -> dict[str, Any]:
    """Return the parameters that the form sets otherwise than it was shown. Raises: FieldError."""
    found: dict[str, Any] = {}
    errors: dict[str, str] = {}
    for each in shown:
        text = _text_of(each, form)
        if text.strip() == each.value.strip() or (each.is_hidden and not text):
            continue
        try:
            value = _value(each, text)
        except ValueError as error:
            errors[each.name] = str(error)
            continue
        if each.kind != "json" or not each.value or value != json.loads(each.value):
            found[each.name] = value
    try:
        found |= _more(form.get("more", ""))
    except ValueError as error:
        errors["further parameters"] = str(error)
    if errors:
        raise FieldError(errors, found)
    return found


def has_secret(given: object) -> bool:
    """Return whether a masked text is among the values."""
    if isinstance(given, Mapping):
        return any(map(has_secret, given.values()))
    if isinstance(given, list | tuple):
        return any(map(has_secret, given))
    return isinstance(given, str) and MASKED in given


def _field(known: "ParameterField", given: Mapping[str, Any]) -> Field:
    value = given.get(known.name, known.default)
    is_masked = has_secret(given.get(known.name))
    is_hidden = is_masked or (known.is_secret and known.kind in ("text", "json"))
    choices = known.choices + (("none",) if known.may_be_none and known.choices else ())
    form = known.form or _SHAPES.get(known.kind, "")
    if known.may_be_none and not known.choices:
        form = f"{form or 'text'}, or none"
    default = "" if known.is_required or is_hidden else _typed(known.kind, known.default)
    if known.may_be_none and known.default is None:
        default = "none"
    return Field(
        known.name,
        known.kind,
        "" if is_hidden else _typed(known.kind, value),
        form,
        known.doc,
        default,
        choices,
        known.is_required,
        is_hidden,
        is_masked,
    )


def _text_of(field: Field, form: Mapping[str, str]) -> str:
    """Return what was typed; the value that was shown if the form has no such field."""
    name = f"{PREFIX}{field.name}"
    if field.kind == "flag":
        if f"{name}.shown" not in form:
            return field.value
        return "true" if form.get(name) else "false"
    return form.get(name, field.value).replace("\r\n", "\n")


def _value(field: Field, text: str) -> Any:
    """Return the value of a text; the worker's own check judges it. Raises: ValueError."""
    if field.kind == "flag":
        return text == "true"
    if text.strip() == "none" and field.form.endswith(", or none"):
        return None
    if field.kind in ("whole", "number"):
        return _number(text.strip())
    if field.kind == "json":
        if "a text, or" in field.form and text.strip()[:1] not in ("{", "["):
            return text.strip()
        return _json(text)
    return text.strip() if field.form else text


def _number(text: str) -> Any:
    """Return a number, or else the text: the worker's check names what was expected."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f'expected JSON, got "{text.strip()[:60]}" ({error})') from error


def _more(text: str) -> dict[str, Any]:
    """Return the further parameters, one `name=value` a line, as `run --set` takes them."""
    found: dict[str, Any] = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        name, equals, value = line.partition("=")
        if not equals or not name.strip():
            raise ValueError(f'expected name=value, got "{line[:80]}"')
        found[name.strip()] = scalar(value.strip())
    return found


def scalar(text: str) -> Any:
    """Return a text as `run --set` reads it: a flag, a number, a list, a mapping or the text."""
    if text in ("true", "false"):
        return text == "true"
    return _json(text) if text[:1] in ("[", "{") else _number(text)


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "flag"
    if isinstance(value, int | float):
        return "number"
    return "json" if isinstance(value, list | dict) else "text"


def _typed(kind: str, value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if kind == "json" and not isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    return json.dumps(value) if isinstance(value, list | dict) else str(value)
