"""Refuse values that PostgreSQL accepts but stores as other values.

A requested type such as `date`, or a target column such as `varchar(5)`, may change a text.
Each value of such a column is sent twice, as that type and as text, and both are compared
with `value_roundtrip.same` before a row is written.
Invariant: columns of the types that a run chooses itself cost nothing here, because their
values come back as they were sent.
"""

from collections.abc import Sequence
from dataclasses import replace

from workers.replication import copy_rows, value_roundtrip
from workers.replication.copy_rows import LOSS, Connections, MisfitError, refuse_misfits
from workers.replication.source import Scope
from workers.replication.tables import Kind, MappedColumn, TablePair, listed
from workers.replication.target import Target
from workers.replication.value_fit import Misfit

_PLACE = "nightshift_texts"
# Documents may be large, and each is returned twice.
_AT_ONCE = 100
# A domain stores what its base type stores.
_PLAIN_TYPE = """
WITH RECURSIVE made (type, modifier, base) AS (
    SELECT a.atttypid, a.atttypmod, t.typbasetype FROM pg_attribute a
    JOIN pg_type t ON t.oid = a.atttypid
    WHERE a.attrelid = to_regclass(%(place)s) AND a.attname = %(name)s
    UNION ALL SELECT made.base, t.typtypmod, b.typbasetype FROM made
    JOIN pg_type t ON t.oid = made.type JOIN pg_type b ON b.oid = made.base)
SELECT format_type(type, modifier) FROM made WHERE base = 0"""


def is_risky(typed: MappedColumn) -> bool:
    """Return whether PostgreSQL may accept a value of such a column and store another one."""
    if typed.kind is Kind.EXACT:
        return "(" in typed.type
    return typed.kind is Kind.CAST and typed.type != "text"


def refuse_losses(between: Connections, pair: TablePair, scope: Scope) -> None:
    """Refuse the first value in `scope` that would not come back as it was sent.

    Raises:
        MisfitError: there is one; the message has its table, key and column.
    """
    risky = [typed for typed in pair.columns if is_risky(typed)]
    if not risky:
        return
    refuse_misfits(between, pair, scope)
    target = between.target
    typed = (*pair.key, *(each for each in risky if not each.column.key))
    texts = tuple(_as_text(each, number) for number, each in enumerate(risky))
    more = ", ".join(f"NULL::text AS {text.name}" for text in texts)
    target.execute(
        f"DROP TABLE IF EXISTS pg_temp.{_PLACE}; CREATE TEMP TABLE {_PLACE} ON COMMIT DROP AS"
        f" SELECT {listed(typed)}, {more} FROM {pair.target} WITH NO DATA"
    )
    sent = replace(pair, columns=(*typed, *texts))
    copy_rows.copy_texts(between, sent, scope, f"pg_temp.{_PLACE}")
    for each, text in zip(risky, texts, strict=True):
        _refuse_loss(target, pair, each, text)
    target.execute(f"DROP TABLE pg_temp.{_PLACE}")


def _as_text(typed: MappedColumn, number: int) -> MappedColumn:
    column = replace(typed.column, name=f"nightshift_text_{number}", key=0, wanted="text")
    return MappedColumn(column, "text", asked=True)


def _refuse_loss(target: Target, pair: TablePair, typed: MappedColumn, text: MappedColumn) -> None:
    values = {"place": f"pg_temp.{_PLACE}", "name": typed.column.name}
    plain = str(target.one(_PLAIN_TYPE, values)[0])
    # concat returns what clients see; a cast would drop the trailing blanks of char(n).
    query = (
        f"SELECT {text.name}, concat({typed.name}), {listed(pair.key)} FROM pg_temp.{_PLACE}"
        f" WHERE {text.name} IS DISTINCT FROM concat({typed.name}) AND {text.name} IS NOT NULL"
    )
    for sent, held, *key in target.stream(query, _AT_ONCE):
        if not value_roundtrip.same(plain, sent, held):
            raise MisfitError(pair, _misfit(pair, typed, sent, key))


def _misfit(pair: TablePair, typed: MappedColumn, sent: str, key: Sequence[object]) -> Misfit:
    return Misfit(pair.table.name, typed.column.name, LOSS, sent, tuple(key))
