"""Reads the block `notify` of jobs.yaml: the channels to which alerts are sent.

The keys of each kind of channel are in `channel_keys.py`. Enter by `read_notify`.
"""

from collections.abc import Collection, Iterable

import msgspec
from msgspec import Struct

from supervisor.config import scalars
from supervisor.config.channel_keys import (
    CHANNEL_KEYS,
    CHANNEL_KINDS,
    NOTIFY_KEYS,
    PAGERS,
    SHORT_KINDS,
)
from supervisor.config.key import Key
from supervisor.config.parse_context import Pairs, ParseContext, is_nothing, kind_name
from supervisor.config.parse_values import NameRef, read_keys
from supervisor.config.problems import BadValueError
from supervisor.config.yaml_nodes import Node, ScalarNode
from supervisor.core.config_model import Channel, Notify, QuietHours, Severity

# Each channel may have a process of its own at the same time.
MOST_CHANNELS = 20

_PATH = ("notify",)
_TABLE = {key.name: key for key in NOTIFY_KEYS}
_ALL = (*CHANNEL_KEYS, *(key for keys in CHANNEL_KINDS.values() for key in keys))
_CHANNEL_TABLE = {key.name: key for key in _ALL}


class Scope(Struct, frozen=True):
    """What the channels refer to: the zone, the jobs and the groups of the file."""

    timezone: str
    jobs: Collection[str]
    groups: Collection[str]


def read_notify(doc: ParseContext, pairs: Pairs, scope: Scope) -> Notify:
    """Return the channels of the block; report problems."""
    channel_pairs = _channel_pairs(doc, pairs)
    rest = {name: pair for name, pair in pairs.items() if name != "channels"}
    values = read_keys(doc, rest, _TABLE, _PATH)
    severity = values.get("min_severity") or Severity.ERROR
    assert isinstance(severity, Severity)
    found = [
        Channel(kind, kind, str(values[kind]), min_severity=severity)
        for kind in SHORT_KINDS
        if values.get(kind) is not None
    ]
    for name, (key_node, node) in channel_pairs.items():
        path = (*_PATH, "channels", name)
        if name in (short.name for short in found):
            doc.report(key_node, path, f"expected another name: notify.{name} is a channel")
        channel = _channel(doc, name, key_node, node, scope, severity)
        if channel is not None:
            found.append(channel)
    summary = values.get("summary", ())
    assert isinstance(summary, tuple)
    return Notify(tuple(found), summary)


def _channel_pairs(doc: ParseContext, pairs: Pairs) -> Pairs:
    if "channels" not in pairs or is_nothing(pairs["channels"][1]):
        return {}
    node = pairs["channels"][1]
    path = (*_PATH, "channels")
    try:
        found = doc.pairs(node, path)
    except BadValueError:
        doc.report(node, path, f"expected a mapping of names to channels, got {kind_name(node)}")
        return {}
    if len(found) > MOST_CHANNELS:
        doc.report(node, path, f"expected at most {MOST_CHANNELS} channels, got {len(found)}")
    return dict(list(found.items())[:MOST_CHANNELS])


def _channel(
    doc: ParseContext,
    name: str,
    key_node: Node,
    node: Node,
    scope: Scope,
    severity: Severity,
) -> Channel | None:
    """Return the channel; None after a report, or if its address is `none`."""
    path = (*_PATH, "channels", name)
    try:
        scalars.name(name)
    except BadValueError as wrong:
        doc.report(key_node, path, wrong.message, wrong.hint)
    try:
        own = doc.pairs(node, path)
    except BadValueError:
        # The message omits a text: it may be the address, which is a secret.
        got = "a text" if isinstance(node, ScalarNode) else kind_name(node)
        doc.report(node, path, f"expected a mapping of keys of a channel, got {got}")
        return None
    errors_before = doc.errors
    values = read_keys(doc, own, _CHANNEL_TABLE, path)
    kind = _kind(doc, own, key_node, path)
    _check_names(doc, values, path, scope)
    if kind is None or doc.errors != errors_before or values.get(kind) is None:
        return None
    _check_required(doc, CHANNEL_KINDS[kind], values, key_node, path)
    hours, zone = values.get("quiet"), str(values.get("timezone") or scope.timezone)
    least = values.get("min_severity", severity)
    assert isinstance(least, Severity)
    return Channel(
        name,
        kind,
        url=str(values[kind]),
        settings_json=_settings(CHANNEL_KINDS[kind][1:], values),
        min_severity=least,
        jobs=_names(values, "jobs"),
        groups=_names(values, "groups"),
        quiet=QuietHours(hours[0], hours[1], zone) if isinstance(hours, tuple) else None,
        summary=bool(values.get("summary", kind not in PAGERS)),
    )


def _kind(doc: ParseContext, own: Pairs, key_node: Node, path: tuple[str, ...]) -> str | None:
    """Return the kind of a channel; report if its keys are not those of one kind."""
    kinds = [kind for kind in CHANNEL_KINDS if kind in own]
    if not kinds:
        doc.report(key_node, path, f"expected one of {', '.join(CHANNEL_KINDS)}")
        return None
    kind = kinds[0]
    for other in kinds[1:]:
        doc.report(own[other][0], (*path, other), f"expected one kind of channel, got also {kind}")
    known = {key.name for key in (*CHANNEL_KEYS, *CHANNEL_KINDS[kind])}
    for name in own:
        if name in _CHANNEL_TABLE and name not in known and name not in kinds:
            doc.report(own[name][0], (*path, name), f"is no key of a channel with {kind}")
    return kind


def _check_required(
    doc: ParseContext,
    keys: Iterable[Key],
    values: dict[str, object],
    key_node: Node,
    path: tuple[str, ...],
) -> None:
    for key in keys:
        if key.required and not values.get(key.name):
            what = scalars.expected_text(key)
            doc.report(key_node, (*path, key.name), f"is missing: expected {what}")


def _check_names(
    doc: ParseContext, values: dict[str, object], path: tuple[str, ...], scope: Scope
) -> None:
    """Report jobs and groups that the file does not define."""
    for key, what, known in (("jobs", "job", scope.jobs), ("groups", "group", scope.groups)):
        for named in _refs(values, key):
            if named.name not in known:
                hint = doc.nearest.match(named.name, known)
                doc.report(named.node, (*path, key), f'unknown {what} "{named.name[:63]}"', hint)


def _refs(values: dict[str, object], key: str) -> tuple[NameRef, ...]:
    found = values.get(key, ())
    assert isinstance(found, tuple)
    return found


def _names(values: dict[str, object], key: str) -> tuple[str, ...]:
    return tuple(named.name for named in _refs(values, key))


def _settings(keys: Iterable[Key], values: dict[str, object]) -> str:
    given = {key.name: values[key.name] for key in keys if values.get(key.name) is not None}
    return msgspec.json.encode(given).decode()
