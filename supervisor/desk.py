"""Where the API thread and the loop meet, without ever touching the same value.

The loop publishes a world and facts by one assignment each; other threads read
them as they please. Other threads hand in calls with a slot for the answer;
the loop is woken and takes them when it likes. Nothing here decides.
"""

import contextlib
import os
import queue
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from supervisor.core.events import Request
from supervisor.core.model import Peer
from supervisor.core.view import Facts
from supervisor.core.world import World


@dataclass(frozen=True, slots=True)
class Reload:
    """Read jobs.yaml now; previous: go back to the text accepted before."""

    previous: bool = False


@dataclass(frozen=True, slots=True)
class TestAlert:
    """Send a test alert, whatever `min_severity` says."""


@dataclass(frozen=True, slots=True)
class Call:
    """Something asked from outside, by whom, and where the answer goes."""

    peer: Peer
    what: Request | Reload | TestAlert
    answer: "Future[Any]"


class Desk:
    """One published view, one queue of calls, one descriptor that wakes the loop."""

    def __init__(self, facts: Facts) -> None:
        self.world: World | None = None
        self.facts = facts
        self.is_ready = False
        self.ticked_mono = 0.0
        self._calls: queue.SimpleQueue[Call] = queue.SimpleQueue()
        self.wake_fd, self._waker = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)

    def ask(self, peer: Peer, what: Request | Reload | TestAlert) -> "Future[Any]":
        """Hand in a call; its future holds the answer (from any thread)."""
        call = Call(peer, what, Future())
        self._calls.put(call)
        self.wake()
        return call.answer

    def wake(self) -> None:
        """Make the loop look (from any thread, or a signal's)."""
        with contextlib.suppress(BlockingIOError):  # it is full: the loop will look anyway
            os.write(self._waker, b"\0")

    def take(self) -> list[Call]:
        """The calls handed in so far (the loop only)."""
        with contextlib.suppress(BlockingIOError):
            os.read(self.wake_fd, 4096)
        taken = []
        while True:
            try:
                taken.append(self._calls.get_nowait())
            except queue.Empty:
                return taken

    @property
    def signal_fd(self) -> int:
        """Where `signal.set_wakeup_fd` may write."""
        return self._waker
