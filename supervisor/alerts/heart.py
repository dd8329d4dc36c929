"""The child that beats: URLs out of a pipe, called eight at a time.

One process serves many beats, since importing requests costs more than a hundred
of them; when none has come for a while it ends. It says which it has `answered`,
and of each failure why, and whether to try `again`: the supervisor's side waits for
that, so that no thread here sleeps while others have something to call.
"""

import json
import os
import select
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import requests

from supervisor.alerts.calling import Answer, call
from supervisor.alerts.words import AGAIN, ANSWERED, CALL_S, RETRY_AFTER
from workers.report import Report

THREADS = 8
# Longer than a minute, so that a beat a minute keeps it warm.
IDLE_S = 90.0
# What a worker may say in its life is bounded, so that its life is, too.
MOST_BEATS = 10_000
MOST_BYTES = 64 * 1024


def run(params: dict[str, Any], report: Report) -> None:
    """Serve `pipe` until nothing has come for IDLE_S."""
    heart = Heart(report)
    pipe = os.open(params["pipe"], os.O_RDONLY | os.O_NONBLOCK)
    rest = b""
    with ThreadPoolExecutor(THREADS) as threads:
        while not report.cancelled and heart.expected < MOST_BEATS:
            ready, _, _ = select.select([pipe], [], [], IDLE_S)
            if not ready and heart.is_idle:
                break
            if not ready:
                continue
            read = os.read(pipe, MOST_BYTES)
            if not read:  # the pipe was taken away
                break
            *lines, rest = (rest + read).split(b"\n")
            for line in lines:
                heart.expect()
                threads.submit(heart.beat, json.loads(line))
    signal.alarm(0)


class Heart:
    """Calls that are under way, and the account of those that are over."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._lock = threading.Lock()
        self._local = threading.local()
        self.expected = 0  # how many were read from the pipe
        self._answered = 0

    @property
    def is_idle(self) -> bool:
        """Nothing is under way."""
        return self.expected == self._answered

    def expect(self) -> None:
        """One more is to be called."""
        with self._lock:
            self.expected += 1
            if self.expected == self._answered + 1:
                signal.alarm(CALL_S)

    def beat(self, wanted: dict[str, Any]) -> None:
        """Call `url` with `body` for `whose` and report it, whatever happens."""
        answer = Answer(False, "the call broke off")
        try:
            answer = self._call(wanted)
        finally:
            self._account(wanted, answer)

    def _call(self, wanted: dict[str, Any]) -> Answer:
        if not hasattr(self._local, "session"):
            self._local.session = requests.Session()
            # By the next beat the other side has hung up, which would look like a failure.
            self._local.session.headers["Connection"] = "close"
        url, body = wanted["url"], wanted["body"]
        if body is None:
            return call(self._local.session, "GET", url, None, "")
        return call(self._local.session, "POST", url, body.encode(), "text/plain; charset=utf-8")

    def _account(self, wanted: dict[str, Any], answer: Answer) -> None:
        with self._lock:
            if not answer.ok:
                self._report.log(f"{wanted['whose']}: {answer.cause}", "warning")
                if answer.retry_after_s is not None:
                    self._report.metric(RETRY_AFTER, answer.retry_after_s)
                if not answer.refused:
                    self._report.metric(AGAIN, wanted["number"])
            self._answered += 1
            self._report.metric(ANSWERED, wanted["number"])
            # While others are under way they have their time from here on.
            signal.alarm(0 if self.is_idle else CALL_S)
