"""Errors of writing the ledger: of the file, or of one record."""

import sqlite3

from supervisor.core.effects import Record, RecordPause, RecordTick, ReleaseSlots
from supervisor.ledger.promises import Promise

Written = Record | RecordPause | RecordTick | ReleaseSlots | Promise


class LedgerUnavailableError(Exception):
    """A ledger that cannot be written now; the text says why."""


class RowRefusedError(LedgerUnavailableError):
    """A record that can never be written: its value does not fit or violates a constraint."""

    def __init__(self, action: Written, error: Exception) -> None:
        super().__init__(f"{type(error).__name__}: {error}")
        self.action = action


# Exceptions of SQLite, or of encoding, that concern a value and not the file.
OF_A_VALUE = (
    sqlite3.IntegrityError,
    sqlite3.InterfaceError,
    sqlite3.ProgrammingError,
    sqlite3.DataError,
    ArithmeticError,
    AttributeError,
    LookupError,
    TypeError,
    ValueError,
)
