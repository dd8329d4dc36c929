"""Caches accepted texts as JSON, so that ten thousand jobs are not parsed twice.

An entry is keyed by text, path and code. It is valid only while all values from outside
the text - variables, files, the zone - are unchanged. Entries contain secrets, so only
their owner can read them. A damaged entry counts as missing, and a folder that cannot
be written never fails a load.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import msgspec

import supervisor
import workers
from supervisor.config.files import write_private
from supervisor.config.interpolation import Sources
from supervisor.config.result import Parsed, gc_paused
from supervisor.core.config_model import Problem
from workers.regular_file import read_regular

MOST_ENTRIES = 20
LARGEST_BYTES = 512 * 1024**2


@dataclass(frozen=True, slots=True)
class Entry:
    """An accepted text; found: the warnings about its built-in workers."""

    parsed: Parsed
    found: tuple[Problem, ...]


def cache_key(text: bytes, path: Path) -> str:
    """Return the key of an entry, in hex."""
    parts = (supervisor.__version__, _code(), str(path.absolute()))
    return hashlib.sha256("\0".join(parts).encode(errors="replace") + b"\0" + text).hexdigest()


def find(folder: Path, key: str, sources: Sources) -> Entry | None:
    """Return the entry, or None if it is missing or its outside values have changed."""
    path = folder / f"{key}.json"
    try:
        with gc_paused():
            entry = msgspec.json.decode(read_regular(path, LARGEST_BYTES), type=Entry)
        path.touch()
    except (OSError, ValueError, RecursionError):
        return None
    same = all(sources.fingerprint_again(read) == read.digest for read in entry.parsed.reads)
    return entry if same else None


def store(folder: Path, key: str, entry: Entry) -> None:
    """Write an entry and delete all but the newest MOST_ENTRIES."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_private(folder / f"{key}.json", msgspec.json.encode(entry))
        kept = sorted(folder.glob("*.json"), key=lambda path: path.stat().st_mtime_ns)
        for path in kept[:-MOST_ENTRIES]:
            path.unlink(missing_ok=True)
    except OSError:
        return


def _code() -> str:
    """Return a digest that changes with the code that parses and checks."""
    folders = (Path(__file__).parent, Path(supervisor.__file__).parent / "core")
    files = [file for folder in folders for file in folder.glob("*.py")]
    files += Path(workers.__file__).parent.rglob("*.py")
    stats = sorted((str(file), file.stat().st_mtime_ns, file.stat().st_size) for file in files)
    return hashlib.sha256(repr(stats).encode()).hexdigest()
