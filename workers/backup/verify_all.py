"""Verify several copies, large ones in parallel; the verdicts are those of one after another.

Each verification unpacks into a scratch file of the database's size, so no more run at once
than the volumes have room for.
"""

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from workers import parallel, volume
from workers.backup import repository
from workers.backup.errors import BackupError
from workers.backup.listing import State
from workers.backup.manifest import read
from workers.backup.verify import verify
from workers.parallel import Lost, Tell

# Below this, forking and importing take longer than they gain.
WORTH_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class Verdict:
    """What verifying a copy found; error: empty if it is verified."""

    path: Path
    error: str
    warnings: tuple[str, ...] = ()


def verify_all(copies: Sequence[Path], worth_bytes: int = WORTH_BYTES) -> Iterator[Verdict]:
    """Verify the copies and yield the verdicts in their order.

    worth_bytes: if the databases in them are smaller together, no process is started.
    """
    count = at_once(copies, worth_bytes)
    if count < 2:
        yield from map(verdict, copies)
        return
    with parallel.children(count, _work) as group:
        if not group:
            yield from map(verdict, copies)
            return
        for path, found in zip(copies, parallel.answers(group, copies), strict=True):
            if isinstance(found, Lost):
                yield Verdict(
                    path, f"copy {path} is not verified: {found.reason}; verify it again"
                )
            else:
                yield found


def verdict(path: Path) -> Verdict:
    """Verify one copy."""
    try:
        return Verdict(path, "", tuple(verify(path).content.warnings))
    except (BackupError, OSError, sqlite3.Error) as error:
        return Verdict(path, str(error) or State.DAMAGED)


def _work(path: Path, _tell: Tell) -> Verdict:
    return verdict(path)


def at_once(copies: Sequence[Path], worth_bytes: int) -> int:
    """Return how many copies to verify at the same time; see `verify_all`."""
    most = min(parallel.cores(), len(copies))
    if most < 2:
        return 1
    total = 0
    largest: dict[int, tuple[Path, int]] = {}
    for path in copies:
        # A copy without a manifest is refused before anything is unpacked.
        with suppress(BackupError, OSError):
            size, place = read(path).database_size_bytes, repository.writable(path.parent)
            number = os.stat(place).st_dev
            total += size
            largest[number] = (place, max(size, largest.get(number, (place, 0))[1]))
    if total < worth_bytes:
        return 1
    for place, size in largest.values():
        with suppress(OSError):
            most = min(most, volume.space(place).free_bytes // max(1, size))
    return max(1, most)
