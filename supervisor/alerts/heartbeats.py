"""The supervisor's side of heartbeats: one pipe, one warm child, never in the way.

Of each job only the newest beat waits, so that what waits is bounded by the jobs.
A heartbeat that is not taken is tried up to three times within a minute, unless the
other side says no; what is to go to the same URL waits for that, so that it arrives
in its order. A dead endpoint costs a count and, now and then, a line in the log.
"""

import contextlib
import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from supervisor.alerts.words import AGAIN, ANSWERED, CALL_S, RETRY_AFTER
from supervisor.core import effects
from supervisor.core import events as ev
from supervisor.core.alert_model import Beat, Pulse
from supervisor.errands import BEATS, End, Errand, why_ended
from supervisor.log import Log
from workers import protocol

WORKER = "supervisor.alerts.heart:run"
MOST_UNDER_WAY = 32
_PIPE_BUF = 4096  # so much is written whole or not at all
MOST_BODY_BYTES = 1000
LOG_EVERY_S = 600.0
# Before the second and the third try. A call takes up to 15 s, so that the third begins
# within the minute; the service's own next beat is a minute away.
PAUSES_S = (5.0, 20.0)
WITHIN_S = 60.0
# After a child that ended badly, or could not begin.
REST_S = 60.0


@dataclass(frozen=True, slots=True)
class Call:
    """A beat that is under way, or waits for its next try; instants are monotonic seconds."""

    beat: Beat
    began_at: float
    tries: int = 1
    again_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Failed:
    """Why the beat that is answered next was not taken."""

    cause: str
    retry_after_s: float = 0.0
    may_be_tried_again: bool = False


class Heartbeats:
    """Takes beats; has them called by a child that it starts when it is needed."""

    def __init__(self, pipe: Path, log: Log) -> None:
        self.failures = 0
        self._path = pipe
        self._log = log
        self._errand = Errand(BEATS, "heartbeats")
        self._pipe = -1
        self._waiting: dict[str, Beat] = {}
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
        """Nothing waits and nothing is under way."""
        return not (self._waiting or self._under_way or self._again)

    def take(self, beat: Beat) -> None:
        """This beat instead of one of the same job that still waits."""
        self._waiting.pop(beat.job, None)
        self._waiting[beat.job] = beat

    def next_instant(self) -> float | None:
        """When something can be done for what waits."""
        if self._has_no_room:
            return None
        earliest = 0.0 if self._errand.is_out else self._begin_at
        if self._next_waiting() is not None:
            return earliest
        soonest = min((call.again_at for call in self._again.values()), default=None)
        return None if soonest is None else max(earliest, soonest)

    def errand(self, at: ev.At) -> effects.Launch | None:
        """Feed the child; start one, if something waits and none lives."""
        if self._errand.is_out:
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
        return self._errand.begin(at, worker=WORKER, params_json=params)

    def settled(self, heard: Iterable[ev.Event], at: ev.At) -> list[ev.Event]:
        """Count what was answered; nothing of it is news for the core."""
        heard = list(heard)
        for message in self._errand.said(heard):
            self._hear(message, at)
        end = self._errand.end(heard)
        if end is not None:
            self._ended(end, at)
        return []

    def close(self) -> None:
        """Let go of the pipe."""
        if self._pipe >= 0:
            os.close(self._pipe)
            self._pipe = -1
        with contextlib.suppress(OSError):
            self._path.unlink()

    def _open(self) -> None:
        """A fresh pipe: in an old one there may be what a dead child never read."""
        self.close()
        os.mkfifo(self._path, 0o600)
        # For reading, too, or its opening and its closing would depend on the child.
        self._pipe = os.open(self._path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)

    @property
    def _has_no_room(self) -> bool:
        return self._is_full or len(self._under_way) >= MOST_UNDER_WAY

    def _next_waiting(self) -> Beat | None:
        """The first beat whose URL is free: those of one URL go one after the other."""
        busy = {call.beat.url for call in self._under_way.values()} | self._again.keys()
        return next((beat for beat in self._waiting.values() if beat.url not in busy), None)

    def _next(self, mono: float) -> Call | None:
        """What may be called now; a repetition before all that has not been tried."""
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

    def _line(self, number: int, beat: Beat) -> bytes:
        body = _body(beat.cause) if beat.pulse is Pulse.FAIL else None
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
        """Put it off, if another try may help and still belongs to this minute."""
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
            for beat in lost:  # it went while they came
                self._waiting.setdefault(beat.job, beat)
        else:
            # The rest after this is longer than the minute in which they may be tried.
            lost += [call.beat for call in self._again.values()]
            self._again.clear()
            self._give_up(
                at, f"{len(lost)} jobs: the process that calls {why_ended(end, CALL_S)}", len(lost)
            )

    def _give_up(self, at: ev.At, cause: str, count: int = 1) -> None:
        self._begin_at = at.mono + REST_S
        for _ in range(max(1, count)):
            self._fail(at, cause)

    def _fail(self, at: ev.At, cause: str) -> None:
        """Count it, and say so now and then."""
        self.failures += 1
        self._unlogged += 1
        if at.mono < self._log_at:
            return
        self._log_at = at.mono + LOG_EVERY_S
        more = f" ({self._unlogged} failures since the last such line)"
        text = f"heartbeat of {cause}{more if self._unlogged > 1 else ''}"
        self._unlogged = 0
        self._log.note(at.wall, effects.Note("warning", text))


def target(beat: Beat) -> str:
    """The URL that is called: `/start` and `/fail` go before a query."""
    if beat.pulse is Pulse.SUCCESS:
        return beat.url
    parts = urlsplit(beat.url)
    return parts._replace(path=f"{parts.path.rstrip('/')}/{beat.pulse}").geturl()


def _whose(beat: Beat) -> str:
    return beat.job or "the service"


def _body(cause: str) -> str:
    """What fits, and can be sent: a cause may be of any length and hold anything."""
    seen = "".join(letter if letter.isprintable() else " " for letter in cause[:MOST_BODY_BYTES])
    return seen.encode(errors="replace")[:MOST_BODY_BYTES].decode(errors="ignore")
