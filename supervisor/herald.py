"""What the service manager hears at the end of a turn, from what the world has become.

Looks, and tells `notify_socket.py`; changes nothing. The loop calls it and it
alone, so that a loop that is stuck is silent.
"""

from datetime import datetime

from supervisor.core.summary import summary
from supervisor.core.world import Life, World
from supervisor.notify_socket import NotifySocket


class Herald:
    """Remembers what was told, so that nothing is told twice."""

    def __init__(self, line: NotifySocket) -> None:
        self._line = line
        self._told_minute: datetime | None = None
        self._told_reading = False
        self._told_trouble = line.trouble

    def begin(self, world: World, mono: float) -> None:
        """The socket answers."""
        self._line.ready(summary(world), mono)

    def look(self, world: World, is_reading: bool, minute: datetime, mono: float) -> str:
        """Tell what is new; why it could not be told, once, or "".

        is_reading: whether jobs.yaml is being read again. minute: the next full one.
        """
        if world.life in (Life.STOPPING, Life.STOPPED):
            self._line.stopping(summary(world), mono)
        elif is_reading != self._told_reading:
            self._told_reading = is_reading
            if is_reading:
                self._line.reloading(mono)
            else:
                self._line.ready(summary(world), mono)
        elif minute != self._told_minute:  # a line a minute, not one for each run
            self._told_minute = minute
            self._line.status(summary(world), mono)
        self._line.speak(mono)
        return self._new_trouble()

    def next_instant(self) -> float | None:
        """When there is something to say though nothing happens, monotonic."""
        return self._line.next_instant()

    def _new_trouble(self) -> str:
        trouble = self._line.trouble
        is_new = bool(trouble) and trouble != self._told_trouble
        self._told_trouble = trouble
        return trouble if is_new else ""
