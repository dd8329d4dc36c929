"""Webhooks by the Standard Webhooks specification: JSON, signed if there is a secret.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
A retry carries the same `webhook-id`, by which the receiver can drop what it has.
"""

import base64
import hashlib
import hmac
import json
import time

from supervisor.notifications.alert_text import (
    AlertContext,
    Mask,
    commands,
    cut,
    newest_lines,
    test_line,
    title,
    visible,
)
from supervisor.notifications.call_result import CallResult
from supervisor.notifications.channel_kind import ChannelKind, Message, Post, Target

MOST_CAUSE, MOST_OUTPUT = 4000, 4000
_SHOWN = ("id", "incident", "severity", "job", "kind", "cause", "count", "run", "folded")


def message(about: AlertContext, mask: Mask) -> Message:
    """Return the payload of an alert and its id."""
    alert = about.alert
    data = {name: getattr(alert, name) for name in _SHOWN}
    data |= {name: cut(visible(data[name], mask), MOST_CAUSE) for name in ("job", "cause")}
    data["title"] = visible(title(alert), mask)
    data["host"] = visible(about.host, mask)
    data["lasted_seconds"] = alert.lasted_s
    data["key"] = about.key
    data["output"] = newest_lines(about, mask, MOST_OUTPUT)
    data["next"] = commands(alert)
    if about.summary:
        data["summary"] = [
            {"name": name, "text": visible(text, mask)} for name, text in about.summary
        ]
    if about.run is not None:
        data["state"], data["attempt"] = about.run.state, about.run.attempt
    payload = {"type": f"alert.{alert.word}", "timestamp": alert.at.isoformat(), "data": data}
    return {"id": about.message_id, "payload": payload}


def test_message(host: str) -> Message:
    """Return the payload of a test alert."""
    payload = {"type": "alert.test", "data": {"title": test_line(host), "host": host}}
    return {"id": "", "payload": payload}


def send(to: Target, body: Message, post: Post) -> CallResult:
    """Post the payload with its id, the present time and the signature."""
    at = str(int(time.time()))
    number = body["id"] or f"test-{at}"
    payload = {"timestamp": at, **body["payload"]}
    text = json.dumps(payload, ensure_ascii=False).encode(errors="replace")
    headers = {
        "Content-Type": "application/json",
        "webhook-id": number,
        "webhook-timestamp": at,
    }
    if to.settings.get("secret"):
        headers["webhook-signature"] = _signature(to.settings["secret"], number, at, text)
    return post(to.url, text, headers)


def _signature(secret: str, number: str, at: str, text: bytes) -> str:
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = hmac.new(key, f"{number}.{at}.".encode() + text, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(signed).decode()}"


KIND = ChannelKind(message, test_message, send)
