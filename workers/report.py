"""What a worker is given to speak with: `run(params, report)`.

Standard library only, since a worker may live in another interpreter. A
report writes messages; it decides nothing and reads no clock.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from workers.protocol import Log, Message, Metric, Progress


class WorkerError(Exception):
    """Raised by `Report.fail`: the run ends as failed with this text."""

    def __init__(self, error: str, permanent: bool = False) -> None:
        super().__init__(error)
        self.error = error
        self.permanent = permanent


@dataclass(slots=True)
class Report:
    """One run's voice.

    slot: the instant (aware, UTC) at which the run is due.
    timezone: IANA name of the job's zone.
    dry_run: say what would be done, change nothing.
    cancelled: True once SIGTERM came; look at it between batches.
    """

    send: Callable[[Message], None]
    slot: datetime
    timezone: str = "UTC"
    dry_run: bool = False
    cancelled: bool = field(default=False)

    def log(self, text: str, level: str = "info") -> None:
        """A line for people, kept with the run."""
        self.send(Log(level, text))

    def progress(self, done: float, total: float | None = None, unit: str = "") -> None:
        """How far the run is; replaces what was said before."""
        self.send(Progress(done, total, unit))

    def metric(self, name: str, value: float) -> None:
        """A number to be exported as a gauge."""
        self.send(Metric(name, value))

    def fail(self, text: str, permanent: bool = False) -> None:
        """End the run as failed; a permanent error is not retried.

        Raises:
            WorkerFailed: always.
        """
        raise WorkerError(text, permanent)
