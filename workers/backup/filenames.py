"""Names of the files of a backup, and how to parse them.

Pure. A copy is `<stem>-2026-02-09T00-00-00Z.sqlite3.db.gz`. Beside it are `<copy>.sha256`,
`<copy>.json`, and, if made later, `<copy>.keep` and `<copy>.damaged`. Invariant: a `.part`
file is never a backup, and a file whose name does not match exactly is never touched.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

ENDING = ".sqlite3.db.gz"
SIDECAR, MANIFEST, KEEP, DAMAGED, PART = ".sha256", ".json", ".keep", ".damaged", ".part"
COMPANIONS = (SIDECAR, MANIFEST, KEEP, DAMAGED)
LOCK = ".nightshift.lock"
_FIRST_YEAR = 1970
_STAMP = "%Y-%m-%dT%H-%M-%SZ"
_COPY = re.compile(
    rf"(?P<stem>.+)-(?P<stamp>[0-9]{{4}}(?:-[0-9]{{2}}){{2}}T[0-9]{{2}}(?:-[0-9]{{2}}){{2}}Z)"
    rf"{re.escape(ENDING)}",
    re.DOTALL,
)
_LEFTOVER = re.compile(
    r"(?P<copy>.+\.gz)"
    r"(?:(?:\.sha256|\.json|\.keep|\.damaged)?\.part|\.scratch-[a-z0-9_]{8}(?:-journal|-wal|-shm)?)",
    re.DOTALL,
)
_TAIL = len(f"2026-02-09T00-00-00Z{ENDING}")
# A file name has at most 255 bytes; the longest ending of ours is subtracted.
_LONGEST_STEM_BYTES = 255 - len(f"-2026-02-09T00-00-00Z{ENDING}.scratch-12345678-journal")


@dataclass(frozen=True, slots=True)
class BackupName:
    """The parsed name of a copy; taken_at: aware, UTC, whole seconds."""

    name: str
    stem: str
    taken_at: datetime


def stem(database: Path) -> str:
    """Return the database's name up to its first dot.

    Raises:
        ValueError: sha256sum would escape the name, or it is too long.
    """
    name = database.name.lstrip(".").partition(".")[0]
    if not name or any(letter == "\\" or ord(letter) < 32 for letter in name):
        raise ValueError(f"expected a name without \\ and control characters, got {name!r}")
    if len(name.encode(errors="surrogateescape")) > _LONGEST_STEM_BYTES:
        raise ValueError(f"expected at most {_LONGEST_STEM_BYTES} bytes up to the dot: {name}")
    return name


def copy_name(of_stem: str, taken_at: datetime) -> str:
    """Return the name of the copy taken at `taken_at`, without fractions of a second."""
    return f"{of_stem}-{taken_at.astimezone(UTC).strftime(_STAMP)}{ENDING}"


def next_name(of_stem: str, taken_at: datetime, there: Iterable[str]) -> str:
    """Return the name of a copy taken at `taken_at`, or 1 s after the newest of its stem.

    The newest is searched in `there`. A later copy so has a later name, even if the clock
    was set back.

    Raises:
        ValueError: a name in `there` has the last second of the calendar; the text is that name.
    """
    stamps = [found for name in there if (found := parse(name)) and found.stem == of_stem]
    newest = max(stamps, key=lambda one: one.taken_at, default=None)
    if newest is None or newest.taken_at < taken_at.replace(microsecond=0):
        return copy_name(of_stem, taken_at)
    try:
        return copy_name(of_stem, newest.taken_at + timedelta(seconds=1))
    except OverflowError as error:
        raise ValueError(newest.name) from error


def order(name: str) -> tuple[str, str]:
    """Return a key that sorts the names of copies by their time."""
    return name[-_TAIL:], name


def parse(name: str) -> BackupName | None:
    """Return the parsed name of a copy, or None for any other name."""
    found = _COPY.fullmatch(name)
    if found is None:
        return None
    try:
        taken_at = datetime.strptime(found["stamp"], _STAMP).replace(tzinfo=UTC)
    except ValueError:  # such as 31 February
        return None
    # No clock is set before that, and a zone may not reach the first year.
    if taken_at.year < _FIRST_YEAR:
        return None
    return BackupName(name, found["stem"], taken_at)


def leftover_of(name: str) -> str | None:
    """Return the copy to which an unfinished or scratch file belongs; None for other names."""
    found = _LEFTOVER.fullmatch(name)
    return found["copy"] if found and parse(found["copy"]) else None


def sidecar_line(name: str, sha256: str) -> bytes:
    """Return the content of `<name>.sha256` in the format of sha256sum."""
    return f"{sha256}  {name}\n".encode(errors="surrogateescape")
