"""Find systemd timers and their related units, with systemd's search rules.

A unit's file, its drop-ins (`foo.timer.d/*.conf`) and the template of an instance are
looked up first in the given folder and then in systemd's own folders.
"""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from supervisor.cli.errors import CliError, ExitCode
from supervisor.config.problems import BadValueError
from supervisor.config.systemd.units import Setting, Unit, parse_unit
from workers.regular_file import UnreadableFileError, read_regular

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
    """A timer, and the folders where it and its service are looked up."""

    name: str
    folders: tuple[str, ...]


def timers(named: str) -> list[Found]:
    """Return all timers in a folder, or the one with the given path or name.

    Raises:
        CliError: there is none.
    """
    if os.path.isdir(named) and not named.endswith(".d"):
        folder = os.path.abspath(named)
        found = sorted(set(_in_folder(folder)))
        if not found:
            raise CliError(ExitCode.USAGE, f"{named}: no timers in this folder")
        return [Found(name, (folder, *FOLDERS)) for name in found]
    name = os.path.basename(named)
    if not name.endswith((".timer", ".service")):
        name += ".timer"
    name = re.sub(r"\.service$", ".timer", name)
    is_here = os.sep in named or any(os.path.exists(each) for each in (name, _template_of(name)))
    beside = [os.path.abspath(os.path.dirname(named))] if is_here else []
    place = Found(name, (*beside, *FOLDERS))
    if _path_of(place, name) is None:
        raise CliError(ExitCode.USAGE, f"{named}: no such timer", f"it is sought as {name}")
    return [place]


def unit(place: Found, name: str) -> Unit | None:
    """Return a unit with its drop-ins; None if it does not exist or is masked.

    Raises:
        BadValueError: a file cannot be read.
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
    """Return the meaning of %h: this user's home for a user unit, else root's."""
    is_users = re.search(r"/systemd/user(/|$)", place.folders[0]) is not None
    return os.path.expanduser("~" if is_users else "~root")


def is_template(name: str) -> bool:
    """Return whether the name is a template without an instance: `foo@.timer`."""
    return name.partition("@")[2].startswith(".")


def to_ask_for(place: Found, name: str) -> str:
    """Return the name, with its folder if systemd does not look there."""
    return name if place.folders[0] in FOLDERS else os.path.join(place.folders[0], name)


def _in_folder(folder: str) -> Iterator[str]:
    """Yield the timers of a folder; template instances only if they are enabled."""
    for entry in os.listdir(folder):
        if entry.endswith(".wants") and os.path.isdir(os.path.join(folder, entry)):
            wanted = os.listdir(os.path.join(folder, entry))
            yield from (name for name in wanted if _TIMER.fullmatch(name) and "@" in name)
        elif _TIMER.fullmatch(entry):
            yield _own_name(folder, entry)


def _own_name(folder: str, entry: str) -> str:
    """Return the name of the unit that an entry is an alias of, else the entry."""
    target = Path(os.path.realpath(os.path.join(folder, entry)))
    places = (os.path.realpath(folder), *FOLDERS)
    is_alias = "@" not in entry and _TIMER.fullmatch(target.name) and str(target.parent) in places
    return target.name if is_alias else entry


def _template_of(name: str) -> str:
    return re.sub(r"@[^@]*(\.[a-z]+)$", r"@\1", name)


def _path_of(place: Found, name: str) -> Path | None:
    for wanted in dict.fromkeys((name, _template_of(name))):
        for folder in place.folders:
            path = Path(folder, wanted)
            if os.path.lexists(path):
                return path
    return None


def _drop_ins(place: Found, name: str) -> list[Path]:
    """Return the drop-in files sorted by name; for equal names the first folder wins."""
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
    """Return `foo-bar.timer.d`, `foo-.timer.d`, `timer.d`: most specific first."""
    stem, _, kind = name.rpartition(".")
    template = [re.sub(r"@.*", "@", stem)] if "@" in stem else []
    parts = stem.split("-")
    shorter = ["-".join(parts[:count]) + "-" for count in range(len(parts) - 1, 0, -1)]
    return [*(f"{each}.{kind}.d" for each in (stem, *template, *shorter)), f"{kind}.d"]


def _text(path: Path) -> str:
    try:
        return read_regular(path, _LARGEST_BYTES).decode(errors="backslashreplace")
    except UnreadableFileError as error:
        raise BadValueError(f"{path}: {error}") from error
    except OSError as error:
        raise BadValueError(f"{path}: {error.strerror}") from error
