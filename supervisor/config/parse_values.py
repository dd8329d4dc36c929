"""Readers for values that are lists or mappings, and the dispatch from key to reader.

A reader raises `BadValueError` if the value as a whole is unusable. It reports problems
inside the value itself and continues, so that one load finds them all. Scalars are read
in `scalars.py`. Enter by `read_keys`.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from msgspec import Struct

from supervisor.config import scalars
from supervisor.config.key import Key, ValueKind
from supervisor.config.key_table import API_KEYS, HISTORY_KEYS, LIMIT_KEYS
from supervisor.config.parse_context import Pairs, ParseContext, is_nothing, kind_name
from supervisor.config.problems import BadValueError, quote_value
from supervisor.config.unknown_keys import meant
from supervisor.config.with_block import params_json
from supervisor.config.yaml_nodes import MappingNode, Node, ScalarNode, SequenceNode
from supervisor.core.config_model import Api, History, Limits, Severity

T = TypeVar("T")

# Variables that the service sets for each run; jobs.yaml cannot override them.
RESERVED_ENV = frozenset(
    f"NIGHTSHIFT_{name}"
    for name in ("JOB", "RUN", "SLOT", "TRIGGER", "ATTEMPT", "TIMEZONE", "INSTANCE", "FENCE")
)
ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_STATUS = Key("", ValueKind.COUNT, "", "", least=0, most=255)
_BLOCKS: Mapping[str, tuple[type, Mapping[str, Key]]] = {
    name: (kind, {key.name: key for key in keys})
    for name, kind, keys in (
        ("limits", Limits, LIMIT_KEYS),
        ("history", History, HISTORY_KEYS),
        ("api", Api, API_KEYS),
    )
}


class NameRef(Struct, frozen=True):
    """A name of a job or group and the node that holds it."""

    name: str
    node: Node


def read_keys(
    doc: ParseContext, pairs: Pairs, table: Mapping[str, Key], path: tuple[str, ...]
) -> dict[str, object]:
    """Return the values of all known, valid keys, by key name; report the other keys."""
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
        except BadValueError as wrong:
            doc.report_wrong(node, where, wrong)
    return values


def read_value(doc: ParseContext, key: Key, node: Node, path: tuple[str, ...]) -> object:
    """Return the value of a key. Raises: BadValueError."""
    reader = _READERS.get(key.kind)
    if reader is not None:
        return reader(doc, key, node, path)
    if not isinstance(node, ScalarNode):
        raise BadValueError(f"expected {scalars.expected_text(key)}, got {kind_name(node)}")
    value = scalars.read_scalar(key, doc.text(node, path))
    if isinstance(value, str):
        _keep_secret(doc, key.kind, value)
    return value


def _keep_secret(doc: ParseContext, kind: ValueKind, text: str) -> None:
    match kind:
        case ValueKind.URL:
            doc.secrets.add_webhook(text)
        case ValueKind.SERVICE_URL:
            doc.secrets.add_service_url(text)
        case ValueKind.SECRET:
            doc.secrets.add(text)
        case ValueKind.SIGNING_KEY:
            doc.secrets.add(text)
            doc.secrets.add(text.removeprefix(scalars.SIGNING_PREFIX))


def _cron(doc: ParseContext, key: Key, node: Node, path: tuple[str, ...]) -> tuple[str, ...]:
    if isinstance(node, MappingNode) or (isinstance(node, ScalarNode) and not node.value):
        raise BadValueError(f"expected {scalars.expected_text(key)}, got {kind_name(node)}")
    found = [
        _item(doc, item, path, lambda text: () if text == "none" else (scalars.cron(text),))
        for item in doc.items(node)
    ]
    return tuple(dict.fromkeys(text for texts in found if texts for text in texts))


def _command(
    doc: ParseContext, key: Key, node: Node, path: tuple[str, ...]
) -> str | tuple[str, ...]:
    if isinstance(node, ScalarNode):
        line = doc.written(node)
        if not line.strip() or is_nothing(node):
            raise BadValueError(f"expected {scalars.expected_text(key)}, got nothing")
        return line
    if isinstance(node, MappingNode):
        raise BadValueError(f"expected {scalars.expected_text(key)}, got a mapping")
    words = [_item(doc, item, path, str) for item in doc.items(node)]
    if not words or words[0] == "":
        raise BadValueError("expected a list that begins with a program, got nothing")
    return tuple(word for word in words if word is not None)


def _names(doc: ParseContext, key: Key, node: Node, path: tuple[str, ...]) -> tuple[NameRef, ...]:
    found: dict[str, NameRef] = {}
    for item in doc.items(node):
        name = _item(doc, item, path, str)
        if name is not None:
            found.setdefault(name, NameRef(name, item))
    return tuple(found.values())


def _labels(doc: ParseContext, key: Key, node: Node, path: tuple[str, ...]) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for item in doc.items(node):
        for label in _item(doc, item, path, scalars.labels) or ():
            found.setdefault(label)
    return tuple(found)


def _mail_addresses(
    doc: ParseContext, key: Key, node: Node, path: tuple[str, ...]
) -> tuple[str, ...]:
    found = [_item(doc, item, path, scalars.mail_address) for item in doc.items(node)]
    return tuple(dict.fromkeys(address for address in found if address is not None))


def _statuses(doc: ParseContext, key: Key, node: Node, path: tuple[str, ...]) -> tuple[int, ...]:
    items = doc.items(node)
    if not items:
        raise BadValueError(f"expected {scalars.expected_text(key)}, got nothing")
    found = [_item(doc, item, path, lambda text: _status(key, text)) for item in items]
    return tuple(dict.fromkeys(status for status in found if status is not None))


def _status(key: Key, text: str) -> int:
    try:
        status = scalars.read_scalar(_STATUS, text)
    except BadValueError as wrong:
        raise scalars.bad_value(key, text) from wrong
    assert isinstance(status, int)
    return status


def _env(
    doc: ParseContext, key: Key, node: Node, path: tuple[str, ...]
) -> tuple[tuple[str, str], ...]:
    if is_nothing(node):
        return ()
    if not isinstance(node, MappingNode):
        # The message omits the text: NAME=value may hold a secret.
        got = "a text" if isinstance(node, ScalarNode) else "a list"
        raise BadValueError(f"expected {key.kind}, got {got}", _as_mapping(node))
    found = []
    for name, (key_node, value_node) in doc.pairs(node, path).items():
        if not ENV_NAME.fullmatch(name):
            message = f"expected a name of letters, digits and _, got {quote_value(name)}"
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
    """Return a hint that shows `env` as a mapping; names only, values may be secret."""
    items = node.value if isinstance(node, SequenceNode) else [node]
    names = [name for name in map(_name_of_variable, items) if ENV_NAME.fullmatch(name)]
    listed = ", ".join(f"{name}: ..." for name in names[:3])
    return f'write a mapping: "env: {{{listed or "NAME: value"}}}"'


def _name_of_variable(item: Node) -> str:
    """Return `A` for `A=x`, for `A: x` and for `{name: A, value: x}`."""
    if isinstance(item, ScalarNode):
        return str(item.value).partition("=")[0]
    if not isinstance(item, MappingNode):
        return ""
    pairs = {str(key.value): value for key, value in item.value if isinstance(key, ScalarNode)}
    named = pairs.get("name")
    return str(named.value) if isinstance(named, ScalarNode) else next(iter(pairs), "")


def _group(doc: ParseContext, key: Key, node: Node, path: tuple[str, ...]) -> object:
    """Return the group; warn of a name that older YAML reads as true or false."""
    if not isinstance(node, ScalarNode):
        raise BadValueError(f"expected {scalars.expected_text(key)}, got {kind_name(node)}")
    group = scalars.read_scalar(key, doc.text(node, path))
    if isinstance(group, str):
        # Late: only a file with groups needs the words of other schedulers.
        from supervisor.config import foreign_keys

        if advice := foreign_keys.bool_advice(group):
            text = f"{quote_value(group)} is the name of a group here"
            doc.report(node, path, text, advice, Severity.WARNING)
    return group


def _params(doc: ParseContext, key: Key, node: Node, path: tuple[str, ...]) -> str:
    return params_json(doc, node, path)


def _block(doc: ParseContext, key: Key, node: Node, path: tuple[str, ...]) -> object:
    kind, table = _BLOCKS[key.name]
    if is_nothing(node):
        return kind()
    return kind(**read_keys(doc, doc.pairs(node, path), table, path))


def _item(
    doc: ParseContext, node: Node, path: Sequence[str], read: Callable[[str], T]
) -> T | None:
    """Return the value of one item; None after reporting a problem."""
    try:
        return read(doc.text(node, path))
    except BadValueError as wrong:
        doc.report_wrong(node, path, wrong)
        return None


_Reader = Callable[[ParseContext, Key, Node, tuple[str, ...]], object]
_READERS: Mapping[ValueKind, _Reader] = {
    ValueKind.CRON: _cron,
    ValueKind.COMMAND: _command,
    ValueKind.NAMES: _names,
    ValueKind.GROUP: _group,
    ValueKind.GROUPS: _names,
    ValueKind.LABELS: _labels,
    ValueKind.MAIL_ADDRESSES: _mail_addresses,
    ValueKind.STATUSES: _statuses,
    ValueKind.ENV: _env,
    ValueKind.PARAMS: _params,
    ValueKind.BLOCK: _block,
}
