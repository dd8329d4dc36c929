"""The JSON Schema (draft 2020-12) of jobs.yaml, made from the table of keys."""

from collections.abc import Iterable

from supervisor.config.keys import JOB_KEYS, TOP_KEYS, Key, Kind
from supervisor.config.scalars import NAME, expected
from supervisor.core.schedule import MACROS

Schema = dict[str, object]

# Any scalar may hold a reference instead of what is expected of it.
_REFERENCE: Schema = {"type": "string", "pattern": r"\$\{"}
_TEXT: Schema = {"type": ["string", "number", "boolean", "null"]}
_DURATION = r"^\s*([0-9]+(\.[0-9]+)?|([0-9]+(\.[0-9]+)?(ms|s|m|h|d|w))+)\s*$"
_SIZE = r"^\s*[0-9]+(\.[0-9]+)?\s*([kmgtpKMGTP][iI]?)?[bB]?\s*$"
_WORKER = r"^([A-Za-z_]\w*\.[A-Za-z_]\w*|[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*)$"
_NAME = f"^{NAME.pattern}$"
_STATUS: Schema = {"anyOf": [{"type": "integer", "minimum": 0, "maximum": 255}, _REFERENCE]}


def schema() -> Schema:
    """The schema, for editors that complete and check while one types."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "jobs.yaml of Nightshift",
        **_mapping(TOP_KEYS),
        # Homes for anchors; nothing of them is read.
        "patternProperties": {"^x-": {}},
        "required": ["jobs"],
        "$defs": {"job": _mapping(JOB_KEYS)},
    }


def _mapping(keys: Iterable[Key]) -> Schema:
    properties = {key.name: _property(key) for key in keys}
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _property(key: Key) -> Schema:
    described: Schema = {"description": key.doc}
    if key.default:
        described["default"] = key.default
    if key.examples:
        described["examples"] = list(key.examples)
    return {**described, **_shape(key)}


def _shape(key: Key) -> Schema:
    match key.kind:
        case Kind.JOBS:
            one = {"$ref": "#/$defs/job"}
            names = {"pattern": _NAME}
            return {
                "type": "object",
                "additionalProperties": one,
                "propertyNames": names,
                "minProperties": 1,
            }
        case Kind.JOB:
            return {"$ref": "#/$defs/job"}
        case Kind.BLOCK:
            return _mapping(key.keys)
        case Kind.PARAMS:
            return {"type": "object"}
        case Kind.ENV:
            return {"type": "object", "additionalProperties": _TEXT}
        case Kind.NAMES:
            return _one_or_many({"type": "string"})
        case Kind.CRON:
            return _one_or_many(_cron())
        case Kind.STATUSES:
            return _one_or_many(_STATUS)
        case Kind.COMMAND:
            words = {"type": "array", "items": _TEXT, "minItems": 1}
            return {"anyOf": [{"type": "string", "minLength": 1}, words]}
    options = [*_options(key), _REFERENCE]
    if key.none:
        options.append({"enum": ["none", None]})
    return {"anyOf": options}


def _options(key: Key) -> list[Schema]:
    """What may stand under a key that holds one scalar."""
    match key.kind:
        case Kind.BOOL:
            return [{"type": "boolean"}]
        case Kind.COUNT:
            return [_bounded(key, "integer")]
        case Kind.NUMBER:
            return [_bounded(key, "number")]
        case Kind.DURATION:
            return [{"type": "number", "minimum": 0}, {"type": "string", "pattern": _DURATION}]
        case Kind.SIZE:
            return [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": _SIZE}]
        case Kind.MODE:
            return [{"type": ["integer", "string"]}]
        case Kind.CHOICE:
            return [{"enum": [str(choice) for choice in key.choices]}]
        case Kind.GROUP:
            return [{"type": "boolean"}, {"type": "string", "pattern": _NAME}]
        case Kind.URL:
            return [{"type": "string", "pattern": "^(https?://.*)?$"}]
        case Kind.WORKER:
            return [{"type": "string", "pattern": _WORKER, "description": expected(key)}]
    return [_TEXT]


def _cron() -> Schema:
    fields = {"type": "string", "pattern": r"^\s*\S+(\s+\S+){4}\s*$"}
    return {"anyOf": [fields, {"enum": list(MACROS)}, _REFERENCE]}


def _one_or_many(one: Schema) -> Schema:
    return {"anyOf": [one, {"type": "array", "items": one}]}


def _bounded(key: Key, kind: str) -> Schema:
    bounded: Schema = {"type": kind}
    if key.least is not None:
        bounded["minimum"] = key.least
    if key.most is not None:
        bounded["maximum"] = key.most
    return bounded
