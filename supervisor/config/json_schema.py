"""Builds the JSON Schema (draft 2020-12) of jobs.yaml from the table of keys."""

from collections.abc import Iterable
from itertools import chain

from supervisor.config.channel_keys import CHANNEL_KEYS, CHANNEL_KINDS
from supervisor.config.key import Key, ValueKind
from supervisor.config.key_table import JOB_KEYS, TOP_KEYS
from supervisor.config.scalars import NAME, expected_text
from supervisor.core.schedule import MACROS

Schema = dict[str, object]

# Any scalar may hold a reference instead of a value of its kind.
_REFERENCE: Schema = {"type": "string", "pattern": r"\$\{"}
_TEXT: Schema = {"type": ["string", "number", "boolean", "null"]}
_DURATION = r"^\s*([0-9]+(\.[0-9]+)?|([0-9]+(\.[0-9]+)?(ms|s|m|h|d|w))+)\s*$"
_SIZE = r"^\s*[0-9]+(\.[0-9]+)?\s*([kmgtpKMGTP][iI]?)?[bB]?\s*$"
_WORKER = r"^([A-Za-z_]\w*\.[A-Za-z_]\w*|[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*)$"
_NAME = f"^{NAME.pattern}$"
_NAMED: Schema = {"pattern": _NAME}
_STATUS: Schema = {"anyOf": [{"type": "integer", "minimum": 0, "maximum": 255}, _REFERENCE]}


def schema() -> Schema:
    """Return the schema, for completion and checks in editors."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "jobs.yaml of Nightshift",
        **_mapping(TOP_KEYS),
        # Places for anchors; these keys are ignored.
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
        case ValueKind.JOBS:
            return {
                "type": "object",
                "additionalProperties": {"$ref": "#/$defs/job"},
                "propertyNames": _NAMED,
                "minProperties": 1,
            }
        case ValueKind.JOB:
            return {"$ref": "#/$defs/job"}
        case ValueKind.BLOCK:
            return _mapping(key.keys)
        case ValueKind.PARAMS:
            return {"type": "object"}
        case ValueKind.ENV:
            return {"type": "object", "additionalProperties": _TEXT}
        case ValueKind.CHANNELS:
            one = _mapping((*CHANNEL_KEYS, *chain.from_iterable(CHANNEL_KINDS.values())))
            return {"type": "object", "additionalProperties": one, "propertyNames": _NAMED}
        case ValueKind.NAMES | ValueKind.GROUPS | ValueKind.LABELS | ValueKind.MAIL_ADDRESSES:
            return _one_or_many({"type": "string"})
        case ValueKind.CRON:
            return _one_or_many(_cron())
        case ValueKind.STATUSES:
            return _one_or_many(_STATUS)
        case ValueKind.COMMAND:
            words = {"type": "array", "items": _TEXT, "minItems": 1}
            return {"anyOf": [{"type": "string", "minLength": 1}, words]}
    options = [*_options(key), _REFERENCE]
    if key.none:
        options.append({"enum": ["none", None]})
    return {"anyOf": options}


def _options(key: Key) -> list[Schema]:
    """Return the alternatives for a key that holds one scalar."""
    match key.kind:
        case ValueKind.BOOL:
            return [{"type": "boolean"}]
        case ValueKind.COUNT:
            return [_bounded(key, "integer")]
        case ValueKind.NUMBER:
            return [_bounded(key, "number")]
        case ValueKind.DURATION:
            return [{"type": "number", "minimum": 0}, {"type": "string", "pattern": _DURATION}]
        case ValueKind.SIZE:
            return [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": _SIZE}]
        case ValueKind.MODE:
            return [{"type": ["integer", "string"]}]
        case ValueKind.CHOICE:
            return [{"enum": [str(choice) for choice in key.choices]}]
        case ValueKind.GROUP:
            return [{"type": "boolean"}, {"type": "string", "pattern": _NAME}]
        case ValueKind.URL:
            return [{"type": "string", "pattern": "^(https?://.*)?$"}]
        case ValueKind.WORKER:
            return [{"type": "string", "pattern": _WORKER, "description": expected_text(key)}]
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
