"""Thread-safe bridge between the API thread and the loop, without shared mutable state.

The loop publishes an immutable state and facts by one assignment each; other threads
read them at any time. State changes of runs are numbered and kept in a ring of the
newest `RING`, with those of incidents, alerts, pauses and definitions. Other threads
submit requests, each with a future for the answer; the loop is woken and takes the
requests in its next turn. Nothing here makes decisions.
"""

import contextlib
import os
import queue
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from typing import Any

from msgspec import Struct

from supervisor.core import counters
from supervisor.core.changes import Changed, beside_runs
from supervisor.core.control_requests import Reply, Request
from supervisor.core.counters import Counters
from supervisor.core.effects import Action
from supervisor.core.model import Peer
from supervisor.core.state import SchedulerState
from supervisor.core.views import Facts
from supervisor.redaction.mask import Mask, make_mask

# How many changes a reader may fall behind before it misses some.
RING = 1000


class Reload(Struct, frozen=True):
    """Request to read jobs.yaml now.

    previous: return to the text that was accepted before the current one.
    """

    previous: bool = False


class TestAlert(Struct, frozen=True):
    """Request to send a test alert to a channel, regardless of its filters."""

    channel: str


class ListBackups(Struct, frozen=True):
    """Request to list the copies in the folders of the `backup.run` jobs."""


class DamageSeen(Struct, frozen=True):
    """Report that unreadable rows of the ledger were left out of an answer."""

    cause: str


Wanted = Request | Reload | TestAlert | ListBackups | DamageSeen


class PendingRequest(Struct, frozen=True):
    """A request from another thread, its sender, and the future for the answer."""

    peer: Peer
    what: Wanted
    answer: "Future[Any]"


class Change(Struct, frozen=True):
    """A run that entered a new state, or another thing that changed.

    Numbers increase monotonically, also across restarts.
    """

    number: int
    what: Changed


class ChangesSince(Struct, frozen=True):
    """The changes after a given number.

    missed: whether some of them are no longer in the ring.
    """

    changes: tuple[Change, ...]
    newest: int
    missed: bool


class LoopBridge:
    """The published state, the ring of changes, the queue of requests, and the wake-up pipe.

    on_changes: called by the loop when there are new changes; None while there are no listeners.
    mask: redacts the secrets of jobs.yaml, of the environment and of the newest requests.
    """

    def __init__(self, facts: Facts) -> None:
        self.scheduler: SchedulerState | None = None
        self.facts = facts
        self.tally = Counters()
        self.mask: Mask = make_mask(())
        self.on_changes: Callable[[], object] | None = None
        self.is_ready = False
        self.ticked_mono = 0.0
        # Microseconds since 1970: a process that makes fewer than a million changes a second
        # never reaches the first number of the next process.
        self.newest = int(facts.started_at.timestamp() * 1e6)
        self._ring: deque[Change] = deque(maxlen=RING)
        self._calls: queue.SimpleQueue[PendingRequest] = queue.SimpleQueue()
        self.wake_fd, self._waker = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)

    def publish_changes(self, changed: Iterable[Changed]) -> None:
        """Append changes to the ring and call `on_changes` (loop thread only)."""
        for what in changed:
            self._ring.append(Change(self.newest + 1, what))
            self.newest += 1
        on_changes = self.on_changes
        if on_changes is not None:
            with contextlib.suppress(RuntimeError):  # the listener's event loop is closed
                on_changes()

    def changes_after(self, number: int) -> ChangesSince:
        """Return the changes after this number that are still in the ring (any thread)."""
        newest = self.newest  # read before the ring: later changes are found by the next call
        kept = tuple(self._ring)  # one atomic copy: the loop may append meanwhile
        newest = kept[-1].number if kept else newest
        oldest = kept[0].number if kept else newest + 1
        found = tuple(change for change in kept if change.number > number)
        return ChangesSince(found, newest, number < oldest - 1 or number > newest)

    def submit(self, peer: Peer, what: Wanted) -> "Future[Any]":
        """Enqueue a request and return the future for its answer (any thread)."""
        call = PendingRequest(peer, what, Future())
        self._calls.put(call)
        self.wake()
        return call.answer

    def wake(self) -> None:
        """Wake the loop (any thread, or a signal handler)."""
        with contextlib.suppress(BlockingIOError):  # the pipe is full: the loop will wake anyway
            os.write(self._waker, b"\0")

    def drain_wakeup(self) -> None:
        """Drain the wake-up pipe (loop thread only).

        Call this before reading the queue. A request that arrives afterwards wakes the
        loop again; draining after reading would lose that wake-up.
        """
        with contextlib.suppress(BlockingIOError):
            os.read(self.wake_fd, 4096)

    def take_requests(self) -> list[PendingRequest]:
        """Take all requests from the queue (loop thread only)."""
        taken = []
        while True:
            try:
                taken.append(self._calls.get_nowait())
            except queue.Empty:
                return taken

    def answer(self, asker: "Future[Any]", reply: Reply, scheduler: SchedulerState) -> None:
        """Publish the state, then resolve the future with the reply (loop thread only).

        In this order the caller sees the state that its reply describes.
        """
        self.scheduler = scheduler
        # Mark the future as running so the caller cannot cancel it before set_result.
        if asker.set_running_or_notify_cancel():
            asker.set_result(reply)

    @property
    def signal_fd(self) -> int:
        """Return the write end of the wake-up pipe, for `signal.set_wakeup_fd`."""
        return self._waker


class TurnObserver:
    """Observer of decisions: updates the counters and collects changes until published."""

    def __init__(self, bridge: LoopBridge) -> None:
        self._bridge = bridge
        self._changed: list[Changed] = []

    def record(
        self, before: SchedulerState, after: SchedulerState, actions: Sequence[Action]
    ) -> None:
        """Count one decision, given the states before and after it and its actions."""
        if after.jobs is not before.jobs:
            self._bridge.tally = counters.restricted_to(self._bridge.tally, after)
        if actions:
            rows = counters.recorded_rows(actions)
            changed = counters.transitions(before, rows)
            self._bridge.tally = counters.count(self._bridge.tally, changed, rows, after)
            self._changed += changed
        self._changed += beside_runs(before, after, actions)

    def record_tick(self, lateness_s: float) -> None:
        """Count a tick and its lateness."""
        self._bridge.tally = counters.tick(self._bridge.tally, lateness_s)

    def publish(self) -> None:
        """Publish the changes collected since the last call."""
        if self._changed:
            self._bridge.publish_changes(self._changed)
            self._changed = []
