"""Compute and describe the differences between a catalogue and a database.

Pure: rows in, values and sentences out. A dry run prints `plan` and a real run applies it.
Invariant: added, changed and unchanged together are exactly the catalogue's rows.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from workers.sync.rows import Row, shown
from workers.units import format_count

MOST_LOGGED = 50
_NAMED = 5
_LONGEST_NAME_LIST = 300


@dataclass(frozen=True, slots=True)
class Changes:
    """The differences between catalogue and database.

    added, changed: complete rows as in the catalogue. unchanged: a count.
    vanished: ids that only the database has.
    """

    added: tuple[Row, ...] = ()
    changed: tuple[Row, ...] = ()
    unchanged: int = 0
    vanished: tuple[str, ...] = ()

    @property
    def any(self) -> bool:
        """Return whether catalogue and database differ."""
        return bool(self.added or self.changed or self.vanished)


@dataclass(frozen=True, slots=True)
class FailedSet:
    """A set that was left unchanged and why; `permanent` if a retry does not help."""

    set_id: str
    text: str
    permanent: bool = True


def plan(have: Mapping[str, Row], want: Sequence[Row]) -> Changes:
    """Return the changes that make `have` (rows by id) equal to `want` (id first in each row)."""
    added, changed, unchanged = [], [], 0
    wanted = set()
    for row in want:
        entry_id = str(row[0])
        wanted.add(entry_id)
        present = have.get(entry_id)
        if present is None:
            added.append(row)
        elif present != row:
            changed.append(row)
        else:
            unchanged += 1
    vanished = tuple(entry_id for entry_id in have if entry_id not in wanted)
    return Changes(tuple(added), tuple(changed), unchanged, vanished)


def described(subject: str, changes: Changes, prune: bool) -> str:
    """Return the changes as one line: `swsh1: 2 to add (a, b), 1 to change (c)`."""
    fate = "vanished, to delete" if prune else "vanished"
    parts = [
        f"{len(ids)} {word} ({named(ids)})"
        for word, ids in (
            ("to add", [str(row[0]) for row in changes.added]),
            ("to change", [str(row[0]) for row in changes.changed]),
            (fate, list(changes.vanished)),
        )
        if ids
    ]
    return f"{subject}: {', '.join(parts) or 'nothing to do'}"


def altered(table: str, rows: Sequence[Row]) -> str:
    """Return the error for rows that `table` does not hold as they were written."""
    stand = format_count(len(rows), "row stands", "rows stand")
    ids = named([str(row[0]) for row in rows])
    return (
        f"{stand} in {table} otherwise than written ({ids}); has it a trigger that changes them?"
    )


def named(names: Sequence[str]) -> str:
    """Return the first names and how many more there are."""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return (", ".join(shown(name) for name in names[:_NAMED]) + more)[:_LONGEST_NAME_LIST]


def failure(failed: Sequence[FailedSet], total: int, outcome: str) -> str:
    """Return the run's error: how many sets failed, the first of them, and what was done."""
    first = "; ".join(f"{shown(one.set_id)}: {one.text}" for one in failed[:_NAMED])
    more = f"; and {len(failed) - _NAMED} more" if len(failed) > _NAMED else ""
    sets = format_count(total, "set")
    return f"{len(failed)} of {sets} failed: {first}{more} (the others are whole: {outcome})"


def summed(texts: Iterable[str]) -> str:
    """Return the first text and how many others there are."""
    first, *others = texts
    return f"{first} (and {len(others)} more)" if others else first


def permanent(failed: Iterable[FailedSet]) -> bool:
    """Return whether all failures are permanent; one temporary failure is worth a retry."""
    return all(one.permanent for one in failed)
