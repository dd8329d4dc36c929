"""Wake a waiting command when one of its runs changes, by reading /v1/events in a thread.

Without a stream (too many clients read it, or the supervisor is older), `wait` sleeps
for a short time instead, so that the caller polls again soon.
"""

import contextlib
import threading
import time
from collections.abc import Container
from typing import TYPE_CHECKING

import msgspec

from supervisor.cli.errors import CliError
from supervisor.core.views import RunView

if TYPE_CHECKING:
    from supervisor.cli.client import Client

WITHOUT_S = 0.2
SLICE_S = 0.5
GREETING_S = 2.0


class EventListener:
    """Signals changes of a set of runs.

    The constructor waits until the stream is open (at most GREETING_S), so later changes are
    not missed.
    """

    def __init__(self, client: "Client", runs: Container[int]) -> None:
        self._client, self._runs = client, runs
        self._changed = threading.Event()
        self._greeted = threading.Event()
        self._works = True
        threading.Thread(target=self._listen, name="events", daemon=True).start()
        self._greeted.wait(GREETING_S)

    def wait(self, within_s: float) -> None:
        """Return when a run has changed since the last call, or after `within_s` seconds."""
        if not self._works:
            time.sleep(min(within_s, WITHOUT_S))
            return
        deadline = time.monotonic() + within_s
        # In slices: a Ctrl-C that comes just before a wait begins is seen when it ends.
        while not self._changed.wait(min(within_s, SLICE_S)) and time.monotonic() < deadline:
            pass
        self._changed.clear()

    def _listen(self) -> None:
        rest = b""
        with contextlib.suppress(CliError):
            for piece in self._client.stream("v1", "events"):
                self._greeted.set()
                *whole, rest = (rest + piece).split(b"\n")
                if any(map(self._is_relevant, whole)):
                    self._changed.set()
        self._works = False
        self._greeted.set()
        self._changed.set()

    def _is_relevant(self, line: bytes) -> bool:
        name, _, value = line.partition(b": ")
        if name != b"data":
            return False
        with contextlib.suppress(msgspec.MsgspecError):
            return msgspec.json.decode(value, type=RunView).id in self._runs
        return True  # events were dropped: poll
