"""Names of the objects of a copy in a place, and how to parse them. Pure.

A copy is `<copy>` or, encrypted, `<copy>.age`, here called its data. Beside it are
`<data>.json` (its manifest, written first), `<data>.sha256`, `<data>.verified` (written
last, after the data was read back) and, if made later, `<data>.keep` and `<data>.damaged`;
of an encrypted copy also `<copy>.json.age`, the encrypted manifest of what it holds.
"""

import re

from workers.backup import filenames
from workers.backup.filenames import DAMAGED, KEEP, MANIFEST, SIDECAR

AGE, VERIFIED = ".age", ".verified"
# In the order of deletion: the proof that the others are ours goes last.
_ENDINGS = (VERIFIED, "", SIDECAR, DAMAGED, KEEP)
_PART = re.compile(r"\.part-[0-9a-f]{8}")


def copy_of(data: str) -> str:
    """Return the name of the copy that an object is the data of; empty for other objects."""
    copy = data.removesuffix(AGE)
    return copy if filenames.parse(copy) else ""


def sealed_manifest(copy: str) -> str:
    """Return the name of the encrypted manifest of an encrypted copy."""
    return f"{copy}{MANIFEST}{AGE}"


def of_copy(data: str) -> tuple[str, ...]:
    """Return all names that the objects of a copy may have, in the order of deletion."""
    named = tuple(f"{data}{ending}" for ending in _ENDINGS)
    sealed = (sealed_manifest(copy_of(data)),) if data.endswith(AGE) else ()
    return (*named, *sealed, f"{data}{MANIFEST}")


def part_of(name: str) -> str:
    """Return the final name of an unfinished upload; empty for other names."""
    found = _PART.search(name)
    return name[: found.start()] if found and found.end() == len(name) else ""
