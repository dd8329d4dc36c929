"""Callbacks for descriptors that become readable."""

import selectors
from collections.abc import Callable

from supervisor.core import events

Happened = list[events.AttemptEvent]
Callback = Callable[[events.At], Happened]


class Callbacks:
    """Descriptors in the loop's selector, each with the function that reads it.

    owner: what the loop finds as the data of each registered descriptor.
    """

    def __init__(self, selector: selectors.BaseSelector, owner: object) -> None:
        self._selector = selector
        self._owner = owner
        self._by_fd: dict[int, Callback] = {}

    def __contains__(self, fd: int) -> bool:
        return fd in self._by_fd

    def add(self, fd: int, callback: Callback) -> None:
        """Call the function whenever the descriptor is readable."""
        self._by_fd[fd] = callback
        self._selector.register(fd, selectors.EVENT_READ, self._owner)

    def remove(self, fd: int) -> None:
        """Stop watching the descriptor; call before it is closed."""
        self._selector.unregister(fd)
        del self._by_fd[fd]

    def call(self, fd: int, at: events.At) -> Happened:
        """Read a readable descriptor; return [] if it was removed earlier in the same turn."""
        callback = self._by_fd.get(fd)
        return callback(at) if callback is not None else []
