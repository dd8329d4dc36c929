"""Queue of records for the ledger: committed once per turn, never lost.

If the ledger cannot be written, the newest value of each key is kept and written
first when writing works again, so the queue is bounded by the number of open rows.
Records on which nothing depends wait for SOON_S and are mostly replaced within it:
a brief attempt is one row, written once. Instants are monotonic seconds.
"""

from collections.abc import Iterable, Sequence
from typing import TypeGuard

from supervisor.core import effects
from supervisor.ledger.errors import LedgerUnavailableError, RowRefusedError, Written
from supervisor.ledger.rows import ATTEMPTS, TABLES
from supervisor.ledger.store import Store

# Retry interval for a ledger that could not be written.
RETRY_S = 5.0
# How long a record on which nothing depends may wait for one that replaces it.
SOON_S = 0.5

_WRITTEN = frozenset(
    (effects.Record, effects.RecordPause, effects.RecordTick, effects.ReleaseSlots)
)


class WriteQueue:
    """Records that are not in the ledger yet; flush_at: when to try the next write."""

    def __init__(self, store: Store) -> None:
        self.flush_at: float | None = None
        self.is_broken = False
        self._store = store
        self._waiting: dict[object, Written] = {}  # for the next commit
        self._resting: dict[object, Written] = {}  # until replaced, or for SOON_S
        self._problem = ""
        self._refused: list[tuple[Written, str]] = []

    def take(self, actions: Sequence[effects.Action], mono: float) -> str:
        """Commit the records of a turn that may not wait; return "" or the reason for failure."""
        for action in actions:
            if _is_written(action):
                self._put(action, mono)
        problem = self._problem if self.is_broken else self._commit(mono)
        if problem:
            self._forget_launches(actions)
        return problem

    def take_refused(self) -> list[tuple[Written, str]]:
        """Return records that can never be written, dropped since the last call, and why."""
        taken, self._refused = self._refused, []
        return taken

    def flush(self, mono: float) -> str:
        """Commit all records, deferred ones included; return "" or the reason for failure."""
        self._waiting |= self._resting
        self._resting.clear()
        self.flush_at = None
        return self._commit(mono)

    def _put(self, action: Written, mono: float) -> None:
        key = _key(action)
        if type(action) is effects.Record and action.soon and key not in self._waiting:
            self._resting[key] = action
            self.flush_at = self.flush_at or mono + SOON_S
        else:
            self._resting.pop(key, None)
            self._waiting.pop(key, None)
            self._waiting[key] = action

    def _commit(self, mono: float) -> str:
        try:
            self._write_all()
        except LedgerUnavailableError as problem:
            self.is_broken, self._problem = True, str(problem)
            self.flush_at = mono + RETRY_S
            return self._problem
        self._waiting.clear()
        self.is_broken = False
        return ""

    def _write_all(self) -> None:
        """Write the queue; drop a refused record, which must not block the others."""
        while self._waiting:
            try:
                self._store.write(self._waiting.values())
                return
            except RowRefusedError as refused:
                self._refused.append((refused.action, str(refused)))
                del self._waiting[_key(refused.action)]

    def _forget_launches(self, actions: Iterable[effects.Action]) -> None:
        """Drop the attempts of launches: no record, no launch; no launch, no attempt."""
        for action in actions:
            if type(action) is effects.Launch:
                key = (ATTEMPTS.name, (action.run.id, action.run.attempt))
                self._waiting.pop(key, None)
                self._resting.pop(key, None)


def _is_written(action: effects.Action) -> TypeGuard[Written]:
    # By type: `isinstance` costs several times as much with msgspec's metaclass.
    return type(action) in _WRITTEN


def _key(action: Written) -> object:
    """Return the key by which a later record replaces an earlier one in the queue."""
    if type(action) is effects.Record:
        table = TABLES[type(action.row)]
        return id(action) if table.key is None else (table.name, table.key(action.row))
    if isinstance(action, effects.RecordPause | effects.RecordTick):
        return type(action)
    return id(action)
