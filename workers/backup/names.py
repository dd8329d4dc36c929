"""What the files of a backup are called, and what a name says.

Pure. A copy is `<stem>-2026-02-09T00-00-00Z.sqlite3.db.gz`; beside it stand
`<copy>.sha256`, `<copy>.json`, and, made later, `<copy>.keep` and
`<copy>.damaged`. The law: a `.part` is no backup, whatever stands beside it;
what does not fit these names exactly is foreign and never touched.
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
# 255 bytes are a name's limit; the longest ending of ours takes the rest.
_LONGEST_STEM_BYTES = 255 - len(f"-2026-02-09T00-00-00Z{ENDING}.scratch-12345678-journal")


@dataclass(frozen=True, slots=True)
class Named:
    """A copy's name, read: of which stem, taken when (aware, UTC, whole seconds)."""

    name: str
    stem: str
    taken_at: datetime


def stem(database: Path) -> str:
    """The database's name up to its first dot.

    Raises:
        ValueError: a name that sha256sum would write otherwise, or a too long one.
    """
    name = database.name.lstrip(".").partition(".")[0]
    if not name or any(letter == "\\" or ord(letter) < 32 for letter in name):
        raise ValueError(f"expected a name without \\ and control characters, got {name!r}")
    if len(name.encode(errors="surrogateescape")) > _LONGEST_STEM_BYTES:
        raise ValueError(f"expected at most {_LONGEST_STEM_BYTES} bytes up to the dot: {name}")
    return name


def copy_name(of_stem: str, taken_at: datetime) -> str:
    """The name of the copy taken then; fractions of a second are dropped."""
    return f"{of_stem}-{taken_at.astimezone(UTC).strftime(_STAMP)}{ENDING}"


def next_name(of_stem: str, taken_at: datetime, there: Iterable[str]) -> str:
    """The name of a copy taken then, or a second after the newest of its stem in `there`.

    So a later copy has the later name, whatever the clock said in between.

    Raises:
        ValueError: one in `there` is dated in the last second of the calendar; its name.
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
    """Sorts the names of copies by the instant that they say."""
    return name[-_TAIL:], name


def parse(name: str) -> Named | None:
    """What a copy's name says; None for any other name."""
    found = _COPY.fullmatch(name)
    if found is None:
        return None
    try:
        taken_at = datetime.strptime(found["stamp"], _STAMP).replace(tzinfo=UTC)
    except ValueError:  # the 31st of February
        return None
    return Named(name, found["stem"], taken_at)


def leftover_of(name: str) -> str | None:
    """The copy to which an unfinished or scratch file belongs; None for any other name."""
    found = _LEFTOVER.fullmatch(name)
    return found["copy"] if found and parse(found["copy"]) else None


def sidecar_line(name: str, sha256: str) -> bytes:
    """What `<name>.sha256` holds, as sha256sum writes and reads it."""
    return f"{sha256}  {name}\n".encode(errors="surrogateescape")
