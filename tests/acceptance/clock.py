"""Control the wall clock of one supervisor while it runs.

Only the time of day is moved, as described in `time_of_day.py`; the monotonic clock is
unchanged.
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
from tests.acceptance.daemon import LIMIT_S, Sandbox
from tests.acceptance.ledger_reader import MINUTE, outcomes
from tests.waiting import until

TIME_OF_DAY = Path(__file__).with_name("time_of_day.py")

# Command of a job that records the slots it ran for.
NOTE = "command: 'echo $NIGHTSHIFT_SLOT >> $NIGHTSHIFT_JOB.ran'"
A_MOMENT = timedelta(milliseconds=300)


class Clock:
    """The wall clock of each Python process started in this sandbox."""

    def __init__(self, sandbox: Sandbox, local: str) -> None:
        """Start the clock at `local`, such as 2026-02-09 01:59:58 (UTC)."""
        folder = sandbox.root / "clock"
        folder.mkdir()
        shutil.copy(TIME_OF_DAY, folder / "sitecustomize.py")
        (folder / "offset").write_bytes(bytes(8))
        with open(folder / "offset", "r+b") as file:
            self._offset_ns = memoryview(mmap.mmap(file.fileno(), 8)).cast("q")
        self.set(local)
        others = sandbox.environ.get("PYTHONPATH", "")
        sandbox.environ["PYTHONPATH"] = f"{folder}{os.pathsep}{others}".rstrip(os.pathsep)

    def set(self, local: str) -> None:
        """Set the clock to `local`; it runs on from there."""
        wanted = datetime.fromisoformat(local).replace(tzinfo=UTC)
        self._offset_ns[0] = int(wanted.timestamp() * 1_000_000) * 1000 - time.time_ns()

    def move(self, seconds: float) -> None:
        """Move the clock forward, or back if negative."""
        self._offset_ns[0] += int(seconds * 1_000_000_000)

    @property
    def now(self) -> datetime:
        """Return the time that the clock shows."""
        return datetime.fromtimestamp((time.time_ns() + self._offset_ns[0]) / 1e9, UTC)


def reach(
    sandbox: Sandbox, clock: Clock, supervisor: "subprocess.Popen[str]", slot: datetime
) -> None:
    """Set the clock to just before a slot, once `minutely` has finished the slots before.

    A run still catching up the previous slot would make the job skip this one.
    """
    for before in (30.0, 0.2):
        clock.set((slot - timedelta(seconds=before)).strftime("%Y-%m-%d %H:%M:%S.%f"))
        supervisor.send_signal(signal.SIGHUP)
        until(
            lambda: outcomes(sandbox, "minutely").get(slot - MINUTE, "").startswith("success"),
            within_s=LIMIT_S,
        )


class Clocked:
    """A running supervisor and its clock."""

    def __init__(
        self, sandbox: Sandbox, clock: Clock, supervisor: "subprocess.Popen[str]"
    ) -> None:
        self.sandbox = sandbox
        self.clock = clock
        self.supervisor = supervisor

    def set(self, instant: datetime) -> None:
        """Set the clock and make the service read it; by itself it reads it once a minute."""
        self.clock.set(instant.strftime("%Y-%m-%d %H:%M:%S.%f"))
        self.supervisor.send_signal(signal.SIGHUP)

    def until_ticked(self, slot: datetime) -> None:
        """Wait until the service has handled this minute."""
        until(lambda: self._ticked() == slot)

    def until_ran(self, *jobs: str, slot: datetime) -> None:
        for job in jobs:
            until(lambda job=job: outcomes(self.sandbox, job).get(slot, "").startswith("success"))

    def ran(self, job: str) -> list[str]:
        """Return the slots that `NOTE` jobs have written, in order."""
        path = self.sandbox.root / f"{job}.ran"
        return path.read_text().split() if path.exists() else []

    def _ticked(self) -> datetime | None:
        last = raw_client.status(self.sandbox)["tick"]["last_at"]
        return datetime.fromisoformat(last).replace(second=0, microsecond=0) if last else None
