"""What health measures, as values. Pure.

What was not measured has no value here: a measure that is not taken is not
judged. A `trouble` is a sentence without its subject, empty if there is none.
"""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Database:
    """Whether the SQLite database can be read."""

    path: Path
    trouble: str


@dataclass(frozen=True, slots=True)
class QuickCheck:
    """Lines of quick_check; `finished` is false if its time was over, `seconds` what it took."""

    problems: tuple[str, ...]
    finished: bool
    seconds: float


@dataclass(frozen=True, slots=True)
class NoQuickCheck:
    """quick_check could not be made, and why: a collation that only the owner has."""

    trouble: str


@dataclass(frozen=True, slots=True)
class DatabaseSize:
    """The main file."""

    size_bytes: int


@dataclass(frozen=True, slots=True)
class WalSize:
    """The write-ahead log beside it, 0 if there is none."""

    size_bytes: int


@dataclass(frozen=True, slots=True)
class Query:
    """How long the sample query took."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Disk:
    """The volume of a folder in use; what root alone may write counts as neither."""

    folder: Path
    free_bytes: int
    used_bytes: int

    @property
    def free_ratio(self) -> float:
        """Of what an ordinary user may write; 1 on a file system that counts nothing."""
        total = self.free_bytes + self.used_bytes
        return self.free_bytes / total if total else 1.0


@dataclass(frozen=True, slots=True)
class NextBackup:
    """Why the next backup could not be made, for lack of room most likely."""

    trouble: str


@dataclass(frozen=True, slots=True)
class NewestBackup:
    """How old the newest verified copy is."""

    age_s: float


@dataclass(frozen=True, slots=True)
class NoBackup:
    """There is no verified copy, and why."""

    trouble: str


@dataclass(frozen=True, slots=True)
class Postgres:
    """How PostgreSQL answered: connection and first query."""

    trouble: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Replica:
    """How old the moment of the source is that the replica shows."""

    lag_s: float


@dataclass(frozen=True, slots=True)
class NoReplica:
    """PostgreSQL answers, but nothing says that anything was replicated."""

    trouble: str


@dataclass(frozen=True, slots=True)
class Page:
    """How a URL answered; `name` shows it without its secrets."""

    name: str
    trouble: str
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
    | Postgres
    | Replica
    | NoReplica
    | Page
)
