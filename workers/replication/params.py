"""Parameters of `replication.run`, from its `with` block; names and types only."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from workers.params import Duration

_CAPTURES = ("compare", "triggers")
_ON_MISFIT = ("fail", "text", "escape")
# The type is put into a statement; whether it exists is checked by PostgreSQL.
_TYPE = re.compile(r'[A-Za-z_"][A-Za-z0-9_ ,.()"\[\]]*')
_MOST = re.compile(r"[0-9]{1,18}|(100|[0-9]{1,2}(\.[0-9]+)?) ?%")
# PostgreSQL truncates longer names, so two names could become the same.
LONGEST_NAME_BYTES = 63


@dataclass(frozen=True, slots=True)
class Params:
    """The parameters of `replication.run`.

    database: the SQLite file, the source.
    postgres: a libpq DSN or URL; empty: libpq's environment (PGHOST, ...).
    schema: where the tables go; made if missing.
    tables: `all`, or the names of those to take.
    exclude: tables to leave out, or columns as `table.column`.
    rename: the name in PostgreSQL of `table.column`.
    types: a PostgreSQL type for `table.column` where the chosen one does not suit.
    capture: how changes are found, `compare` or `triggers`.
    on_misfit: what happens to a value that its column cannot hold: `fail`, `text` widens the
        column, `escape` writes it so that a column with the type text in `types` holds it.
    proof_budget: seconds for proving unchanged rows after each run; 0 turns it off.
    full: prove every row in this run, whatever was captured.
    verify_only: prove every row, change nothing, fail if one differs.
    adopt: tables of the target with rows that no run has written, which may become
    replicas: their rows are changed and deleted as the source says.
    max_delete: a run that would delete more of a table changes nothing; a number of
    rows, or a part such as 20% of a table with over 100 rows, where all rows are always more.
    """

    database: Path
    postgres: str = field(default="", repr=False)
    schema: str = "public"
    tables: tuple[str, ...] = ("all",)
    exclude: tuple[str, ...] = ()
    rename: dict[str, str] = field(default_factory=dict)
    types: dict[str, str] = field(default_factory=dict)
    capture: Literal["compare", "triggers"] = "compare"
    on_misfit: Literal["fail", "text", "escape"] = "fail"
    proof_budget: Duration = Duration(5.0)  # noqa: RUF009 - a NewType call is its argument
    full: bool = False
    verify_only: bool = False
    adopt: tuple[str, ...] = ()
    max_delete: str = "20%"

    def __post_init__(self) -> None:
        if self.capture not in _CAPTURES:
            raise ValueError(f'capture: expected compare or triggers, got "{self.capture}"')
        if self.on_misfit not in _ON_MISFIT:
            raise ValueError(f'on_misfit: expected fail, text or escape, got "{self.on_misfit}"')
        size = len(self.schema.encode(errors="surrogatepass"))
        if not size:
            raise ValueError('schema: expected the name of a schema such as "public", got ""')
        if size > LONGEST_NAME_BYTES or "\0" in self.schema:
            raise ValueError(f"schema: expected 1 to {LONGEST_NAME_BYTES} bytes, got {size}")
        if self.schema.startswith("pg_") or self.schema == "information_schema":
            # Its tables are in no dump.
            raise ValueError(
                f'schema: expected a schema of your own, got "{self.schema}", which is'
                " PostgreSQL's"
            )
        if "\0" in self.postgres:
            raise ValueError("postgres: expected a libpq DSN, got a NUL in it")
        if not self.tables:
            raise ValueError('tables: expected "all" or a list of names, got an empty list')
        if not _MOST.fullmatch(str(self.max_delete)):
            raise ValueError(
                'max_delete: expected a number of rows or a part such as "20%",'
                f' got "{self.max_delete}"'
            )
        for place, name in self.types.items():
            if not _TYPE.fullmatch(name):
                raise ValueError(f'types: {place}: expected a PostgreSQL type, got "{name[:60]}"')

    @property
    def all_tables(self) -> bool:
        """Return whether every table is replicated that is not excluded."""
        return self.tables == ("all",)
