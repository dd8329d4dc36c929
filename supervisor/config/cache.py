"""Accepted texts, kept as JSON, so that ten thousand jobs are not read twice.

An entry is found by text, path and code, and holds only while all that came
from outside the text - variables, files, the zone - is still the same. Entries
contain secrets: only their owner reads them. A damaged one counts as none, and
a folder that cannot be written costs time, not a load.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import msgspec

import supervisor
import workers
from supervisor.config.collector import collector_paused
from supervisor.config.files import read_regular, write_private
from supervisor.config.outcome import Parsed
from supervisor.config.substitute import Sources
from supervisor.core.model import Problem

MOST_ENTRIES = 20
LARGEST_BYTES = 512 * 1024**2


@dataclass(frozen=True, slots=True)
class Entry:
    """An accepted text; `found` are the warnings about its built-in workers."""

    parsed: Parsed
    found: tuple[Problem, ...]


def key(text: bytes, path: Path) -> str:
    """What an entry is found by."""
    parts = (supervisor.__version__, _code(), str(path.absolute()))
    return hashlib.sha256("\0".join(parts).encode(errors="replace") + b"\0" + text).hexdigest()


def find(folder: Path, key: str, sources: Sources) -> Entry | None:
    """The entry, if there is one and the world has not changed since."""
    path = folder / f"{key}.json"
    try:
        with collector_paused():
            entry = msgspec.json.decode(read_regular(path, LARGEST_BYTES), type=Entry)
        path.touch()
    except (OSError, ValueError, RecursionError):
        return None
    same = all(sources.again(read) == read.digest for read in entry.parsed.reads)
    return entry if same else None


def keep(folder: Path, key: str, entry: Entry) -> None:
    """Keep an entry, and only the newest MOST_ENTRIES."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_private(folder / f"{key}.json", msgspec.json.encode(entry))
        kept = sorted(folder.glob("*.json"), key=lambda path: path.stat().st_mtime_ns)
        for path in kept[:-MOST_ENTRIES]:
            path.unlink(missing_ok=True)
    except OSError:
        return


def _code() -> str:
    """What tells one state of the code that reads and checks from another."""
    folders = (Path(__file__).parent, Path(supervisor.__file__).parent / "core")
    files = [file for folder in folders for file in folder.glob("*.py")]
    files += Path(workers.__file__).parent.rglob("*.py")
    stats = sorted((str(file), file.stat().st_mtime_ns, file.stat().st_size) for file in files)
    return hashlib.sha256(repr(stats).encode()).hexdigest()
