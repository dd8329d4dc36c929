"""Read /v1/events in a thread: which runs have ended, and when the stream has a gap."""

import contextlib
import threading
import time
from dataclasses import dataclass

import msgspec

from supervisor.cli.client import Client
from supervisor.cli.errors import CliError
from supervisor.core.views import RunView
from supervisor.telemetry.position import MOST_WAITING

AGAIN_S = 1.0
# A line of the stream has a run or an incident; one of a hostile server has no end.
LONGEST_LINE = 4 * 1024**2


@dataclass(frozen=True, slots=True)
class Ended:
    """runs: that have ended. is_gap: others may have, since nothing was read for a while."""

    runs: frozenset[int]
    is_gap: bool


class EndedRuns:
    """The runs that end, collected until they are taken."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._lock = threading.Lock()
        self._runs: set[int] = set()
        self._is_gap = False
        self._changed = threading.Event()

    def start(self) -> None:
        """Begin to read, in a thread that ends with the process."""
        threading.Thread(target=self._read_always, name="events", daemon=True).start()

    def wait(self, within_s: float) -> bool:
        """Return whether there is something to take, at the latest after this time."""
        return self._changed.wait(within_s)

    def take(self) -> Ended:
        """Return what was collected since the last call."""
        with self._lock:
            found = Ended(frozenset(self._runs), self._is_gap)
            self._runs, self._is_gap = set(), False
            self._changed.clear()
            return found

    def _read_always(self) -> None:
        while True:
            with contextlib.suppress(CliError):
                self._read()
            time.sleep(AGAIN_S)

    def _read(self) -> None:
        rest, name, is_open = b"", b"", False
        for piece in self._client.stream("v1", "events"):
            if not is_open:  # runs may have ended while nothing was read
                self._collect(None)
                is_open = True
            *lines, rest = (rest + piece).split(b"\n")
            if len(rest) > LONGEST_LINE:
                return
            for line in lines:
                key, _, value = line.partition(b": ")
                if key == b"event":
                    name = value
                    if name == b"missed":
                        self._collect(None)
                elif key == b"data" and name == b"run":
                    with contextlib.suppress(msgspec.MsgspecError, UnicodeDecodeError):
                        run = msgspec.json.decode(value, type=RunView)
                        if run.is_final:
                            self._collect(run.id)

    def _collect(self, run: int | None) -> None:
        with self._lock:
            if run is None or len(self._runs) >= MOST_WAITING:
                self._is_gap = True
            else:
                self._runs.add(run)
            self._changed.set()
