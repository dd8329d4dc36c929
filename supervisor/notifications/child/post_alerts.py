"""The child that posts: messages in their order, none after one that did not arrive.

It speaks as any worker does: `delivered` counts what has arrived, the text of a
failure is its cause, a permanent one is a channel that says no.
"""

import json
import signal
from typing import Any

import requests

from supervisor.notifications.child.http_call import CallResult, call
from supervisor.notifications.child.messages import CALL_S, DELIVERED, RETRY_AFTER
from workers.report import Report


def run(params: dict[str, Any], report: Report) -> None:
    """Post `messages` to `url`, one after the other."""
    session = requests.Session()
    for count, message in enumerate(params["messages"], 1):
        signal.alarm(CALL_S)
        answer = post(session, params["url"], message)
        if not answer.ok:
            signal.alarm(0)
            if answer.retry_after_s is not None:
                report.metric(RETRY_AFTER, answer.retry_after_s)
            report.fail(answer.cause, permanent=answer.refused)
        report.metric(DELIVERED, count)
    signal.alarm(0)


def post(session: requests.Session, url: str, message: dict[str, Any]) -> CallResult:
    """Post a message; as plain text, if the channel does not understand its blocks."""
    answer = _post(session, url, message)
    if answer.is_bad_request and "blocks" in message:
        return _post(session, url, {"text": message["text"]})
    return answer


def _post(session: requests.Session, url: str, message: dict[str, Any]) -> CallResult:
    return call(session, "POST", url, json.dumps(message).encode(), "application/json")
