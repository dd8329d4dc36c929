"""Where the API thread and the loop meet, without ever touching the same value.

The loop publishes a world and facts by one assignment each; other threads read
them as they please. Changes of runs go into a ring, numbered, the newest few hundred.
Other threads hand in calls with a slot for the answer; the loop is woken and
takes them when it likes. Nothing here decides.
"""

import contextlib
import os
import queue
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from supervisor.core.asks import Reply, Request
from supervisor.core.model import Peer, Run
from supervisor.core.tally import Tally
from supervisor.core.view import Facts
from supervisor.core.world import World
from supervisor.masking import Mask, masker

# As many changes as a reader may fall behind.
RING = 1000


@dataclass(frozen=True, slots=True)
class Reload:
    """Read jobs.yaml now; previous: go back to the text accepted before."""

    previous: bool = False


@dataclass(frozen=True, slots=True)
class TestAlert:
    """Send a test alert, whatever `min_severity` says."""


@dataclass(frozen=True, slots=True)
class DamageSeen:
    """Rows of the ledger that cannot be read were left out of an answer."""

    cause: str


@dataclass(frozen=True, slots=True)
class Call:
    """Something asked from outside, by whom, and where the answer goes."""

    peer: Peer
    what: Request | Reload | TestAlert | DamageSeen
    answer: "Future[Any]"


@dataclass(frozen=True, slots=True)
class Change:
    """A run that came into a new state; numbers rise, also over restarts."""

    number: int
    run: Run


@dataclass(frozen=True, slots=True)
class Since:
    """What came after a number, up to the newest; missed: some of it is no longer kept."""

    changes: tuple[Change, ...]
    newest: int
    missed: bool


class Desk:
    """One published view, one ring of changes, one queue of calls, and what wakes whom.

    bell: called (by the loop) when changes have come, while somebody wants to know.
    mask: hides the secrets of jobs.yaml, of the environment and of the newest requests.
    """

    def __init__(self, facts: Facts) -> None:
        self.world: World | None = None
        self.facts = facts
        self.tally = Tally()
        self.mask: Mask = masker(())
        self.bell: Callable[[], object] | None = None
        self.is_ready = False
        self.ticked_mono = 0.0
        # A million numbers a second: no life uses up what lies before the next one's start.
        self.newest = int(facts.started_at.timestamp() * 1e6)
        self._ring: deque[Change] = deque(maxlen=RING)
        self._calls: queue.SimpleQueue[Call] = queue.SimpleQueue()
        self.wake_fd, self._waker = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)

    def tell(self, changed: Iterable[Run]) -> None:
        """Put changes into the ring, and ring the bell (the loop only)."""
        for run in changed:
            self._ring.append(Change(self.newest + 1, run))
            self.newest += 1
        bell = self.bell
        if bell is not None:
            with contextlib.suppress(RuntimeError):  # whoever wanted to know has gone
                bell()

    def changes_after(self, number: int) -> Since:
        """The changes after this one, as far as they are kept (any thread)."""
        newest = self.newest  # before the ring: what comes in between is found next time
        kept = tuple(self._ring)  # at once: the loop may append meanwhile
        newest = kept[-1].number if kept else newest
        oldest = kept[0].number if kept else newest + 1
        found = tuple(change for change in kept if change.number > number)
        return Since(found, newest, number < oldest - 1 or number > newest)

    def ask(self, peer: Peer, what: Request | Reload | TestAlert | DamageSeen) -> "Future[Any]":
        """Hand in a call; its future holds the answer (from any thread)."""
        call = Call(peer, what, Future())
        self._calls.put(call)
        self.wake()
        return call.answer

    def wake(self) -> None:
        """Make the loop look (from any thread, or a signal's)."""
        with contextlib.suppress(BlockingIOError):  # it is full: the loop will look anyway
            os.write(self._waker, b"\0")

    def woken(self) -> None:
        """The loop is awake. It says so before it looks at what woke it (the loop only).

        What comes after its look wakes it again; said later, that would be slept over.
        """
        with contextlib.suppress(BlockingIOError):
            os.read(self.wake_fd, 4096)

    def take(self) -> list[Call]:
        """The calls handed in so far (the loop only)."""
        taken = []
        while True:
            try:
                taken.append(self._calls.get_nowait())
            except queue.Empty:
                return taken

    def answer(self, asker: "Future[Any]", reply: Reply, world: World) -> None:
        """Answer out of a world that is published first: whoever hears it may look (the loop)."""
        self.world = world
        # Nobody may cancel it between a look and the result.
        if asker.set_running_or_notify_cancel():
            asker.set_result(reply)

    @property
    def signal_fd(self) -> int:
        """Where `signal.set_wakeup_fd` may write."""
        return self._waker
