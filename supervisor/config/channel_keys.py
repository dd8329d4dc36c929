"""The keys of the block `notify`: of all channels, and of each kind of channel.

A kind is named by the key that holds its address: `slack: URL`. The module of the same
name in `supervisor/notifications/channels/` sends to it.
"""

from collections.abc import Mapping
from urllib.parse import urlsplit

from supervisor.config.key import Key, ValueKind
from supervisor.core.config_model import Severity

# Kind -> its keys, the one with the address first.
CHANNEL_KINDS: Mapping[str, tuple[Key, ...]] = {
    "slack": (Key("slack", ValueKind.URL, "none", "URL of a Slack webhook", none=True),),
    "webhook": (
        Key(
            "webhook",
            ValueKind.URL,
            "none",
            "URL that takes JSON by the Standard Webhooks specification",
            none=True,
        ),
        Key("secret", ValueKind.SIGNING_KEY, "none", "what the JSON is signed with", none=True),
    ),
    "smtp": (
        Key(
            "smtp",
            ValueKind.SERVER_URL,
            "none",
            "the mail server: smtps (TLS, port 465) or smtp (STARTTLS, port 587)",
            examples=("smtps://user@mail.example.org",),
            none=True,
            choices=("smtps", "smtp"),
        ),
        Key("to", ValueKind.MAIL_ADDRESSES, "", "who gets the mail", required=True),
        Key("from", ValueKind.MAIL_ADDRESS, "", "whom the mail is from", required=True),
        Key("password", ValueKind.SECRET, "none", "the password of the user", none=True),
        Key("starttls", ValueKind.BOOL, "true", "false: smtp is not encrypted"),
    ),
    "discord": (Key("discord", ValueKind.URL, "none", "URL of a Discord webhook", none=True),),
    "teams": (
        Key("teams", ValueKind.URL, "none", "URL of a Teams workflow's webhook", none=True),
    ),
    "pagerduty": (
        Key(
            "pagerduty",
            ValueKind.URL,
            "none",
            "URL of the Events API",
            examples=("https://events.pagerduty.com/v2/enqueue",),
            none=True,
        ),
        Key("routing_key", ValueKind.SECRET, "", "the integration key", required=True),
    ),
    "opsgenie": (
        Key(
            "opsgenie",
            ValueKind.URL,
            "none",
            "URL of the Alert API",
            examples=("https://api.opsgenie.com/v2/alerts",),
            none=True,
        ),
        Key("api_key", ValueKind.SECRET, "", "the key of the integration", required=True),
    ),
    "apprise": (
        Key(
            "apprise",
            ValueKind.SERVICE_URL,
            "none",
            "URL of any service that apprise knows (needs the extra notify)",
            examples=("ntfys://ntfy.sh/topic",),
            none=True,
        ),
    ),
}
# Kinds that may stand in `notify` itself, as a channel that is named after its kind.
SHORT_KINDS = ("slack",)

# Webhooks other than those of Slack, by the end of the host.
_HOSTS = {
    "discord.com": "discord",
    "discordapp.com": "discord",
    "logic.azure.com": "teams",
    "powerplatform.com": "teams",
}

# Kinds that wake people, and so get no summary unless it is asked for.
PAGERS = ("pagerduty", "opsgenie")

_SEVERITY = Key(
    "min_severity",
    ValueKind.CHOICE,
    "error",
    "how loud an incident must be to be delivered",
    choices=tuple(Severity),
)

# Keys of a channel of any kind.
CHANNEL_KEYS = (
    Key(
        "min_severity",
        ValueKind.CHOICE,
        "",
        "how loud an incident must be for this channel; otherwise min_severity of notify",
        choices=tuple(Severity),
    ),
    Key("jobs", ValueKind.NAMES, "[]", "only incidents of these jobs", examples=("[backup]",)),
    Key(
        "groups",
        ValueKind.GROUPS,
        "[]",
        "only incidents of jobs in these groups (exclusive), and of those in jobs",
        examples=("[nas]",),
    ),
    Key(
        "quiet",
        ValueKind.HOURS,
        "none",
        "hours in which alerts wait; what came and went is then sent as one",
        examples=("22:00-07:00",),
        none=True,
    ),
    Key("timezone", ValueKind.ZONE, "", "the zone of quiet; otherwise the file's timezone"),
    Key(
        "summary",
        ValueKind.BOOL,
        "",
        "whether it gets the summary; otherwise all do but those that wake people",
    ),
)

NOTIFY_KEYS = (
    *(CHANNEL_KINDS[kind][0] for kind in SHORT_KINDS),
    Key(
        "channels",
        ValueKind.CHANNELS,
        "{}",
        "the channels by their names, each with the keys of one kind",
        examples=('{ops: {slack: "${SLACK_URL}"}}',),
    ),
    _SEVERITY,
    Key(
        "summary",
        ValueKind.CRON,
        "",
        "when a summary of the time since the last one is sent, in the file's timezone",
        examples=("0 8 * * *", "0 8 * * mon"),
    ),
)


def kind_of_url(url: str) -> str:
    """Return the kind of a channel: that of a known host, apprise for other schemes, or slack.

    Anything that takes `{"text": ...}` is of the kind slack, and so is what cannot be split:
    `check` says what is wrong with it.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        return "slack"
    if parts.scheme not in ("http", "https"):
        return "apprise"
    labels = (parts.hostname or "").split(".")
    return _HOSTS.get(".".join(labels[-2:])) or _HOSTS.get(".".join(labels[-3:]), "slack")
