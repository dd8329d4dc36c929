"""A clock for one supervisor, which a test may set while it runs, and the hand at it.

Only the time of day is moved, as `time_of_day.py` says; what runs on the monotonic clock
runs as always.
"""

import mmap
import os
import shutil
import signal
import subprocess
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.acceptance import raw_client
from tests.acceptance.daemon import House
from tests.acceptance.ledger_reader import outcomes
from tests.waiting import until

TIME_OF_DAY = Path(__file__).with_name("time_of_day.py")

# A job that writes down the slots it ran for.
NOTE = "command: 'echo $NIGHTSHIFT_SLOT >> $NIGHTSHIFT_JOB.ran'"
A_MOMENT = timedelta(milliseconds=300)


class Clock:
    """The time of day of each Python that is started in this house."""

    def __init__(self, house: House, local: str) -> None:
        """From here on it goes on from `local`, such as 2026-02-09 01:59:58 (UTC)."""
        folder = house.root / "clock"
        folder.mkdir()
        shutil.copy(TIME_OF_DAY, folder / "sitecustomize.py")
        (folder / "offset").write_bytes(bytes(8))
        with open(folder / "offset", "r+b") as file:
            self._offset_ns = memoryview(mmap.mmap(file.fileno(), 8)).cast("q")
        self.set(local)
        others = house.environ.get("PYTHONPATH", "")
        house.environ["PYTHONPATH"] = f"{folder}{os.pathsep}{others}".rstrip(os.pathsep)

    def set(self, local: str) -> None:
        """Now it is `local`, and goes on from there."""
        wanted = datetime.fromisoformat(local).replace(tzinfo=UTC)
        self._offset_ns[0] = int(wanted.timestamp() * 1_000_000) * 1000 - time.time_ns()

    def move(self, seconds: float) -> None:
        """Forward, or back."""
        self._offset_ns[0] += int(seconds * 1_000_000_000)

    @property
    def now(self) -> datetime:
        """What it shows."""
        return datetime.fromtimestamp((time.time_ns() + self._offset_ns[0]) / 1e9, UTC)


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
        until(lambda: self._ticked() == slot)

    def until_ran(self, *jobs: str, slot: datetime) -> None:
        for job in jobs:
            until(lambda job=job: outcomes(self.house, job).get(slot, "").startswith("success"))

    def ran(self, job: str) -> list[str]:
        """The slots that a `NOTE`'s own processes have written down, in order."""
        path = self.house.root / f"{job}.ran"
        return path.read_text().split() if path.exists() else []

    def _ticked(self) -> datetime | None:
        last = raw_client.status(self.house)["tick"]["last_at"]
        return datetime.fromisoformat(last).replace(second=0, microsecond=0) if last else None
