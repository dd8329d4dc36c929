"""A clock for one supervisor, which a test may set while it runs (libfaketime), and the hand.

Only the time of day is faked; what runs on the monotonic clock runs as always.
"""

import importlib.util
import os
import signal
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.acceptance import line
from tests.acceptance.account import outcomes
from tests.acceptance.daemon import House
from tests.waiting import until

_FOUND = importlib.util.find_spec("libfaketime")
LIBRARY = Path(
    _FOUND.origin if _FOUND and _FOUND.origin else "",
    "../vendor/libfaketime/src/libfaketime.so.1",
)
needs_library = pytest.mark.skipif(
    not os.path.exists(os.path.normpath(LIBRARY)), reason="libfaketime is not installed"
)

# A job that writes down the slots it ran for.
NOTE = "command: 'echo $NIGHTSHIFT_SLOT >> $NIGHTSHIFT_JOB.ran'"
A_MOMENT = timedelta(milliseconds=300)

# While a thread of the supervisor waits for Python's lock, the library reads its file beside
# the one that asks for the time, and may tell it the real one: whoever looks must do so seldom.
SELDOM_S = 0.05


class Clock:
    """The time of day of whoever is started in this house."""

    def __init__(self, house: House, local: str) -> None:
        """From here on it goes on from `local`, such as 2026-02-09 01:59:58 (UTC)."""
        self._file = house.root / "clock"
        self._offset_s = 0.0
        self.set(local)
        house.environ |= {
            "LD_PRELOAD": os.path.normpath(LIBRARY),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_NO_CACHE": "1",
        }

    def set(self, local: str) -> None:
        """Now it is `local`, and goes on from there."""
        wanted = datetime.fromisoformat(local).replace(tzinfo=UTC)
        self._offset_s = (wanted - datetime.now(UTC)).total_seconds()
        self._write()

    def move(self, seconds: float) -> None:
        """Forward, or back."""
        self._offset_s += seconds
        self._write()

    @property
    def now(self) -> datetime:
        """What it shows."""
        return datetime.fromtimestamp(datetime.now(UTC).timestamp() + self._offset_s, UTC)

    def _write(self) -> None:
        fresh = self._file.with_suffix(".new")
        fresh.write_text(f"{self._offset_s:+f}\n")
        fresh.replace(self._file)


class Clocked:
    """A living supervisor, and the hand at its clock."""

    def __init__(self, house: House, clock: Clock, supervisor: "subprocess.Popen[str]") -> None:
        self.house = house
        self.clock = clock
        self.supervisor = supervisor

    def set(self, instant: datetime) -> None:
        """Set the clock, and let the service look at it: by itself it does so once a minute."""
        self.clock.set(instant.strftime("%Y-%m-%d %H:%M:%S.%f"))
        self.supervisor.send_signal(signal.SIGHUP)

    def until_ticked(self, slot: datetime) -> None:
        """Wait until the service has acted on this full minute."""
        until(lambda: self._ticked() == slot, every_s=SELDOM_S)

    def until_ran(self, *jobs: str, slot: datetime) -> None:
        for job in jobs:
            until(lambda job=job: outcomes(self.house, job).get(slot, "").startswith("success"))

    def ran(self, job: str) -> list[str]:
        """The slots that a `NOTE`'s own processes have written down, in order."""
        path = self.house.root / f"{job}.ran"
        return path.read_text().split() if path.exists() else []

    def _ticked(self) -> datetime | None:
        last = line.status(self.house)["tick"]["last_at"]
        return datetime.fromisoformat(last).replace(second=0, microsecond=0) if last else None
