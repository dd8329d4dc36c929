"""A connection to PostgreSQL whose every wait ends.

psycopg's generators say what they wait for, and `DeadlineConnection.wait` drives them. So
a run can be cancelled in the middle of a statement, and a connection that silently loses
data is given up.
"""

import select
import time
from collections.abc import Callable, Mapping
from typing import Any

import psycopg

from workers.replication.errors import ReplicationCancelledError, ReplicationError

# After this time without a byte, a second connection asks the server whether the
# backend is still working.
SILENCE_S = 20.0
_LOOK_EVERY_MS = 200
_OUR_STATE = "SELECT state FROM pg_stat_activity WHERE pid = %s"


class DeadlineConnection(psycopg.Connection[tuple[Any, ...]]):
    """A connection whose waits check `cancelled` and end when the server is gone.

    given: its connection parameters. pid: the server's backend PID, once known.
    """

    cancelled: Callable[[], bool] = staticmethod(lambda: False)
    given: Mapping[str, Any] = {}
    where: str = ""
    pid: int | None = None
    why_left: Exception | None = None

    def wait(self, gen: Any, interval: float = 0.0, timeout: float | None = None) -> Any:
        """Drive psycopg's generator and return its value; see `psycopg.waiting`.

        Raises:
            ReplicationCancelledError: the run was asked to end.
            ReplicationError: the server does not answer, or has lost the request.
        """
        try:
            wanted = next(gen)
            descriptor = self.pgconn.socket
            poll = select.poll()
            silent_since = time.monotonic()
            while True:
                poll.register(descriptor, _events(wanted))
                ready = poll.poll(_LOOK_EVERY_MS)
                if self.cancelled():
                    raise ReplicationCancelledError
                if ready:
                    silent_since = time.monotonic()
                elif time.monotonic() - silent_since > SILENCE_S:
                    self._ask_whether_it_works()
                    silent_since = time.monotonic()
                wanted = gen.send(_ready(ready[0][1], wanted) if ready else 0)
        except StopIteration as done:
            return done.value
        except (ReplicationCancelledError, ReplicationError) as reason:
            # Closing needs no answer, and the server rolls back. Keep the reason, because psycopg
            # will only report a closed connection.
            self.why_left = reason
            self.pgconn.finish()
            raise

    def _ask_whether_it_works(self) -> None:
        pid = self.pid or self.pgconn.backend_pid
        try:
            with psycopg.connect(**self.given, autocommit=True) as second:
                line = second.execute(_OUR_STATE, (pid,)).fetchone()
        except psycopg.OperationalError as error:
            if error.sqlstate:  # the server is up, but full or stopping
                return
            text = f"does not answer any more: nothing for {SILENCE_S:.0f} s"
            raise ReplicationError(f"PostgreSQL at {self.where} {text}", permanent=False) from None
        if line is None or (line[0] or "active").startswith("idle"):
            text = "has lost what it was asked; something between swallows bytes"
            raise ReplicationError(f"PostgreSQL at {self.where} {text}", permanent=False)


def _events(wanted: int) -> int:
    # psycopg's Wait: 1 to read, 2 to write.
    return (select.POLLIN if wanted & 1 else 0) | (select.POLLOUT if wanted & 2 else 0)


def _ready(events: int, wanted: int) -> int:
    if events & ~(select.POLLIN | select.POLLOUT):
        return wanted  # an error: the next read or write reports it
    return (1 if events & select.POLLIN else 0) | (2 if events & select.POLLOUT else 0)
