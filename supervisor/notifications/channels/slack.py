"""Slack webhooks: Block Kit blocks, and one line of plain text.

Every text is made visible first (`alert_text.py`). Then it is escaped and cut to
Slack's limits (3,000 characters per text, 50 blocks).
"""

import json
import re
from collections.abc import Iterator
from typing import Any

from supervisor.notifications.alert_text import (
    AlertContext,
    Mask,
    commands,
    facts,
    has_cause,
    headline,
    origin,
    sign,
    test_line,
    title,
    visible,
)
from supervisor.notifications.call_result import CallResult
from supervisor.notifications.channel_kind import ChannelKind, Message, Post, Target

Block = dict[str, Any]

MOST_TEXT = 2900  # of 3,000
MOST_FIELD = 1900  # of 2,000
MOST_HEADER = 140  # of 150
LAST_LINES = 12

# Backticks that would end a code block, or merge with its delimiters.
_FRAME_ENDS = re.compile(r"```|\A`+|`+\Z")
QUOTE = "'"

_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
_HALF_ENTITY = re.compile(r"&[a-z]*$")
_JSON = {"Content-Type": "application/json"}


def message(about: AlertContext, mask: Mask) -> Message:
    """Return the JSON body of one POST."""
    line = _mrkdwn(headline(about.alert), mask, MOST_TEXT)
    return {"text": line, "blocks": list(_blocks(about, mask))}


def test_message(host: str) -> Message:
    """Return the JSON body of a test alert."""
    line = test_line(host)
    return {"text": line, "blocks": [_section(line)]}


def send(to: Target, body: Message, post: Post) -> CallResult:
    """Post a message; retry as plain text if the receiver does not understand its blocks."""
    answer = post(to.url, json.dumps(body).encode(), _JSON)
    if answer.is_bad_request and "blocks" in body:
        return post(to.url, json.dumps({"text": body["text"]}).encode(), _JSON)
    return answer


def _blocks(about: AlertContext, mask: Mask) -> Iterator[Block]:
    alert = about.alert
    header = _cut(visible(f"{sign(alert)} {title(alert)}", mask), MOST_HEADER)
    yield {"type": "header", "text": {"type": "plain_text", "text": header, "emoji": True}}
    if has_cause(alert):
        cause = _framed(_cut(_escaped(alert.cause, mask), MOST_TEXT - 40) or "-")
        yield _section(f"*Cause*\n{cause}")
    fields = [
        {"type": "mrkdwn", "text": f"*{name}*\n{_mrkdwn(text, mask, MOST_FIELD)}"}
        for name, text in facts(about)
    ]
    if fields:
        yield {"type": "section", "fields": fields[:10]}
    if about.output and has_cause(alert):
        shown = _framed(_last_lines(about.output, mask))
        yield _section(f"*Last lines of its output*\n{shown}")
    if about.job is not None and (about.job.docs or about.job.description):
        said = " - ".join(filter(None, (about.job.description, about.job.docs)))
        yield _context(_mrkdwn(said, mask, MOST_FIELD))
    typed = " or ".join(f"`{command}`" for command in commands(alert))
    stands = _mrkdwn(origin(about), mask, 150)
    yield _context(f"{stands}. Next: {typed}" if typed else stands)


def _last_lines(lines: tuple[str, ...], mask: Mask) -> str:
    """Return the newest lines that fit, masked together: a secret may span lines."""
    text = _escaped("\n".join(lines), mask)
    kept = "\n".join(text.splitlines()[-LAST_LINES:])
    if len(kept) <= MOST_TEXT - 100:
        return kept
    cut = kept[-(MOST_TEXT - 100) :]
    # Remove the rest of an entity that was cut, such as `&amp;`.
    return "…" + re.sub(r"^[a-z]{0,4};", "", cut)


def _framed(escaped: str) -> str:
    """Return the text in a code block, where Slack ignores `*`, `_`, `~` and backticks."""
    return f"```{_FRAME_ENDS.sub(lambda found: QUOTE * len(found[0]), escaped)}```"


def _mrkdwn(text: str, mask: Mask, room: int) -> str:
    return _cut(_escaped(text, mask), room)


def _escaped(text: str, mask: Mask) -> str:
    return visible(text, mask).translate(_ESCAPES)


def _cut(shown: str, room: int) -> str:
    return shown if len(shown) <= room else _HALF_ENTITY.sub("", shown[: room - 1]) + "…"


def _section(text: str) -> Block:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}}


def _context(text: str) -> Block:
    return {"type": "context", "elements": [{"type": "mrkdwn", "text": text}]}


KIND = ChannelKind(message, test_message, send)
