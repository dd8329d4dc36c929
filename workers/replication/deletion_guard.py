"""Which rows of the target a run may change, and how many it may delete.

A run may write to a table that an earlier run filled, by the schema's record, and to an
empty one. Any other table is refused until `adopt` names it. Even from its own tables, a
run deletes only a limited number of rows, because a source that was emptied or exchanged by
mistake must not empty its replica.
"""

import json
import re
import shlex
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from workers.replication.errors import ReplicationError
from workers.replication.settings import DeletionLimit
from workers.replication.target import Target
from workers.replication.watermark import SavedState
from workers.units import format_count

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# For smaller tables a percentage says little.
_SMALL_ROWS = 100
_NAMED = 20


@dataclass(frozen=True, slots=True)
class Deletion:
    """What a run would delete from a table; rows: the number before the run."""

    table: str
    rows: int
    deleted: int
    names: tuple[str, ...] = ()


def foreign_tables(
    target: Target, relations: Mapping[str, int], remembered: SavedState
) -> list[str]:
    """Return the target tables that hold rows and that no recorded run has filled.

    relations: the OID of each table by name; 0: the table does not exist.
    """
    strange = [
        name
        for name, relation in relations.items()
        if relation and not remembered.owns(name, relation)
    ]
    return [name for name in strange if _has_rows(target, name)]


def _has_rows(target: Target, table: str) -> bool:
    return target.one(f"SELECT 1 FROM {target.named(table)} LIMIT 1") is not None


def refuse_foreign(target: Target, foreign: Sequence[str], adopt: Collection[str]) -> None:
    """Refuse tables with rows that no run has written, unless `adopt` names them.

    Raises:
        ReplicationError: the message has the tables, and how each can be adopted.
    """
    refused = [name for name in foreign if name not in adopt]
    if refused:
        raise ReplicationError(refusal(target, refused))


def refusal(target: Target, refused: Sequence[str]) -> str:
    """Return why these tables are left unchanged, and how they can be adopted."""
    rows = [
        f"{target.named(name)} has {format_count(target.count(target.named(name)), 'row')}"
        for name in refused[:_NAMED]
    ]
    more = (
        f" and {format_count(len(refused) - _NAMED, 'more table')}"
        if len(refused) > _NAMED
        else ""
    )
    return (
        f"table {', '.join(refused[:_NAMED])}: {'; '.join(rows)} that no replication into"
        f" schema {target.schema} has written{more}; nothing was changed. Choose another schema,"
        " exclude the table, or let a run change them and delete what the source does not have:"
        f" adopt: {_listed(refused)}, or once: --set {_adopt(refused)}"
        " (--dry-run lists what would be deleted)"
    )


def refuse_deletions(planned: Sequence[Deletion], limit: DeletionLimit) -> None:
    """Refuse to delete more of a table than `max_delete` allows.

    Raises:
        ReplicationError: the message has every such table, and the value that allows it.
    """
    refused = [each for each in planned if is_too_much(each, limit)]
    if not refused:
        return
    counts = "; ".join(
        f"table {each.table}: {each.deleted} of {format_count(each.rows, 'row')} would be deleted"
        f" ({', '.join(each.names)}{', ...' if each.deleted > len(each.names) else ''})"
        for each in refused[:_NAMED]
    )
    most = max(each.deleted for each in planned)
    raise ReplicationError(
        f"{counts}; max_delete allows {_words(limit)}; nothing was changed. If the"
        f" source is what it should be, allow it once: --set max_delete={most}"
    )


def is_too_much(deletion: Deletion, limit: DeletionLimit) -> bool:
    """Return whether a deletion exceeds the limit; pure.

    A part counts for tables with over 100 rows. With a part below 1, a table may never lose
    all of its rows.
    """
    if not deletion.deleted:
        return False
    if limit.part is None:
        return limit.rows is not None and deletion.deleted > limit.rows
    if limit.part < 1 and deletion.deleted >= deletion.rows:
        return True
    return deletion.rows > _SMALL_ROWS and deletion.deleted > limit.part * deletion.rows


def _words(limit: DeletionLimit) -> str:
    if limit.part is None:
        return format_count(int(limit.text), "row")
    return f"{limit.text} of a table with over {_SMALL_ROWS} rows, and never all rows of one"


def _adopt(names: Sequence[str]) -> str:
    if len(names) == 1 and _PLAIN.fullmatch(names[0]):
        return f"adopt={names[0]}"
    return shlex.quote(f"adopt={json.dumps(list(names), ensure_ascii=False)}")


def _listed(names: Sequence[str]) -> str:
    """Return names as a YAML list."""
    return f"[{', '.join(n if _PLAIN.fullmatch(n) else json.dumps(n) for n in names)}]"
