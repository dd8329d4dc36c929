"""Records on their way into the ledger: committed a turn at a time, never lost.

What cannot be written is kept, the newest value of each key, and written first
when the ledger can be written again; so the backlog is bounded by what is open.
Instants are monotonic seconds.
"""

from collections.abc import Iterable

from supervisor.core import events as ev
from supervisor.core.model import Alert, Attempt, Gap, Incident, Mark, Run
from supervisor.ledger.store import LedgerTrouble, Store, Written

# How often a ledger that could not be written is tried again.
RETRY_S = 5.0
# How long a record that nothing depends on may wait for another one's commit.
SOON_S = 0.5


class Backlog:
    """What is not in the ledger yet, and when it is to be tried (flush_at)."""

    def __init__(self, store: Store) -> None:
        self.flush_at: float | None = None
        self.is_broken = False
        self._store = store
        self._waiting: dict[object, Written] = {}
        self._trouble = ""

    def take(self, actions: Iterable[ev.Action], mono: float) -> str:
        """Commit the records of a turn, and all that waits; "" or why not."""
        may_wait = True
        for action in actions:
            if isinstance(action, ev.Record | ev.RecordPause | ev.ReleaseSlots):
                key = _key(action)
                self._waiting.pop(key, None)
                self._waiting[key] = action
                may_wait = may_wait and isinstance(action, ev.Record) and action.soon
        if self.is_broken:
            return self._trouble
        if may_wait and self._waiting:
            self.flush_at = self.flush_at or mono + SOON_S
            return ""
        return self.flush(mono)

    def flush(self, mono: float) -> str:
        """Commit all that waits; "" or why not."""
        try:
            if self._waiting:
                self._store.write(self._waiting.values())
        except LedgerTrouble as trouble:
            self.is_broken, self._trouble = True, str(trouble)
            self.flush_at = mono + RETRY_S
            return self._trouble
        self._waiting.clear()
        self.is_broken, self.flush_at = False, None
        return ""


def _key(action: Written) -> object:
    """What makes a later record replace an earlier one that still waits."""
    match action:
        case ev.Record(Run(id=number)):
            return "run", number
        case ev.Record(Attempt(run=run, number=number)):
            return "attempt", run, number
        case ev.Record(Gap(job=job, since=since)):
            return "gap", job, since
        case ev.Record(Mark(job=job)):
            return "mark", job
        case ev.Record(Incident(id=number)):
            return "incident", number
        case ev.Record(Alert(id=number)):
            return "alert", number
        case ev.RecordPause():
            return "pause"
        case _:
            return id(action)
