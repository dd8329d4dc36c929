"""Worker that posts alert messages in order and stops at the first failure.

It uses the worker protocol: the metric `delivered` counts the messages that arrived,
and the error text is the cause. The error is permanent if the channel refuses.
"""

import json
import signal
from typing import Any

import requests

from supervisor.notifications.child.http_call import CallResult, call
from supervisor.notifications.child.messages import CALL_S, DELIVERED, RETRY_AFTER
from workers.report import Report


def run(params: dict[str, Any], report: Report) -> None:
    """Post `messages` to `url`, one after another."""
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
    """Post a message; retry as plain text if the channel does not understand its blocks."""
    answer = _post(session, url, message)
    if answer.is_bad_request and "blocks" in message:
        return _post(session, url, {"text": message["text"]})
    return answer


def _post(session: requests.Session, url: str, message: dict[str, Any]) -> CallResult:
    return call(session, "POST", url, json.dumps(message).encode(), "application/json")
