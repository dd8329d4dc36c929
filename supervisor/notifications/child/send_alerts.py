"""Worker that sends messages to a channel in order and stops at the first failure.

It uses the worker protocol: the metric `delivered` counts the messages that arrived,
and the error text is the cause. The error is permanent if the channel refuses.
"""

import functools
import os
import signal
from typing import Any

from supervisor.notifications.channel_kind import Target
from supervisor.notifications.channels import kind_of
from supervisor.notifications.child.http_call import call
from supervisor.notifications.child.messages import CALL_S, DELIVERED, RETRY_AFTER
from workers.http_session import Session
from workers.report import Report


def run(params: dict[str, Any], report: Report) -> None:
    """Send `messages` to `url`, one after another, as the kind of channel does it."""
    os.environ["NETRC"] = os.devnull  # for the requests of apprise; ours take nothing of it
    post = functools.partial(call, Session(), "POST")
    kind, target = kind_of(params["kind"]), Target(params["url"], params["settings"])
    for count, message in enumerate(params["messages"], 1):
        signal.alarm(CALL_S)
        answer = kind.send(target, message, post)
        if not answer.ok:
            signal.alarm(0)
            if answer.retry_after_s is not None:
                report.metric(RETRY_AFTER, answer.retry_after_s)
            report.fail(answer.cause, permanent=answer.refused)
        report.metric(DELIVERED, count)
    signal.alarm(0)
