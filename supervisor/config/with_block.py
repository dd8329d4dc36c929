"""A `with` block -> JSON, with the types of YAML 1.2 where the conversion is lossless.

`010`, `1.10` and `1e3` stay texts, so that a version number is not shortened. The
worker's own `Params` converts them to its declared types.
"""

import math
import re
from collections.abc import Sequence

import msgspec

from supervisor.config.parse_context import ParseContext, is_nothing, kind_name
from supervisor.config.problems import BadValueError
from supervisor.config.yaml_nodes import (
    DEEPEST,
    QUOTED,
    MappingNode,
    Node,
    ScalarNode,
    SequenceNode,
)

_STR = "tag:yaml.org,2002:str"
_WORDS: dict[str, object] = {
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
}
_WHOLE = re.compile(r"0|-?[1-9][0-9]{0,29}")
_FLOAT = re.compile(r"-?[0-9]{1,20}\.[0-9]{1,20}")


def params_json(doc: ParseContext, node: Node, path: Sequence[str]) -> str:
    """Return the JSON object of a `with` block. Raises: BadValueError."""
    if is_nothing(node):
        return "{}"
    if not isinstance(node, MappingNode):
        raise BadValueError(
            f"expected a mapping of the worker's parameters, got {kind_name(node)}"
        )
    return msgspec.json.encode(_value(doc, node, tuple(path), "")).decode()


def typed(text: str) -> object:
    """Return the value of a plain scalar: a bool, an int, a float, None, or the text itself."""
    if text in _WORDS:
        return _WORDS[text]
    if _WHOLE.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text) and math.isfinite(float(text)) and repr(float(text)) == text:
        return float(text)
    return text


def _value(doc: ParseContext, node: Node, path: tuple[str, ...], name: str) -> object:
    if isinstance(node, ScalarNode):
        text = doc.text(node, path)
        doc.secrets.add_named(name, text)
        return text if node.tag is QUOTED or node.tag == _STR else typed(text)
    if len(path) > DEEPEST:
        raise BadValueError("is nested too deeply")
    if isinstance(node, SequenceNode):
        return [_inner(doc, item, (*path, ""), name) for item in doc.items(node)]
    pairs = doc.pairs(node, path)
    return {key: _inner(doc, value, (*path, key), key) for key, (_, value) in pairs.items()}


def _inner(doc: ParseContext, node: Node, path: tuple[str, ...], name: str) -> object:
    """Return the value; None after reporting a problem, so that the other values are read."""
    try:
        return _value(doc, node, path, name)
    except BadValueError as wrong:
        doc.report(node, [part for part in path if part], wrong.message, wrong.hint)
        return None
