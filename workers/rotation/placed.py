"""Rotate a place that is no plain folder: an object store, SFTP, or encrypted copies.

The newest verified copy, on which a removal relies, is not read again each night: its
receipt says that it was read back, and its size is compared. `backup.drill` and
`nightshift backups verify` read it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

from workers.backup.errors import BackupError
from workers.backup.places import catalogue, removal
from workers.backup.places.catalogue import PlacedCopy
from workers.backup.places.place import Place
from workers.backup.places.store import Store
from workers.rotation import retention
from workers.rotation.pruned import Pruned
from workers.rotation.retention import Decision, Policy


@dataclass(frozen=True, slots=True)
class Placed:
    """A copy in a place, and what is decided about it."""

    copy: PlacedCopy
    decision: Decision


def plan(
    store: Store, place: Place, policy: Policy, now: datetime, zone: tzinfo
) -> tuple[Placed, ...]:
    """Return a decision for each copy in the place, newest first. Raises: PlaceError."""
    return decide(catalogue.placed_copies(store), place, policy, now, zone)


def decide(
    copies: Sequence[PlacedCopy], place: Place, policy: Policy, now: datetime, zone: tzinfo
) -> tuple[Placed, ...]:
    """Return a decision for each of these copies, newest first; pure."""
    known = {id(one.backup): one for one in copies}
    decided = retention.plan([one.backup for one in copies], policy, now, zone)
    return tuple(
        Placed(known[id(one.backup)], _kept_there(one, known[id(one.backup)], place, now))
        for one in decided
    )


def carry_out(
    store: Store,
    place: Place,
    decided: Sequence[Placed],
    now: datetime,
    check: Callable[[], None],
) -> Pruned:
    """Remove the copies of the plan, oldest first, then what uploads left unfinished."""
    going = [one.copy for one in reversed(decided) if not one.decision.keep]
    done = removal.remove(store, going, now, check)
    failed, leftovers = list(done.failed), tuple[str, ...]()
    if place.delete:
        try:
            leftovers = removal.sweep(store, now)
        except BackupError as problem:
            failed.append(str(problem))
    freed = sum(one.backup.size_bytes for one in going if one.data in done.removed)
    locked = tuple(f"{data} is kept by the bucket {why}" for data, why in done.locked.items())
    decisions = tuple(one.decision for one in decided)
    return Pruned(decisions, len(done.removed), freed, leftovers, tuple(failed), locked)


def _kept_there(decision: Decision, copy: PlacedCopy, place: Place, now: datetime) -> Decision:
    """Return the decision as the place allows it; the reason says why it keeps a copy."""
    if decision.keep:
        return decision
    if copy.described is None:
        return Decision(decision.backup, True, "no manifest of ours names it: it is left")
    if not place.delete:
        return Decision(decision.backup, True, "kept there: delete is false")
    if place.locked is not None:
        until = decision.backup.taken_at + timedelta(seconds=place.locked)
        if until > now:
            said = f"kept by the bucket until {until.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
            return Decision(decision.backup, True, said)
    return decision
