"""Heartbeats in the supervisor: queued here, sent by one child through a pipe.

The child process is `child/call_heartbeats.py`; it stays alive between heartbeats. Only
the newest heartbeat of each job is queued, which bounds the queue. A failed heartbeat
is tried up to three times within a minute, unless the server refuses it; later
heartbeats to the same URL wait, so that the order is kept. A dead endpoint increments
a counter and logs a line at most every `LOG_EVERY_S`.
"""

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from supervisor.containment.internal_jobs import BEATS, End, InternalJob, why_ended
from supervisor.core import effects
from supervisor.core import events as ev
from supervisor.core.alert_model import HeartbeatCall, HeartbeatKind
from supervisor.core.model import replace
from supervisor.log import ServiceLog
from supervisor.notifications.child.messages import AGAIN, ANSWERED, CALL_S, RETRY_AFTER
from workers import protocol
from workers.units import format_count

WORKER = "supervisor.notifications.child.call_heartbeats:run"
MOST_UNDER_WAY = 32
_PIPE_BUF = 4096  # writes up to this size are atomic (pipe(7))
MOST_BODY_BYTES = 1000
LOG_EVERY_S = 600.0
# Delays before the second and the third try. A call takes up to 15 s, so the third begins
# within a minute, before the service's own next heartbeat.
PAUSES_S = (5.0, 20.0)
WITHIN_S = 60.0
# Delay after a child that failed or could not be started.
REST_S = 60.0


class Call(Struct, frozen=True):
    """A heartbeat in progress or waiting for a retry; instants are monotonic seconds."""

    beat: HeartbeatCall
    began_at: float
    tries: int = 1
    again_at: float = 0.0


class Failed(Struct, frozen=True):
    """The error of the heartbeat whose end is reported next."""

    cause: str
    retry_after_s: float = 0.0
    may_be_tried_again: bool = False


class HeartbeatSender:
    """Queue of heartbeats, sent through a child process that is started on demand."""

    def __init__(self, pipe: Path, log: ServiceLog) -> None:
        self.failures = 0
        self._path = pipe
        self._log = log
        self._job = InternalJob(BEATS, "heartbeats")
        self._pipe = -1
        self._waiting: dict[str, HeartbeatCall] = {}
        self._under_way: dict[int, Call] = {}
        self._again: dict[str, Call] = {}  # by URL
        self._failed: Failed | None = None
        self._last_number = 0
        self._is_full = False
        self._begin_at = 0.0
        self._log_at = 0.0
        self._unlogged = 0

    @property
    def is_idle(self) -> bool:
        """Return whether nothing is queued, in progress or waiting for a retry."""
        return not (self._waiting or self._under_way or self._again)

    def take(self, beat: HeartbeatCall) -> None:
        """Queue a heartbeat, replacing a queued one of the same job."""
        self._waiting.pop(beat.job, None)
        self._waiting[beat.job] = beat

    def next_instant(self) -> float | None:
        """Return the monotonic time of the next possible call, or None."""
        if self._has_no_room:
            return None
        earliest = 0.0 if self._job.is_out else self._begin_at
        if self._next_waiting() is not None:
            return earliest
        soonest = min((call.again_at for call in self._again.values()), default=None)
        return None if soonest is None else max(earliest, soonest)

    def next_launch(self, at: ev.At) -> effects.Launch | None:
        """Feed the child, or return the launch of a new one if something is due."""
        if self._job.is_out:
            self._feed(at)
            return None
        if at.mono < self._begin_at or self._next(at.mono) is None:
            return None
        try:
            self._open()
        except OSError as error:
            self._give_up(at, f"any job: make {self._path}: {error.strerror}")
            return None
        self._feed(at)
        params = msgspec.json.encode({"pipe": str(self._path)}).decode()
        return self._job.begin(at, worker=WORKER, params_json=params)

    def on_events(self, events: Iterable[ev.Event], at: ev.At) -> list[ev.Event]:
        """Process the child's reports; returns no events for the core."""
        events = list(events)
        for message in self._job.said(events):
            self._hear(message, at)
        end = self._job.end(events)
        if end is not None:
            self._ended(end, at)
        return []

    def close(self) -> None:
        """Close and remove the pipe."""
        if self._pipe >= 0:
            os.close(self._pipe)
            self._pipe = -1
        with contextlib.suppress(OSError):
            self._path.unlink()

    def _open(self) -> None:
        """Create a new pipe: an old one may contain data that a dead child never read."""
        self.close()
        os.mkfifo(self._path, 0o600)
        # O_RDWR: opening needs no reader, and the child's exit does not break the pipe (fifo(7)).
        self._pipe = os.open(self._path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)

    @property
    def _has_no_room(self) -> bool:
        return self._is_full or len(self._under_way) >= MOST_UNDER_WAY

    def _next_waiting(self) -> HeartbeatCall | None:
        """Return the first queued heartbeat whose URL has no call in progress, or None."""
        busy = {call.beat.url for call in self._under_way.values()} | self._again.keys()
        return next((beat for beat in self._waiting.values() if beat.url not in busy), None)

    def _next(self, mono: float) -> Call | None:
        """Return the call that may start now, or None; retries come first."""
        if self._has_no_room:
            return None
        again = (call for call in self._again.values() if call.again_at <= mono)
        beat = self._next_waiting()
        return next(again, None) or (None if beat is None else Call(beat, mono))

    def _feed(self, at: ev.At) -> None:
        while (call := self._next(at.mono)) is not None:
            number, beat = self._last_number + 1, call.beat
            line = self._line(number, beat)
            if len(line) > _PIPE_BUF:
                del self._waiting[beat.job]
                self._fail(at, f"{_whose(beat)}: its URL is too long")
                continue
            try:
                os.write(self._pipe, line)
            except BlockingIOError:
                self._is_full = True
                return
            self._last_number = number
            self._under_way[number] = call
            if self._again.get(beat.url) is call:
                del self._again[beat.url]
            else:
                del self._waiting[beat.job]

    def _line(self, number: int, beat: HeartbeatCall) -> bytes:
        body = _body(beat.cause) if beat.pulse is HeartbeatKind.FAIL else None
        wanted = {"number": number, "whose": _whose(beat), "url": target(beat), "body": body}
        return msgspec.json.encode(wanted) + b"\n"

    def _hear(self, message: protocol.Message | protocol.Garbage, at: ev.At) -> None:
        match message:
            case protocol.Log("warning", text):
                self._failed = Failed(text)
            case protocol.Metric(name, value) if name == RETRY_AFTER and self._failed:
                self._failed = replace(self._failed, retry_after_s=value)
            case protocol.Metric(name, _) if name == AGAIN and self._failed:
                self._failed = replace(self._failed, may_be_tried_again=True)
            case protocol.Metric(name, value) if name == ANSWERED:
                failed, self._failed = self._failed, None
                call = self._under_way.pop(int(value), None)
                self._is_full = False
                if failed is not None:
                    self._try_again(call, failed, at)
            case _:
                pass

    def _try_again(self, call: Call | None, failed: Failed, at: ev.At) -> None:
        """Schedule a retry if one may help and fits into `WITHIN_S`, else count a failure."""
        if call is not None and failed.may_be_tried_again and call.tries <= len(PAUSES_S):
            again_at = at.mono + max(PAUSES_S[call.tries - 1], failed.retry_after_s)
            if again_at - call.began_at <= WITHIN_S:
                later = replace(call, tries=call.tries + 1, again_at=again_at)
                self._again[call.beat.url] = later
                return
        tries = f" ({call.tries} tries)" if call is not None and call.tries > 1 else ""
        self._fail(at, f"{failed.cause}{tries}")

    def _ended(self, end: End, at: ev.At) -> None:
        lost = [call.beat for call in self._under_way.values()]
        self._under_way.clear()
        self._is_full, self._failed = False, None
        if isinstance(end, ev.Exited) and end.wait_status == 0:
            for beat in lost:  # the child exited normally before it read them
                self._waiting.setdefault(beat.job, beat)
        else:
            # The delay REST_S is as long as WITHIN_S, so no retry would be in time.
            lost += [call.beat for call in self._again.values()]
            self._again.clear()
            jobs = format_count(len(lost), "job")
            ended = why_ended(end, CALL_S)
            self._give_up(at, f"{jobs}: the process that calls {ended}", len(lost))

    def _give_up(self, at: ev.At, cause: str, count: int = 1) -> None:
        self._begin_at = at.mono + REST_S
        for _ in range(max(1, count)):
            self._fail(at, cause)

    def _fail(self, at: ev.At, cause: str) -> None:
        """Count a failure, and log at most one line every `LOG_EVERY_S`."""
        self.failures += 1
        self._unlogged += 1
        if at.mono < self._log_at:
            return
        self._log_at = at.mono + LOG_EVERY_S
        more = f" ({self._unlogged} failures since the last such line)"
        text = f"heartbeat of {cause}{more if self._unlogged > 1 else ''}"
        self._unlogged = 0
        self._log.note(at.wall, effects.Note("warning", text))


def target(beat: HeartbeatCall) -> str:
    """Return the URL to call, with `/start` or `/fail` before the query."""
    if beat.pulse is HeartbeatKind.SUCCESS:
        return beat.url
    parts = urlsplit(beat.url)
    return parts._replace(path=f"{parts.path.rstrip('/')}/{beat.pulse}").geturl()


def _whose(beat: HeartbeatCall) -> str:
    return beat.job or "the service"


def _body(cause: str) -> str:
    """Return a cause as a request body: printable, valid UTF-8, at most 1000 bytes."""
    seen = "".join(letter if letter.isprintable() else " " for letter in cause[:MOST_BODY_BYTES])
    return seen.encode(errors="replace")[:MOST_BODY_BYTES].decode(errors="ignore")
