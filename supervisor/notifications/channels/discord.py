"""Discord webhooks: one embed with the text in a code block.

https://discord.com/developers/docs/resources/webhook#execute-webhook
Nothing in a message mentions people, whatever a job prints.
"""

import json
import re

from supervisor.core.incidents import AlertKind
from supervisor.notifications.alert_text import (
    AlertContext,
    Mask,
    cut,
    lines,
    sign,
    test_line,
    title,
    visible,
)
from supervisor.notifications.call_result import CallResult
from supervisor.notifications.channel_kind import ChannelKind, Message, Post, Target

MOST_TITLE = 250  # of 256
MOST_TEXT = 3800  # of 4,096, and of 6,000 for all texts together
GREEN, RED, AMBER = 0x2EB67D, 0xE01E5A, 0xECB22E
_JSON = {"Content-Type": "application/json"}
_MARKDOWN = re.compile(r"([\\*_~`|>#\[\]()-])")


def message(about: AlertContext, mask: Mask) -> Message:
    """Return the JSON body of one POST."""
    alert = about.alert
    colour = RED if alert.severity in ("critical", "error") else AMBER
    colour = GREEN if alert.word == AlertKind.RECOVERED else colour
    # A code block ends at three backticks; outside of it, markdown is escaped.
    text = lines(about, mask, MOST_TEXT).replace("```", "'''")
    head = cut(visible(f"{sign(alert)} {title(alert)}", mask), MOST_TITLE // 2)
    return _body(_MARKDOWN.sub(r"\\\1", head), f"```\n{text}\n```", colour)


def test_message(host: str) -> Message:
    """Return the JSON body of a test alert."""
    return _body("nightshift", test_line(host), AMBER)


def send(to: Target, body: Message, post: Post) -> CallResult:
    """Post a message."""
    return post(to.url, json.dumps(body).encode(), _JSON)


def _body(head: str, text: str, colour: int) -> Message:
    embed = {"title": head, "description": text, "color": colour}
    return {"embeds": [embed], "allowed_mentions": {"parse": []}}


KIND = ChannelKind(message, test_message, send)
