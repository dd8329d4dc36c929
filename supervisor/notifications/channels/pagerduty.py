"""PagerDuty: events of its Events API v2, one incident there for one here.

https://developer.pagerduty.com/docs/events-api-v2-overview
"""

import json

from supervisor.core.incidents import AlertKind
from supervisor.notifications.alert_text import (
    AlertContext,
    Mask,
    cut,
    headline,
    lines,
    test_line,
    visible,
)
from supervisor.notifications.call_result import CallResult
from supervisor.notifications.channel_kind import ChannelKind, Message, Post, Target

MOST_SUMMARY = 1000  # of 1,024
MOST_DETAILS = 8000
_JSON = {"Content-Type": "application/json"}


def message(about: AlertContext, mask: Mask) -> Message:
    """Return the event; the recovery resolves what the other alerts have triggered."""
    alert = about.alert
    is_over = alert.word == AlertKind.RECOVERED
    return {
        "event_action": "resolve" if is_over else "trigger",
        "dedup_key": visible(about.key, mask)[:255],
        "payload": {
            "summary": cut(visible(headline(alert), mask), MOST_SUMMARY),
            "source": visible(about.host, mask),
            "severity": alert.severity,
            "timestamp": alert.at.isoformat(),
            "component": alert.job or "nightshift",
            "class": alert.kind,
            "custom_details": {"text": lines(about, mask, MOST_DETAILS)},
        },
    }


def test_message(host: str) -> Message:
    """Return an event of the lowest severity."""
    return {
        "event_action": "trigger",
        "dedup_key": f"nightshift/{host}/test",
        "payload": {"summary": test_line(host), "source": host, "severity": "info"},
    }


def send(to: Target, body: Message, post: Post) -> CallResult:
    """Post the event with the key of the service."""
    event = {**body, "routing_key": to.settings["routing_key"]}
    return post(to.url, json.dumps(event).encode(), _JSON)


KIND = ChannelKind(message, test_message, send)
