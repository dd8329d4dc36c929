"""Opsgenie: alerts of its Alert API, opened and closed by one alias.

https://docs.opsgenie.com/docs/alert-api
"""

import json
from urllib.parse import quote

from supervisor.core.config_model import Severity
from supervisor.core.incidents import AlertKind
from supervisor.notifications.alert_text import (
    AlertContext,
    Mask,
    cut,
    lines,
    test_line,
    title,
    visible,
)
from supervisor.notifications.call_result import CallResult
from supervisor.notifications.channel_kind import ChannelKind, Message, Post, Target

MOST_MESSAGE = 130
MOST_DESCRIPTION = 14_000  # of 15,000
_PRIORITIES = {
    Severity.CRITICAL: "P1",
    Severity.ERROR: "P3",
    Severity.WARNING: "P4",
    Severity.INFO: "P5",
}


def message(about: AlertContext, mask: Mask) -> Message:
    """Return the alias, whether it is to be closed, and the body of the request."""
    alert = about.alert
    body = {"source": visible(about.host, mask), "note": visible(title(alert), mask)}
    is_over = alert.word == AlertKind.RECOVERED
    if not is_over:
        body |= {
            "message": cut(visible(title(alert), mask), MOST_MESSAGE),
            "description": lines(about, mask, MOST_DESCRIPTION),
            "priority": _PRIORITIES[alert.severity],
            "entity": alert.job or "nightshift",
        }
    return {"alias": visible(about.key, mask)[:512], "is_over": is_over, "body": body}


def test_message(host: str) -> Message:
    """Return an alert of the lowest priority."""
    body = {"message": cut(test_line(host), MOST_MESSAGE), "source": host, "priority": "P5"}
    return {"alias": f"nightshift/{host}/test", "is_over": False, "body": body}


def send(to: Target, body: Message, post: Post) -> CallResult:
    """Open the alert of the alias, or close it."""
    url, request = to.url.rstrip("/"), dict(body["body"])
    if body["is_over"]:
        url += f"/{quote(body['alias'], safe='')}/close?identifierType=alias"
    else:
        request["alias"] = body["alias"]
    headers = {
        "Content-Type": "application/json",
        "Authorization": f"GenieKey {to.settings['api_key']}",
    }
    return post(url, json.dumps(request).encode(), headers)


KIND = ChannelKind(message, test_message, send)
