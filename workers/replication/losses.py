"""Values that PostgreSQL takes, and keeps as others.

Whoever asks for `date`, or has a table with `varchar(5)` in the target, gets
what PostgreSQL makes of a text. Each value of such a column is sent twice, as
the type reads it and as a text, and compared by `roundtrip.same` before a row
is written. Invariant: columns of the types that a run chooses by itself cost
nothing here, since what lies in them comes back as it went.
"""

from collections.abc import Sequence
from dataclasses import replace

from workers.replication import carry, roundtrip
from workers.replication.carry import LOSS, Between, MisfitFound, refuse_misfits
from workers.replication.fit import Misfit
from workers.replication.shape import Kind, Twin, Typed, listed
from workers.replication.source import Scope
from workers.replication.target import Target

_PLACE = "nightshift_texts"
# Documents may be large, and each comes twice.
_AT_ONCE = 100
# A domain holds what the type does that it is made of.
_PLAIN_TYPE = """
WITH RECURSIVE made (type, modifier, base) AS (
    SELECT a.atttypid, a.atttypmod, t.typbasetype FROM pg_attribute a
    JOIN pg_type t ON t.oid = a.atttypid
    WHERE a.attrelid = to_regclass(%(place)s) AND a.attname = %(name)s
    UNION ALL SELECT made.base, t.typtypmod, b.typbasetype FROM made
    JOIN pg_type t ON t.oid = made.type JOIN pg_type b ON b.oid = made.base)
SELECT format_type(type, modifier) FROM made WHERE base = 0"""


def is_risky(typed: Typed) -> bool:
    """Whether PostgreSQL may take a value of such a column and keep another one."""
    if typed.kind is Kind.EXACT:
        return "(" in typed.type
    return typed.kind is Kind.CAST and typed.type != "text"


def refuse_losses(between: Between, twin: Twin, scope: Scope) -> None:
    """Refuse the first value in `scope` that would not come back as it went.

    Raises:
        Trouble: with table, key and column.
    """
    risky = [typed for typed in twin.columns if is_risky(typed)]
    if not risky:
        return
    refuse_misfits(between, twin, scope)
    target = between.target
    typed = (*twin.key, *(each for each in risky if not each.column.key))
    texts = tuple(_as_text(each, number) for number, each in enumerate(risky))
    more = ", ".join(f"NULL::text AS {text.name}" for text in texts)
    target.execute(
        f"DROP TABLE IF EXISTS pg_temp.{_PLACE}; CREATE TEMP TABLE {_PLACE} ON COMMIT DROP AS"
        f" SELECT {listed(typed)}, {more} FROM {twin.target} WITH NO DATA"
    )
    sent = replace(twin, columns=(*typed, *texts))
    carry.copy_texts(between, sent, scope, f"pg_temp.{_PLACE}")
    for each, text in zip(risky, texts, strict=True):
        _refuse_loss(target, twin, each, text)
    target.execute(f"DROP TABLE pg_temp.{_PLACE}")


def _as_text(typed: Typed, number: int) -> Typed:
    column = replace(typed.column, name=f"nightshift_text_{number}", key=0, wanted="text")
    return Typed(column, "text", asked=True)


def _refuse_loss(target: Target, twin: Twin, typed: Typed, text: Typed) -> None:
    values = {"place": f"pg_temp.{_PLACE}", "name": typed.column.name}
    plain = str(target.one(_PLAIN_TYPE, values)[0])
    # concat gives what clients are given: a cast would drop the blanks of char(n).
    query = (
        f"SELECT {text.name}, concat({typed.name}), {listed(twin.key)} FROM pg_temp.{_PLACE}"
        f" WHERE {text.name} IS DISTINCT FROM concat({typed.name}) AND {text.name} IS NOT NULL"
    )
    for sent, held, *key in target.stream(query, _AT_ONCE):
        if not roundtrip.same(plain, sent, held):
            raise MisfitFound(twin, _misfit(twin, typed, sent, key))


def _misfit(twin: Twin, typed: Typed, sent: str, key: Sequence[object]) -> Misfit:
    return Misfit(twin.table.name, typed.column.name, LOSS, sent, tuple(key))
