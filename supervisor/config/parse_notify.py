"""Reads the block `notify` of jobs.yaml: the channel to which alerts are sent.

The keys of each kind of channel are in `channel_keys.py`. Enter by `read_notify`.
"""

from collections.abc import Mapping

import msgspec

from supervisor.config.channel_keys import CHANNEL_KINDS, NOTIFY_KEYS
from supervisor.config.parse_context import Pairs, ParseContext
from supervisor.config.parse_values import read_keys
from supervisor.core.model import Channel, Notify, Severity

_PATH = ("notify",)
_TABLE = {key.name: key for key in NOTIFY_KEYS}


def read_notify(doc: ParseContext, pairs: Pairs) -> Notify:
    """Return the channel of the block; report problems, also a second channel."""
    values = read_keys(doc, pairs, _TABLE, _PATH)
    severity = values.get("min_severity") or Severity.ERROR
    assert isinstance(severity, Severity)
    found = [kind for kind in CHANNEL_KINDS if values.get(kind) is not None]
    for other in found[1:]:
        doc.report(pairs[other][0], (*_PATH, other), f"expected one channel, {found[0]} is one")
    return Notify(_channel(found[0], values, severity)) if found else Notify()


def _channel(kind: str, values: Mapping[str, object], min_severity: Severity) -> Channel:
    """Return the channel that is named after its kind."""
    given = {key.name: values[key.name] for key in CHANNEL_KINDS[kind][1:] if key.name in values}
    settings = msgspec.json.encode(given).decode()
    return Channel(kind, kind, str(values[kind]), settings, min_severity)
