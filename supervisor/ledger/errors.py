"""Why the ledger cannot be written: the file, or one record of it."""

import sqlite3

from supervisor.core.effects import Record, RecordPause, RecordTick, ReleaseSlots

Written = Record | RecordPause | RecordTick | ReleaseSlots


class LedgerTrouble(Exception):  # noqa: N818 - the word of the state it causes
    """The ledger cannot be written now; the text says why."""


class RowRefused(LedgerTrouble):
    """One record can never be written: its value does not fit, or breaks a rule of the table."""

    def __init__(self, action: Written, error: Exception) -> None:
        super().__init__(f"{type(error).__name__}: {error}")
        self.action = action


# What SQLite, or the way to it, says of a value and not of the file.
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
