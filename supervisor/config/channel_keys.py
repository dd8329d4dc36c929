"""The keys of each kind of notification channel, and of the block `notify`.

A kind is named by the key that holds its address: `slack: URL`. The module of the same
name in `supervisor/notifications/channels/` sends to it.
"""

from collections.abc import Mapping

from supervisor.config.key import Key, ValueKind
from supervisor.core.model import Severity

# Kind -> its keys, the one with the address first.
CHANNEL_KINDS: Mapping[str, tuple[Key, ...]] = {
    "slack": (Key("slack", ValueKind.URL, "none", "URL of a Slack webhook", none=True),),
}

NOTIFY_KEYS = (
    *(key for keys in CHANNEL_KINDS.values() for key in keys),
    Key(
        "min_severity",
        ValueKind.CHOICE,
        "error",
        "how loud an incident must be to be delivered",
        choices=tuple(Severity),
    ),
)
