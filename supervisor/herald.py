"""What the service manager hears at the end of a turn, from what the world has become.

Looks, and tells `notify_socket.py`; changes nothing of it. The loop calls it and it
alone, so that a loop that is stuck is silent.
"""

from datetime import datetime

from supervisor.core.effects import Note
from supervisor.core.events import At
from supervisor.core.summary import summary
from supervisor.core.world import Life, World
from supervisor.log import Log
from supervisor.notify_socket import NotifySocket


class Herald:
    """Remembers what was told, so that nothing is told twice."""

    def __init__(self, line: NotifySocket, log: Log) -> None:
        self._line = line
        self._log = log
        self._told_minute: datetime | None = None
        self._told_reading = False
        self._told_trouble = line.trouble

    def begin(self, world: World, mono: float) -> None:
        """The socket answers."""
        self._line.ready(summary(world), mono)

    def look(self, world: World, is_reading: bool, minute: datetime, at: At) -> None:
        """Tell what is new; log why it could not be told, once.

        is_reading: whether jobs.yaml is being read again. minute: the next full one.
        """
        if world.life in (Life.STOPPING, Life.STOPPED):
            self._line.stopping(summary(world), at.mono)
        elif is_reading != self._told_reading:
            self._told_reading = is_reading
            if is_reading:
                self._line.reloading(at.mono)
            else:
                self._line.ready(summary(world), at.mono)
        elif minute != self._told_minute:  # a line a minute, not one for each run
            self._told_minute = minute
            self._line.status(summary(world), at.mono)
        self._line.speak(at.mono)
        self._own_up(at)

    def next_instant(self) -> float | None:
        """When there is something to say though nothing happens, monotonic."""
        return self._line.next_instant()

    def _own_up(self, at: At) -> None:
        trouble = self._line.trouble
        if trouble and trouble != self._told_trouble:
            text = f"the service manager is not told: {trouble}"
            self._log.note(at.wall, Note("warning", text))
        self._told_trouble = trouble
