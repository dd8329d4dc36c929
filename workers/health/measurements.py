"""The results of health measurements, as values. Pure.

A measurement that was not made has no value and is not rated. An `error` is a sentence
without its subject, empty if there is none.
"""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Database:
    """Whether the SQLite database can be read."""

    path: Path
    error: str


@dataclass(frozen=True, slots=True)
class QuickCheck:
    """Lines of quick_check; `finished` is false if the time limit ended it after `seconds`."""

    problems: tuple[str, ...]
    finished: bool
    seconds: float


@dataclass(frozen=True, slots=True)
class NoQuickCheck:
    """quick_check could not run, and why: for example a collation of the owner's program."""

    error: str


@dataclass(frozen=True, slots=True)
class DatabaseSize:
    """The size of the main file."""

    size_bytes: int


@dataclass(frozen=True, slots=True)
class WalSize:
    """The size of the write-ahead log, 0 if there is none."""

    size_bytes: int


@dataclass(frozen=True, slots=True)
class Query:
    """The duration of the sample query."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Disk:
    """The volume of a folder in use; space reserved for root is excluded."""

    folder: Path
    free_bytes: int
    used_bytes: int

    @property
    def free_ratio(self) -> float:
        """Return the free fraction of the space for ordinary users; 1 if the total is 0."""
        total = self.free_bytes + self.used_bytes
        return self.free_bytes / total if total else 1.0


@dataclass(frozen=True, slots=True)
class NextBackup:
    """Why the next backup could not be made (usually lack of space), or empty."""

    error: str


@dataclass(frozen=True, slots=True)
class NewestBackup:
    """The age of the newest verified copy."""

    age_s: float


@dataclass(frozen=True, slots=True)
class NoBackup:
    """There is no verified copy, and why."""

    error: str


@dataclass(frozen=True, slots=True)
class NewestCopy:
    """The age of the newest verified second copy in a place; None: there is none."""

    place: str
    age_s: float | None


@dataclass(frozen=True, slots=True)
class NoPlace:
    """A place of second copies cannot be asked, and why."""

    place: str
    error: str


@dataclass(frozen=True, slots=True)
class Postgres:
    """The response of PostgreSQL: connection and first query."""

    error: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Replica:
    """The age of the source's snapshot that the replica holds."""

    lag_s: float


@dataclass(frozen=True, slots=True)
class NoReplica:
    """PostgreSQL responds, but has no readable replication state."""

    error: str


@dataclass(frozen=True, slots=True)
class Page:
    """The response of a URL; `name` is the URL without secrets."""

    name: str
    error: str
    seconds: float


Measure = (
    Database
    | QuickCheck
    | NoQuickCheck
    | DatabaseSize
    | WalSize
    | Query
    | Disk
    | NextBackup
    | NewestBackup
    | NoBackup
    | NewestCopy
    | NoPlace
    | Postgres
    | Replica
    | NoReplica
    | Page
)
