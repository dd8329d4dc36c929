"""Values that are lists or mappings, and the way from a mapping to its values.

A reader raises `Wrong` for a value as a whole and reports what is wrong inside
one itself, so that the rest is still looked at.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from supervisor.config import scalars
from supervisor.config.document import Document, Pairs, is_nothing, kind_of
from supervisor.config.keys import API_KEYS, HISTORY_KEYS, LIMIT_KEYS, NOTIFY_KEYS, Key, Kind
from supervisor.config.nodes import MappingNode, Node, ScalarNode, SequenceNode
from supervisor.config.params import params_json
from supervisor.config.problems import Wrong, shown
from supervisor.config.unknown_keys import meant
from supervisor.core.model import Api, History, Limits, Notify

T = TypeVar("T")

# What the service itself tells a job; it has the last word on them.
RESERVED_ENV = frozenset(
    f"NIGHTSHIFT_{name}"
    for name in ("JOB", "RUN", "SLOT", "TRIGGER", "ATTEMPT", "TIMEZONE", "INSTANCE")
)
ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_STATUS = Key("", Kind.COUNT, "", "", least=0, most=255)
_BLOCKS: Mapping[str, tuple[type, Mapping[str, Key]]] = {
    name: (kind, {key.name: key for key in keys})
    for name, kind, keys in (
        ("limits", Limits, LIMIT_KEYS),
        ("notify", Notify, NOTIFY_KEYS),
        ("history", History, HISTORY_KEYS),
        ("api", Api, API_KEYS),
    )
}


@dataclass(frozen=True, slots=True)
class Named:
    """The name of a job, and where it is written."""

    name: str
    node: Node


def read_keys(
    doc: Document, pairs: Pairs, table: Mapping[str, Key], path: tuple[str, ...]
) -> dict[str, object]:
    """The values of all keys that are known and right, by the keys' names."""
    values: dict[str, object] = {}
    for name, (key_node, node) in pairs.items():
        key = table.get(name)
        where = (*path, name)
        if key is None:
            hint = meant(name, table.keys(), path, doc.nearest).advice
            doc.report(key_node, where, "unknown key", hint)
            continue
        doc.left_as_written = False
        try:
            values[name] = read_value(doc, key, node, where)
        except Wrong as wrong:
            doc.report_wrong(node, where, wrong)
    return values


def read_value(doc: Document, key: Key, node: Node, path: tuple[str, ...]) -> object:
    """The value that stands under a key. Raises: Wrong."""
    reader = _READERS.get(key.kind)
    if reader is not None:
        return reader(doc, key, node, path)
    if not isinstance(node, ScalarNode):
        raise Wrong(f"expected {scalars.expected(key)}, got {kind_of(node)}")
    value = scalars.read_scalar(key, doc.text(node, path))
    if key.kind is Kind.URL and isinstance(value, str):
        doc.secrets.add_webhook(value)
    return value


def _cron(doc: Document, key: Key, node: Node, path: tuple[str, ...]) -> tuple[str, ...]:
    if isinstance(node, MappingNode) or (isinstance(node, ScalarNode) and not node.value):
        raise Wrong(f"expected {scalars.expected(key)}, got {kind_of(node)}")
    found = [
        _item(doc, item, path, lambda text: () if text == "none" else (scalars.cron(text),))
        for item in doc.items(node)
    ]
    return tuple(dict.fromkeys(text for texts in found if texts for text in texts))


def _command(doc: Document, key: Key, node: Node, path: tuple[str, ...]) -> str | tuple[str, ...]:
    if isinstance(node, ScalarNode):
        line = doc.written(node)
        if not line.strip() or is_nothing(node):
            raise Wrong(f"expected {scalars.expected(key)}, got nothing")
        return line
    if isinstance(node, MappingNode):
        raise Wrong(f"expected {scalars.expected(key)}, got a mapping")
    words = [_item(doc, item, path, str) for item in doc.items(node)]
    if not words or words[0] == "":
        raise Wrong("expected a list that begins with a program, got nothing")
    return tuple(word for word in words if word is not None)


def _names(doc: Document, key: Key, node: Node, path: tuple[str, ...]) -> tuple[Named, ...]:
    found: dict[str, Named] = {}
    for item in doc.items(node):
        name = _item(doc, item, path, str)
        if name is not None:
            found.setdefault(name, Named(name, item))
    return tuple(found.values())


def _statuses(doc: Document, key: Key, node: Node, path: tuple[str, ...]) -> tuple[int, ...]:
    items = doc.items(node)
    if not items:
        raise Wrong(f"expected {scalars.expected(key)}, got nothing")
    found = [_item(doc, item, path, lambda text: _status(key, text)) for item in items]
    return tuple(dict.fromkeys(status for status in found if status is not None))


def _status(key: Key, text: str) -> int:
    try:
        status = scalars.read_scalar(_STATUS, text)
    except Wrong as wrong:
        raise scalars.refuse(key, text) from wrong
    assert isinstance(status, int)
    return status


def _env(
    doc: Document, key: Key, node: Node, path: tuple[str, ...]
) -> tuple[tuple[str, str], ...]:
    if is_nothing(node):
        return ()
    if not isinstance(node, MappingNode):
        # Not the text itself: what is written as NAME=value may hold a secret.
        got = "a text" if isinstance(node, ScalarNode) else "a list"
        raise Wrong(f"expected {key.kind}, got {got}", _as_mapping(node))
    found = []
    for name, (key_node, value_node) in doc.pairs(node, path).items():
        if not ENV_NAME.fullmatch(name):
            message = f"expected a name of letters, digits and _, got {shown(name)}"
            doc.report(key_node, (*path, name), message)
        elif name in RESERVED_ENV:
            doc.report(key_node, (*path, name), "is set by the service for each run")
        else:
            text = _item(doc, value_node, (*path, name), str)
            text = "" if text is None or is_nothing(value_node) else text
            doc.secrets.add_named(name, text)
            found.append((name, text))
    return tuple(found)


def _as_mapping(node: Node) -> str:
    """How variables that are written as a list are written here; values may be secret."""
    items = node.value if isinstance(node, SequenceNode) else [node]
    names = [name for name in map(_name_of_variable, items) if ENV_NAME.fullmatch(name)]
    listed = ", ".join(f"{name}: ..." for name in names[:3])
    return f'write a mapping: "env: {{{listed or "NAME: value"}}}"'


def _name_of_variable(item: Node) -> str:
    """`A` of `A=x`, of `A: x` and of `{name: A, value: x}`."""
    if isinstance(item, ScalarNode):
        return str(item.value).partition("=")[0]
    if not isinstance(item, MappingNode):
        return ""
    pairs = {str(key.value): value for key, value in item.value if isinstance(key, ScalarNode)}
    named = pairs.get("name")
    return str(named.value) if isinstance(named, ScalarNode) else next(iter(pairs), "")


def _params(doc: Document, key: Key, node: Node, path: tuple[str, ...]) -> str:
    return params_json(doc, node, path)


def _block(doc: Document, key: Key, node: Node, path: tuple[str, ...]) -> object:
    kind, table = _BLOCKS[key.name]
    if is_nothing(node):
        return kind()
    return kind(**read_keys(doc, doc.pairs(node, path), table, path))


def _item(doc: Document, node: Node, path: Sequence[str], read: Callable[[str], T]) -> T | None:
    """The value of an item; None with its problem reported."""
    try:
        return read(doc.text(node, path))
    except Wrong as wrong:
        doc.report_wrong(node, path, wrong)
        return None


_Reader = Callable[[Document, Key, Node, tuple[str, ...]], object]
_READERS: Mapping[Kind, _Reader] = {
    Kind.CRON: _cron,
    Kind.COMMAND: _command,
    Kind.NAMES: _names,
    Kind.STATUSES: _statuses,
    Kind.ENV: _env,
    Kind.PARAMS: _params,
    Kind.BLOCK: _block,
}
