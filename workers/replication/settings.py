"""What a replication works on, resolved once from its parameters.

    Params -> Settings.source       snapshot, tables and columns to read
                      .destination  connection and schema
                      .limits       what may be changed there
                      .proof        which rows are compared

Only texts are resolved here; whether a table or type exists is for the run.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

from workers.replication.params import Params


@dataclass(frozen=True, slots=True)
class TableSelection:
    """The tables to replicate; empty `names`: all that are not excluded.

    exclude: tables, and columns as `table.column`. adopt: tables of the target with rows of
    others that may become replicas.
    """

    names: tuple[str, ...]
    exclude: tuple[str, ...]
    adopt: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ColumnSettings:
    """Settings of single columns by `table.column`.

    escapes: whether a text that PostgreSQL cannot hold is escaped in a column whose type was
    set to text.
    """

    exclude: tuple[str, ...]
    rename: Mapping[str, str]
    types: Mapping[str, str]
    escapes: bool


@dataclass(frozen=True, slots=True)
class Source:
    """The SQLite file and what of it is read; triggers: whether changes are logged there."""

    database: Path
    tables: TableSelection
    columns: ColumnSettings
    triggers: bool


@dataclass(frozen=True, slots=True)
class Destination:
    """A libpq DSN (empty: libpq's environment), and the schema for the tables."""

    dsn: str = field(repr=False)
    schema: str


@dataclass(frozen=True, slots=True)
class DeletionLimit:
    """How much of a table a run may delete: a number of rows, or a part of them.

    text: as it was given, for messages. One of rows and part is None.
    """

    text: str
    rows: int | None
    part: Fraction | None


@dataclass(frozen=True, slots=True)
class Proof:
    """How unchanged rows are compared: all of them, or for some seconds (0: not at all)."""

    budget_s: float
    is_full: bool

    @property
    def verifies_sent(self) -> bool:
        """Return whether rows are read back after they were sent."""
        return self.budget_s > 0


@dataclass(frozen=True, slots=True)
class Settings:
    """The parts of a replication job; widens: a column becomes text if a value needs it."""

    source: Source
    destination: Destination
    widens: bool
    deletion_limit: DeletionLimit
    proof: Proof


def resolve(params: Params) -> Settings:
    """Return the settings that the parameters mean; pure."""
    names = () if params.all_tables else params.tables
    return Settings(
        Source(
            params.database,
            TableSelection(names, params.exclude, params.adopt),
            ColumnSettings(
                params.exclude, params.rename, params.types, params.on_misfit == "escape"
            ),
            params.capture == "triggers",
        ),
        Destination(params.postgres, params.schema),
        params.on_misfit == "text",
        deletion_limit(str(params.max_delete)),
        Proof(params.proof_budget, params.full),
    )


def deletion_limit(text: str) -> DeletionLimit:
    """Return the limit that a number such as `100`, or a part such as `20%`, means."""
    if not text.endswith("%"):
        return DeletionLimit(text, int(text), None)
    return DeletionLimit(text, None, Fraction(text.removesuffix("%").strip()) / 100)
