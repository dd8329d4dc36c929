"""Worker that sends heartbeats: reads URLs from a pipe, calls up to eight at a time.

One process serves many heartbeats, because importing requests costs more than a
hundred of them; it exits when idle. It reports the number of each finished call
(`answered`), and for each failure the cause and whether a retry may help (`again`).
`heartbeat_sender.py` waits before retries, so that no thread sleeps here.
"""

import json
import os
import select
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from supervisor.notifications.call_result import CallResult
from supervisor.notifications.child.http_call import call
from supervisor.notifications.child.messages import AGAIN, ANSWERED, CALL_S, RETRY_AFTER
from workers.http_session import Session
from workers.report import Report

THREADS = 8
# Longer than a minute, so that a heartbeat a minute keeps the process alive.
IDLE_S = 90.0
# The number of messages from a worker is limited, so limit the calls per process.
MOST_BEATS = 10_000
MOST_BYTES = 64 * 1024
_TEXT = {"Content-Type": "text/plain; charset=utf-8"}


def run(params: dict[str, Any], report: Report) -> None:
    """Serve `pipe` until nothing has come for IDLE_S."""
    caller = HeartbeatCaller(report)
    pipe = os.open(params["pipe"], os.O_RDONLY | os.O_NONBLOCK)
    rest = b""
    with ThreadPoolExecutor(THREADS) as threads:
        while not report.cancelled and caller.expected < MOST_BEATS:
            ready, _, _ = select.select([pipe], [], [], IDLE_S)
            if not ready and caller.is_idle:
                break
            if not ready:
                continue
            read = os.read(pipe, MOST_BYTES)
            if not read:  # the supervisor closed the pipe
                break
            *lines, rest = (rest + read).split(b"\n")
            for line in lines:
                caller.expect()
                threads.submit(caller.call_next, json.loads(line))
    signal.alarm(0)


class HeartbeatCaller:
    """Calls of URLs by several threads, and the reports of their results."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._lock = threading.Lock()
        self._local = threading.local()
        self.expected = 0  # how many were read from the pipe
        self._answered = 0

    @property
    def is_idle(self) -> bool:
        """Return whether no call is in progress."""
        return self.expected == self._answered

    def expect(self) -> None:
        """Count one more call; start the alarm if it is the only one."""
        with self._lock:
            self.expected += 1
            if self.expected == self._answered + 1:
                signal.alarm(CALL_S)

    def call_next(self, wanted: dict[str, Any]) -> None:
        """Call `url` with `body` for `whose` and report it, whatever happens."""
        answer = CallResult(False, "the call broke off")
        try:
            answer = self._call(wanted)
        finally:
            self._account(wanted, answer)

    def _call(self, wanted: dict[str, Any]) -> CallResult:
        if not hasattr(self._local, "session"):
            self._local.session = Session()
            # The server closes idle connections between heartbeats; reusing one would fail.
            self._local.session.headers["Connection"] = "close"
        url, body = wanted["url"], wanted["body"]
        if body is None:
            return call(self._local.session, "GET", url, None, {})
        return call(self._local.session, "POST", url, body.encode(), _TEXT)

    def _account(self, wanted: dict[str, Any], answer: CallResult) -> None:
        with self._lock:
            if not answer.ok:
                self._report.log(f"{wanted['whose']}: {answer.cause}", "warning")
                if answer.retry_after_s is not None:
                    self._report.metric(RETRY_AFTER, answer.retry_after_s)
                if not answer.refused:
                    self._report.metric(AGAIN, wanted["number"])
            self._answered += 1
            self._report.metric(ANSWERED, wanted["number"])
            # Restart the alarm for the calls that are still in progress.
            signal.alarm(0 if self.is_idle else CALL_S)
