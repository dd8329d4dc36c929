"""Encode a small value as JSON text, as `json.dumps` does.

Pure, standard library only. `json.dumps` makes an encoder for each value that is not a text.
In a process that was just forked that is 60 more pages to copy: a tenth of a short run.
"""

import json
from math import isfinite


def encode(value: object) -> str:
    """Return the JSON of a value, which equals `json.dumps(value)`.

    Raises:
        TypeError, ValueError: what `json.dumps` raises.
    """
    kind = type(value)
    if kind is int or (kind is float and isfinite(value)):  # type: ignore[arg-type]
        return repr(value)
    if kind is bool:
        return "true" if value else "false"
    if isinstance(value, dict):
        return _encode_object(value)
    return json.dumps(value)


def _encode_object(value: dict[object, object]) -> str:
    pairs = []
    for key, item in value.items():
        if type(key) is not str:
            return json.dumps(value)
        pairs.append(f"{json.dumps(key)}: {encode(item)}")
    return "{" + ", ".join(pairs) + "}"
