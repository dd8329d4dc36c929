"""Queue of records for the ledger: committed once per turn, never lost.

A commit waits for the disk, unless it holds only starts that were promised, and ends
(`promises.py`). What has not waited does so within SYNC_S.

If the ledger cannot be written, the newest value of each key is kept and written
first when writing works again, so the queue is bounded by the number of open rows.
Records on which nothing depends wait for SOON_S and are mostly replaced within it:
a brief attempt is one row, written once. Instants are monotonic seconds.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import TypeGuard

from supervisor.core import effects
from supervisor.ledger.errors import LedgerUnavailableError, RowRefusedError, Written
from supervisor.ledger.promises import AttemptKey, Promise, boot_id
from supervisor.ledger.rows import ATTEMPTS, MARKS, RUNS, TABLES
from supervisor.ledger.store import Store

# Retry interval for a ledger that could not be written.
RETRY_S = 5.0
# How long a record on which nothing depends may wait for one that replaces it.
SOON_S = 0.5
# How long a commit may be undone by a power cut, while a promise is in force.
SYNC_S = 0.1

_WRITTEN = frozenset(
    (effects.Record, effects.RecordPause, effects.RecordTick, effects.ReleaseSlots)
)
# Rows whose loss a promise makes good: after a power cut their attempts count as begun.
_OF_ATTEMPTS = frozenset((RUNS.kind, ATTEMPTS.kind, MARKS.kind))

NextAttempts = Callable[[], tuple[AttemptKey, ...]]


def _none() -> tuple[AttemptKey, ...]:
    return ()


class WriteQueue:
    """Records that are not in the ledger yet, or not on its disk."""

    def __init__(self, store: Store) -> None:
        self.is_broken = False
        self._store = store
        self._retry_at: float | None = None  # a ledger that could not be written
        self._soon_at: float | None = None  # what rests
        self._sync_at: float | None = None  # the end of the promise
        self._boot = boot_id()
        self._promised: frozenset[AttemptKey] = frozenset()
        self._waiting: dict[object, Written] = {}  # for the next commit
        self._resting: dict[object, Written] = {}  # until replaced, or for SOON_S
        self._problem = ""
        self._refused: list[tuple[Written, str]] = []

    def take(
        self,
        actions: Sequence[effects.Action],
        mono: float,
        next_attempts: NextAttempts = _none,
    ) -> str:
        """Commit the records of a turn that may not wait; return "" or the reason for failure.

        next_attempts: returns what is launched next, for a promise.
        """
        for action in actions:
            if _is_written(action):
                self._put(action, mono)
        launched = {(a.run.id, a.run.attempt) for a in actions if type(a) is effects.Launch}
        if self.is_broken:
            problem = self._problem
        elif launched < self._promised and self._holds_only_attempts():
            problem = self._commit(self._store.write_unsynced, mono)
            self._promised -= launched
        else:
            self._promise(next_attempts())
            problem = self._commit(self._store.write, mono)
        if problem:
            self._forget_launches(actions)
        return problem

    def take_refused(self) -> list[tuple[Written, str]]:
        """Return records that can never be written, dropped since the last call, and why."""
        taken, self._refused = self._refused, []
        return taken

    def flush(self, mono: float, next_attempts: NextAttempts = _none) -> str:
        """Commit all records, deferred ones included; return "" or the reason for failure.

        next_attempts: returns what is launched next, for a promise.
        """
        self._waiting |= self._resting
        self._resting.clear()
        self._soon_at = None
        self._promise(next_attempts())
        return self._commit(self._store.write, mono)

    @property
    def flush_at(self) -> float | None:
        """Return the monotonic time of the next flush; None if nothing waits for it."""
        if self._retry_at is not None:
            return self._retry_at
        return min((at for at in (self._soon_at, self._sync_at) if at is not None), default=None)

    def _put(self, action: Written, mono: float) -> None:
        key = _key(action)
        if type(action) is effects.Record and action.soon and key not in self._waiting:
            self._resting[key] = action
            self._soon_at = self._soon_at or mono + SOON_S
        else:
            self._resting.pop(key, None)
            self._waiting.pop(key, None)
            self._waiting[key] = action

    def _holds_only_attempts(self) -> bool:
        return all(
            type(each) is effects.Record and type(each.row) in _OF_ATTEMPTS
            for each in self._waiting.values()
        )

    def _promise(self, attempts: tuple[AttemptKey, ...]) -> None:
        if attempts or self._promised:
            promise = Promise(self._boot, attempts)
            self._waiting[_key(promise)] = promise

    def _commit(self, write: Callable[[Iterable[Written]], None], mono: float) -> str:
        try:
            self._write_all(write)
        except LedgerUnavailableError as problem:
            self.is_broken, self._problem = True, str(problem)
            self._retry_at = mono + RETRY_S
            return self._problem
        promise = self._waiting.get(Promise)
        if type(promise) is Promise:
            self._promised = frozenset(promise.attempts)
            self._sync_at = mono + SYNC_S if promise.attempts else None
        self._waiting.clear()
        self.is_broken, self._retry_at = False, None
        return ""

    def _write_all(self, write: Callable[[Iterable[Written]], None]) -> None:
        """Write the queue; drop a refused record, which must not block the others."""
        while self._waiting:
            try:
                write(self._waiting.values())
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
    if isinstance(action, effects.RecordPause | effects.RecordTick | Promise):
        return type(action)
    return id(action)
