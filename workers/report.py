"""The object through which a worker reports: `run(params, report)`.

Standard library only, because a worker may run in another interpreter. A report only
sends messages; it decides nothing and reads no clock.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from workers.protocol import Log, Message, Metric, Progress


class WorkerError(Exception):
    """Failure of a run with this text; raised by `Report.fail`.

    incident: see `protocol.Failed`.
    """

    def __init__(self, error: str, permanent: bool = False, incident: str = "") -> None:
        super().__init__(error)
        self.error = error
        self.permanent = permanent
        self.incident = incident


@dataclass(slots=True)
class Report:
    """The channel from a run to the supervisor.

    slot: the time at which the run is due (aware, UTC).
    timezone: IANA name of the job's time zone.
    dry_run: report what would be done and change nothing.
    cancelled: True after SIGTERM; check it between batches.
    """

    send: Callable[[Message], None]
    slot: datetime
    timezone: str = "UTC"
    dry_run: bool = False
    cancelled: bool = field(default=False)

    def log(self, text: str, level: str = "info") -> None:
        """Send a log line, which is stored with the run."""
        self.send(Log(level, text))

    def progress(self, done: float, total: float | None = None, unit: str = "") -> None:
        """Send the progress of the run; replaces the previous value."""
        self.send(Progress(done, total, unit))

    def metric(self, name: str, value: float) -> None:
        """Send a number to be exported as a gauge."""
        self.send(Metric(name, value))

    def fail(self, text: str, permanent: bool = False) -> None:
        """End the run as failed; a permanent error is not retried.

        Raises:
            WorkerError: always.
        """
        raise WorkerError(text, permanent)
