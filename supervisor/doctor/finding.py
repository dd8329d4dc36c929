"""What a check may say, and what a check is. Values only."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

from msgspec import Struct

from supervisor.doctor.context import DoctorContext

M = TypeVar("M")


class State(StrEnum):
    """How a finding stands; only `mend` makes the verb end with 1."""

    WELL = "well"
    NOTE = "note"  # worth knowing; nothing fails for it
    MEND = "mend"


class Finding(Struct, frozen=True):
    """One sentence about one thing.

    check: its name in the table; a judge leaves it empty. value: what was measured.
    expected: what should be there instead, empty if all is well. mend: the command
    that does it, or the line for the file that is named.
    """

    check: str
    state: State
    value: str
    expected: str = ""
    mend: str = ""


def ok(value: str) -> Finding:
    """Nothing to do."""
    return Finding("", State.WELL, value)


def info(value: str, expected: str = "", mend: str = "") -> Finding:
    """Nothing fails for it, and yet it should be known."""
    return Finding("", State.NOTE, value, expected, mend)


def problem(value: str, expected: str, mend: str) -> Finding:
    """Somebody has to do something."""
    return Finding("", State.MEND, value, expected, mend)


@dataclass(frozen=True, slots=True)
class Check(Generic[M]):
    """One line of the table: measured on the ground, then judged."""

    name: str
    measure: Callable[[DoctorContext], M]
    judge: Callable[[M], Iterable[Finding]]
