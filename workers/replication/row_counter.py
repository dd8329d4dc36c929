"""Count rows as they are processed: the progress of a run, and where it can be cancelled."""

from dataclasses import dataclass

from workers.replication.errors import ReplicationCancelledError
from workers.report import Report

_TELL_EVERY_ROWS = 10_000


@dataclass(slots=True)
class RowCounter:
    """Count of processed rows, reported as progress every `_TELL_EVERY_ROWS` rows."""

    report: Report
    done: int = 0

    def __call__(self, rows: int) -> None:
        """Add `rows` to the count.

        Raises:
            ReplicationCancelledError: the run was asked to end.
        """
        if self.report.cancelled:
            raise ReplicationCancelledError
        before, self.done = self.done, self.done + rows
        if before // _TELL_EVERY_ROWS != self.done // _TELL_EVERY_ROWS:
            self.report.progress(self.done, None, "rows")
