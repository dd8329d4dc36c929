"""Records on their way into the ledger: committed a turn at a time, never lost.

What cannot be written is kept, the newest value of each key, and written first
when the ledger can be written again; so the backlog is bounded by what is open.
What nothing depends on waits for SOON_S, and is mostly replaced before that is over:
a brief attempt is one row written once. Instants are monotonic seconds.
"""

from collections.abc import Iterable, Sequence

from supervisor.core import effects
from supervisor.ledger.errors import LedgerTrouble, RowRefused, Written
from supervisor.ledger.rows import ATTEMPTS, TABLES
from supervisor.ledger.store import Store

# How often a ledger that could not be written is tried again.
RETRY_S = 5.0
# How long a record that nothing depends on may wait for one that takes its place.
SOON_S = 0.5

_WRITTEN = (effects.Record, effects.RecordPause, effects.RecordTick, effects.ReleaseSlots)


class Backlog:
    """What is not in the ledger yet, and when it is to be tried (flush_at)."""

    def __init__(self, store: Store) -> None:
        self.flush_at: float | None = None
        self.is_broken = False
        self._store = store
        self._waiting: dict[object, Written] = {}  # for the ledger
        self._resting: dict[object, Written] = {}  # for what takes its place, or SOON_S
        self._trouble = ""
        self._refused: list[tuple[Written, str]] = []

    def take(self, actions: Sequence[effects.Action], mono: float) -> str:
        """Commit the records of a turn that may not rest; "" or why that cannot be."""
        for action in actions:
            if isinstance(action, _WRITTEN):
                self._put(action, mono)
        trouble = self._trouble if self.is_broken else self._commit(mono)
        if trouble:
            self._forget_launches(actions)
        return trouble

    def take_refused(self) -> list[tuple[Written, str]]:
        """Records that no ledger takes, dropped since the last time, and why."""
        taken, self._refused = self._refused, []
        return taken

    def flush(self, mono: float) -> str:
        """Commit all that waits and all that rests; "" or why that cannot be."""
        self._waiting |= self._resting
        self._resting.clear()
        self.flush_at = None
        return self._commit(mono)

    def _put(self, action: Written, mono: float) -> None:
        key = _key(action)
        if isinstance(action, effects.Record) and action.soon and key not in self._waiting:
            self._resting[key] = action
            self.flush_at = self.flush_at or mono + SOON_S
        else:
            self._resting.pop(key, None)
            self._waiting.pop(key, None)
            self._waiting[key] = action

    def _commit(self, mono: float) -> str:
        try:
            self._write_all()
        except LedgerTrouble as trouble:
            self.is_broken, self._trouble = True, str(trouble)
            self.flush_at = mono + RETRY_S
            return self._trouble
        self._waiting.clear()
        self.is_broken = False
        return ""

    def _write_all(self) -> None:
        """Write what waits; a record that no ledger takes must not hold up the others."""
        while self._waiting:
            try:
                self._store.write(self._waiting.values())
                return
            except RowRefused as refused:
                self._refused.append((refused.action, str(refused)))
                del self._waiting[_key(refused.action)]

    def _forget_launches(self, actions: Iterable[effects.Action]) -> None:
        """No record, no launch; and no launch, no attempt."""
        for action in actions:
            if isinstance(action, effects.Launch):
                key = (ATTEMPTS.name, (action.run.id, action.run.attempt))
                self._waiting.pop(key, None)
                self._resting.pop(key, None)


def _key(action: Written) -> object:
    """What makes a later record replace an earlier one that still waits."""
    if isinstance(action, effects.Record):
        table = TABLES[type(action.row)]
        return id(action) if table.key is None else (table.name, table.key(action.row))
    if isinstance(action, effects.RecordPause | effects.RecordTick):
        return type(action)
    return id(action)
