"""Timers of systemd and what belongs to them, found as systemd finds them.

A unit's file, its drop-ins (`foo.timer.d/*.conf`), and the template of an instance
are sought in the folder that was named and in systemd's own, the first one first.
"""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from supervisor.cli.failure import Exit, Failure
from supervisor.config.files import Unreadable, read_regular
from supervisor.config.systemd_units import Setting, Unit, parse_unit

FOLDERS = (
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
)
_LARGEST_BYTES = 1024**2
_TIMER = re.compile(r"[^/]+\.timer")


@dataclass(frozen=True, slots=True)
class Found:
    """The name of a timer, and where it and its service are sought."""

    name: str
    folders: tuple[str, ...]


def timers(named: str) -> list[Found]:
    """The timers of a folder, or the one of a path, or of a name.

    Raises:
        Failure: there is none.
    """
    if os.path.isdir(named) and not named.endswith(".d"):
        folder = os.path.abspath(named)
        found = sorted(set(_in_folder(folder)))
        if not found:
            raise Failure(Exit.USAGE, f"{named}: no timers in this folder")
        return [Found(name, (folder, *FOLDERS)) for name in found]
    name = os.path.basename(named)
    if not name.endswith((".timer", ".service")):
        name += ".timer"
    name = re.sub(r"\.service$", ".timer", name)
    is_here = os.sep in named or os.path.exists(name)
    beside = [os.path.abspath(os.path.dirname(named))] if is_here else []
    place = Found(name, (*beside, *FOLDERS))
    if _path_of(place, name) is None:
        raise Failure(Exit.USAGE, f"{named}: no such timer", f"it is sought as {name}")
    return [place]


def unit(place: Found, name: str) -> Unit | None:
    """A unit with its drop-ins; None: there is none, or it is masked.

    Raises:
        Failure: a file cannot be read.
    """
    path = _path_of(place, name)
    if path is None or os.path.realpath(path) == os.devnull:
        return None
    files = [path, *_drop_ins(place, name)]
    settings: list[Setting] = []
    for file in files:
        settings += parse_unit(_text(file), str(file))
    return Unit(name, tuple(settings))


def home(place: Found) -> str:
    """Where %h points: root's home, or that of this user for a user's own units."""
    is_users = re.search(r"/systemd/user(/|$)", place.folders[0]) is not None
    return os.path.expanduser("~" if is_users else "~root")


def is_template(name: str) -> bool:
    """Whether a name stands for all its instances: `foo@.timer`."""
    return name.partition("@")[2].startswith(".")


def _in_folder(folder: str) -> Iterator[str]:
    """The timers of a folder; instances of templates as far as they are enabled."""
    for entry in os.listdir(folder):
        if entry.endswith(".wants") and os.path.isdir(os.path.join(folder, entry)):
            wanted = os.listdir(os.path.join(folder, entry))
            yield from (name for name in wanted if _TIMER.fullmatch(name) and "@" in name)
        elif _TIMER.fullmatch(entry):
            yield entry


def _path_of(place: Found, name: str) -> Path | None:
    template = re.sub(r"@[^@]*(\.[a-z]+)$", r"@\1", name)
    for wanted in dict.fromkeys((name, template)):
        for folder in place.folders:
            path = Path(folder, wanted)
            if os.path.lexists(path):
                return path
    return None


def _drop_ins(place: Found, name: str) -> list[Path]:
    """The files of all folders of drop-ins, by their names; the first of a name counts."""
    found: dict[str, Path] = {}
    for drop_in_folder in _drop_in_folders(name):
        for folder in place.folders:
            path = Path(folder, drop_in_folder)
            if not path.is_dir():
                continue
            for file in path.iterdir():
                if file.suffix == ".conf":
                    found.setdefault(file.name, file)
    paths = [found[name] for name in sorted(found)]
    return [path for path in paths if os.path.realpath(path) != os.devnull]


def _drop_in_folders(name: str) -> Sequence[str]:
    """`foo-bar.timer.d`, `foo-.timer.d`, `timer.d`: the most particular first."""
    stem, _, kind = name.rpartition(".")
    template = [re.sub(r"@.*", "@", stem)] if "@" in stem else []
    parts = stem.split("-")
    shorter = ["-".join(parts[:count]) + "-" for count in range(len(parts) - 1, 0, -1)]
    return [*(f"{each}.{kind}.d" for each in (stem, *template, *shorter)), f"{kind}.d"]


def _text(path: Path) -> str:
    try:
        return read_regular(path, _LARGEST_BYTES).decode(errors="backslashreplace")
    except Unreadable as error:
        raise Failure(Exit.USAGE, f"{path}: {error}") from error
    except OSError as error:
        raise Failure(Exit.USAGE, f"{path}: {error.strerror}") from error
