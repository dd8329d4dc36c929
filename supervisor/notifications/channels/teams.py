"""Microsoft Teams: an adaptive card for a webhook of its Workflows.

https://learn.microsoft.com/microsoftteams/platform/webhooks-and-connectors/how-to/connectors-using
Texts stand in text runs, in which Teams interprets no markdown.
"""

import json

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

MOST_HEAD = 500
# A message may have 28 KB: characters take up to four bytes, and each line a block.
MOST_TEXT = 4000
FIRST_LINES, LAST_LINES = 40, 15
_JSON = {"Content-Type": "application/json"}


def message(about: AlertContext, mask: Mask) -> Message:
    """Return the JSON body of one POST."""
    head = cut(visible(headline(about.alert), mask), MOST_HEAD)
    return _card(head, lines(about, mask, MOST_TEXT))


def test_message(host: str) -> Message:
    """Return the JSON body of a test alert."""
    return _card(test_line(host), "")


def send(to: Target, body: Message, post: Post) -> CallResult:
    """Post a message."""
    return post(to.url, json.dumps(body, ensure_ascii=False).encode(errors="replace"), _JSON)


def _card(head: str, text: str) -> Message:
    body = [_run(head, weight="bolder", size="medium")]
    shown = text.splitlines()
    if len(shown) > FIRST_LINES + LAST_LINES:
        shown = [*shown[:FIRST_LINES], "…", *shown[-LAST_LINES:]]
    body += [_run(line or " ", fontType="monospace") for line in shown]
    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "msteams": {"width": "Full"},
        "body": body,
    }
    kind = "application/vnd.microsoft.card.adaptive"
    return {"type": "message", "attachments": [{"contentType": kind, "content": card}]}


def _run(text: str, **style: str) -> Message:
    run = {"type": "TextRun", "text": text, **style}
    return {"type": "RichTextBlock", "spacing": "none", "inlines": [run]}


KIND = ChannelKind(message, test_message, send)
