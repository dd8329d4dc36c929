"""Do independent items in forked processes of this one; answers come in the items' order.

    with children(count, work) as group:      forks; at the end, none of them is left
        for answer in answers(group, items):  `work(item, tell)` of each, or Lost

A child never ends later than its parent: the kernel kills it when the parent dies, and
leaving the context ends it however the block ended, first so that it can remove its
temporary files. It ignores SIGTERM and SIGINT, because the parent decides.
Fork before any database connection is open: SQLite forbids to use one in a child, and
libpq's would be closed twice.
`multiprocess` takes 0.1 s to import, so it is imported with the first child.
"""

import gc
import os
import signal
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from workers.bootstrap import die_with_parent

# How late a cancellation may be noticed.
_LOOK_EVERY_S = 0.1
# For the unwinding of a child that is stopped; then it is killed.
_STOP_S = 2.0
# A killed process ends at once, unless a dead mount holds it.
_END_S = 5.0
# More would wait for one disk, and take the connections of a server from others.
_MOST = 8
_OURS = (signal.SIGINT, signal.SIGTERM)

Tell = Callable[[int], None]
Work = Callable[[Any, Tell], Any]


@dataclass(frozen=True, slots=True)
class Lost:
    """The answer for an item whose process died; reason: `its process was killed by SIGKILL`."""

    reason: str


class _StopError(BaseException):
    """The parent has sent SIGUSR1; contexts of the work are left on the way out."""


class ChildError(Exception):
    """An unexpected exception in a child; the text has its traceback."""


@dataclass(frozen=True, slots=True)
class _Progress:
    count: int


@dataclass(frozen=True, slots=True)
class _Answer:
    value: Any


@dataclass(frozen=True, slots=True)
class _Unexpected:
    text: str


class Child:
    """A forked process that answers one item at a time; see `children`."""

    def __init__(self, work: Work) -> None:
        import multiprocess

        self.pipe, theirs = multiprocess.Pipe()
        given = (theirs, self.pipe, os.getpid(), work)
        context = multiprocess.get_context("fork")
        self._process = context.Process(target=_serve, args=given, daemon=True)
        # A signal between the fork and `_serve` would be handled by the parent's handlers.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _OURS)
        try:
            self._process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            theirs.close()

    def ask(self, item: Any) -> None:
        """Send an item; if the process is dead, the answer will be Lost."""
        with suppress(OSError):
            self.pipe.send(item)

    def receive(self) -> _Progress | _Answer | Lost:
        """Return its next message; blocks until there is one.

        Raises:
            ChildError: the work has raised an exception.
        """
        try:
            message = self.pipe.recv()
        except (EOFError, OSError):
            return Lost(self._ending())
        if isinstance(message, _Unexpected):
            raise ChildError(message.text)
        assert isinstance(message, _Progress | _Answer)
        return message

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send a signal if it has not ended; see `_serve` for SIGUSR1."""
        if self._process.exitcode is None:
            with suppress(ProcessLookupError):
                os.kill(self._process.pid, number)

    def reap(self, deadline: float) -> None:
        """Wait for its end until `deadline` (monotonic), kill it, free what is held of it."""
        self._process.join(max(0.0, deadline - time.monotonic()))
        self.kill()
        self._process.join(_END_S)
        self.pipe.close()
        if self._process.exitcode is not None:
            self._process.close()

    def _ending(self) -> str:
        self._process.join(_END_S)
        code = self._process.exitcode
        if code is None or code >= 0:
            return f"its process ended with status {code}"
        return f"its process was killed by {_name(-code)}"


def cores() -> int:
    """Return how many processors this process may use, at most `_MOST`."""
    return min(_MOST, len(os.sched_getaffinity(0)))


@contextmanager
def children(count: int, work: Work) -> Iterator[list[Child]]:
    """Yield `count` children that wait for items; end those that are left afterwards.

    They are fewer, perhaps none, if the limits of this process allow no more.
    work: called in a child with an item and a function that reports progress to the parent.
    """
    group: list[Child] = []
    try:
        with suppress(OSError):
            while len(group) < count:
                group.append(Child(work))
        yield group
    finally:
        for child in group:
            child.kill(signal.SIGUSR1)
        deadline = time.monotonic() + _STOP_S
        for child in group:
            child.reap(deadline)


def answers(
    group: Sequence[Child],
    items: Sequence[Any],
    check: Callable[[], None] = lambda: None,
    progress: Tell = lambda _: None,
) -> Iterator[Any]:
    """Yield the answer for each item, in order; Lost for one whose process died.

    check: called ten times a second; may raise. progress: called with what the work tells.

    Raises:
        ChildError: the work has raised an exception.
    """
    waiting, known = deque(enumerate(items)), dict[int, Any]()
    idle, busy = list(group), dict[Child, int]()
    for number in range(len(items)):
        while number not in known:
            while idle and waiting:
                child = idle.pop(0)
                busy[child], item = waiting.popleft()
                child.ask(item)
            if not busy:
                known |= {left: Lost("no process is left to do it") for left, _ in waiting}
                waiting.clear()
            for child in _ready(busy):
                match child.receive():
                    case _Progress(count):
                        progress(count)
                    case _Answer(value):
                        known[busy.pop(child)] = value
                        idle.append(child)
                    case Lost() as lost:
                        known[busy.pop(child)] = lost
            check()
        yield known.pop(number)


def each(group: Sequence[Child], item: Any, check: Callable[[], None]) -> list[Any]:
    """Return what every child answers to the same item, or Lost; check: as in `answers`."""
    found = []
    for child in group:
        child.ask(item)
    for child in group:
        while not _ready({child: 0}):
            check()
        match child.receive():
            case _Answer(value):
                found.append(value)
            case other:
                found.append(other)
    return found


def _ready(busy: Mapping[Child, int]) -> list[Child]:
    from multiprocess.connection import wait

    ready = wait([child.pipe for child in busy], timeout=_LOOK_EVERY_S)
    return [child for child in busy if child.pipe in ready]


def _serve(pipe: Any, parents: Any, parent: int, work: Work) -> None:
    """Answer items until the parent closes its end; runs in the child."""
    die_with_parent(parent)
    for number in _OURS:
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGUSR1, _stop)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _OURS)
    parents.close()
    # What the parent has is not ours to finalise.
    gc.freeze()
    with suppress(EOFError, OSError, _StopError):
        while True:
            pipe.send(_done(work, pipe.recv(), lambda count: pipe.send(_Progress(count))))


def _done(work: Work, item: Any, tell: Tell) -> _Answer | _Unexpected:
    try:
        return _Answer(work(item, tell))
    # The parent raises it.
    except Exception:
        return _Unexpected(traceback.format_exc())


def _stop(*_: object) -> None:
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    raise _StopError


def _name(number: int) -> str:
    with suppress(ValueError):
        return signal.Signals(number).name
    return f"signal {number}"
