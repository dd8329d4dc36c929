"""What rotating one place has done."""

from dataclasses import dataclass

from workers.rotation.retention import Decision


@dataclass(frozen=True, slots=True)
class Pruned:
    """The decisions, and the space that removing made; leftovers by name.

    failed: what could not be removed and why, one sentence each.
    locked: what a place keeps by a lock of its own, one sentence each.
    """

    decisions: tuple[Decision, ...]
    removed: int
    freed_bytes: int
    leftovers: tuple[str, ...]
    failed: tuple[str, ...] = ()
    locked: tuple[str, ...] = ()
